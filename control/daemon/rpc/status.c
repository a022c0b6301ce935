/* SPDX-License-Identifier: BSD-3-Clause */

/* `status`: the instance as a whole, and what an operator should look at. */

#include "control/daemon/adaptation/probes.h"
#include "control/daemon/clock.h"
#include "control/daemon/daemon.h"
#include "control/daemon/events/events.h"
#include "control/daemon/policy/policies_kernel.h"
#include "control/daemon/policy/policies_set.h"
#include "control/daemon/revision/limits_set.h"
#include "control/daemon/revision/settings.h"
#include "control/export/metrics_text.h"
#include "control/export/stream.h"
#include "control/health/health_check.h"
#include "control/report/report.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NEIGHBOUR_WARNINGS_MAX 16

__attribute__((format(printf, 2, 3))) static void warn(json_t *list, const char *format, ...)
{
	char text[768];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	json_array_append_new(list, json_string(text));
}

const struct snapshot *daemon_snapshot(struct daemon *d, unsigned int max_age_ms)
{
	struct weir_client *client = dataplane_client(d->dataplane);

	/* Its directory changes for moments only, so an older snapshot does as well. */
	if (!client)
		return NULL;
	history_refresh(&d->history, client, max_age_ms);
	return d->history.now;
}

static void warn_dataplane(struct daemon *d, json_t *list)
{
	enum dataplane_state state = dataplane_state(d->dataplane);
	struct weir_client *client = dataplane_client(d->dataplane);
	char text[128];

	if (state != DATAPLANE_RUNNING)
		warn(list, "the data plane is %s%s%s", dataplane_state_name(state),
			*dataplane_error(d->dataplane) ? ": " : "", dataplane_error(d->dataplane));
	if (config_waits(d)) {
		struct boot_time boot = boot_time_now();

		warn(list,
			"the configuration goes back by itself in %.0f s: weirctl config confirm "
			"keeps it",
			(double)revision_left_ms(&d->revisions.list[0], &boot) / 1000);
	}
	if (d->refusal[0])
		warn(list, "the configuration is not in force: %s", d->refusal);
	if (client &&
		settings_differ_from_running(
			&d->model->dataplane, weir_client_hello(client), text, sizeof(text)))
		warn(list,
			"the data plane runs with other settings than `dataplane:` says (%s): restart "
			"it to bring them into force",
			text);
}

static void warn_machine(struct daemon *d, const struct snapshot *now, json_t *list)
{
	const struct kernel_link *lo = kernel_link_by_name(d->kernel, "lo");

	if (lo && !lo->up)
		warn(list,
			"interface lo is down, so that the kernel does not answer for service "
			"addresses: ip link set lo up");
	if (!now)
		return;
	if (now->flags & WEIR_TELEMETRY_F_SHARED_CORE)
		warn(list,
			"one CPU both receives packets and works on them: with at least 3 CPUs, and "
			"`dataplane: {cores: [1-2]}` or more, services get cores of their own");
	if (!(now->flags & WEIR_TELEMETRY_F_HUGEPAGES) &&
		d->model->dataplane.hugepages != MODEL_HUGEPAGES_NONE)
		warn(list,
			"no hugepages, which costs speed: sysctl vm.nr_hugepages=%llu, then restart "
			"the data plane",
			(unsigned long long)((d->model->dataplane.memory_bytes >> 21) + 64));
}

static const struct snapshot_port *port_find(const struct snapshot *now, const char *name)
{
	for (size_t i = 0; i < now->port_count; i++)
		if (!strcmp(now->ports[i].entry.name, name))
			return &now->ports[i];
	return NULL;
}

static void warn_ports(struct daemon *d, const struct snapshot *now, json_t *list)
{
	for (size_t i = 0; now && i < d->model->port_count; i++) {
		const struct model_port *p = &d->model->ports[i];
		const struct snapshot_port *found = port_find(now, p->name);

		if (!found)
			warn(list, "port %s (%s) is not open", p->name, p->device);
		else if (!found->entry.link_up)
			warn(list, "port %s (%s) has no link", p->name, p->device);
	}
}

