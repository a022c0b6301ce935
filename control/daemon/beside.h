/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * One thread beside the event loop, for what takes the kernel long: loading programs, filling maps. Jobs run one
 * after another, in the order in which they were given, and each is told of in the loop, in the same order. A job
 * owns all that it touches.
 */

#ifndef WEIR_DAEMON_BESIDE_H
#define WEIR_DAEMON_BESIDE_H

#include <stdbool.h>
#include <sys/queue.h>

struct beside;
struct event_base;

/* At the start of the caller's own structure. */
struct beside_job {
	TAILQ_ENTRY(beside_job) link;
	void (*run)(struct beside_job *job); /* in the thread */
	/* In the loop: it has run, or (ran: false) the daemon ends and it never will. Frees it. */
	void (*done)(struct beside_job *job, bool ran);
};

/* base: borrowed. Returns 0 or -errno. */
int beside_start(struct event_base *base, struct beside **ret_beside);
/* Waits for the job that runs; all others are done with without it. NULL is fine. */
void beside_stop(struct beside *b);

/* Event loop's thread. */
void beside_do(struct beside *b, struct beside_job *job);

#endif
