/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What does not go the way of whole packets: later fragments, ICMP errors about flows, and packets whose
 * time to live ends here. The service stage marks them (PACKET_F_ASIDE), the flow stage lays them aside,
 * and they are worked on when the rest of their burst is on its way; so what whole packets and first
 * fragments open is there for them, and the stages of whole packets know nothing of them.
 *
 * They open no flow and keep none alive but fragments of what it carries. An ICMP error goes to the other
 * end of the flow, in nat from where that end sees the flow come from: the router that sent it is not
 * known there, and an address of a backend's network is nobody else's business.
 */

#ifndef WEIR_STAGE_ASIDE_H
#define WEIR_STAGE_ASIDE_H

#include "dataplane/stage/work.h"

/* Lay a packet aside; there is room for a whole burst. */
static inline void aside_put(struct stage_core *c, struct rte_mbuf *m)
{
	c->aside[c->aside_count++] = m;
}

/*
 * Work on what was laid aside, up to the neighbour stage.
 *
 * ret_pkts  STAGE_BURST; what goes on, with flow or backend set
 */
uint16_t aside_burst(const struct work *w, struct rte_mbuf **ret_pkts);

#endif