/* Each packet between a core and a port of different nodes crosses the machine. */
static void warn_nodes(const struct snapshot *now, json_t *list)
{
	for (size_t c = 0; now && c < now->core_count; c++) {
		const struct weir_core_entry *core = &now->cores[c].entry;
		const struct snapshot_port *far = NULL;
		bool near = false;

		for (size_t i = 0; i < now->port_count; i++) {
			const struct snapshot_port *p = &now->ports[i];

			near |= p->entry.node < 0 || p->entry.node == core->node;
			far = p;
		}
		if (near || !far || core->node < 0)
			continue;
		if (core->roles & WEIR_CORE_F_RECEIVE)
			warn(list,
				"CPU %u of NUMA node %d receives for port %s of node %d: each packet "
				"crosses; CPUs of that node in dataplane.cores spare it that",
				core->cpu, core->node, far->entry.name, far->entry.node);
		for (size_t s = 0; s < now->service_count; s++)
			if (now->services[s].entry.worker_mask >> c & 1)
				warn(list,
					"service %s runs on CPU %u of NUMA node %d, port %s is on node %d: "
					"each packet crosses; CPUs of that node in dataplane.cores spare it "
					"that",
					now->services[s].entry.name, core->cpu, core->node,
					far->entry.name, far->entry.node);
	}
}

static void warn_neighbours(struct daemon *d, json_t *list)
{
	size_t count = 0;

	for (uint32_t i = 0; d->told.body && i < d->told.header->neighbour_count; i++) {
		const struct weir_config_neighbour *n = &d->told.neighbours[i];
		struct address a;
		char text[80];

		if (n->resolved == 1 || ++count > NEIGHBOUR_WARNINGS_MAX)
			continue;
		memcpy(a.bytes, n->address, sizeof(a.bytes));
		warn(list, "next hop %s on port %s does not resolve",
			address_print(&a, text, sizeof(text)), d->told.ports[n->port].name);
	}
	if (count > NEIGHBOUR_WARNINGS_MAX)
		warn(list, "and %zu more next hops do not resolve", count - NEIGHBOUR_WARNINGS_MAX);
}

static void warn_services(struct daemon *d, json_t *list)
{
	for (size_t i = 0; d->pool_ready && i < d->model->service_count; i++) {
		const struct model_service *s = &d->model->services[i];
		struct serving_count count = serving_count(d->pool, s);
		const char *then = count.usable_fallback ? "; its fallback pool serves" : "";

		if (count.usable)
			continue;
		if (count.draining)
			warn(list, "service %s: every backend is drained or down%s", s->name, then);
		else if (s->backend_count)
			warn(list, "service %s: every backend is down%s", s->name, then);
		else
			warn(list, "service %s has no backends%s", s->name, then);
	}
}

json_t *status_warnings(struct daemon *d, const struct snapshot *now)
{
	json_t *list = json_array();

	warn_dataplane(d, list);
	warn_ports(d, now, list);
	warn_nodes(now, list);
	json_array_extend(list, d->route_warnings);
	warn_neighbours(d, list);
	warn_services(d, list);
	limits_warn(d, list);
	policies_set_warn(d, list);
	policies_warn(d, list);
	adaptation_warn(d->adaptation, list);
	probes_warn(d, list);
	stream_warn(d, list);
	warn_machine(d, now, list);
	return list;
}

static double seconds_since(uint64_t then_ns)
{
	return (double)(clock_now_ns() - then_ns) / 1e9;
}

static const char *idle_label(uint8_t idle)
{
	return idle == WEIR_IDLE_SPIN	    ? "spin" :
		idle == WEIR_IDLE_INTERRUPT ? "interrupt" :
					      "sleep";
}

json_t *status_dataplane(struct daemon *d, const struct snapshot *now)
{
	struct weir_client *client = dataplane_client(d->dataplane);
	json_t *document = json_pack("{s:s, s:i}", "state",
		dataplane_state_name(dataplane_state(d->dataplane)), "restarts",
		(int)dataplane_restarts(d->dataplane));

	json_object_set_new(document, "pid",
		dataplane_pid(d->dataplane) ? json_integer(dataplane_pid(d->dataplane)) :
					      json_null());
	json_object_set_new(
		document, "uptime", now ? json_real(seconds_since(now->start_ns)) : json_null());
	json_object_set_new(document, "generation",
		now ? json_integer((json_int_t)now->generation) : json_null());
	json_object_set_new(document, "heartbeat_age",
		client ? json_real(seconds_since(__atomic_load_n(
				 &weir_client_telemetry(client)->heartbeat_ns, __ATOMIC_RELAXED))) :
			 json_null());
	json_object_set_new(document, "cores",
		client ? json_string(weir_client_hello(client)->cores) : json_null());
	json_object_set_new(document, "idle",
		client ? json_string(idle_label(weir_client_hello(client)->idle)) : json_null());
	return document;
}

