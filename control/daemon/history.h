/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Snapshots of the data plane: one of now, and older ones so that percentiles and rates are of the
 * last ten seconds or so. Event loop's thread.
 */

#ifndef WEIR_DAEMON_HISTORY_H
#define WEIR_DAEMON_HISTORY_H

#include "control/telemetry/snapshot.h"

#include <stdbool.h>

struct weir_client;

#define HISTORY_STEP_MS 2000
#define HISTORY_STEPS	5

struct history {
	struct snapshot *now; /* owned */
	/* Owned; a ring. A snapshot of many services is large, so there are few. */
	struct snapshot *old[HISTORY_STEPS];
	unsigned int next;
	bool expired; /* `now` is from before a change */
	uint64_t cost_ns; /* that taking `now` took */
	/* Adds what the data plane does not know to a snapshot that was taken; NULL: nothing. */
	void (*fill)(void *ctx, struct snapshot *s);
	void *fill_ctx;
};

void history_clear(struct history *h);

/*
 * Bring `now` up to date, unless it is younger than max_age_ms and taking it again would cost more than a
 * twentieth of the time since. A data plane that is not the one of
 * the snapshots before (restarted) begins a new history.
 *
 * Returns 0, or what snapshot_take() returned; then `now` is as it was.
 */
int history_refresh(struct history *h, const struct weir_client *c, unsigned int max_age_ms);

/* The data plane has taken a change: no older snapshot is shown as `now` any more. */
void history_expire(struct history *h);

/* Keep `now` for later; call it every HISTORY_STEP_MS. */
int history_step(struct history *h, const struct weir_client *c);

/* The newest of those kept; NULL when there is none. */
const struct snapshot *history_latest(const struct history *h);

/* The oldest snapshot kept, 8 to 10 s old once it has run that long; NULL when there is none. */
const struct snapshot *history_base(const struct history *h);

#endif
