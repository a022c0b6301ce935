/* SPDX-License-Identifier: BSD-3-Clause */

/* The methods of the control API; docs/developers/control-api.md has their documents. */

#include "control/daemon/daemon.h"
#include "control/daemon/events/events.h"
#include "control/daemon/policy/policies_methods.h"
#include "control/daemon/revision/limits_set.h"
#include "control/daemon/revision/who.h"
#include "control/daemon/rpc/flows.h"
#include "control/daemon/rpc/moves.h"
#include "control/daemon/rpc/traces.h"
#include "control/report/report.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A parameter that has to be a string; answers the call and returns NULL when it is not there. */
static const char *string_param(struct rpc_call *call, const char *name)
{
	const char *text = json_string_value(json_object_get(rpc_call_params(call), name));

	if (!text)
		rpc_call_error(call, RPC_INVALID_PARAMS, NULL, "%s: expected a string", name);
	return text;
}

static const struct model_service *service_find(const struct daemon *d, const char *name)
{
	for (size_t i = 0; i < d->model->service_count; i++)
		if (!strcmp(d->model->services[i].name, name))
			return &d->model->services[i];
	return NULL;
}

/* The same for the name of a service. */
static const struct model_service *service_param(struct daemon *d, struct rpc_call *call)
{
	const char *name = string_param(call, "service");
	const struct model_service *s = name ? service_find(d, name) : NULL;

	if (name && !s)
		rpc_call_error(call, RPC_REFUSED, NULL,
			"there is no service %.64s; see `weirctl service list`", name);
	return s;
}

/* A snapshot, or the call is answered with why there is none. */
static const struct snapshot *snapshot_or_error(struct daemon *d, struct rpc_call *call)
{
	const struct snapshot *now = daemon_snapshot(d, 100);
	const char *why = dataplane_error(d->dataplane);

	if (!now)
		rpc_call_error(call, RPC_DATAPLANE, NULL,
			"the data plane is %s%s%s; see `weirctl status`",
			dataplane_state_name(dataplane_state(d->dataplane)), *why ? ": " : "", why);
	return now;
}

/* An optional number; answers the call and returns false when it is something else. */
static bool number_param(
	struct rpc_call *call, const char *name, double most, double preset, double *ret)
{
	json_t *value = json_object_get(rpc_call_params(call), name);

	*ret = preset;
	if (!value || json_is_null(value))
		return true;
	*ret = json_number_value(value);
	if (json_is_number(value) && *ret >= 0 && *ret <= most)
		return true;
	rpc_call_error(call, RPC_INVALID_PARAMS, NULL, "%s: expected a number 0..%.0f", name, most);
	return false;
}

#define CONFIRM_MAX_S 86400

static void config_apply(struct daemon *d, struct rpc_call *call)
{
	const char *file = string_param(call, "file");
	const char *text = file ? string_param(call, "text") : NULL;
	char whole[PATH_MAX];
	double confirm_s;

	if (!text || !number_param(call, "confirm", CONFIRM_MAX_S, 0, &confirm_s))
		return;
	const char *folder = json_string_value(json_object_get(rpc_call_params(call), "folder"));
	struct config_change c = { .how = REVISION_APPLY,
		.who = who_asks(call),
		.confirm_ms = (uint64_t)(confirm_s * 1000),
		.label = file };

	/* Where the objects of policies lie does not depend on where the operator stood. */
	if (folder && *folder == '/' && *file != '/' &&
		snprintf(whole, sizeof(whole), "%s/%s", strcmp(folder, "/") ? folder : "", file) <
			(int)sizeof(whole))
		file = whole;
	daemon_apply(d, file, text,
		json_string_length(json_object_get(rpc_call_params(call), "text")), &c, call);
}

static void config_diff(struct daemon *d, struct rpc_call *call)
{
	const char *file = string_param(call, "file");
	const char *text = file ? string_param(call, "text") : NULL;
	struct model_errors errors = { 0 };
	struct model *m;

	if (!text)
		return;
	int rc = model_parse(text,
		json_string_length(json_object_get(rpc_call_params(call), "text")), &m, &errors);

	if (rc == -EINVAL) {
		rpc_call_error(call, RPC_REFUSED, config_errors_document(file, &errors),
			"%s: %zu error%s", file, errors.count, errors.count == 1 ? "" : "s");
		model_errors_fini(&errors);
		return;
	}
	char *diff = rc ? NULL : model_diff(d->model, m);

	rpc_call_result(call, diff ? json_pack("{s:s}", "diff", diff) : NULL);
	free(diff);
	if (!rc)
		model_destroy(m);
}