static json_t *memory_document(const struct snapshot *now)
{
	json_t *list = json_array();

	for (size_t i = 0; now && i < now->node_count && i < WEIR_MAX_NODES; i++)
		json_array_append_new(list,
			json_pack("{s:i, s:I, s:I}", "node", (int)i, "total",
				(json_int_t)now->node[i].total_bytes, "free",
				(json_int_t)now->node[i].free_bytes));
	return list;
}

static json_t *budget_document(const struct snapshot *now)
{
	return now ? json_pack("{s:I, s:I}", "total", (json_int_t)now->memory_budget, "used",
			     (json_int_t)now->memory_used) :
		     json_null();
}

static json_t *budgets_document(const struct snapshot *now)
{
	json_t *list = json_array();

	for (size_t i = 0; now && i < now->service_count; i++) {
		json_t *entry = report_service_memory(&now->services[i]);

		json_object_set_new(entry, "service", json_string(now->services[i].entry.name));
		json_array_append_new(list, entry);
	}
	return list;
}

json_t *status_document(struct daemon *d)
{
	const struct snapshot *now = daemon_snapshot(d, 100);
	const struct snapshot *base = history_base(&d->history);
	json_t *document = json_object();

	json_object_set_new(document, "instance", json_string(d->options.instance));
	json_object_set_new(document, "version", json_string(WEIR_VERSION));
	json_object_set_new(document, "uptime", json_real(seconds_since(d->started_ns)));
	json_object_set_new(document, "controld",
		json_pack("{s:i, s:s, s:b}", "pid", (int)getpid(), "config", d->file,
			"spawns_dataplane", (int)d->options.spawn_dataplane));
	json_object_set_new(document, "configuration",
		json_pack("{s:I, s:s, s:f, s:o}", "number", (json_int_t)config_number(d), "file",
			d->file, "applied_at", d->applied_at, "confirm_within",
			config_confirm_within(d)));
	json_object_set_new(document, "dataplane", status_dataplane(d, now));
	json_object_set_new(document, "ports", report_port_list(d->model, now, base));
	json_object_set_new(
		document, "cores", now ? report_core_list(d->model, now, base) : json_array());
	json_object_set_new(document, "memory", memory_document(now));
	json_object_set_new(document, "budget", budget_document(now));
	json_object_set_new(document, "budgets", budgets_document(now));
	json_object_set_new(document, "placement",
		now && now->placement_areas ?
			json_pack("{s:I, s:I}", "areas", (json_int_t)now->placement_areas,
				"elsewhere", (json_int_t)now->placement_elsewhere) :
			json_null());
	json_object_set_new(document, "hugepages",
		now ? json_boolean(now->flags & WEIR_TELEMETRY_F_HUGEPAGES) : json_null());
	json_object_set_new(document, "generation",
		now ? json_integer((json_int_t)now->generation) : json_null());
	json_object_set_new(document, "in_step", json_boolean(d->in_step));
	json_object_set_new(document, "probes", probes_document(d));
	json_object_set_new(document, "stream", stream_document(d));
	json_object_set_new(document, "warnings", status_warnings(d, now));
	return document;
}

static const char *verdict_name(enum health_verdict v)
{
	static const char *const names[] = {
		[HEALTH_UNKNOWN] = "unknown", [HEALTH_GOOD] = "good", [HEALTH_BAD] = "bad"
	};

	return names[v];
}

/* What the daemon knows of a backend beyond the data plane's figures. */
static void backend_annotate(
	struct daemon *d, const struct model_service *s, size_t index, json_t *entry)
{
	static const char *const types[] = { [MODEL_HEALTH_NONE] = "none",
		[MODEL_HEALTH_TCP] = "tcp",
		[MODEL_HEALTH_HTTP] = "http" };
	const struct model_backend *b = model_backend_at(s, index);
	struct pool_health h;

