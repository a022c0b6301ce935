/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The part of a transaction that takes its time: reading the model, and judging its policies in processes
 * beside the loop. Until that is done the daemon goes on as before.
 */

#include "control/daemon/log.h"
#include "control/daemon/policy/policies_set.h"
#include "control/daemon/revision/limits_set.h"
#include "control/daemon/revision/settings.h"
#include "control/daemon/revision/transaction_private.h"
#include "control/daemon/startup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is changed by hand: the configuration that is in force when it is this one's turn. */
static int text_take(struct transaction *t)
{
	const struct daemon *d = t->daemon;

	t->text = malloc(d->text_length + 1);
	t->file = strdup(d->file);
	if (!t->text || !t->file)
		return -ENOMEM;
	memcpy(t->text, d->text, d->text_length);
	t->text[d->text_length] = 0;
	t->length = d->text_length;
	return 0;
}

static bool model_read(struct transaction *t)
{
	struct daemon *d = t->daemon;
	struct model_errors errors = { 0 };
	char text[768];

	if (is_by_hand(t) && text_take(t)) {
		transaction_fail(t, RPC_REFUSED, NULL, "out of memory");
		return false;
	}
	int rc = model_parse(t->text, t->length, &t->model, &errors);

	if (rc == -EINVAL) {
		const char *label = t->label ? t->label : t->file;
		json_t *list = config_errors_document(label, &errors);

		snprintf(text, sizeof(text), "%zu error%s", errors.count,
			errors.count == 1 ? "" : "s");
		model_errors_fini(&errors);
		transaction_fail(
			t, RPC_REFUSED, list, "%s: %s; nothing has been changed", label, text);
		return false;
	}
	snprintf(text, sizeof(text), "out of memory");
	if (rc ||
		limits_plan(
			d, t->model, t->limit, is_by_hand(t), &t->limits_set, text, sizeof(text)) ||
		policies_plan(d, t->model, t->policy, is_by_hand(t), &t->policies_set, text,
			sizeof(text))) {
		transaction_fail(t, RPC_REFUSED, NULL, "%s", text);
		return false;
	}
	if (dataplane_client(d->dataplane) &&
		settings_differ(&d->model->dataplane, &t->model->dataplane, text, sizeof(text))) {
		transaction_fail(t, RPC_REFUSED, NULL,
			"dataplane: %s cannot change while the data plane runs: put it into the file "
			"that weir-controld starts with, stop both processes and start them again",
			text);
		return false;
	}
	return true;
}

static bool prepared(struct transaction *t)
{
	char text[512];

	if (policies_twice(model_of(t), text, sizeof(text))) {
		transaction_fail(t, RPC_REFUSED, NULL, "%s; expected once", text);
		return false;
	}
	if (is_apply(t)) {
		char *diff = model_diff(t->daemon->model, t->model);

		t->diff = diff ? policies_diff(diff, t->daemon->model, t->model) : NULL;
		free(diff);
		if (!t->diff) {
			transaction_fail(t, RPC_REFUSED, NULL, "out of memory");
			return false;
		}
	}
	t->prepared = true;
	return true;
}

/* A change by hand concerns one policy, of which the asker knows. */
static void refuse(struct transaction *t, json_t *errors, const char *source)
{
	size_t count = json_array_size(errors);

	if (t->policy) {
		transaction_fail(t, RPC_REFUSED, json_pack("{s:s}", "source", source), "%s",
			json_string_value(json_array_get(errors, 0)));
		return;
	}
	transaction_fail(t, RPC_REFUSED, json_pack("{s:O}", "errors", errors),
		"%s: %zu polic%s refused; nothing has been changed", t->label ? t->label : t->file,
		count, count == 1 ? "y" : "ies");
}

/*
 * What a daemon begins with has been in force before, so a policy that can no longer be had is treated as one
 * that fails: by its on-error. Returns whether it can be done without.
 */
static bool do_without(struct daemon *d, json_t *errors)
{
	struct model_policy_cursor c = { 0 };
	const struct model_service *s;
	const struct model_policy *p;
	size_t position;
	json_t *line;
	size_t i;

	while ((p = model_policy_next(d->model, &c, &s, &position)))
		if (!p->id && p->on_error == MODEL_POLICY_ERROR_DROP)
			return false;
	json_array_foreach(errors, i, line)
	{
		log_error("goes on without a policy: %s", json_string_value(line));
		json_array_append_new(d->policies.failed,
			json_sprintf("a policy does not run, on-error: pass: %s",
				json_string_value(line)));
	}
	return true;
}

static void judged(void *ctx, json_t *errors, const char *source)
{
	struct transaction *t = ctx;
	struct daemon *d = t->daemon;

	t->batch = NULL;
	if (!errors || (!is_apply(t) && do_without(d, errors))) {
		if (prepared(t))
			transactions_run(d);
	} else if (is_apply(t)) {
		refuse(t, errors, source);
	} else {
		transaction_fail(
			t, RPC_REFUSED, NULL, "%s", json_string_value(json_array_get(errors, 0)));
	}
	json_decref(errors);
}

static void read_done(struct transaction *t)
{
	transactions_run(t->daemon);
}

bool transaction_prepare(struct transaction *t)
{
	struct daemon *d = t->daemon;
	/* By hand nothing changes but what was asked for, whatever has become of other objects. */
	bool reread = t->text && !is_by_hand(t);

	if (t->prepared)
		return true;
	if (is_apply(t) && !t->model) {
		if (model_read(t))
			transaction_later(t, read_done);
		return false;
	}
	struct model *m = t->model ? t->model : d->model;
	const char *file = t->model ? t->file : d->file;
	const struct policy_source from = { .file = file,
		.label = t->label ? t->label : file,
		.reread = reread,
		.objects = reread ? t->objects : d->policies.objects,
		.strict = t->change.how == REVISION_UNDO };
	size_t missing = policies_resolve(d, m, &from);

	if (!missing || (!is_apply(t) && json_array_size(d->policies.failed)))
		return prepared(t);
	if (policies_judge(d, m, &from, judged, t, &t->batch))
		transaction_fail(t, RPC_REFUSED, NULL, "out of memory");
	return false;
}
