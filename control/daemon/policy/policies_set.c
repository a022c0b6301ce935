/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/daemon/policy/policies_set.h"

#include "control/daemon/daemon.h"
#include "control/daemon/events/events.h"
#include "control/daemon/log.h"
#include "control/daemon/policy/policies.h"
#include "control/daemon/revision/who.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *text_at(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

static struct model_service *service_named(const struct model *m, const char *name)
{
	for (size_t i = 0; i < m->service_count; i++)
		if (!strcmp(m->services[i].name, name))
			return &m->services[i];
	return NULL;
}

bool policies_of(const struct model *m, const char *service,
	const struct model_service **ret_service, const struct model_policy **ret_policies,
	size_t *ret_count)
{
	const struct model_service *s = service_named(m, service);

	if (!s && strcmp(service, POLICIES_OUTSIDE) != 0)
		return false;
	*ret_service = s;
	*ret_policies = s ? s->policies : m->policies;
	*ret_count = s ? s->policy_count : m->policy_count;
	return true;
}

static json_t *policy_document(const char *file, const struct model_policy *p)
{
	json_t *sets = json_array();
	char path[PATH_MAX];

	model_object_path(file, p->object, path);
	for (size_t i = 0; i < p->set_count; i++)
		json_array_append_new(sets, json_string(p->sets[i]));
	return json_pack("{s:s, s:s, s:s, s:s, s:o, s:i, s:o}", "object", path, "mode",
		p->mode == MODEL_POLICY_OBSERVE ? "observe" : "enforce", "on_error",
		p->on_error == MODEL_POLICY_ERROR_DROP ? "drop" : "pass", "offload",
		p->offload == MODEL_OFFLOAD_NEVER ? "never" : "auto", "set", sets, "budget",
		(int)p->budget, "load", json_sprintf("%" PRIx64, p->load));
}

static int policy_take(struct model_policy *p, const json_t *document)
{
	const json_t *sets = json_object_get(document, "set");
	json_int_t budget = json_integer_value(json_object_get(document, "budget"));

	*p = (struct model_policy){
		.object = strdup(text_at(document, "object")),
		.mode = strcmp(text_at(document, "mode"), "observe") ? MODEL_POLICY_ENFORCE :
								       MODEL_POLICY_OBSERVE,
		.on_error = strcmp(text_at(document, "on_error"), "drop") ?
			MODEL_POLICY_ERROR_PASS :
			MODEL_POLICY_ERROR_DROP,
		.offload = strcmp(text_at(document, "offload"), "never") ? MODEL_OFFLOAD_AUTO :
									   MODEL_OFFLOAD_NEVER,
		.budget = budget > 0 && budget <= UINT32_MAX ? (uint32_t)budget : 2000,
		.load = strtoull(text_at(document, "load"), NULL, 16),
		.sets = calloc(json_array_size(sets) + 1, sizeof(*p->sets)),
	};
	for (size_t i = 0; p->sets && i < json_array_size(sets); i++) {
		const char *text = json_string_value(json_array_get(sets, i));

		p->sets[i] = strdup(text ? text : "");
		if (!p->sets[i])
			return -ENOMEM;
		p->set_count++;
	}
	return p->sets && p->object ? 0 : -ENOMEM;
}

/* Make a list of documents the policies of a service, or of none. */
static int policies_take(struct model *m, const char *service, const json_t *list)
{
	struct model_service *s = service_named(m, service);
	struct model_policy **policies = s ? &s->policies : &m->policies;
	size_t *count = s ? &s->policy_count : &m->policy_count;
	struct model_policy *taken = calloc(json_array_size(list) + 1, sizeof(*taken));

	if (!s && strcmp(service, POLICIES_OUTSIDE) != 0) {
		free(taken);
		return -ENOENT;
	}
	if (!taken)
		return -ENOMEM;
	for (size_t i = 0; i < *count; i++)
		model_policy_fini(&(*policies)[i]);
	free(*policies);
	*policies = taken;
	*count = 0;
	for (size_t i = 0; i < json_array_size(list); i++) {
		(*count)++;
		if (policy_take(&taken[i], json_array_get(list, i)))
			return -ENOMEM;
	}
	return 0;
}

bool policy_is(const struct model_policy *p, size_t position, const char *name)
{
	char number[24];

	snprintf(number, sizeof(number), "%zu", position + 1);
	return !strcmp(p->name, name) || !strcmp(number, name);
}