	json_object_set_new(
		entry, "probe", probes_backend_document(d->probes, s->name, b, clock_now_ns()));
	if (!pool_health(d->pool, s->name, &b->address, b->port, &h))
		return;
	json_object_set_new(entry, "health",
		json_pack("{s:s, s:s, s:s}", "type", types[h.type], "verdict",
			verdict_name(h.verdict), "reason", h.reason));
	json_object_set_new(entry, "drained", json_boolean(h.draining));
}

json_t *backends_document(
	struct daemon *d, const struct snapshot *now, const struct model_service *s)
{
	json_t *list =
		now ? report_backend_list(d->model, s, now, history_base(&d->history)) : NULL;
	size_t at = 0;

	/* The list is in the order of the model. */
	for (size_t i = 0; list && i < d->model->service_count; i++) {
		const struct model_service *of = &d->model->services[i];

		if (s && of != s)
			continue;
		for (size_t j = 0; j < model_backend_total(of); j++)
			backend_annotate(d, of, j, json_array_get(list, at++));
	}
	return list;
}

json_t *backend_document(struct daemon *d, const struct model_service *s, const struct address *a,
	uint16_t port, unsigned int max_age_ms)
{
	json_t *list = backends_document(d, daemon_snapshot(d, max_age_ms), s);
	json_t *entry = NULL;

	for (size_t j = 0; list && !entry && j < model_backend_total(s); j++) {
		const struct model_backend *b = model_backend_at(s, j);

		if (b->port == port && !memcmp(&b->address, a, sizeof(*a)))
			entry = json_incref(json_array_get(list, j));
	}
	json_decref(list);
	return entry;
}

void daemon_metrics(void *ctx, struct evbuffer *out)
{
	struct daemon *d = ctx;
	const struct snapshot *now = daemon_snapshot(d, 100);
	json_t *warnings = status_warnings(d, now);
	struct metrics_event events[EVENT_KIND_COUNT];
	const struct health_figures checks = health_check_figures();

	for (int i = 0; i < EVENT_KIND_COUNT; i++)
		events[i] = (struct metrics_event){ .kind = event_kind_name(i),
			.count = events_count(i) };
	size_t adapt_count;
	double adapt_cost_s;
	struct metrics_adapt *adapt =
		adaptation_metrics(d->adaptation, &adapt_count, &adapt_cost_s);
	struct metrics_stream stream = { 0 };

	stream_figures(d->stream, &stream);
	struct metrics_refusal refused[PROBES_REFUSAL_COUNT];
	struct metrics_probes probes = { .refused = refused,
		.refused_count = PROBES_REFUSAL_COUNT };

	if (d->probes) {
		probes.received = probes_figures(d->probes)->received;
		probes.backends = probes_count_fresh(d->probes, clock_now_ns());
	}
	for (int i = 0; d->probes && i < PROBES_REFUSAL_COUNT; i++)
		refused[i] = (struct metrics_refusal){ probes_refusal_name(i),
			probes_figures(d->probes)->refused[i] };
	struct metrics_input in = { .instance = d->options.instance,
		.version = WEIR_VERSION,
		.dataplane_up = dataplane_state(d->dataplane) == DATAPLANE_RUNNING,
		.dataplane_restarts = dataplane_restarts(d->dataplane),
		.controld_uptime_s = seconds_since(d->started_ns),
		.applied_at = d->applied_at,
		.warnings = json_array_size(warnings),
		.events = events,
		.event_count = EVENT_KIND_COUNT,
		.stream = d->stream ? &stream : NULL,
		.probes = d->probes ? &probes : NULL,
		.checks_started = checks.started,
		.checks_late = checks.late,
		.check_lateness_worst_s = (double)checks.worst_ns / 1e9,
		.adapt = adapt,
		.adapt_count = adapt_count,
		.adapt_cost_s = adapt_cost_s,
		.in_kernel = policies_kernel_on,
		.in_kernel_ctx = d,
		.now = now,
		.base = history_base(&d->history) };

	json_decref(warnings);
	metrics_render(&in, out);
	free(adapt);
}
