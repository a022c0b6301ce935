/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/export/metrics_text.h"

#include "control/export/metrics_private.h"

#include <event2/buffer.h>

#include <math.h>
#include <stdio.h>

static const char *const drop_labels[] = {
#define X(name, label, help) label,
	WEIR_DROP_REASONS(X)
#undef X
};

static const char *const stage_labels[] = {
#define X(name, label) label,
	WEIR_STAGES(X)
#undef X
};

struct port_counter {
	const char *name;
	const char *help;
	uint64_t (*read)(const struct weir_port_cell *c);
};

#define PORT_READER(member)                                           \
	static uint64_t port_##member(const struct weir_port_cell *c) \
	{                                                             \
		return c->member;                                     \
	}
PORT_READER(packets_received)
PORT_READER(bytes_received)
PORT_READER(packets_transmitted)
PORT_READER(bytes_transmitted)
PORT_READER(packets_to_kernel)
PORT_READER(astray)

static const struct port_counter port_counters[] = {
	{ "weir_port_packets_received_total", "Packets received.", port_packets_received },
	{ "weir_port_bytes_received_total", "Frame bytes received.", port_bytes_received },
	{ "weir_port_packets_transmitted_total", "Packets that the device took.",
		port_packets_transmitted },
	{ "weir_port_bytes_transmitted_total", "Frame bytes that the device took.",
		port_bytes_transmitted },
	{ "weir_port_packets_to_kernel_total", "Packets handed to the kernel.",
		port_packets_to_kernel },
	{ "weir_port_astray_total",
		"Packets that a device steered to a core which has no worker for them.",
		port_astray },
};

static void port_labels(
	struct labels *l, const struct metrics_input *in, const struct snapshot_port *p)
{
	labels_begin(l, in->instance);
	labels_add(l, "port", p->entry.name);
}

static void render_ports(const struct metrics_input *in, struct evbuffer *out)
{
	const struct snapshot *now = in->now;
	struct labels l;

	for (size_t c = 0; c < sizeof(port_counters) / sizeof(port_counters[0]); c++) {
		metrics_family(out, port_counters[c].name, "counter", port_counters[c].help);
		for (size_t i = 0; i < now->port_count; i++) {
			port_labels(&l, in, &now->ports[i]);
			metrics_sample_u64(out, port_counters[c].name, &l,
				port_counters[c].read(&now->ports[i].sum));
		}
	}
	metrics_family(out, "weir_port_dropped_total", "counter",
		"Packets dropped that no service could be blamed for, by reason.");
	for (size_t i = 0; i < now->port_count; i++) {
		for (size_t r = 0; r < WEIR_DROP_COUNT; r++) {
			port_labels(&l, in, &now->ports[i]);
			labels_add(&l, "reason", drop_labels[r]);
			metrics_sample_u64(
				out, "weir_port_dropped_total", &l, now->ports[i].sum.dropped[r]);
		}
	}
	metrics_family(out, "weir_port_up", "gauge", "1 while the port has a link.");
	for (size_t i = 0; i < now->port_count; i++) {
		port_labels(&l, in, &now->ports[i]);
		metrics_sample_u64(out, "weir_port_up", &l, now->ports[i].entry.link_up != 0);
	}
}

static const struct snapshot_core *core_before(
	const struct metrics_input *in, size_t index, const struct snapshot_core *c)
{
	if (!in->base || index >= in->base->core_count ||
		in->base->cores[index].entry.cpu != c->entry.cpu)
		return NULL;
	return &in->base->cores[index];
}

static double busy_share(const struct snapshot_core *c, const struct snapshot_core *before)
{
	double busy = (double)(c->cell.busy_cycles - (before ? before->cell.busy_cycles : 0));
	double idle = (double)(c->cell.idle_cycles - (before ? before->cell.idle_cycles : 0));

	return busy + idle > 0 ? busy / (busy + idle) : NAN;
}

