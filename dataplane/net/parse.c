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
#define IPV4_PLAIN	 0x45 /* version, and the length of a header without options */

/* c->at is at the L4 header of a whole datagram. */
static __rte_always_inline enum parse_verdict parse_l4(const struct cursor *c, struct packet *p)
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

/*
 * The ordinary way is inlined with constants for c->at and header_bytes. What leaves it gets a copy of the
 * cursor, so that here it stays in registers.
 */
static __rte_always_inline enum parse_verdict parse_ipv4_sized(
	struct cursor *c, struct packet *p, const uint32_t header_bytes)
{
	const uint8_t *l3 = c->data + c->at;
	uint32_t total_bytes = load_be16(l3 + 2);
	uint16_t fragment = load_be16(l3 + 6);

	p->l3_offset = (uint16_t)c->at;
	p->ttl = l3[8];
	p->l4_proto = l3[9];
	if (unlikely(!parse_is_ours(p->l4_proto))) {
		struct cursor copy = *c;

		return parse_icmp4(&copy, p);
	}
	if (header_bytes > sizeof(struct rte_ipv4_hdr))
		p->flags |= PACKET_F_EXTENSIONS;
	if (unlikely((!c->sum_known && !checksum_ipv4_ok(l3, header_bytes)) ||
		    total_bytes < header_bytes || c->at + total_bytes > c->frame_bytes))
		return PARSE_MALFORMED_L4;
	c->end = c->at + total_bytes;
	c->at += header_bytes;
	if (unlikely(fragment & (IPV4_MORE_BIT | IPV4_OFFSET_BITS))) {
		struct cursor copy = *c;

		return parse_fragment4(&copy, p, l3);
	}
	return parse_l4(c, p);
}

static __rte_noinline enum parse_verdict parse_ipv4_options(struct cursor *c, struct packet *p)
{
	const uint8_t *l3 = c->data + c->at;
	uint32_t header_bytes = (uint32_t)(l3[0] & 15) * 4;

	if (l3[0] >> 4 != 4 || header_bytes < sizeof(struct rte_ipv4_hdr) ||
		c->at + header_bytes > c->data_bytes)
		return PARSE_MALFORMED_L3;
	return parse_ipv4_sized(c, p, header_bytes);
}

