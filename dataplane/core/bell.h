/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * How a packet core that waits for interrupts is woken for what comes by a ring. The core says that it sleeps, looks
 * once more, and waits for the descriptor; who has put something into one of its rings makes the system call only
 * then. Each side writes first and looks then, with a full fence between, so one of them sees the other.
 */

#ifndef WEIR_CORE_BELL_H
#define WEIR_CORE_BELL_H

#include <rte_branch_prediction.h>
#include <rte_common.h>

#include <stdbool.h>
#include <stdint.h>

struct bell {
	bool asleep; /* atomic; set by the core, cleared by it or by who rings */
	int fd; /* owned; an eventfd */
	uint64_t rung_tsc; /* when it was rung last; written before the descriptor */
} __rte_cache_aligned;

/* Main thread. Bells for so many cores, in ordinary memory; NULL with errno. */
struct bell *bells_create(uint32_t count);
void bells_destroy(struct bell *bells, uint32_t count); /* nobody rings any more; NULL is fine */

/* The core's own: it is about to wait. What was put into a ring before this is seen by the look that follows. */
void bell_set(struct bell *b);
/* The core's own: it waits no longer. */
void bell_clear(struct bell *b);

/* Wake the core if it sleeps. Any thread, behind what it has put into a ring. */
void bell_ring(struct bell *b);

#endif