static void render_core_counter(const struct metrics_input *in, struct evbuffer *out,
	const char *name, const char *help,
	double (*read)(const struct snapshot_core *c, double hz))
{
	struct labels l;

	metrics_family(out, name, "counter", help);
	for (size_t i = 0; i < in->now->core_count; i++) {
		metrics_core_labels(&l, in, &in->now->cores[i]);
		metrics_sample_double(
			out, name, &l, read(&in->now->cores[i], (double)in->now->tsc_hz));
	}
}

static double core_busy_seconds(const struct snapshot_core *c, double hz)
{
	return hz > 0 ? (double)c->cell.busy_cycles / hz : 0;
}

static double core_idle_seconds(const struct snapshot_core *c, double hz)
{
	return hz > 0 ? (double)c->cell.idle_cycles / hz : 0;
}

static void render_cores(const struct metrics_input *in, struct evbuffer *out)
{
	const struct snapshot *now = in->now;
	struct labels l;

	render_core_counter(in, out, "weir_core_busy_seconds_total",
		"Time that a packet core spent on packets.", core_busy_seconds);
	render_core_counter(in, out, "weir_core_idle_seconds_total",
		"Time that a packet core polled in vain or slept.", core_idle_seconds);
	metrics_family(out, "weir_core_packets_total", "counter",
		"Packets that entered the stages of a core.");
	for (size_t i = 0; i < now->core_count; i++) {
		metrics_core_labels(&l, in, &now->cores[i]);
		metrics_sample_u64(out, "weir_core_packets_total", &l, now->cores[i].cell.packets);
	}
	metrics_family(out, "weir_core_busy_ratio", "gauge",
		"Share of the last seconds that a packet core spent on packets.");
	for (size_t i = 0; i < now->core_count; i++) {
		const struct snapshot_core *c = &now->cores[i];

		metrics_core_labels(&l, in, c);
		metrics_sample_double(
			out, "weir_core_busy_ratio", &l, busy_share(c, core_before(in, i, c)));
	}
	metrics_family(out, "weir_core_stage_cycles_total", "counter",
		"Cycles of the packets that were timed stage by stage.");
	for (size_t i = 0; i < now->core_count; i++) {
		for (size_t s = 0; s < WEIR_STAGE_COUNT; s++) {
			metrics_core_labels(&l, in, &now->cores[i]);
			labels_add(&l, "stage", stage_labels[s]);
			metrics_sample_u64(out, "weir_core_stage_cycles_total", &l,
				now->cores[i].cell.stage_cycles[s]);
		}
	}
	metrics_family(out, "weir_core_stage_packets_total", "counter",
		"Packets that were timed stage by stage.");
	for (size_t i = 0; i < now->core_count; i++) {
		for (size_t s = 0; s < WEIR_STAGE_COUNT; s++) {
			metrics_core_labels(&l, in, &now->cores[i]);
			labels_add(&l, "stage", stage_labels[s]);
			metrics_sample_u64(out, "weir_core_stage_packets_total", &l,
				now->cores[i].cell.stage_packets[s]);
		}
	}
}

static void render_memory(const struct metrics_input *in, struct evbuffer *out)
{
	static const char *const names[] = { "weir_memory_total_bytes", "weir_memory_free_bytes" };
	static const char *const helps[] = { "Packet memory of a NUMA node.",
		"Packet memory of a NUMA node that is free." };

	for (size_t k = 0; k < 2; k++) {
		metrics_family(out, names[k], "gauge", helps[k]);
		for (size_t i = 0; i < in->now->node_count && i < WEIR_MAX_NODES; i++) {
			const struct weir_node_memory *m = &in->now->node[i];
			struct labels l;
			char node[16];

			snprintf(node, sizeof(node), "%zu", i);
			labels_begin(&l, in->instance);
			labels_add(&l, "node", node);
			metrics_sample_u64(out, names[k], &l, k ? m->free_bytes : m->total_bytes);
		}
	}
}

static void render_gauge(const struct metrics_input *in, struct evbuffer *out, const char *name,
	const char *type, const char *help, double value)
{
	struct labels l;

	labels_begin(&l, in->instance);
	metrics_family(out, name, type, help);
	metrics_sample_double(out, name, &l, value);
}