static void config_show(struct daemon *d, struct rpc_call *call)
{
	rpc_call_result(call,
		json_pack("{s:s%, s:s, s:f, s:O, s:O}", "text", d->text, d->text_length, "file",
			d->file, "applied_at", d->applied_at, "limits_set", d->limits_set,
			"policies_set", d->policies.set));
}

static void status(struct daemon *d, struct rpc_call *call)
{
	rpc_call_result(call, status_document(d));
}

static void service_list(struct daemon *d, struct rpc_call *call)
{
	const struct snapshot *now = snapshot_or_error(d, call);

	if (now)
		rpc_call_result(
			call, report_service_list(d->model, now, history_base(&d->history)));
}

static void service_show(struct daemon *d, struct rpc_call *call)
{
	const struct model_service *s = service_param(d, call);
	const struct snapshot *now = s ? snapshot_or_error(d, call) : NULL;

	if (!now)
		return;
	json_t *document = report_service(d->model, s, now, history_base(&d->history));

	if (document) {
		json_object_set_new(document, "backends", backends_document(d, now, s));
		json_object_set_new(document, "limits", limits_document(d, s));
	}
	rpc_call_result(call, document);
}

static void backend_list(struct daemon *d, struct rpc_call *call)
{
	json_t *name = json_object_get(rpc_call_params(call), "service");
	const struct model_service *s = NULL;

	if (name && !json_is_null(name)) {
		s = service_param(d, call);
		if (!s)
			return;
	}
	const struct snapshot *now = snapshot_or_error(d, call);

	if (now)
		rpc_call_result(call, backends_document(d, now, s));
}

static void drain_emit(
	const struct rpc_call *call, const struct model_service *s, const char *backend, bool drain)
{
	struct who who = who_asks(call);
	char object[160], text[96], by[64];

	snprintf(object, sizeof(object), "%s %.80s", s->name, backend);
	snprintf(text, sizeof(text), "%s by %s", drain ? "drained" : "enabled again",
		who_print(&who, by, sizeof(by)));
	event_emit(EVENT_BACKEND, object, text,
		json_pack("{s:s, s:s, s:b, s:o}", "service", s->name, "backend", backend, "drained",
			(int)drain, "by", who_document(&who)));
}

static void backend_change(struct daemon *d, struct rpc_call *call, bool drain)
{
	const struct model_service *s = service_param(d, call);
	const char *text = s ? string_param(call, "backend") : NULL;
	struct address a;
	uint16_t port;

	if (!text)
		return;
	if (!address_port_parse(text, &a, &port)) {
		rpc_call_error(call, RPC_INVALID_PARAMS, NULL,
			"backend: \"%.80s\" is not ADDRESS:PORT", text);
		return;
	}
	if (!snapshot_or_error(d, call))
		return;
	struct pool_health before = { 0 };

	if (!d->pool_ready || !pool_health(d->pool, s->name, &a, port, &before) ||
		pool_drain(d->pool, s->name, &a, port, drain)) {
		rpc_call_error(call, RPC_REFUSED, NULL,
			"service %s has no backend %.80s; see `weirctl backend list %s`", s->name,
			text, s->name);
		return;
	}
	if (before.draining != drain)
		drain_emit(call, s, text, drain);
	waiter_add(d, call, s->name, &a, port);
}

static void backend_drain(struct daemon *d, struct rpc_call *call)
{
	backend_change(d, call, true);
}

static void backend_enable(struct daemon *d, struct rpc_call *call)
{
	backend_change(d, call, false);
}

static void flow_list(struct daemon *d, struct rpc_call *call)
{
	const struct model_service *s = service_param(d, call);

	if (s)
		flows_list(d, call, s);
}

static void flow_find(struct daemon *d, struct rpc_call *call)
{
	flows_find(d, call);
}

static void limit_show(struct daemon *d, struct rpc_call *call)
{
	const struct model_service *s = service_param(d, call);

	if (!s)
		return;
	json_t *document = limits_document(d, s);

	json_object_set_new(document, "classes", report_classes(s, daemon_snapshot(d, 100)));
	rpc_call_result(call, document);
}

