/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/net/parse.h"

#include "dataplane/net/checksum.h"
#include "dataplane/net/parse_private.h"

#include <rte_branch_prediction.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_tcp.h>
#include <rte_udp.h>

#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>

#define IPV6_OFFSET_BITS 0xfff8u
#define IPV6_MORE_BIT	 0x0001u

/* c->at is at the L4 header of a whole datagram. */
static inline enum parse_verdict parse_l4(const struct cursor *c, struct packet *p)
{
	const uint8_t *l4 = c->data + c->at;
	uint32_t l4_bytes = c->end - c->at;
	uint32_t header_bytes;

	p->l4_offset = (uint16_t)c->at;
	if (likely(p->l4_proto == IPPROTO_TCP)) {
		if (unlikely(l4_bytes < sizeof(struct rte_tcp_hdr) ||
			    c->at + sizeof(struct rte_tcp_hdr) > c->data_bytes))
			return PARSE_MALFORMED_L4;
		header_bytes = (uint32_t)(l4[12] >> 4) * 4;
		if (unlikely(header_bytes < sizeof(struct rte_tcp_hdr) || header_bytes > l4_bytes ||
			    c->at + header_bytes > c->data_bytes))
			return PARSE_MALFORMED_L4;
		p->tcp_flags = l4[13];
	} else {
		header_bytes = sizeof(struct rte_udp_hdr);
		if (unlikely(l4_bytes < header_bytes || c->at + header_bytes > c->data_bytes))
			return PARSE_MALFORMED_L4;
		uint16_t udp_bytes = load_be16(l4 + 4);

		/* What a first fragment has is a part of what the length says. */
		if (unlikely(udp_bytes < header_bytes ||
			    (udp_bytes > l4_bytes && !(p->flags & PACKET_F_FRAGMENT))))
			return PARSE_MALFORMED_L4;
		l4_bytes = RTE_MIN(l4_bytes, udp_bytes);
	}
	memcpy(&p->ports, l4, 4);
	p->payload_offset = (uint16_t)(c->at + header_bytes);
	p->payload_length = (uint16_t)(l4_bytes - header_bytes);
	return PARSE_OK;
}

/*
 * From start on is what the fragment has of the datagram, at c->at the L4 header of a first one. Nobody but its sender can take the header of a first
 * fragment apart or put a later one over it, so that ports which decide here are not those that count at
 * the end: RFC 1858, RFC 3128.
 */
static __rte_noinline enum parse_verdict parse_fragment(
	const struct cursor *c, struct packet *p, uint32_t start)
{
	uint32_t bytes = c->end - start;
	uint32_t header_bytes = p->l4_proto == IPPROTO_TCP ? sizeof(struct rte_tcp_hdr) :
							     sizeof(struct rte_udp_hdr);

	p->fragment_bytes = (uint16_t)bytes;
	if (bytes == 0 || p->fragment_offset + bytes > UINT16_MAX)
		return PARSE_MALFORMED_L4;
	if ((p->flags & PACKET_F_MORE_FRAGMENTS) && bytes % 8 != 0)
		return PARSE_MALFORMED_L4;
	if (p->flags & PACKET_F_FIRST_FRAGMENT) {
		enum parse_verdict v = parse_l4(c, p);

		return v == PARSE_OK ? PARSE_FRAGMENT : v;
	}
	return p->fragment_offset < header_bytes ? PARSE_MALFORMED_L4 : PARSE_FRAGMENT;
}

static __rte_noinline enum parse_verdict parse_fragment4(
	const struct cursor *c, struct packet *p, const uint8_t *l3)
{
	uint16_t field = load_be16(l3 + 6);
	uint16_t id;

	memcpy(&id, l3 + 4, sizeof(id));
	p->fragment_id = id;
	p->fragment_offset = (uint16_t)((field & IPV4_OFFSET_BITS) * 8);
	p->flags |= PACKET_F_FRAGMENT;
	if (field & IPV4_MORE_BIT)
		p->flags |= PACKET_F_MORE_FRAGMENTS;
	if (p->fragment_offset == 0)
		p->flags |= PACKET_F_FIRST_FRAGMENT;
	return parse_fragment(c, p, c->at);
}

