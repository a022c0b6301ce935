/* SPDX-License-Identifier: BSD-3-Clause */

/* What begins a transaction. */

#include "control/daemon/revision/transaction_private.h"
#include "control/daemon/revision/who.h"

#include <stdlib.h>
#include <string.h>

void daemon_apply(struct daemon *d, const char *file, const char *text, size_t length,
	const struct config_change *c, struct rpc_call *call)
{
	struct transaction *t = calloc(1, sizeof(*t));
	char *copy = malloc(length + 1);
	char *name = strdup(file);
	char *label = strdup(c->label ? c->label : file);

	if (!t || !copy || !name || !label) {
		free(t);
		free(copy);
		free(name);
		free(label);
		if (call)
			rpc_call_error(call, RPC_REFUSED, NULL, "out of memory");
		return;
	}
	memcpy(copy, text, length);
	copy[length] = 0;
	t->daemon = d;
	t->call = call;
	t->change = *c;
	t->change.label = NULL;
	t->objects = json_incref(c->objects);
	t->change.objects = NULL;
	t->file = name;
	t->label = label;
	t->text = copy;
	t->length = length;
	TAILQ_INSERT_TAIL(&d->transactions, t, link);
	transactions_run(d);
}

static void change_by_hand(struct daemon *d, json_t *limit, json_t *policy, struct rpc_call *call)
{
	struct transaction *t = calloc(1, sizeof(*t));

	if (!t || (!limit && !policy)) {
		free(t);
		json_decref(limit);
		json_decref(policy);
		rpc_call_error(call, RPC_REFUSED, NULL, "out of memory");
		return;
	}
	t->daemon = d;
	t->call = call;
	t->change = (struct config_change){ .how = REVISION_APPLY, .who = who_asks(call) };
	t->limit = limit;
	t->policy = policy;
	TAILQ_INSERT_TAIL(&d->transactions, t, link);
	transactions_run(d);
}

void daemon_set_limit(struct daemon *d, const char *service, const char *key, const char *value,
	struct rpc_call *call)
{
	change_by_hand(d,
		json_pack("{s:s, s:s, s:s}", "service", service, "key", key, "value", value), NULL,
		call);
}

void daemon_set_policy(struct daemon *d, json_t *change, struct rpc_call *call)
{
	change_by_hand(d, NULL, change, call);
}

void daemon_sync(struct daemon *d)
{
	struct transaction *t;
	bool first = true;

	TAILQ_FOREACH(t, &d->transactions, link) {
		/* One that has not begun yet will do for this as well. */
		if (!is_apply(t) && !(first && d->busy))
			return;
		first = false;
	}
	t = calloc(1, sizeof(*t));
	if (!t)
		return;
	t->daemon = d;
	/* Nobody waits for policies that somebody else wants to have. */
	struct transaction *head = TAILQ_FIRST(&d->transactions);

	if (head && head->batch)
		TAILQ_INSERT_HEAD(&d->transactions, t, link);
	else
		TAILQ_INSERT_TAIL(&d->transactions, t, link);
	transactions_run(d);
}