static void limit_set(struct daemon *d, struct rpc_call *call)
{
	const struct model_service *s = service_param(d, call);
	const char *key = s ? string_param(call, "key") : NULL;
	const char *value = key ? string_param(call, "value") : NULL;

	if (value)
		daemon_set_limit(d, s->name, key, value, call);
}

static void port_list(struct daemon *d, struct rpc_call *call)
{
	const struct snapshot *now = snapshot_or_error(d, call);

	if (now)
		rpc_call_result(call, report_port_list(d->model, now, history_base(&d->history)));
}

static void port_show(struct daemon *d, struct rpc_call *call)
{
	const char *name = string_param(call, "port");
	const struct snapshot *now = name ? snapshot_or_error(d, call) : NULL;

	if (!now)
		return;
	json_t *list = report_port_list(d->model, now, history_base(&d->history));

	for (size_t i = 0; list && i < d->model->port_count; i++) {
		if (strcmp(d->model->ports[i].name, name))
			continue;
		rpc_call_result(call, json_incref(json_array_get(list, i)));
		json_decref(list);
		return;
	}
	json_decref(list);
	rpc_call_error(
		call, RPC_REFUSED, NULL, "there is no port %.64s; see `weirctl port list`", name);
}

static void core_list(struct daemon *d, struct rpc_call *call)
{
	const struct snapshot *now = snapshot_or_error(d, call);

	if (now)
		rpc_call_result(call, report_core_list(d->model, now, history_base(&d->history)));
}

static void core_show(struct daemon *d, struct rpc_call *call)
{
	const json_t *cpu = json_object_get(rpc_call_params(call), "cpu");

	if (!json_is_integer(cpu)) {
		rpc_call_error(call, RPC_INVALID_PARAMS, NULL, "cpu: expected a number");
		return;
	}
	const struct snapshot *now = snapshot_or_error(d, call);

	if (!now)
		return;
	json_int_t number = json_integer_value(cpu);
	json_t *core = number >= 0 && number <= UINT32_MAX ?
		report_core(now, history_base(&d->history), (uint32_t)number) :
		NULL;

	if (core)
		rpc_call_result(call, core);
	else
		rpc_call_error(call, RPC_REFUSED, NULL,
			"CPU %lld is no packet core; see `weirctl core list`", (long long)number);
}

static void histogram_method(struct daemon *d, struct rpc_call *call)
{
	const struct model_service *s = service_param(d, call);
	const char *text = json_string_value(json_object_get(rpc_call_params(call), "backend"));
	struct address a;
	uint16_t port;

	if (!s)
		return;
	if (!text) {
		histogram_show(d, call, s, NULL);
		return;
	}
	for (size_t i = 0; address_port_parse(text, &a, &port) && i < model_backend_total(s); i++) {
		const struct model_backend *b = model_backend_at(s, i);

		if (b->port != port || memcmp(&b->address, &a, sizeof(a)) != 0)
			continue;
		histogram_show(d, call, s, b);
		return;
	}
	rpc_call_error(call, RPC_REFUSED, NULL,
		"service %s has no backend %.80s; see `weirctl backend list %s`", s->name, text,
		s->name);
}

#define EVENTS_WAIT_MAX_S 60
#define EVENTS_LIMIT_MAX  EVENT_RING_SIZE

static void events_list(struct daemon *d, struct rpc_call *call)
{
	double since, wait, limit;

	if (number_param(call, "since", 9007199254740992.0, 0, &since) &&
		number_param(call, "wait", EVENTS_WAIT_MAX_S, 0, &wait) &&
		number_param(call, "limit", EVENTS_LIMIT_MAX, EVENTS_LIMIT_MAX, &limit))
		events_answer(call, (uint64_t)since, (size_t)limit,
			d->stopping ? 0 : (unsigned int)(wait * 1000));
}

/* An optional service; false: the call has been answered. */
static bool service_optional(
	struct daemon *d, struct rpc_call *call, const struct model_service **ret)
{
	json_t *name = json_object_get(rpc_call_params(call), "service");

	*ret = NULL;
	if (!name || json_is_null(name))
		return true;
	*ret = service_param(d, call);
	return *ret != NULL;
}

