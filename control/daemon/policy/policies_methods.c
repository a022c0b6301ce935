/* SPDX-License-Identifier: BSD-3-Clause */

/* The methods about policies as a whole. */

#include "control/daemon/policy/policies_methods.h"

#include "control/daemon/daemon.h"
#include "control/daemon/policy/policies_kernel.h"
#include "control/daemon/policy/policies_set.h"
#include "control/report/report.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* "kernel on front, back", or "fast path". */
static json_t *where_text(
	const struct daemon *d, const struct model_policy *p, const struct policy_kept *k)
{
	json_t *ports = policies_kernel_ports(d, p, k), *port;
	char text[512] = "fast path";
	size_t i, n = 0;

	json_array_foreach(ports, i, port)
	{
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s", i ? ", " : "kernel on ",
			json_string_value(port));
		if (n >= sizeof(text))
			break;
	}
	json_decref(ports);
	return json_string(text);
}

/* Where it runs, and what of its packets was judged in front of the data plane. */
static json_t *kernel_document(const struct daemon *d, const struct model_policy *p,
	const struct policy_kept *k, const json_t *document)
{
	const char *why = policies_kernel_why(p, k);

	return json_pack("{s:b, s:o, s:s?, s:O?, s:O?, s:o}", "runs", policies_kernel_runs(p, k),
		"ports", policies_kernel_ports(d, p, k), "why", *why ? why : NULL, "packets",
		json_object_get(document, "kernel_packets"), "dropped",
		json_object_get(document, "kernel_dropped"), "cycles",
		k && k->kernel_cycles ? json_integer(k->kernel_cycles) : json_null());
}

/* What the daemon knows of a policy beyond the data plane's figures. */
static void add_kept(const struct daemon *d, const struct model_policy *p, json_t *document)
{
	const struct policy_kept *k = policies_find(d, p->id);
	json_t *maps = json_array(), *parameters = json_object();

	for (uint32_t i = 0; k && i < k->image->map_count; i++) {
		const struct policy_image_map *m = &image_maps(k->image)[i];

		json_array_append_new(maps,
			json_pack("{s:s, s:s, s:I, s:I, s:I}", "name", m->name, "type",
				policy_map_type_name(m->type), "key_size", (json_int_t)m->key_size,
				"value_size", (json_int_t)m->value_size, "max_entries",
				(json_int_t)m->max_entries));
	}
	for (uint32_t i = 0; k && i < k->image->param_count; i++) {
		const struct policy_image_param *param = &image_params(k->image)[i];

		json_object_set_new(parameters, param->name,
			json_integer((json_int_t)policy_image_param(k->image, param)));
	}
	json_object_set_new(document, "path", k ? json_string(k->path) : json_null());
	json_object_set_new(
		document, "instructions", k ? json_integer(k->image->insn_count) : json_null());
	json_object_set_new(document, "trial",
		k && k->cycles_median ? json_pack("{s:i, s:i}", "median", (int)k->cycles_median,
						"p99", (int)k->cycles_p99) :
					json_null());
	json_object_set_new(document, "loaded", json_string(p->load ? "by hand" : "configuration"));
	json_object_set_new(document, "where", where_text(d, p, k));
	json_object_set_new(document, "kernel", kernel_document(d, p, k, document));
	json_object_set_new(document, "maps", maps);
	json_object_set_new(document, "parameters", parameters);
}

/* {service, policies, classes}; s NULL: of packets that are no service's. */
static json_t *show_document(struct daemon *d, const struct model_service *s)
{
	const struct snapshot *now = daemon_snapshot(d, 100);
	const struct snapshot *base = history_base(&d->history);
	const struct model_policy *policies = s ? s->policies : d->model->policies;
	size_t count = s ? s->policy_count : d->model->policy_count;
	json_t *list = json_array();

	for (size_t i = 0; i < count; i++) {
		json_t *document = report_policy(s, &policies[i], i, now, base);

		if (document)
			add_kept(d, &policies[i], document);
		json_array_append_new(list, document);
	}
	return json_pack("{s:s, s:o, s:o}", "service", s ? s->name : POLICIES_OUTSIDE, "policies",
		list, "classes", report_classes(s, now));
}

json_t *policies_document_of(struct daemon *d, const json_t *change)
{
	const char *service = json_string_value(json_object_get(change, "service"));
	const struct model_policy *policies;
	const struct model_service *s;
	size_t count;

	return service && policies_of(d->model, service, &s, &policies, &count) ?
		show_document(d, s) :
		NULL;
}

/* Answers the call and returns false when there is no such service. */
bool policies_param(struct daemon *d, struct rpc_call *call,
	const struct model_service **ret_service, const struct model_policy **ret_policies,
	size_t *ret_count)
{
	const char *name = json_string_value(json_object_get(rpc_call_params(call), "service"));

	if (!name)
		rpc_call_error(call, RPC_INVALID_PARAMS, NULL, "service: expected a string");
	else if (!policies_of(d->model, name, ret_service, ret_policies, ret_count))
		rpc_call_error(call, RPC_REFUSED, NULL,
			"there is no service %.64s; see `weirctl service list`", name);
	else
		return true;
	return false;
}

