/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Which core a service takes when it is to have one more, by how busy the cores are, and what is told of it.
 * Main thread.
 *
 * The cores that a service's configuration asks for it gets wherever there are fewest services. Beyond those,
 * up to cores_max, it takes only a core that is free: that answers, is on the node of a port, and works for
 * nobody else, as a core of its own is what keeps a service from its neighbours' floods. Where there are more
 * services than cores they share anyway: there a core is free that is busy for less than half of its time.
 */

#ifndef WEIR_CORE_CORES_H
#define WEIR_CORE_CORES_H

#include "dataplane/core/fastpath.h"

#include <stdbool.h>
#include <stdint.h>

struct service;

/* What is known of the cores; arrays by index. */
struct cores_view {
	uint32_t first; /* the first one that works */
	uint32_t core_count;
	uint32_t service_count;
	uint64_t near; /* bit i: on the node of a port; 0: no port's node is known */
	uint64_t answer; /* bit i: it goes round */
	const uint32_t *services; /* that have buckets there, or get some; or CORE_PLAN_UNFIT */
	const uint16_t *busy; /* thousandths of its time, of late */
};

/*
 * The order in which a service takes cores, the least first; SPREAD_NOT_FREE for those that it may not take,
 * SPREAD_UNFIT for those that do not answer.
 * Pure.
 *
 * beyond    it has as many as its configuration asks for
 * ret_rank  [core_count]
 */
void cores_rank(const struct cores_view *v, bool beyond, uint32_t *ret_rank);

/* The same for the cores there are; have: how many it has. */
void cores_rank_for(
	const struct fastpath *fp, const struct service *s, uint32_t have, uint32_t *ret_rank);

/* Often: see how busy the cores are. now_ns: any clock. */
void cores_look(struct fastpath *fp, uint64_t now_ns);

/* How many cores a service is to have, inside what its configuration says; buckets follow by ticks. */
void cores_want(struct fastpath *fp, struct service *s, uint32_t cores);

/* It has `have` and nothing is left to move: tell of those that it does not get, once. */
void cores_settled(struct fastpath *fp, struct service *s, uint32_t have, uint64_t now_ns,
	fastpath_event event, void *ctx);

#endif