static __rte_always_inline enum parse_verdict parse_ipv4(struct cursor *c, struct packet *p)
{
	if (unlikely(c->at + sizeof(struct rte_ipv4_hdr) > c->data_bytes))
		return PARSE_MALFORMED_L3;
	if (unlikely(c->data[c->at] != IPV4_PLAIN)) {
		struct cursor copy = *c;

		copy.sum_known = false;
		return parse_ipv4_options(&copy, p);
	}
	return parse_ipv4_sized(c, p, sizeof(struct rte_ipv4_hdr));
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

/* Extension headers, or neither TCP nor UDP. c->at is behind the IPv6 header. */
static __rte_noinline enum parse_verdict parse_ipv6_chain(
	struct cursor *c, struct packet *p, uint32_t payload_bytes, bool cut_off)
{
	struct chain chain = { .next = p->l4_proto };
	uint32_t l3_at = p->l3_offset;

	if (parse_is_extension(chain.next)) {
		if (payload_bytes == 0)
			return PARSE_NOT_OURS; /* a jumbogram, if anything */
		enum parse_verdict v = parse_extensions(c, p, &chain);

		if (v != PARSE_OK)
			return v;
	}
	p->l4_proto = chain.next;
	if (!parse_is_ours(p->l4_proto))
		return cut_off || chain.fragment ? PARSE_NOT_OURS : parse_icmp6(c, p);
	if (cut_off || c->at - l3_at > UINT16_MAX)
		return PARSE_MALFORMED_L4;
	if (chain.fragment)
		return parse_fragment(c, p, chain.fragment_start);
	return parse_l4(c, p);
}

static __rte_always_inline enum parse_verdict parse_ipv6(struct cursor *c, struct packet *p)
{
	const uint8_t *l3 = c->data + c->at;

	if (unlikely(c->at + sizeof(struct rte_ipv6_hdr) > c->data_bytes || l3[0] >> 4 != 6))
		return PARSE_MALFORMED_L3;
	uint32_t payload_bytes = load_be16(l3 + 4);
	uint8_t next = l3[6];

	p->flags |= PACKET_F_IPV6;
	p->l3_offset = (uint16_t)c->at;
	p->l4_proto = next;
	p->ttl = l3[7];
	c->at += sizeof(struct rte_ipv6_hdr);
	c->end = c->at + payload_bytes;
	bool cut_off = c->end > c->frame_bytes;

	if (unlikely(cut_off))
		c->end = c->frame_bytes;
	if (unlikely(!parse_is_ours(next))) {
		struct cursor copy = *c;

		return parse_ipv6_chain(&copy, p, payload_bytes, cut_off);
	}
	return cut_off ? PARSE_MALFORMED_L4 : parse_l4(c, p);
}

static __rte_always_inline enum parse_verdict parse_l3(
	struct cursor *c, uint16_t type, struct packet *p)
{
	if (likely(type == RTE_ETHER_TYPE_IPV4))
		return parse_ipv4(c, p);
	if (type == RTE_ETHER_TYPE_IPV6)
		return parse_ipv6(c, p);
	return PARSE_NOT_OURS;
}

static __rte_noinline enum parse_verdict parse_tagged(
	struct cursor *c, uint16_t type, struct packet *p)
{
	for (unsigned int tags = 0; type == RTE_ETHER_TYPE_VLAN || type == RTE_ETHER_TYPE_QINQ;
		tags++) {
		if (tags == 2)
			return PARSE_NOT_OURS;
		if (c->at + 4 > c->data_bytes)
			return PARSE_MALFORMED_L3;
		p->flags |= PACKET_F_VLAN;
		type = load_be16(c->data + c->at + 2);
		c->at += 4;
	}
	return c->data[0] & 1 ? PARSE_NOT_OURS : parse_l3(c, type, p);
}

static __rte_always_inline enum parse_verdict parse_frame(struct cursor *c, struct packet *p)
{
	/* Offsets are 16 bits; no frame of a device comes near. */
	if (unlikely(c->data_bytes < RTE_ETHER_HDR_LEN || c->data_bytes > UINT16_MAX))
		return PARSE_MALFORMED_L3;
	uint16_t type = load_be16(c->data + 12);

	if (unlikely(type == RTE_ETHER_TYPE_VLAN || type == RTE_ETHER_TYPE_QINQ)) {
		struct cursor copy = *c;

		copy.sum_known = false;
		return parse_tagged(&copy, type, p);
	}
	if (unlikely(c->data[0] & 1)) /* broadcast and multicast frames are never to be forwarded */
		return PARSE_NOT_OURS;
	return parse_l3(c, type, p);
}

static __rte_always_inline enum parse_verdict parse_any(const uint8_t *data, uint32_t data_bytes,
	uint32_t frame_bytes, struct packet *p, const bool sum_known)
{
	struct cursor c = {
		.data = data,
		.data_bytes = data_bytes,
		.frame_bytes = frame_bytes,
		.at = RTE_ETHER_HDR_LEN,
		.sum_known = sum_known,
	};
	enum parse_verdict v = parse_frame(&c, p);

	p->verdict = (uint8_t)v;
	return v;
}

enum parse_verdict parse_one(
	const uint8_t *data, uint32_t data_bytes, uint32_t frame_bytes, struct packet *p)
{
	return parse_any(data, data_bytes, frame_bytes, p, false);
}

enum parse_verdict parse_one_summed(
	const uint8_t *data, uint32_t data_bytes, uint32_t frame_bytes, struct packet *p)
{
	return parse_any(data, data_bytes, frame_bytes, p, true);
}
