/* SPDX-License-Identifier: BSD-3-Clause */

/* Parts of the balance stage that are cold: caps, which directives set (service/directive.h), and refusals. */

#ifndef WEIR_STAGE_BALANCE_ROOM_H
#define WEIR_STAGE_BALANCE_ROOM_H

#include "dataplane/service/directive.h"
#include "dataplane/stage/work.h"

/*
 * The backend that a new flow gets is its first choice, as long as that has room and is not far above its
 * fair share of what is in flight; else the least loaded of three choices from the same table that has
 * room. A source that has its backend by affinity has no other choice.
 *
 * backend  the first choice; replaced
 * Returns false when none has room.
 */
__rte_noinline bool room_find(const struct work *w, const struct packet *p,
	const struct service_allowance *allowance, uint16_t *backend);

/* Nobody can serve. A known flow has ended by that: the next SYN of its client begins a new one. */
__rte_noinline void room_refuse(
	const struct work *w, struct rte_mbuf *m, enum weir_drop_reason reason);

#endif