static inline enum parse_verdict parse_ipv4(struct cursor *c, struct packet *p)
{
	const uint8_t *l3 = c->data + c->at;

	if (unlikely(c->at + sizeof(struct rte_ipv4_hdr) > c->data_bytes))
		return PARSE_MALFORMED_L3;
	uint32_t header_bytes = (uint32_t)(l3[0] & 15) * 4;

	if (unlikely(l3[0] >> 4 != 4 || header_bytes < sizeof(struct rte_ipv4_hdr) ||
		    c->at + header_bytes > c->data_bytes))
		return PARSE_MALFORMED_L3;
	uint32_t total_bytes = load_be16(l3 + 2);
	uint16_t fragment = load_be16(l3 + 6);

	p->l3_offset = (uint16_t)c->at;
	p->ttl = l3[8];
	p->l4_proto = l3[9];
	if (unlikely(!parse_is_ours(p->l4_proto)))
		return parse_icmp4(c, p);
	if (header_bytes > sizeof(struct rte_ipv4_hdr))
		p->flags |= PACKET_F_EXTENSIONS;
	if (unlikely(!checksum_ipv4_ok(l3, header_bytes) || total_bytes < header_bytes ||
		    c->at + total_bytes > c->frame_bytes))
		return PARSE_MALFORMED_L4;
	c->end = c->at + total_bytes;
	c->at += header_bytes;
	if (unlikely(fragment & (IPV4_MORE_BIT | IPV4_OFFSET_BITS)))
		return parse_fragment4(c, p, l3);
	return parse_l4(c, p);
}

/* Length of the extension header at x, whose first 8 bytes are there; by RFC 8200 and RFC 4302. */
static inline uint32_t extension_bytes(uint8_t type, const uint8_t *x)
{
	if (type == IPPROTO_FRAGMENT)
		return 8;
	if (type == IPPROTO_AH)
		return (uint32_t)(x[1] + 2) * 4;
	return (uint32_t)(x[1] + 1) * 8;
}

/*
 * Walk the extension headers, c->at to the first that is none. Returns PARSE_OK with the chain, or
 * the verdict. Cold: extension headers are rare.
 */
__rte_noinline enum parse_verdict parse_extensions(
	struct cursor *c, struct packet *p, struct chain *chain)
{
	p->flags |= PACKET_F_EXTENSIONS;
	for (unsigned int i = 0; parse_is_extension(chain->next); i++) {
		const uint8_t *x = c->data + c->at;

		if (i == PARSE_MAX_EXTENSIONS || c->at + 8 > c->data_bytes || c->at + 8 > c->end)
			return PARSE_MALFORMED_L3;
		uint32_t bytes = extension_bytes(chain->next, x);

		if (c->at + bytes > c->data_bytes || c->at + bytes > c->end)
			return PARSE_MALFORMED_L3;
		if (chain->next == IPPROTO_ROUTING && x[3] != 0)
			return PARSE_NOT_OURS; /* the destination is not the last one */
		if (chain->next == IPPROTO_FRAGMENT) {
			uint16_t field = load_be16(x + 2);

			if (field & (IPV6_OFFSET_BITS | IPV6_MORE_BIT)) {
				chain->fragment = true;
				p->flags |= PACKET_F_FRAGMENT;
				p->fragment_offset = field & IPV6_OFFSET_BITS;
				memcpy(&p->fragment_id, x + 4, sizeof(p->fragment_id));
				if (field & IPV6_MORE_BIT)
					p->flags |= PACKET_F_MORE_FRAGMENTS;
			}
			chain->next = x[0];
			c->at += bytes;
			chain->fragment_start = c->at;
			if (field & IPV6_OFFSET_BITS)
				return PARSE_OK; /* what follows is no header */
			if (chain->fragment)
				p->flags |= PACKET_F_FIRST_FRAGMENT;
			continue;
		}
		chain->next = x[0];
		c->at += bytes;
	}
	return PARSE_OK;
}