static void explain(struct daemon *d, struct rpc_call *call)
{
	const struct model_service *s = service_param(d, call);

	if (s)
		explain_answer(d, call, s);
}

static void adapt_status(struct daemon *d, struct rpc_call *call)
{
	const struct model_service *s;

	if (service_optional(d, call, &s))
		adaptation_status(d, call, s);
}

static void adapt_set(struct daemon *d, struct rpc_call *call)
{
	const struct model_service *s = service_param(d, call);

	if (s)
		adaptation_set(d, call, s);
}

static void adapt_pause(struct daemon *d, struct rpc_call *call)
{
	const struct model_service *s;

	if (service_optional(d, call, &s))
		adaptation_pause(d, call, s, true);
}

static void adapt_resume(struct daemon *d, struct rpc_call *call)
{
	const struct model_service *s;

	if (service_optional(d, call, &s))
		adaptation_pause(d, call, s, false);
}

static void adapt_record(struct daemon *d, struct rpc_call *call)
{
	const struct model_service *s = service_param(d, call);

	if (s)
		adaptation_record(d, call, s);
}

#define READS	true
#define CHANGES false

static void trace_start(struct daemon *d, struct rpc_call *call)
{
	json_t *name = json_object_get(rpc_call_params(call), "service");

	if (!name || json_is_null(name) || service_param(d, call))
		traces_start(d, call);
}

static void core_move(struct daemon *d, struct rpc_call *call)
{
	const struct model_service *s = service_param(d, call);

	if (s)
		moves_start(d, call, s);
}

static const struct {
	const char *name;
	void (*run)(struct daemon *d, struct rpc_call *call);
	bool reads; /* changes nothing: also answered on the read-only socket */
} methods[] = {
	{ "adapt.pause", adapt_pause, CHANGES },
	{ "adapt.record", adapt_record, READS },
	{ "adapt.resume", adapt_resume, CHANGES },
	{ "adapt.set", adapt_set, CHANGES },
	{ "adapt.status", adapt_status, READS },
	{ "backend.drain", backend_drain, CHANGES },
	{ "backend.enable", backend_enable, CHANGES },
	{ "backend.list", backend_list, READS },
	{ "config.apply", config_apply, CHANGES },
	{ "config.confirm", config_confirm, CHANGES },
	{ "config.diff", config_diff, READS },
	{ "config.history", config_history_list, READS },
	{ "config.show", config_show, READS },
	{ "config.undo", config_undo, CHANGES },
	{ "core.list", core_list, READS },
	{ "core.move", core_move, CHANGES },
	{ "core.show", core_show, READS },
	{ "events.list", events_list, READS },
	{ "explain", explain, READS },
	{ "flow.find", flow_find, READS },
	{ "flow.list", flow_list, READS },
	{ "histogram.show", histogram_method, READS },
	{ "limit.set", limit_set, CHANGES },
	{ "limit.show", limit_show, READS },
	{ "live.show", live_show, READS },
	{ "policy.list", policy_list, READS },
	{ "policy.load", policy_load, CHANGES },
	{ "policy.map.delete", policies_map_delete, CHANGES },
	{ "policy.map.dump", policies_map_dump, READS },
	{ "policy.map.get", policies_map_get, READS },
	{ "policy.map.set", policies_map_set, CHANGES },
	{ "policy.show", policy_show, READS },
	{ "policy.unload", policy_unload, CHANGES },
	{ "port.list", port_list, READS },
	{ "port.show", port_show, READS },
	{ "service.list", service_list, READS },
	{ "service.show", service_show, READS },
	{ "status", status, READS },
	/* What packets carry is not for those who may only look at figures. */
	{ "trace.read", traces_read, CHANGES },
	{ "trace.start", trace_start, CHANGES },
	{ "trace.stop", traces_stop, CHANGES },
};

void methods_handle(void *ctx, struct rpc_call *call)
{
	const char *name = rpc_call_method(call);

	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		if (strcmp(methods[i].name, name))
			continue;
		if (rpc_call_peer(call)->read_only && !methods[i].reads)
			rpc_call_error(call, RPC_READ_ONLY, NULL,
				"%s is not allowed on the read-only socket; it takes the right to use "
				"control.sock",
				name);
		else
			methods[i].run(ctx, call);
		return;
	}
	rpc_call_error(call, RPC_METHOD_NOT_FOUND, NULL, "there is no method %.64s", name);
}
