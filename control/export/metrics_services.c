/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/config/model.h"
#include "control/export/metrics_private.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

struct counter {
	const char *name;
	const char *type;
	const char *help;
	size_t offset; /* of a uint64_t in the cell */
};

#define SERVICE(member) offsetof(struct weir_service_cell, member)
#define BACKEND(member) offsetof(struct weir_backend_cell, member)

static const struct counter service_counters[] = {
	{ "weir_service_packets_received_total", "counter",
		"Packets attributed to the service, both directions.", SERVICE(packets_received) },
	{ "weir_service_packets_transmitted_total", "counter",
		"Packets of the service sent on, both directions.", SERVICE(packets_transmitted) },
	{ "weir_service_bytes_received_total", "counter",
		"Frame bytes attributed to the service, both directions.",
		SERVICE(bytes_received) },
	{ "weir_service_bytes_transmitted_total", "counter",
		"Frame bytes of the service sent on, both directions.",
		SERVICE(bytes_transmitted) },
	{ "weir_service_packets_from_backends_total", "counter",
		"The share of the packets received that were replies.",
		SERVICE(packets_from_backends) },
	{ "weir_service_new_flows_total", "counter", "Flows opened.", SERVICE(new_flows) },
	{ "weir_service_closed_flows_total", "counter", "Flows ended or forgotten.",
		SERVICE(closed_flows) },
	{ "weir_service_stateless_packets_total", "counter",
		"Packets placed by hashing alone, without a flow entry.", SERVICE(stateless) },
	{ "weir_service_source_overflow_packets_total", "counter",
		"Packets of sources that had no budget of their own, judged together with others.",
		SERVICE(sources_overflow) },
};

static const struct counter backend_counters[] = {
	{ "weir_backend_packets_total", "counter", "Packets sent to the backend.",
		BACKEND(packets) },
	{ "weir_backend_bytes_total", "counter", "Frame bytes sent to the backend.",
		BACKEND(bytes) },
	{ "weir_backend_packets_from_total", "counter", "Replies of the backend (nat).",
		BACKEND(packets_from) },
	{ "weir_backend_bytes_from_total", "counter", "Frame bytes of replies (nat).",
		BACKEND(bytes_from) },
	{ "weir_backend_new_flows_total", "counter", "Flows placed on the backend.",
		BACKEND(new_flows) },
};

static uint64_t cell_read(const void *cell, size_t offset)
{
	uint64_t value;

	memcpy(&value, (const char *)cell + offset, sizeof(value));
	return value;
}

static void service_labels(
	struct labels *l, const struct metrics_input *in, const struct snapshot_service *s)
{
	labels_begin(l, in->instance);
	labels_add(l, "service", s->entry.name);
}

static uint64_t open_flows(uint64_t opened, uint64_t closed)
{
	return opened > closed ? opened - closed : 0;
}

static void services_dropped(const struct metrics_input *in, struct evbuffer *out)
{
	static const char *const reasons[] = {
#define X(name, label, help) label,
		WEIR_DROP_REASONS(X)
#undef X
	};
	static const char name[] = "weir_service_dropped_total";

	metrics_family(out, name, "counter", "Packets of the service dropped, by reason.");
	for (size_t i = 0; i < in->now->service_count; i++) {
		const struct snapshot_service *s = &in->now->services[i];

		for (size_t r = 0; r < WEIR_DROP_COUNT; r++) {
			struct labels l;

			service_labels(&l, in, s);
			labels_add(&l, "reason", reasons[r]);
			metrics_sample_u64(out, name, &l, s->sum.dropped[r]);
		}
	}
}

/* Places for sources, of the services that limit each of them. */
static void services_sources(const struct metrics_input *in, struct evbuffer *out)
{
	static const struct counter gauges[] = {
		{ "weir_service_sources_tracked", "gauge",
			"Sources with a budget of their own, those that are silent by now included.",
			SERVICE(sources_tracked) },
		{ "weir_service_sources_known", "gauge",
			"The share of them that is known to be good.", SERVICE(sources_known) },
	};
	static const char room[] = "weir_service_sources_room";
	struct labels l;

	metrics_family(out, room, "gauge", "Places for sources with a budget of their own.");
	for (size_t i = 0; i < in->now->service_count; i++) {
		const struct snapshot_service *s = &in->now->services[i];

		service_labels(&l, in, s);
		if (s->entry.source_entries)
			metrics_sample_u64(out, room, &l, s->entry.source_entries);
	}
	for (size_t g = 0; g < sizeof(gauges) / sizeof(gauges[0]); g++) {
		metrics_family(out, gauges[g].name, gauges[g].type, gauges[g].help);
		for (size_t i = 0; i < in->now->service_count; i++) {
			const struct snapshot_service *s = &in->now->services[i];
			int64_t value = (int64_t)cell_read(&s->sum, gauges[g].offset);

			/* A sum over cores, which are read one after the other. */
			service_labels(&l, in, s);
			if (s->entry.source_entries)
				metrics_sample_u64(
					out, gauges[g].name, &l, value > 0 ? (uint64_t)value : 0);
		}
	}
}

