/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A core that does not answer may wake up at any moment and go on where it was, in a round that began long ago. Before
 * others do its work (takeover.h), it is fenced:
 *
 *   main     raises the fence, and takes the core out of the grace periods             CORE_FENCED
 *   the core looks at it once it has a generation in its hands, and between two bursts; it begins no
 *            other burst, sends nothing that it has not handed to a device, and waits  CORE_AT_GATE
 *   main     drops what the core holds of buckets that it has lost, frees what was kept for it, makes it
 *            part of the grace periods again and takes the fence away                   CORE_FREE
 *
 * The fence is raised before anything else changes, and the core looks at it after it has read which generation is in
 * force. So it works at most in the one that was in force when it was fenced, or the one before, and
 * what these have is kept until it is at the gate: a bounded number of generations, however many
 * configurations come meanwhile. Memory of services, ports and traces that it may know is kept the same way.
 *
 * What it still does after it woke is the burst that was in its hands: at most STAGE_BURST packets go on
 * through the stages with tables that nobody else reads any more, and at most as many, and what is in a port's
 * full buffer, to a device's queue that is its own.
 *
 * XXX: what all cores write by turns cannot be fenced: a pool of buffers, the ring to the kernel's twin, an entry of a
 * policy's map. A core that is stopped within the few instructions in which it has one of these in its hands
 * keeps the others waiting there. Then core 0 does not go round either, and the watchdog ends the process.
 */

#ifndef WEIR_CORE_FENCE_H
#define WEIR_CORE_FENCE_H

#include "dataplane/core/fastpath.h"

#include <rte_branch_prediction.h>

#include <stdbool.h>
#include <stdint.h>

struct core;
struct generation;
struct service;

enum core_fence {
	CORE_FREE,
	CORE_FENCED, /* it does not know yet */
	CORE_AT_GATE, /* it has nothing of a generation in its hands, and waits */
};

/* ---- the core's own ---- */

/* It is fenced: wait until it is not, or the process ends. Packet core. */
void fence_wait(struct fastpath *fp, struct core *c);

/* ---- main thread ---- */

/* A core was looked at: fence it when others can do its work, or tell that nobody can. */
void fence_look(
	struct fastpath *fp, struct core *c, uint64_t now_ns, fastpath_event event, void *ctx);

/* Is some core fenced, and not at the gate as far as is known? */
bool fence_is_up(const struct fastpath *fp);

/* Cores that may still look at what goes out of force now; bit i: core i. */
uint64_t fence_holders(const struct fastpath *fp);
/* Those that may know a service or are in a generation of so low a number. */
uint64_t fence_holders_of_service(const struct fastpath *fp, const struct service *s);
uint64_t fence_holders_of_generation(const struct fastpath *fp, uint64_t number);

/* Let go of something as soon as none of these cores may look at it any more: at once when there are none. */
typedef void (*fence_let_go_fn)(struct fastpath *fp, void *what);
void fence_keep(struct fastpath *fp, uint64_t cores, fence_let_go_fn let_go, void *what);
/* The cores have stopped: let go of all. */
void fence_end(struct fastpath *fp);

/* Let those who are at the gate in again; show what the others hold. */
void fence_tick(struct fastpath *fp, uint64_t now_ns, fastpath_event event, void *ctx);

/* May a core get buckets: it goes round, and was not stuck a moment ago? */
bool fence_is_fit(const struct core *c);

#endif
