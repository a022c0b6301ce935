/* SPDX-License-Identifier: BSD-3-Clause */

/* Judging all policies of a model that have no image yet, one after another. */

#include "control/daemon/daemon.h"
#include "control/daemon/log.h"
#include "control/daemon/policy/object_store.h"
#include "control/daemon/policy/policies.h"
#include "control/daemon/policy/policy_admit.h"

#include <event2/event.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct policy_batch {
	struct daemon *d;
	struct model *m; /* borrowed */
	struct policy_source from; /* of its own */
	char *file; /* owned, as the next; from's texts */
	char *label;
	struct model_policy_cursor at; /* the next one to look at */
	/* The one that is being judged. */
	struct model_policy *policy;
	const struct model_service *service;
	size_t position;
	struct policy_stamp stamp;
	struct policy_job *job; /* owned */
	struct event *end; /* owned; when there is nothing to wait for */
	json_t *errors; /* owned */
	char source[256];
	policies_judged_cb done;
	void *ctx;
};

static void batch_free(struct policy_batch *b)
{
	policy_job_cancel(b->job);
	if (b->end)
		event_free(b->end);
	json_decref(b->errors);
	json_decref(b->from.objects);
	free(b->file);
	free(b->label);
	free(b);
}

void policies_judge_cancel(struct policy_batch *b)
{
	if (b)
		batch_free(b);
}

/* "FILE:LINE:COLUMN: services[0].policy.object: guard.o: refused by ..." */
static void complain(struct policy_batch *b, const char *why)
{
	const struct model_policy *p = b->policy;
	char key[MODEL_POLICY_KEY_SIZE];

	model_policy_key(b->m, b->service, p, b->position, key);
	if (p->line)
		json_array_append_new(b->errors,
			json_sprintf("%s:%u:%u: %s: %s: %s", b->label, p->line, p->column, key,
				p->object, why));
	else
		json_array_append_new(b->errors, json_sprintf("%s: %s", p->object, why));
}

static bool batch_step(struct policy_batch *b);

static void batch_end(struct policy_batch *b)
{
	json_t *errors = json_array_size(b->errors) ? json_incref(b->errors) : NULL;
	policies_judged_cb done = b->done;
	void *ctx = b->ctx;
	char source[sizeof(b->source)];

	memcpy(source, b->source, sizeof(source));
	batch_free(b);
	done(ctx, errors, source);
}

static void end_due(evutil_socket_t fd, short what, void *ctx)
{
	batch_end(ctx);
}

static void judged(void *ctx, const struct policy_answer *a)
{
	struct policy_batch *b = ctx;
	struct model_policy *p = b->policy;
	char path[PATH_MAX];

	b->job = NULL;
	model_object_path(b->file, p->object, path);
	if (!a->admitted) {
		if (!json_array_size(b->errors))
			snprintf(b->source, sizeof(b->source), "%s", a->line);
		complain(b, a->text);
	} else {
		const struct policy_kept *k = policies_keep(b->d, path, p, &b->stamp, a);

		if (!k)
			complain(b, "out of memory");
		else
			snprintf(p->name, sizeof(p->name), "%s", k->image->name);
		p->id = k ? k->id : 0;
		p->offloads = k && k->place;
	}
	if (!batch_step(b))
		batch_end(b);
}

/* The same object with the same parameters stands at many services: judged once. */
static bool known_by_now(struct policy_batch *b)
{
	const struct policy_kept *k;

	policies_resolve_one(b->d, b->policy, &b->from);
	k = b->policy->id ? policies_find(b->d, b->policy->id) : NULL;
	return k != NULL;
}

/*
 * Where the object of the policy is to be read: the file, or the copy of what it was, in ret_path. Returns
 * false when it cannot be had, of which has been complained.
 */
static bool place_find(struct policy_batch *b, char ret_path[PATH_MAX])
{
	const struct model_policy *p = b->policy;
	char path[PATH_MAX];

	model_object_path(b->file, p->object, path);
	const char *wanted = policy_wanted(&b->from, p, path);

	/* Of a copy the file's stamp says nothing: the next apply reads the file. */
	b->stamp = (struct policy_stamp){ 0 };
	if (wanted && object_store_find(&b->d->revisions, wanted, ret_path))
		return true;
	if (wanted && b->from.strict) {
		complain(b,
			"the history has no whole copy of what it was then; to use it as it is "
			"now, apply the file itself");
		return false;
	}
	if (wanted)
		log_warning("the history has no whole copy of %s as it was (SHA-256 %s): it is "
			    "read as it is now",
			path, wanted);
	/* Before it is read: what changes later is noticed the next time. */
	policy_stamp_read(path, &b->stamp);
	memcpy(ret_path, path, sizeof(path));
	return true;
}

/* Begin with the next one. Returns false when there is none. */
static bool batch_step(struct policy_batch *b)
{
	char path[PATH_MAX];

	while ((b->policy = model_policy_next(b->m, &b->at, &b->service, &b->position))) {
		if (b->policy->id || known_by_now(b) || !place_find(b, path))
			continue;
		int rc = policy_job_start(b->d->base, path, b->policy->sets, b->policy->set_count,
			b->policy->budget, b->policy->place != 0, judged, b, &b->job);

		if (!rc)
			return true;
		complain(b, strerror(-rc));
	}
	return false;
}

int policies_judge(struct daemon *d, struct model *m, const struct policy_source *from,
	policies_judged_cb done, void *ctx, struct policy_batch **ret_batch)
{
	struct policy_batch *b = calloc(1, sizeof(*b));

	if (!b)
		return -ENOMEM;
	*b = (struct policy_batch){ .d = d,
		.m = m,
		.from = *from,
		.file = strdup(from->file),
		.label = strdup(from->label),
		.errors = json_array(),
		.done = done,
		.ctx = ctx };
	b->from.file = b->file;
	b->from.label = b->label;
	json_incref(b->from.objects);
	b->end = evtimer_new(d->base, end_due, b);
	if (!b->file || !b->label || !b->errors || !b->end) {
		batch_free(b);
		return -ENOMEM;
	}
	/* Not one could be begun: that is told from the loop's next turn as well. */
	if (!batch_step(b))
		event_active(b->end, EV_TIMEOUT, 0);
	*ret_batch = b;
	return 0;
}