/* As exact as the fine buckets; from those of the exported histogram it would be within a factor of two. */
static void services_tail(const struct metrics_input *in, struct evbuffer *out)
{
	static const char name[] = "weir_service_residence_tail_seconds";

	metrics_family(out, name, "summary",
		"Time that packets of the service spent in Weir: quantiles of the last seconds.");
	for (size_t i = 0; i < in->now->service_count; i++) {
		const struct snapshot_service *s = &in->now->services[i];
		const struct snapshot_service *before =
			snapshot_before_service(in->now, in->base, s);
		struct labels l;

		service_labels(&l, in, s);
		metrics_tail(
			out, name, &l, &s->sum.residence, before ? &before->sum.residence : NULL);
	}
}

static void services_memory(const struct metrics_input *in, struct evbuffer *out)
{
	static const char name[] = "weir_service_memory_bytes";
	static const struct {
		const char *label;
		size_t offset;
	} tables[] = {
		{ "flows", offsetof(struct weir_service_entry, memory_flows) },
		{ "sources", offsetof(struct weir_service_entry, memory_sources) },
		{ "policing", offsetof(struct weir_service_entry, memory_police) },
		{ "ports", offsetof(struct weir_service_entry, memory_ports) },
		{ "pools", offsetof(struct weir_service_entry, memory_pools) },
		{ "workers", offsetof(struct weir_service_entry, memory_workers) },
	};

	metrics_family(out, name, "gauge", "The service's share of the budget, by what it is for.");
	for (size_t i = 0; i < in->now->service_count; i++) {
		const struct snapshot_service *s = &in->now->services[i];

		for (size_t t = 0; t < sizeof(tables) / sizeof(tables[0]); t++) {
			struct labels l;
			uint64_t bytes;

			memcpy(&bytes, (const char *)&s->entry + tables[t].offset, sizeof(bytes));
			service_labels(&l, in, s);
			labels_add(&l, "table", tables[t].label);
			metrics_sample_u64(out, name, &l, bytes);
		}
	}
}

void metrics_services(const struct metrics_input *in, struct evbuffer *out)
{
	const struct snapshot *now = in->now;
	struct labels l;

	for (size_t c = 0; c < sizeof(service_counters) / sizeof(service_counters[0]); c++) {
		const struct counter *counter = &service_counters[c];

		metrics_family(out, counter->name, counter->type, counter->help);
		for (size_t i = 0; i < now->service_count; i++) {
			service_labels(&l, in, &now->services[i]);
			metrics_sample_u64(out, counter->name, &l,
				cell_read(&now->services[i].sum, counter->offset));
		}
	}
	metrics_family(out, "weir_service_flows", "gauge", "Flows open now.");
	for (size_t i = 0; i < now->service_count; i++) {
		const struct weir_service_cell *c = &now->services[i].sum;

		service_labels(&l, in, &now->services[i]);
		metrics_sample_u64(
			out, "weir_service_flows", &l, open_flows(c->new_flows, c->closed_flows));
	}
	services_memory(in, out);
	services_sources(in, out);
	services_dropped(in, out);
	metrics_family(out, "weir_service_residence_seconds", "histogram",
		"Time that packets of the service spent in Weir, receive to transmit.");
	for (size_t i = 0; i < now->service_count; i++) {
		service_labels(&l, in, &now->services[i]);
		metrics_histogram(
			out, "weir_service_residence_seconds", &l, &now->services[i].sum.residence);
	}
	services_tail(in, out);
}

static void backend_labels(struct labels *l, const struct metrics_input *in,
	const struct snapshot_service *s, const struct snapshot_backend *b)
{
	struct address a;
	char text[80];

	memcpy(a.bytes, b->entry.address, sizeof(a.bytes));
	service_labels(l, in, s);
	labels_add(l, "backend", address_port_print(&a, b->entry.port, text, sizeof(text)));
}

/* Render one family for every backend. */
static void each_backend(const struct metrics_input *in, struct evbuffer *out,
	void (*render)(const struct metrics_input *in, struct evbuffer *out, const struct labels *l,
		const struct snapshot_service *s, const struct snapshot_backend *b,
		const void *argument),
	const void *argument)
{
	for (size_t i = 0; i < in->now->service_count; i++) {
		const struct snapshot_service *s = &in->now->services[i];

		for (size_t j = 0; j < s->backend_count; j++) {
			struct labels l;

			backend_labels(&l, in, s, &s->backends[j]);
			render(in, out, &l, s, &s->backends[j], argument);
		}
	}
}

