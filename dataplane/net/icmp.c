/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/net/icmp.h"

#include "dataplane/net/checksum.h"
#include "dataplane/net/rewrite.h"

#include <rte_common.h>
#include <rte_ether.h>
#include <rte_ip.h>

#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <string.h>

#define ICMP_HEADER_BYTES 8u
#define ICMP_CHECKSUM	  2u /* offset of the field */
#define IPV4_ERROR_BYTES  576u /* an error is no longer than what every host takes */
#define IPV6_ERROR_BYTES  1280u
#define ERROR_TTL	  64u
#define ERROR_TOS	  0xc0u /* internetwork control, as routers send them */

/* ---- making ---- */

static bool is_one_host4(const uint8_t *a)
{
	return a[0] != 0 && a[0] != 127 && a[0] < 224;
}

static bool is_one_host6(const uint8_t *a)
{
	static const uint8_t none[15];

	/* Not multicast; neither unspecified nor loopback. */
	return a[0] != 0xff && (memcmp(a, none, sizeof(none)) != 0 || a[15] > 1);
}

bool icmp_error_allowed(struct rte_mbuf *m)
{
	const struct packet *p = packet_of(m);
	const uint8_t *l3 = packet_at(m, p->l3_offset);

	if (p->verdict != PARSE_OK && p->verdict != PARSE_FRAGMENT)
		return false;
	if ((p->flags & PACKET_F_FRAGMENT) && !(p->flags & PACKET_F_FIRST_FRAGMENT))
		return false;
	if (packet_at(m, 6)[0] & 1) /* a link address of a group */
		return false;
	if (rte_pktmbuf_headroom(m) < sizeof(struct rte_ipv6_hdr) + ICMP_HEADER_BYTES)
		return false;
	return p->flags & PACKET_F_IPV6 ? is_one_host6(l3 + REWRITE_IPV6_ADDRS) :
					  is_one_host4(l3 + REWRITE_IPV4_ADDRS);
}

void icmp_cut(struct rte_mbuf *m, uint32_t bytes)
{
	if (m->next)
		rte_pktmbuf_free(m->next);
	m->next = NULL;
	m->nb_segs = 1;
	m->data_len = (uint16_t)bytes;
	m->pkt_len = bytes;
}

static void write_be16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

/* The header before the quoted one, to where that came from; icmp_bytes with the quote. */
static void write_ipv4(uint8_t *l3, const uint8_t *quote, uint32_t icmp_bytes)
{
	uint16_t check;

	memset(l3, 0, sizeof(struct rte_ipv4_hdr));
	l3[0] = 0x45;
	l3[1] = ERROR_TOS;
	write_be16(l3 + 2, sizeof(struct rte_ipv4_hdr) + icmp_bytes);
	l3[6] = 0x40; /* never in fragments, so it needs no identification: RFC 6864 */
	l3[REWRITE_IPV4_TTL] = ERROR_TTL;
	l3[9] = IPPROTO_ICMP;
	memcpy(l3 + REWRITE_IPV4_ADDRS, quote + REWRITE_IPV4_ADDRS + 4, 4);
	memcpy(l3 + REWRITE_IPV4_ADDRS + 4, quote + REWRITE_IPV4_ADDRS, 4);
	check = checksum_ipv4(l3, sizeof(struct rte_ipv4_hdr));
	memcpy(l3 + REWRITE_IPV4_CHECKSUM, &check, sizeof(check));
}

static void write_ipv6(uint8_t *l3, const uint8_t *quote, uint32_t icmp_bytes)
{
	memset(l3, 0, sizeof(struct rte_ipv6_hdr));
	l3[0] = 0x60;
	write_be16(l3 + 4, icmp_bytes);
	l3[6] = IPPROTO_ICMPV6;
	l3[REWRITE_IPV6_HOP_LIMIT] = ERROR_TTL;
	memcpy(l3 + REWRITE_IPV6_ADDRS, quote + REWRITE_IPV6_ADDRS + 16, 16);
	memcpy(l3 + REWRITE_IPV6_ADDRS + 16, quote + REWRITE_IPV6_ADDRS, 16);
}

