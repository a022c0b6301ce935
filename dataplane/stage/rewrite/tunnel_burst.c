/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * ipip and gue: what dsr leaves as it is goes inside another packet, to the backend's own address. Behind
 * rewriting and in front of the next hop, which is chosen for the outer packet as for any other.
 */

#include "dataplane/net/encap.h"
#include "dataplane/stage/rewrite/rewrite_stage.h"

/* A flow's packets have one outer source, and one port in gue: what spreads by these keeps flows together. */
static inline bool push(
	const struct work *w, struct rte_mbuf *m, const struct packet *p, const bool ipv6)
{
	const struct service_tunnel *t = w->settings->tunnel;
	const uint32_t high = (uint32_t)(p->hash >> 32);
	const uint8_t *src = t->source[(uint64_t)high * t->source_count >> 32];
	const uint8_t *dst = w->settings->backend[p->backend].address;
	const unsigned int skip = ipv6 ? 0 : 12;

	return encap_push(m, src + skip, dst + skip, (uint32_t)p->hash, ipv6, t->gue);
}

__rte_noinline uint16_t tunnel_burst(const struct work *w, struct rte_mbuf **pkts, uint16_t n)
{
	const bool ipv6 = w->settings->ipv6;
	uint16_t left = 0;

	for (uint16_t i = 0; i < n; i++) {
		if (likely(push(w, pkts[i], packet_of(pkts[i]), ipv6)))
			pkts[left++] = pkts[i];
		else
			stage_drop(w->core, pkts[i], WEIR_DROP_NO_HEADROOM);
	}
	return left;
}

void tunnel_undo(const struct work *w, struct rte_mbuf *m)
{
	encap_pop(m, w->settings->ipv6, w->settings->tunnel->gue);
}