static void backend_counter(const struct metrics_input *in, struct evbuffer *out,
	const struct labels *l, const struct snapshot_service *s, const struct snapshot_backend *b,
	const void *argument)
{
	const struct counter *c = argument;

	metrics_sample_u64(out, c->name, l, cell_read(&b->sum, c->offset));
}

static void backend_flows(const struct metrics_input *in, struct evbuffer *out,
	const struct labels *l, const struct snapshot_service *s, const struct snapshot_backend *b,
	const void *argument)
{
	metrics_sample_u64(
		out, "weir_backend_flows", l, open_flows(b->sum.new_flows, b->sum.closed_flows));
}

static void backend_weight(const struct metrics_input *in, struct evbuffer *out,
	const struct labels *l, const struct snapshot_service *s, const struct snapshot_backend *b,
	const void *argument)
{
	metrics_sample_double(out, "weir_backend_weight", l, snapshot_weight_in_force(s, b));
}

/* Nothing in force is nothing to show. */
static void backend_cap(const struct metrics_input *in, struct evbuffer *out,
	const struct labels *l, const struct snapshot_service *s, const struct snapshot_backend *b,
	const void *argument)
{
	metrics_sample_double(out, "weir_backend_cap", l,
		b->entry.cap == WEIR_NO_CAP || b->entry.cap == 0 ? INFINITY : b->entry.cap);
}

static void backend_weight_told(const struct metrics_input *in, struct evbuffer *out,
	const struct labels *l, const struct snapshot_service *s, const struct snapshot_backend *b,
	const void *argument)
{
	metrics_sample_u64(out, "weir_backend_weight_configured", l, b->entry.weight);
}

static void backend_state(const struct metrics_input *in, struct evbuffer *out,
	const struct labels *l, const struct snapshot_service *s, const struct snapshot_backend *b,
	const void *argument)
{
	static const struct {
		uint8_t state;
		bool fallback; /* of those that are up */
		const char *label;
	} states[] = { { WEIR_BACKEND_UP, false, "up" }, { WEIR_BACKEND_UP, true, "fallback" },
		{ WEIR_BACKEND_DRAINING, false, "draining" },
		{ WEIR_BACKEND_DOWN, false, "down" } };
	const bool fallback = b->entry.state == WEIR_BACKEND_UP && b->entry.fallback;

	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		struct labels with = *l;

		labels_add(&with, "state", states[i].label);
		metrics_sample_u64(out, "weir_backend_state", &with,
			b->entry.state == states[i].state && fallback == states[i].fallback);
	}
}

static void backend_times(const struct metrics_input *in, struct evbuffer *out,
	const struct labels *l, const struct snapshot_service *s, const struct snapshot_backend *b,
	const void *argument)
{
	const struct counter *c = argument;
	const struct snapshot_backend *before =
		snapshot_before_backend(snapshot_before_service(in->now, in->base, s), b);
	const struct weir_histogram *now = (const void *)((const char *)&b->sum + c->offset);
	const struct weir_histogram *base =
		before ? (const void *)((const char *)&before->sum + c->offset) : NULL;

	metrics_summary(out, c->name, l, now, base);
}

void metrics_backends(const struct metrics_input *in, struct evbuffer *out)
{
	static const struct counter times[] = {
		{ "weir_backend_connect_seconds", "summary",
			"SYN to SYN-ACK (nat, tcp); quantiles of the last seconds.",
			BACKEND(connect) },
		{ "weir_backend_first_byte_seconds", "summary",
			"First request byte to first response byte (nat); quantiles of the last "
			"seconds.",
			BACKEND(first_byte) },
	};

	for (size_t c = 0; c < sizeof(backend_counters) / sizeof(backend_counters[0]); c++) {
		metrics_family(out, backend_counters[c].name, backend_counters[c].type,
			backend_counters[c].help);
		each_backend(in, out, backend_counter, &backend_counters[c]);
	}
	metrics_family(out, "weir_backend_flows", "gauge", "Flows open on the backend now.");
	each_backend(in, out, backend_flows, NULL);
	metrics_family(out, "weir_backend_weight", "gauge", "Weight in force.");
	each_backend(in, out, backend_weight, NULL);
	metrics_family(out, "weir_backend_weight_configured", "gauge",
		"Weight without adaptation: as configured, less while it starts slowly.");
	each_backend(in, out, backend_weight_told, NULL);
	metrics_family(out, "weir_backend_cap", "gauge",
		"Requests in flight up to which the backend gets new flows; +Inf: any.");
	each_backend(in, out, backend_cap, NULL);
	metrics_family(out, "weir_backend_state", "gauge", "1 for the state that the backend has.");
	each_backend(in, out, backend_state, NULL);
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		metrics_family(out, times[i].name, times[i].type, times[i].help);
		each_backend(in, out, backend_times, &times[i]);
	}
}
