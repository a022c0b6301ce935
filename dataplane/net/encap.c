/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/net/encap.h"

#include "dataplane/net/checksum.h"
#include "dataplane/net/packet.h"
#include "dataplane/net/rewrite.h"

#include <rte_mbuf.h>

#include <arpa/inet.h>
#include <netinet/in.h>

enum encap_offset {
	IPV4_PROTOCOL = 9,
	IPV6_NEXT_HEADER = 6,
	UDP_BYTES = 8,
	GUE_BYTES = 4,
};

/* Move what stands in front of the network header by so many bytes, to the front or back. */
static void front_move(struct rte_mbuf *m, const struct packet *p, uint32_t from, uint32_t to)
{
	memmove(packet_at(m, to), packet_at(m, from), p->l3_offset);
}

static void put16(uint8_t *at, uint32_t value)
{
	const uint16_t be = htons((uint16_t)value);

	memcpy(at, &be, sizeof(be));
}

static void write4(uint8_t *l3, const uint8_t *inner, const uint8_t *src, const uint8_t *dst,
	uint8_t protocol, uint32_t bytes)
{
	uint16_t check;

	l3[0] = 0x45;
	l3[1] = inner[1];
	put16(l3 + 2, bytes);
	put16(l3 + 4, 0);
	put16(l3 + 6, 0x4000);
	l3[REWRITE_IPV4_TTL] = ENCAP_TTL;
	l3[IPV4_PROTOCOL] = protocol;
	memcpy(l3 + REWRITE_IPV4_ADDRS, src, 4);
	memcpy(l3 + REWRITE_IPV4_ADDRS + 4, dst, 4);
	check = checksum_ipv4(l3, 20);
	memcpy(l3 + REWRITE_IPV4_CHECKSUM, &check, sizeof(check));
}

/* The flow label is the inner one's: routers on the way that spread by it go on doing so (RFC 6438). */
static void write6(uint8_t *l3, const uint8_t *inner, const uint8_t *src, const uint8_t *dst,
	uint8_t next_header, uint32_t bytes)
{
	memcpy(l3, inner, 4);
	put16(l3 + 4, bytes - 40);
	l3[IPV6_NEXT_HEADER] = next_header;
	l3[REWRITE_IPV6_HOP_LIMIT] = ENCAP_TTL;
	memcpy(l3 + REWRITE_IPV6_ADDRS, src, 16);
	memcpy(l3 + REWRITE_IPV6_ADDRS + 16, dst, 16);
}

/* True when TCP's or UDP's checksum covers all behind the network header, and by the addresses in it. */
static bool is_covered(const struct packet *p, const uint8_t *l4)
{
	uint16_t check;

	if (p->verdict != PARSE_OK || (p->flags & (PACKET_F_FRAGMENT | PACKET_F_EXTENSIONS)))
		return false;
	memcpy(&check, l4 + REWRITE_UDP_CHECKSUM, sizeof(check));
	return p->l4_proto == IPPROTO_TCP || check != 0;
}

/*
 * Sum of the inner packet. The part that TCP's or UDP's own checksum covers adds up to the complement of
 * its pseudo header, so that its bytes need not be read. (A packet whose checksum is wrong makes the
 * outer one wrong too, and is dropped a step earlier than it would have been.)
 */
static uint64_t inner_sum(
	struct rte_mbuf *m, const struct packet *p, uint32_t inner, uint32_t bytes)
{
	const uint8_t *l3 = packet_at(m, inner);
	const uint32_t header = (uint32_t)p->l4_offset - p->l3_offset;
	const uint32_t l4_bytes = bytes - header;

	if (!is_covered(p, l3 + header))
		return checksum_segments(m, inner, bytes);
	return checksum_add(0, l3, header) + (uint16_t)~checksum_pseudo(l3, p->l4_proto, l4_bytes);
}

/* UDP and GUE between the outer IP header and the inner packet. */
static void write_gue(struct rte_mbuf *m, const struct packet *p, uint8_t *l3, uint32_t bytes,
	uint8_t protocol, uint32_t entropy, const bool ipv6)
{
	const uint32_t header = ipv6 ? 40 : 20;
	uint8_t *udp = l3 + header;
	uint64_t sum;
	uint16_t check;

	put16(udp, ENCAP_FIRST_SPORT | (entropy & (0xffffu - ENCAP_FIRST_SPORT)));
	put16(udp + 2, ENCAP_GUE_PORT);
	put16(udp + 4, bytes - header);
	put16(udp + REWRITE_UDP_CHECKSUM, 0);
	udp[UDP_BYTES] = 0; /* variant 0, no fields of its own */
	udp[UDP_BYTES + 1] = protocol;
	put16(udp + UDP_BYTES + 2, 0);
	/* In IPv4 none is the rule for tunnels; in IPv6 receivers refuse that unless told otherwise. */
	if (!ipv6)
		return;
	sum = checksum_pseudo(l3, IPPROTO_UDP, bytes - header);
	sum = checksum_add(sum, udp, UDP_BYTES + GUE_BYTES);
	sum += inner_sum(m, p, (uint32_t)(p->l3_offset + encap_bytes(true, true)),
		bytes - encap_bytes(true, true));
	check = (uint16_t)~checksum_fold(sum);
	if (check == 0)
		check = 0xffffu;
	memcpy(udp + REWRITE_UDP_CHECKSUM, &check, sizeof(check));
}

/* Bytes of the inner packet by its own header: behind them may be padding. */
static uint32_t inner_bytes(const uint8_t *l3, const bool ipv6)
{
	uint16_t be;

	memcpy(&be, l3 + (ipv6 ? 4 : 2), sizeof(be));
	return ntohs(be) + (ipv6 ? 40u : 0u);
}

bool encap_push(struct rte_mbuf *m, const uint8_t *src, const uint8_t *dst, uint32_t entropy,
	const bool ipv6, const bool gue)
{
	const struct packet *p = packet_of(m);
	const uint32_t outer = encap_bytes(ipv6, gue);
	const uint32_t bytes = outer + inner_bytes(packet_at(m, p->l3_offset), ipv6);
	const uint8_t inner_protocol = ipv6 ? IPPROTO_IPV6 : IPPROTO_IPIP;
	const uint8_t protocol = gue ? IPPROTO_UDP : inner_protocol;
	uint8_t *l3;

	if (bytes > UINT16_MAX || !rte_pktmbuf_prepend(m, (uint16_t)outer))
		return false;
	front_move(m, p, outer, 0);
	l3 = packet_at(m, p->l3_offset);
	if (ipv6)
		write6(l3, l3 + outer, src, dst, protocol, bytes);
	else
		write4(l3, l3 + outer, src, dst, protocol, bytes);
	if (gue)
		write_gue(m, p, l3, bytes, inner_protocol, entropy, ipv6);
	return true;
}

void encap_pop(struct rte_mbuf *m, const bool ipv6, const bool gue)
{
	const uint16_t outer = encap_bytes(ipv6, gue);

	front_move(m, packet_of(m), 0, outer);
	rte_pktmbuf_adj(m, outer);
}
