/* SPDX-License-Identifier: BSD-3-Clause */

/* The buckets of a core that does not answer go to others: see takeover.c. */

#ifndef WEIR_CORE_TAKEOVER_H
#define WEIR_CORE_TAKEOVER_H

#include "dataplane/core/fastpath.h"
#include "dataplane/service/service.h"

#include <stdbool.h>
#include <stdint.h>

struct core;
struct service_lost;

enum takeover_state {
	TAKEOVER_WANTED,
	TAKEOVER_HELD, /* packets of its buckets wait */
	TAKEOVER_RESCUED, /* the buckets are others' */
	TAKEOVER_DONE, /* what waited is theirs, too; nobody but the main thread looks at it any more */
};

/* One service of the core. */
struct taken {
	struct service *service; /* borrowed */
	struct service_lost *lost; /* owned until it is rescued */
	uint8_t target[FLOW_PARTITIONS]; /* number of the bucket's new worker, or SERVICE_NOBODY */
	uint8_t lane[FLOW_PARTITIONS]; /* of translated ports, new */
	uint32_t buckets;
	/* where packets wait: what takes the workers' place for the dispatcher */
	struct service_worker hold;
};

struct takeover {
	uint8_t state; /* enum takeover_state, atomic: main and core 0 write it by turns */
	uint32_t core; /* index */
	uint32_t count;
	/* core 0's */
	uint64_t emptying_ns; /* since when the holds are emptied; 0: not yet */
	struct taken taken[]; /* [count] */
};

/* Core 0: before it hands over any packet of a round. */
void takeover_dispatch(struct core *c, struct takeover *t);

/* Main thread, in the end: the cores have stopped. */
void takeover_free(struct takeover *t);

/*
 * homecoming.c: when no buckets move, let those that were taken over go home, a part at a time. Main thread.
 */
void homecoming_tick(struct fastpath *fp, uint64_t now_ns, fastpath_event event, void *ctx);

#endif
