/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Stage 8: in nat, both ends of the packet become those of the flow's other half; in dsr the packet
 * stays as it is. TTL or hop limit is decremented in both, so that a loop ends. Where a nat service asks for
 * it, backends get a PROXY protocol header in front of the client's first byte. In ipip and gue the packet then
 * goes inside another one.
 */

#ifndef WEIR_STAGE_REWRITE_H
#define WEIR_STAGE_REWRITE_H

#include "dataplane/stage/work.h"

/* Returns how many packets are left, at the front of pkts. */
uint16_t rewrite_burst(const struct work *w, struct rte_mbuf **pkts, uint16_t n);

/* Make a packet again what it was before rewrite_burst(): for an error about it. Cold. */
void rewrite_undo(const struct work *w, struct rte_mbuf *m);

/*
 * tunnel_burst.c: ipip and gue, behind rewrite_burst() and aside_burst(). Returns how many are left; offsets in
 * their struct packet are those of before, but l3_offset, where the outer header stands then.
 */
uint16_t tunnel_burst(const struct work *w, struct rte_mbuf **pkts, uint16_t n);

/* Take the outer headers off again. Cold. */
void tunnel_undo(const struct work *w, struct rte_mbuf *m);

/* proxy_burst.c: a part of it. */
uint16_t proxy_burst(const struct work *w, struct rte_mbuf **pkts, uint16_t n);

#endif
