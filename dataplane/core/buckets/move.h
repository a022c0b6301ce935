/* SPDX-License-Identifier: BSD-3-Clause */

/* Buckets that move from one worker of a service to another, while both run: see move.c. */

#ifndef WEIR_CORE_MOVE_H
#define WEIR_CORE_MOVE_H

#include "dataplane/service/service.h"

#include <stdbool.h>
#include <stdint.h>

struct core;
struct fastpath;

enum move_state {
	MOVE_WANTED,
	MOVE_DRAINING, /* new packets wait; the old worker has what came before */
	MOVE_RELEASING, /* the old worker gives them up */
	MOVE_RELEASED, /* the old worker is done with the buckets */
	MOVE_TAKEN_BACK, /* it was not, for too long: it keeps them */
	MOVE_DONE, /* nobody but the main thread looks at the move any more */
	MOVE_REFUSED, /* the same, of one that was taken back */
};

struct move {
	uint8_t state; /* enum move_state, atomic: who may write it next is told by what it is */
	bool patience_ended; /* atomic; set by the main thread */
	struct service *service; /* borrowed */
	struct service_worker *from; /* borrowed, as is the next */
	struct service_worker *to;
	uint64_t bucket[FLOW_PARTITIONS / 64];
	/* core 0's */
	uint32_t mark; /* the place in the old worker's ring that it has to get to */
	uint64_t emptying_ns; /* since when the hold is emptied; 0: not yet */
	/* the old worker's core's */
	bool drained;
	uint32_t handover_mark[WEIR_MAX_PORTS];
	/* main thread's */
	uint32_t count; /* of buckets */
	uint64_t began_ns; /* of the clock of fastpath_move() */
	/* where packets wait: what takes the worker's place for the dispatcher */
	struct service_worker hold;
};

/* Core 0: before it hands over any packet of a round. */
void move_dispatch(struct core *c, struct move *m);
/* The old worker's core: when all packets of a round are on their way. */
void move_release(struct core *c, struct move *m);

/* Main thread: a core has to be taken over; the move that is on ends at once, or as soon as core 0 can end it. */
void move_hurry(struct fastpath *fp);

/* Main thread: a service's worker on a core, made when there is none. Returns 0, or -ENOMEM with the reason. */
int move_worker_find(struct fastpath *fp, struct service *s, uint32_t core,
	struct service_worker **ret_worker, char *err, size_t err_size);

/* Main thread: no core sees the move any more, and what was held is gone. */
void move_free(struct move *m);
/* The same, for fence_keep(). */
void move_kept_free(struct fastpath *fp, void *what);

#endif
