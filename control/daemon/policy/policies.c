/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/daemon/policy/policies.h"

#include "control/daemon/daemon.h"
#include "control/daemon/events/events.h"
#include "control/daemon/log.h"
#include "control/daemon/policy/object_store.h"
#include "control/daemon/policy/policy_admit.h"
#include "control/daemon/revision/who.h"

#include <errno.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

bool policy_stamp_read(const char *path, struct policy_stamp *ret_stamp)
{
	struct stat s;

	*ret_stamp = (struct policy_stamp){ 0 };
	if (stat(path, &s))
		return false;
	*ret_stamp = (struct policy_stamp){
		.device = s.st_dev,
		.inode = s.st_ino,
		.size = (uint64_t)s.st_size,
		.modified_ns =
			(uint64_t)s.st_mtim.tv_sec * 1000000000 + (uint64_t)s.st_mtim.tv_nsec,
		.changed_ns = (uint64_t)s.st_ctim.tv_sec * 1000000000 + (uint64_t)s.st_ctim.tv_nsec,
	};
	return true;
}

json_t *policies_objects(const struct daemon *d, const struct model *m)
{
	struct model_policy_cursor c = { 0 };
	const struct model_service *s;
	const struct model_policy *p;
	json_t *list = json_array();
	size_t position;

	while ((p = model_policy_next(m, &c, &s, &position))) {
		const struct policy_kept *k = p->load ? NULL : policies_find(d, p->id);

		if (k && k->bytes->object[0] && !revision_object(list, k->path))
			json_array_append_new(list,
				json_pack(
					"{s:s, s:s}", "path", k->path, "sha256", k->bytes->object));
	}
	return list;
}

void policies_objects_keep(struct daemon *d)
{
	for (struct policy_kept *k = d->policies.kept; k; k = k->next) {
		struct policy_bytes *b = k->bytes;
		const char *now =
			b->object_fd < 0 ? NULL : revision_object(d->policies.objects, k->path);

		if (!now || strcmp(now, b->object) ||
			object_store_put(&d->revisions, b->object, b->object_fd))
			continue;
		close(b->object_fd);
		b->object_fd = -1;
	}
}

bool policies_twice(const struct model *m, char *err, size_t err_size)
{
	struct model_policy_cursor c = { 0 };
	const struct model_service *s;
	const struct model_policy *p;
	size_t position;

	while ((p = model_policy_next(m, &c, &s, &position))) {
		for (size_t i = 1; p->id && i <= position; i++) {
			if (p[-(ptrdiff_t)i].id != p->id)
				continue;
			snprintf(err, err_size,
				"%s%s: %.256s stands there twice with the same parameters",
				s ? "service " : "policy", s ? s->name : "", p->object);
			return true;
		}
	}
	return false;
}

void policies_init(struct daemon *d)
{
	d->policies.set = json_array();
	d->policies.failed = json_array();
	policy_canaries_run(d->policies.canaries);
}

void policies_fini(struct daemon *d)
{
	policies_stage_end(d);
	policies_sweep(d, NULL, NULL);
	free(d->policies.detached);
	json_decref(d->policies.set);
	json_decref(d->policies.objects);
	json_decref(d->policies.failed);
}

static const struct model_service *service_named(const struct model *m, const char *name)
{
	for (size_t i = 0; m && i < m->service_count; i++)
		if (!strcmp(m->services[i].name, name))
			return &m->services[i];
	return NULL;
}

/* The policies of a service, or of none (s: NULL). */
static const struct model_policy *list_of(
	const struct model *m, const struct model_service *s, size_t *ret_count)
{
	*ret_count = s ? s->policy_count : m->policy_count;
	return s ? s->policies : m->policies;
}

