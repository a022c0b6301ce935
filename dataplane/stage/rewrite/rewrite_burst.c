/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/stage/rewrite/rewrite_stage.h"

/* The ends of a packet on its way out are those of a packet of the other side, turned round. */
static inline uint32_t ports_turned(uint32_t ports)
{
	return ports << 16 | ports >> 16;
}

static inline void translate4(
	struct rte_mbuf *m, const struct packet *p, const struct flow_tuple *to)
{
	uint64_t addrs = (uint64_t)to->src << 32 | to->dst;

	rewrite_nat4(packet_at(m, p->l3_offset), packet_at(m, p->l4_offset), p->l4_proto, addrs,
		ports_turned(to->ports));
}
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the first address is the low half");

static inline void translate6(struct rte_mbuf *m, const struct packet *p,
	const struct flow_tuple *to, const uint8_t from_addrs[32])
{
	uint8_t addrs[32];

	memcpy(addrs, from_addrs + 16, 16);
	memcpy(addrs + 16, from_addrs, 16);
	rewrite_nat6(packet_at(m, p->l3_offset), packet_at(m, p->l4_offset), p->l4_proto, addrs,
		ports_turned(to->ports));
}

static __rte_always_inline uint16_t rewrite_body(
	const struct work *w, struct rte_mbuf **pkts, uint16_t n, const bool nat, const bool ipv6)
{
	for (uint16_t i = 0; i < n; i++) {
		struct rte_mbuf *m = pkts[i];
		struct packet *p = packet_of(m);

		/* Before anything changes: the field is compared with the sum of the old ends. */
		if (unlikely(w->completes_checksums >> p->port_in & 1))
			checksum_complete_partial(m);
		if (!nat) {
			if (ipv6)
				rewrite_ttl6(packet_at(m, p->l3_offset));
			else
				rewrite_ttl4(packet_at(m, p->l3_offset));
			continue;
		}
		unsigned int other =
			p->flags & PACKET_F_FROM_BACKEND ? FLOW_SIDE_CLIENT : FLOW_SIDE_BACKEND;
		struct flow *f = p->flow;

		if (ipv6)
			translate6(m, p, &f->tuple[other], flow_tail(f)->addrs[other]);
		else
			translate4(m, p, &f->tuple[other]);
	}
	return n;
}

uint16_t rewrite_burst(const struct work *w, struct rte_mbuf **pkts, uint16_t n)
{
	if (unlikely(w->settings->proxied))
		n = proxy_burst(w, pkts, n);
	return WORK_SPECIALISE(rewrite_body, w, pkts, n);
}

static void translate_back(
	uint8_t *l3, struct rte_mbuf *m, const struct packet *p, struct flow *f, const bool ipv6)
{
	const unsigned int own =
		p->flags & PACKET_F_FROM_BACKEND ? FLOW_SIDE_BACKEND : FLOW_SIDE_CLIENT;
	uint8_t *addrs = l3 + (ipv6 ? REWRITE_IPV6_ADDRS : REWRITE_IPV4_ADDRS);
	const uint8_t *from = ipv6 ? flow_tail(f)->addrs[own] : (const uint8_t *)&f->tuple[own].src;
	uint64_t delta = 0;
	uint32_t is, was;

	for (uint32_t i = 0; i < (ipv6 ? 32 : 8); i += 4) {
		memcpy(&is, addrs + i, 4);
		memcpy(&was, from + i, 4);
		delta += checksum_delta32(is, was);
		memcpy(addrs + i, &was, 4);
	}
	rewrite_l4(packet_at(m, p->l4_offset), p->l4_proto, p->ports, delta);
}

void rewrite_undo(const struct work *w, struct rte_mbuf *m)
{
	const struct packet *p = packet_of(m);
	const bool ipv6 = w->settings->ipv6;
	uint8_t *l3 = packet_at(m, p->l3_offset);
	uint16_t check;

	if (w->settings->mode == WEIR_MODE_NAT)
		translate_back(l3, m, p, p->flow, ipv6);
	if (ipv6) {
		l3[REWRITE_IPV6_HOP_LIMIT] = p->ttl;
		return;
	}
	l3[REWRITE_IPV4_TTL] = p->ttl;
	check = checksum_ipv4(l3, (uint32_t)(l3[0] & 15) * 4);
	memcpy(l3 + REWRITE_IPV4_CHECKSUM, &check, sizeof(check));
}
