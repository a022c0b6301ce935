/* SPDX-License-Identifier: BSD-3-Clause */

/* Parts of the balance stage that are cold: caps, which directives set (service/directive.h), and refusals. */

#ifndef WEIR_STAGE_BALANCE_ROOM_H
#define WEIR_STAGE_BALANCE_ROOM_H

#include "dataplane/service/directive.h"
#include "dataplane/stage/work.h"

/*
 * The backend that a new flow gets is its first choice, as long as that has room and is not far above its
 * fair share of what is in flight; else the least loaded of three choices from the same table that has
 * room, or the first of five more. A source that has its backend by affinity has no other choice.
 *
 * table    that the first choice is from
 * backend  the first choice; replaced
 * Returns false when none has room.
 */
__rte_noinline bool room_find(const struct work *w, const struct packet *p,
	const struct service_allowance *allowance, const uint16_t *table, uint16_t *backend);

/* The table of the pool that a policy wants; when nobody in it can serve, that of the main one, for good. */
__rte_noinline const uint16_t *room_routed(const struct work *w, struct packet *p);

/* Whether its source and its class let a packet open a flow now. */
__rte_noinline bool room_admits(
	const struct work *w, struct rte_mbuf *m, enum weir_drop_reason *ret_reason);

/* Why a flow finds no room: nobody had any, or its source is above its share and had none left for it. */
static inline bool room_is_missing(enum weir_drop_reason reason)
{
	return reason == WEIR_DROP_SHED || reason == WEIR_DROP_SOURCE_POLICED;
}

/* Nobody can serve. A known flow has ended by that: the next SYN of its client begins a new one. */
__rte_noinline void room_refuse(
	const struct work *w, struct rte_mbuf *m, enum weir_drop_reason reason);

#endif