char *policies_diff(const char *diff, const struct model *before, const struct model *after)
{
	struct model_policy_cursor c = { 0 };
	const struct model_service *s;
	const struct model_policy *p;
	size_t position, count, size;
	char *text = NULL;
	FILE *to = open_memstream(&text, &size);

	if (!to)
		return NULL;
	fputs(diff, to);
	while ((p = model_policy_next(after, &c, &s, &position))) {
		const struct model_service *of = s ? service_named(before, s->name) : NULL;

		if (!before || (s && !of))
			continue;
		const struct model_policy *old = list_of(before, of, &count);

		if (position < count && old[position].id && old[position].id != p->id &&
			!strcmp(old[position].object, p->object))
			fprintf(to, "~ %s%s%spolicy.%zu: %s has been loaded anew\n",
				s ? "services." : "", s ? s->name : "", s ? "." : "", position + 1,
				p->object);
	}
	return fclose(to) ? NULL : text;
}

static void say(const struct model_service *s, const char *what, const struct model_policy *p,
	const struct who *who)
{
	const char *object = s ? s->name : "outside";
	char text[320], by[64];

	snprintf(text, sizeof(text), "policy %s %s (%.128s%s), by %s",
		p->name[0] ? p->name : p->object, what, p->object,
		p->mode == MODEL_POLICY_OBSERVE ? ", observed" : "",
		who_print(who, by, sizeof(by)));
	log_notice("%s%s: %s", s ? "service " : "", object, text);
	event_emit(EVENT_POLICY, object, text,
		json_pack("{s:s?, s:s, s:s, s:s, s:s, s:o}", "service", s ? s->name : NULL, "what",
			what, "policy", p->name, "object", p->object, "mode",
			p->mode == MODEL_POLICY_OBSERVE ? "observe" : "enforce", "by",
			who_document(who)));
}

static const struct model_policy *same_in(
	const struct model_policy *list, size_t count, const struct model_policy *p)
{
	for (size_t i = 0; i < count; i++)
		if (list[i].id == p->id)
			return &list[i];
	return NULL;
}

static bool is_treated_alike(const struct model_policy *a, const struct model_policy *b)
{
	return a->mode == b->mode && a->on_error == b->on_error && a->budget == b->budget;
}

static void emit_list(const struct model *before, const struct model_service *of,
	const struct model *after, const struct model_service *s, const struct who *who)
{
	size_t old_count = 0, count = 0;
	const struct model_policy *old =
		before && (of || !s) ? list_of(before, of, &old_count) : NULL;
	const struct model_policy *now = after && (s || !of) ? list_of(after, s, &count) : NULL;

	for (size_t i = 0; i < count; i++) {
		const struct model_policy *was = same_in(old, old_count, &now[i]);
		bool takes_place = i < old_count && !same_in(now, count, &old[i]);

		if (!was)
			say(s ? s : of, takes_place ? "replaced" : "loaded", &now[i], who);
		else if (!is_treated_alike(was, &now[i]))
			say(s ? s : of, "changed", &now[i], who);
	}
	for (size_t i = 0; i < old_count; i++)
		if (!same_in(now, count, &old[i]) &&
			(i >= count || same_in(old, old_count, &now[i])))
			say(s ? s : of, "unloaded", &old[i], who);
}

void policies_emit(const struct model *before, const struct model *after, const struct who *who)
{
	for (size_t i = 0; i < after->service_count; i++) {
		const struct model_service *s = &after->services[i];
		const struct model_service *of = service_named(before, s->name);

		if (s->policy_count || (of && of->policy_count))
			emit_list(of ? before : NULL, of, after, s, who);
	}
	for (size_t i = 0; before && i < before->service_count; i++)
		if (before->services[i].policy_count &&
			!service_named(after, before->services[i].name))
			emit_list(before, &before->services[i], NULL, NULL, who);
	emit_list(before, NULL, after, NULL, who);
}

void policies_warn(const struct daemon *d, json_t *warnings)
{
	json_array_extend(warnings, d->policies.failed);
	for (size_t i = 0; d->policies.kept && i < POLICY_CANARY_COUNT; i++) {
		const struct policy_canary *c = &d->policies.canaries[i];

		if (c->wrong)
			json_array_append_new(warnings,
				json_sprintf(
					"this kernel has a known fault in its verifier (%s): %s",
					c->name, c->meaning));
	}
}