/* The ICMP header; the MTU is in the low half of its second word in IPv4, in the whole of it in IPv6. */
static void write_icmp(
	uint8_t *icmp, const uint8_t *l3, enum icmp_error_kind kind, uint16_t mtu, uint32_t bytes)
{
	const bool ipv6 = l3[0] >> 4 == 6;
	uint64_t sum = 0;
	uint16_t check;

	memset(icmp, 0, ICMP_HEADER_BYTES);
	if (kind == ICMP_ERROR_TTL) {
		icmp[0] = ipv6 ? ICMP6_TIME_EXCEEDED : ICMP_TIMXCEED;
	} else if (kind == ICMP_ERROR_PORT) {
		icmp[0] = ipv6 ? ICMP6_DST_UNREACH : ICMP_UNREACH;
		icmp[1] = ipv6 ? ICMP6_DST_UNREACH_NOPORT : ICMP_UNREACH_PORT;
	} else {
		icmp[0] = ipv6 ? ICMP6_PACKET_TOO_BIG : ICMP_UNREACH;
		icmp[1] = ipv6 ? 0 : ICMP_UNREACH_NEEDFRAG;
		write_be16(icmp + 6, mtu);
	}
	if (ipv6)
		sum = checksum_pseudo(l3, IPPROTO_ICMPV6, bytes);
	check = (uint16_t)~checksum_fold(checksum_add(sum, icmp, bytes));
	memcpy(icmp + ICMP_CHECKSUM, &check, sizeof(check));
}

static uint32_t quote_bytes(const struct rte_mbuf *m, const struct packet *p, const uint8_t *l3)
{
	const bool ipv6 = p->flags & PACKET_F_IPV6;
	const uint32_t ip_bytes = ipv6 ? sizeof(struct rte_ipv6_hdr) + (l3[4] << 8 | l3[5]) :
					 (uint32_t)(l3[2] << 8 | l3[3]);
	const uint32_t room = ipv6 ?
		IPV6_ERROR_BYTES - sizeof(struct rte_ipv6_hdr) - ICMP_HEADER_BYTES :
		IPV4_ERROR_BYTES - sizeof(struct rte_ipv4_hdr) - ICMP_HEADER_BYTES;
	const uint32_t there = (uint32_t)rte_pktmbuf_data_len(m) - p->l3_offset;

	return RTE_MIN(RTE_MIN(ip_bytes, room), there);
}

void icmp_error_make(
	struct rte_mbuf *m, enum icmp_error_kind kind, uint16_t mtu, const uint8_t mac[6])
{
	struct packet *p = packet_of(m);
	const bool ipv6 = p->flags & PACKET_F_IPV6;
	const uint32_t link_bytes = p->l3_offset;
	const uint32_t header_bytes =
		ipv6 ? sizeof(struct rte_ipv6_hdr) : sizeof(struct rte_ipv4_hdr);
	const uint32_t quoted = quote_bytes(m, p, packet_at(m, link_bytes));
	const uint32_t icmp_bytes = ICMP_HEADER_BYTES + quoted;
	const uint64_t rx_tsc = p->rx_tsc;
	const uint8_t port = p->port_in;
	uint8_t *l3;

	icmp_cut(m, link_bytes + quoted);
	rte_pktmbuf_prepend(m, (uint16_t)(header_bytes + ICMP_HEADER_BYTES));
	memmove(packet_at(m, 0), packet_at(m, header_bytes + ICMP_HEADER_BYTES), link_bytes);
	rewrite_macs(packet_at(m, 0), packet_at(m, RTE_ETHER_ADDR_LEN), mac);
	l3 = packet_at(m, link_bytes);
	if (ipv6)
		write_ipv6(l3, l3 + header_bytes + ICMP_HEADER_BYTES, icmp_bytes);
	else
		write_ipv4(l3, l3 + header_bytes + ICMP_HEADER_BYTES, icmp_bytes);
	write_icmp(l3 + header_bytes, l3, kind, mtu, icmp_bytes);