void policy_show(struct daemon *d, struct rpc_call *call)
{
	const struct model_policy *policies;
	const struct model_service *s;
	size_t count;

	if (policies_param(d, call, &s, &policies, &count))
		rpc_call_result(call, show_document(d, s));
}

void policy_list(struct daemon *d, struct rpc_call *call)
{
	const struct snapshot *now = daemon_snapshot(d, 100);
	const struct snapshot *base = history_base(&d->history);
	struct model_policy_cursor c = { 0 };
	const struct model_service *s;
	const struct model_policy *p;
	json_t *list = json_array();
	size_t position;

	while ((p = model_policy_next(d->model, &c, &s, &position))) {
		json_t *document = report_policy(s, p, position, now, base);

		json_object_set_new(document, "where", where_text(d, p, policies_find(d, p->id)));
		json_array_append_new(list, document);
	}
	rpc_call_result(call, list);
}

static bool one_of(const char *text, const char *a, const char *b)
{
	return !strcmp(text, a) || !strcmp(text, b);
}

static bool sets_are_good(const json_t *sets)
{
	const json_t *item;
	size_t i;

	if (sets && !json_is_array(sets))
		return false;
	json_array_foreach(sets, i, item)
	{
		if (!json_is_string(item) || !strchr(json_string_value(item), '='))
			return false;
	}
	return json_array_size(sets) <= 256;
}

/*
 * The number of this load. What is loaded by hand begins anew, with empty maps; but where nothing changes except how
 * a policy that runs is treated, as when one that was observed is to be enforced, it goes on as it is.
 */
static uint64_t load_number(const struct daemon *d, const char *object, const char *mode,
	const json_t *sets, const struct model_policy *policies, size_t count)
{
	struct policy_stamp stamp;
	struct timespec now;

	policy_stamp_read(object, &stamp);
	for (size_t i = 0; i < count; i++) {
		const struct model_policy *p = &policies[i];
		const struct policy_kept *k = policies_find(d, p->id);
		bool same = k && !strcmp(k->path, object) &&
			k->set_count == json_array_size(sets) &&
			!memcmp(&k->stamp, &stamp, sizeof(stamp)) &&
			(p->mode == MODEL_POLICY_OBSERVE) != !strcmp(mode, "observe");

		for (size_t j = 0; same && j < k->set_count; j++)
			same = !strcmp(k->sets[j], json_string_value(json_array_get(sets, j)));
		if (same)
			return k->load;
	}
	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* What the parameters of policy.load ask for; NULL: the call is answered. */
static json_t *load_change(struct daemon *d, struct rpc_call *call, const char *service,
	const struct model_policy *policies, size_t count)
{
	const char *object = "", *mode = "enforce", *on_error = "pass", *offload = "auto";
	json_int_t budget = 2000;
	json_t *sets = NULL;
	int append = 0;

	if (json_unpack(rpc_call_params(call), "{s:s, s?s, s?s, s?s, s?I, s?b, s?o}", "object",
		    &object, "mode", &mode, "on_error", &on_error, "offload", &offload, "budget",
		    &budget, "append", &append, "set", &sets) ||
		*object != '/' || strlen(object) >= PATH_MAX / 2 || budget < 1 ||
		budget > 1000000000 || !one_of(mode, "enforce", "observe") ||
		!one_of(on_error, "pass", "drop") || !one_of(offload, "auto", "never") ||
		!sets_are_good(sets)) {
		rpc_call_error(call, RPC_INVALID_PARAMS, NULL,
			"expected object, an absolute path; mode enforce or observe; on_error pass or "
			"drop; offload auto or never; budget 1..1000000000; set, a list of \"name=value\"; append true or false");
		return NULL;
	}
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:b, s:o, s:o}", "what", "load",
		"service", service, "object", object, "mode", mode, "on_error", on_error, "offload",
		offload, "budget", budget, "append", append, "set",
		sets ? json_incref(sets) : json_array(), "load",
		json_sprintf("%" PRIx64, load_number(d, object, mode, sets, policies, count)));
}

void policy_load(struct daemon *d, struct rpc_call *call)
{
	const struct model_policy *policies;
	const struct model_service *s;
	size_t count;

	if (!policies_param(d, call, &s, &policies, &count))
		return;
	json_t *change = load_change(d, call, s ? s->name : POLICIES_OUTSIDE, policies, count);

	if (change)
		daemon_set_policy(d, change, call);
}

void policy_unload(struct daemon *d, struct rpc_call *call)
{
	const json_t *policy = json_object_get(rpc_call_params(call), "policy");
	const struct model_policy *policies;
	const struct model_service *s;
	size_t count;

	if (!policies_param(d, call, &s, &policies, &count))
		return;
	if (policy && !json_is_null(policy) && !json_is_string(policy)) {
		rpc_call_error(call, RPC_INVALID_PARAMS, NULL, "policy: expected a string");
		return;
	}
	daemon_set_policy(d,
		json_pack("{s:s, s:s, s:s}", "what", "unload", "service",
			s ? s->name : POLICIES_OUTSIDE, "policy",
			json_is_string(policy) ? json_string_value(policy) : ""),
		call);
}