static void render_events(const struct metrics_input *in, struct evbuffer *out)
{
	metrics_family(out, "weir_events_total", "counter",
		"Events that `weirctl events` tells of, by kind.");
	for (size_t i = 0; i < in->event_count; i++) {
		struct labels l;

		labels_begin(&l, in->instance);
		labels_add(&l, "kind", in->events[i].kind);
		metrics_sample_u64(out, "weir_events_total", &l, in->events[i].count);
	}
}

static void render_stream(const struct metrics_input *in, struct evbuffer *out)
{
	render_gauge(in, out, "weir_stream_sent_total", "counter",
		"Messages that the brokers of the event stream have taken.",
		(double)in->stream->sent);
	render_gauge(in, out, "weir_stream_lost_total", "counter",
		"Messages for the event stream that were lost.", (double)in->stream->lost);
	render_gauge(in, out, "weir_stream_queued", "gauge",
		"Messages that wait for the brokers of the event stream.",
		(double)in->stream->queued);
}

static void render_probes(const struct metrics_input *in, struct evbuffer *out)
{
	const struct metrics_probes *p = in->probes;

	render_gauge(in, out, "weir_probe_reports_total", "counter",
		"Datagrams of weir-probe that were taken.", (double)p->received);
	render_gauge(in, out, "weir_probe_backends", "gauge",
		"Backends of services that a probe tells of now.", (double)p->backends);
	metrics_family(out, "weir_probe_refused_total", "counter",
		"Datagrams, or what they said of a service, that were not taken, by reason.");
	for (size_t i = 0; i < p->refused_count; i++) {
		struct labels l;

		labels_begin(&l, in->instance);
		labels_add(&l, "reason", p->refused[i].reason);
		metrics_sample_u64(out, "weir_probe_refused_total", &l, p->refused[i].count);
	}
}

void metrics_render(const struct metrics_input *in, struct evbuffer *out)
{
	struct labels l;

	labels_begin(&l, in->instance);
	labels_add(&l, "version", in->version);
	metrics_family(out, "weir_build_info", "gauge", "1, with the version as a label.");
	metrics_sample_u64(out, "weir_build_info", &l, 1);
	render_gauge(in, out, "weir_dataplane_up", "gauge", "1 while the data plane answers.",
		in->dataplane_up);
	render_gauge(in, out, "weir_dataplane_restarts_total", "counter",
		"Times that the data plane was started again.", (double)in->dataplane_restarts);
	render_gauge(in, out, "weir_controld_uptime_seconds", "gauge",
		"How long the control daemon has run.", in->controld_uptime_s);
	render_gauge(in, out, "weir_config_applied_timestamp_seconds", "gauge",
		"When the configuration in force was applied.", in->applied_at);
	render_gauge(in, out, "weir_warnings", "gauge", "Warnings that `weirctl status` shows.",
		(double)in->warnings);
	render_events(in, out);
	if (in->probes)
		render_probes(in, out);
	if (in->stream)
		render_stream(in, out);
	render_gauge(in, out, "weir_health_checks_total", "counter", "Health checks started.",
		(double)in->checks_started);
	render_gauge(in, out, "weir_health_checks_late_total", "counter",
		"Of these, started more than a tenth of their interval after they were due.",
		(double)in->checks_late);
	render_gauge(in, out, "weir_health_check_lateness_max_seconds", "gauge",
		"The longest that a check was late since the start.", in->check_lateness_worst_s);
	if (in->adapt_count)
		metrics_adaptation(in, out);
	if (!in->now)
		return;
	render_gauge(in, out, "weir_config_generation", "gauge",
		"Configurations that the data plane has taken.", (double)in->now->generation);
	metrics_services(in, out);
	metrics_service_cores(in, out);
	metrics_backends(in, out);
	metrics_policies(in, out);
	render_ports(in, out);
	render_cores(in, out);
	metrics_core_delays(in, out);
	render_memory(in, out);
}
