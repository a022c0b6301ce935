/* SPDX-License-Identifier: BSD-3-Clause */

/* Shared by the files of transaction*.c. */

#ifndef WEIR_DAEMON_TRANSACTION_PRIVATE_H
#define WEIR_DAEMON_TRANSACTION_PRIVATE_H

#include "control/daemon/daemon.h"
#include "control/daemon/policy/policies.h"

struct transaction {
	TAILQ_ENTRY(transaction) link;
	struct daemon *daemon;
	struct rpc_call *call; /* NULL: nobody waits */
	struct config_change change;
	json_t *objects; /* owned; as change.objects */
	char *file; /* owned */
	char *text; /* owned */
	size_t length;
	struct model *model; /* owned; NULL: the one in force */
	char *label; /* owned; what complaints call the file */
	/* Owned; what is to be changed by hand: the same text again, with that. Both NULL: an apply. */
	json_t *limit;
	json_t *policy;
	struct policy_batch *batch; /* owned; its policies are being judged */
	bool prepared; /* the model is whole */
	json_t *policies_set; /* owned; as policies_set.h */
	json_t *limits_set; /* owned; what will be set by hand in the model */
	char *diff; /* owned */
	struct plan_ports *ports; /* owned */
	json_t *warnings; /* owned */
	struct told told; /* what is being sent */
	struct metrics_server *metrics; /* owned; listens where the new model says */
	bool metrics_changed;
	struct event *patience; /* owned; while waiting for a data plane that starts */
	struct event *turn; /* owned */
	void (*next)(
		struct transaction *t); /* what it does in the loop's next turn; NULL: nothing */
	uint64_t begun_ns; /* the last plan */
	uint64_t kernel_ns; /* what it follows, as in struct daemon */
	bool sent; /* CONFIG has no answer yet */
	bool taken; /* CONFIG was needed, and is in force */
	bool abandoned; /* ends with that answer */
	bool unsaved; /* in force, and not noted in the run directory yet */
	bool pending; /* in force as soon as a data plane runs */
	/* Set when the configuration in force is being restored: what to answer then. */
	char *failure; /* owned */
};

static inline const struct model *model_of(const struct transaction *t)
{
	return t->model ? t->model : t->daemon->model;
}

static inline bool is_by_hand(const struct transaction *t)
{
	return t->limit || t->policy;
}

static inline bool is_apply(const struct transaction *t)
{
	return t->text || is_by_hand(t);
}

/* Answer with an error, tell of it, and go on to the next. data: stolen. */
__attribute__((format(printf, 4, 5))) void transaction_fail(
	struct transaction *t, int code, json_t *data, const char *format, ...);
void transactions_run(struct daemon *d);

/* On with it in the loop's next turn, so that nobody waits for all of it. */
void transaction_later(struct transaction *t, void (*step)(struct transaction *t));
/* What was to be done has been done, up to answering. */
void transaction_commit(struct transaction *t, bool pending);
/* It has been answered; on to the next. */
void transaction_finish(struct transaction *t);

/*
 * Read the model, and judge its policies; nothing of the daemon's is changed, so others may run meanwhile.
 * Returns true when it is done, now or before. Else it has failed, or goes on with transactions_run().
 */
bool transaction_prepare(struct transaction *t);

#endif