	packet_reset(p, rx_tsc, port, rte_pktmbuf_pkt_len(m));
	p->flags = PACKET_F_ORIGINATED;
	p->port_out = port;
	p->l3_offset = (uint16_t)link_bytes;
}

/* ---- translation ---- */

/* Change a checksum field; returns what the change of the field itself adds to a sum over it. */
static uint64_t field_apply(uint8_t *field, uint64_t delta, bool udp)
{
	uint16_t from, to;

	memcpy(&from, field, sizeof(from));
	to = udp ? checksum_apply_udp(from, delta) : checksum_apply(from, delta);
	memcpy(field, &to, sizeof(to));
	return checksum_delta16(from, to);
}

static uint64_t addrs_set(uint8_t *addrs, const uint8_t *to, const bool ipv6)
{
	uint64_t delta = 0;
	uint32_t from_word, to_word;

	for (uint32_t i = 0; i < (ipv6 ? 32 : 8); i += 4) {
		memcpy(&from_word, addrs + i, 4);
		memcpy(&to_word, to + i, 4);
		memcpy(addrs + i, &to_word, 4);
		delta += checksum_delta32(from_word, to_word);
	}
	return delta;
}

/* The quoted packet. Returns what its changes add to a sum over it. */
static uint64_t quote_translate(struct rte_mbuf *m, const struct packet *p,
	const struct icmp_ends *to, uint32_t end, const bool ipv6)
{
	const bool udp = p->l4_proto == IPPROTO_UDP;
	uint32_t field = p->quoted_l4_offset + (udp ? REWRITE_UDP_CHECKSUM : REWRITE_TCP_CHECKSUM);
	uint8_t *l3 = packet_at(m, p->payload_offset);
	uint8_t *l4 = packet_at(m, p->quoted_l4_offset);
	uint32_t ports;
	uint64_t pseudo = addrs_set(
		l3 + (ipv6 ? REWRITE_IPV6_ADDRS : REWRITE_IPV4_ADDRS), to->quoted_addrs, ipv6);
	uint64_t delta = pseudo;

	if (!ipv6)
		delta += field_apply(l3 + REWRITE_IPV4_CHECKSUM, pseudo, false);
	memcpy(&ports, l4, sizeof(ports));
	memcpy(l4, &to->quoted_ports, sizeof(ports));
	ports = (uint32_t)checksum_fold(checksum_delta32(ports, to->quoted_ports));
	delta += ports;
	if (field + 2 <= end)
		delta += field_apply(packet_at(m, field), pseudo + ports, udp);
	return delta;
}

void icmp_error_translate(struct rte_mbuf *m, const struct icmp_ends *to)
{
	const struct packet *p = packet_of(m);
	const bool ipv6 = p->flags & PACKET_F_IPV6;
	uint8_t *l3 = packet_at(m, p->l3_offset);
	uint32_t ip_bytes = ipv6 ? sizeof(struct rte_ipv6_hdr) + (l3[4] << 8 | l3[5]) :
				   (uint32_t)(l3[2] << 8 | l3[3]);
	uint32_t end = RTE_MIN(p->l3_offset + ip_bytes, (uint32_t)rte_pktmbuf_data_len(m));
	uint64_t quoted = quote_translate(m, p, to, end, ipv6);
	uint64_t pseudo =
		addrs_set(l3 + (ipv6 ? REWRITE_IPV6_ADDRS : REWRITE_IPV4_ADDRS), to->addrs, ipv6);

	/* Only ICMPv6 has the addresses in its checksum. */
	field_apply(
		packet_at(m, p->l4_offset + ICMP_CHECKSUM), quoted + (ipv6 ? pseudo : 0), false);
	if (ipv6)
		rewrite_ttl6(l3);
	else
		rewrite_ttl4_with(l3, pseudo);
}