/* What the service will have: its policies now, with the change. NULL with a sentence in err. */
static json_t *list_changed(
	const struct daemon *d, const json_t *change, char *err, size_t err_size)
{
	const char *service = text_at(change, "service");
	bool load = !strcmp(text_at(change, "what"), "load");
	bool keep = !load || json_is_true(json_object_get(change, "append"));
	const char *policy = text_at(change, "policy");
	const struct model_policy *now;
	const struct model_service *s;
	json_t *list = json_array();
	size_t count, gone = 0;

	if (!policies_of(d->model, service, &s, &now, &count)) {
		snprintf(err, err_size, "there is no service %.64s; see `weirctl service list`",
			service);
		json_decref(list);
		return NULL;
	}
	for (size_t i = 0; keep && i < count; i++) {
		if (!load && (!*policy || policy_is(&now[i], i, policy)))
			gone++;
		else
			json_array_append_new(list, policy_document(d->file, &now[i]));
	}
	if (!load && !gone) {
		snprintf(err, err_size,
			"service %.64s has no policy%s%.64s; see `weirctl policy list`", service,
			*policy ? " " : "", policy);
		json_decref(list);
		return NULL;
	}
	if (load && json_array_size(list) >= WEIR_MAX_POLICIES_PER_SERVICE) {
		snprintf(err, err_size,
			"service %.64s has %d policies already, which is all it may have", service,
			WEIR_MAX_POLICIES_PER_SERVICE);
		json_decref(list);
		return NULL;
	}
	if (load)
		json_array_append_new(list, json_deep_copy(change));
	return list;
}

int policies_plan(const struct daemon *d, struct model *m, const json_t *change, bool keep,
	json_t **ret_list, char *err, size_t err_size)
{
	const char *service = change ? text_at(change, "service") : "";
	json_t *list = json_array(), *item, *changed = NULL;
	int rc = list ? 0 : -ENOMEM;
	size_t i;

	snprintf(err, err_size, "out of memory");
	if (change) {
		changed = list_changed(d, change, err, err_size);
		if (!changed) {
			json_decref(list);
			return -EINVAL;
		}
	}
	json_array_foreach(d->policies.set, i, item)
	{
		if (rc || !keep || !strcmp(text_at(item, "service"), service))
			continue;
		json_array_append(list, item);
		rc = policies_take(m, text_at(item, "service"), json_object_get(item, "policies"));
	}
	if (!rc && changed) {
		json_array_append_new(
			list, json_pack("{s:s, s:O}", "service", service, "policies", changed));
		rc = policies_take(m, service, changed);
	}
	json_decref(changed);
	if (rc) {
		json_decref(list);
		return rc;
	}
	*ret_list = list;
	return 0;
}

void policies_set_continue(struct daemon *d, json_t *list)
{
	json_t *item;
	size_t i;

	json_array_foreach(list, i, item)
	{
		if (policies_take(
			    d->model, text_at(item, "service"), json_object_get(item, "policies")))
			log_warning(
				"policies that were loaded by hand are let go: there is no service "
				"%.64s",
				text_at(item, "service"));
		else
			json_array_append(d->policies.set, item);
	}
	if (json_array_size(d->policies.set))
		log_notice("going on with policies that were loaded by hand, of %zu services",
			json_array_size(d->policies.set));
}

void policies_set_refused(const json_t *change, const struct who *who, const char *why)
{
	const char *service = text_at(change, "service");
	char text[1400], by[64];

	snprintf(text, sizeof(text), "%s of a policy is refused, asked by %s: %.1200s",
		text_at(change, "what"), who_print(who, by, sizeof(by)), why);
	log_warning("service %s: %s", service, text);
	event_emit(EVENT_POLICY, service, text,
		json_pack("{s:s, s:s, s:s, s:o, s:s}", "service", service, "what", "refused",
			"object", text_at(change, "object"), "by", who_document(who), "reason",
			why));
}

void policies_set_warn(const struct daemon *d, json_t *warnings)
{
	json_t *item;
	size_t i;

	json_array_foreach(d->policies.set, i, item)
	{
		json_array_append_new(warnings,
			json_sprintf(
				"service %s: its policies have been changed by hand; the next `weirctl "
				"config apply` takes that back",
				text_at(item, "service")));
	}
}
