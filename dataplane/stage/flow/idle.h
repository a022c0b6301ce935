/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Closes idle kept-alive flows of backends that directives name (nat, TCP), so that their clients come back
 * elsewhere. Part of the flow stage; cold.
 *
 * A reset is heeded only with the exact sequence number that its receiver expects next (RFC 5961), and no
 * flow has those noted: it would be a write for every packet. So the backend is asked. A segment that it
 * cannot accept makes it say where it stands (RFC 9293, 3.10.7.4): its acknowledgement has both numbers,
 * what it will send next, which is what an idle client expects, and what it expects itself. That goes on to the
 * client as a reset, and back to the backend as another. When something was sent meanwhile the flow is not
 * idle, and stays; so it does when no answer comes.
 */

#ifndef WEIR_STAGE_FLOW_IDLE_H
#define WEIR_STAGE_FLOW_IDLE_H

#include "dataplane/stage/work.h"

struct rte_mempool;

/* Idle: no packet for this less FLOW_TOUCH_INTERVAL_MS, by which last-seen may be behind. */
#define IDLE_MS (FLOW_TOUCH_INTERVAL_MS + 100)

/* While a worker has flows to look at (close_left): look at some, and ask the backends of those that are idle. */
__rte_noinline void idle_burst(const struct work *w, struct rte_mempool *pool);

/*
 * A packet of a flow whose backend was asked. Returns the flow's flags: with FLOW_F_PROBED when it is closed, and
 * the packet has become the client's reset.
 */
__rte_noinline uint16_t idle_answered(const struct work *w, struct rte_mbuf *m,
	const struct flow *f, uint16_t flags, bool from_backend);

#endif