static inline enum parse_verdict parse_ipv6(struct cursor *c, struct packet *p)
{
	const uint8_t *l3 = c->data + c->at;

	if (unlikely(c->at + sizeof(struct rte_ipv6_hdr) > c->data_bytes || l3[0] >> 4 != 6))
		return PARSE_MALFORMED_L3;
	uint32_t payload_bytes = load_be16(l3 + 4);
	struct chain chain = { .next = l3[6] };
	uint32_t l3_at = c->at;

	p->flags |= PACKET_F_IPV6;
	p->l3_offset = (uint16_t)c->at;
	p->ttl = l3[7];
	c->at += sizeof(struct rte_ipv6_hdr);
	c->end = c->at + payload_bytes;
	bool cut_off = c->end > c->frame_bytes;

	if (unlikely(cut_off))
		c->end = c->frame_bytes;
	if (unlikely(parse_is_extension(chain.next))) {
		if (payload_bytes == 0)
			return PARSE_NOT_OURS; /* a jumbogram, if anything */
		enum parse_verdict v = parse_extensions(c, p, &chain);

		if (v != PARSE_OK)
			return v;
	}
	p->l4_proto = chain.next;
	if (unlikely(!parse_is_ours(p->l4_proto)))
		return cut_off || chain.fragment ? PARSE_NOT_OURS : parse_icmp6(c, p);
	if (unlikely(cut_off || c->at - l3_at > UINT16_MAX))
		return PARSE_MALFORMED_L4;
	if (unlikely(chain.fragment))
		return parse_fragment(c, p, chain.fragment_start);
	return parse_l4(c, p);
}

/* Inlined into the burst's loop: the way of an ordinary packet is straight, and short. */
static __rte_always_inline enum parse_verdict parse_frame(
	const uint8_t *data, uint32_t data_bytes, uint32_t frame_bytes, struct packet *p)
{
	struct cursor c = {
		.data = data,
		.data_bytes = data_bytes,
		.frame_bytes = frame_bytes,
		.at = RTE_ETHER_HDR_LEN,
	};

	p->verdict = PARSE_MALFORMED_L3;
	/* Offsets are 16 bits; no frame of a device comes near. */
	if (unlikely(data_bytes < RTE_ETHER_HDR_LEN || data_bytes > UINT16_MAX))
		return PARSE_MALFORMED_L3;
	uint16_t type = load_be16(data + 12);

	for (unsigned int tags = 0;
		unlikely(type == RTE_ETHER_TYPE_VLAN || type == RTE_ETHER_TYPE_QINQ); tags++) {
		if (tags == 2) {
			p->verdict = PARSE_NOT_OURS;
			return PARSE_NOT_OURS;
		}
		if (c.at + 4 > data_bytes)
			return PARSE_MALFORMED_L3;
		p->flags |= PACKET_F_VLAN;
		type = load_be16(data + c.at + 2);
		c.at += 4;
	}
	enum parse_verdict v = PARSE_NOT_OURS;

	if (unlikely(data[0] & 1)) /* broadcast and multicast frames are never to be forwarded */
		v = PARSE_NOT_OURS;
	else if (likely(type == RTE_ETHER_TYPE_IPV4))
		v = parse_ipv4(&c, p);
	else if (type == RTE_ETHER_TYPE_IPV6)
		v = parse_ipv6(&c, p);
	p->verdict = (uint8_t)v;
	return v;
}

enum parse_verdict parse_one(
	const uint8_t *data, uint32_t data_bytes, uint32_t frame_bytes, struct packet *p)
{
	return parse_frame(data, data_bytes, frame_bytes, p);
}

void parse_burst(struct rte_mbuf **pkts, uint16_t n)
{
	for (uint16_t i = 0; i < n; i++) {
		struct rte_mbuf *m = pkts[i];

		parse_frame(rte_pktmbuf_mtod(m, const uint8_t *), rte_pktmbuf_data_len(m),
			rte_pktmbuf_pkt_len(m), packet_of(m));
	}
}
