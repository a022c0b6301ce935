/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Packet parse, and what is done with what was parsed: translation, also of ICMP errors, and the making of
 * them. The first input byte says how much of the frame lies in the first segment (255: all of it), the
 * rest is the frame.
 */

#include "dataplane/net/checksum.h"
#include "dataplane/net/glance.h"
#include "dataplane/net/icmp.h"
#include "dataplane/net/parse.h"
#include "dataplane/net/proxy.h"
#include "dataplane/net/rewrite.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

static void offsets_check(const struct packet *p, uint32_t data_bytes, uint32_t frame_bytes)
{
	uint32_t l3_bytes = p->flags & PACKET_F_IPV6 ? 40 : 20;
	uint32_t l4_bytes = p->l4_proto == IPPROTO_TCP ? 20 : 8;

	FUZZ_CHECK(p->l4_proto == IPPROTO_TCP || p->l4_proto == IPPROTO_UDP);
	FUZZ_CHECK(p->l3_offset >= 14);
	FUZZ_CHECK(p->l3_offset + l3_bytes <= p->l4_offset);
	FUZZ_CHECK(p->l4_offset + l4_bytes <= p->payload_offset);
	FUZZ_CHECK(p->payload_offset <= data_bytes);
	FUZZ_CHECK((uint32_t)p->payload_offset + p->payload_length <= frame_bytes);
}

/* The distance of an L4 checksum from the right one, which a translation must not change. */
static uint32_t checksum_error(const uint8_t *frame, const struct packet *p)
{
	const uint8_t *l4 = frame + p->l4_offset;
	uint32_t l4_bytes = (uint32_t)p->payload_offset - p->l4_offset + p->payload_length;
	uint16_t field;

	memcpy(&field,
		l4 + (p->l4_proto == IPPROTO_TCP ? REWRITE_TCP_CHECKSUM : REWRITE_UDP_CHECKSUM), 2);
	uint32_t right = checksum_l4(frame + p->l3_offset, l4, p->l4_proto, l4_bytes);
	return (0xffffu + field - right % 0xffffu) % 0xffffu;
}

static void translate_check(uint8_t *frame, const struct packet *p)
{
	static const uint8_t addrs[32] = { 0x20, 1, 0xd, 0xb8, [15] = 7, [16] = 0xfd, [31] = 9 };
	uint8_t *l3 = frame + p->l3_offset, *l4 = frame + p->l4_offset;
	bool unchecked = p->l4_proto == IPPROTO_UDP && l4[6] == 0 && l4[7] == 0;
	uint32_t before = checksum_error(frame, p);
	uint64_t addrs4;

	memcpy(&addrs4, addrs + 12, sizeof(addrs4));
	if (p->flags & PACKET_F_IPV6)
		rewrite_nat6(l3, l4, p->l4_proto, addrs, 0x12345678);
	else
		rewrite_nat4(l3, l4, p->l4_proto, addrs4, 0x12345678);
	if (unchecked)
		FUZZ_CHECK(l4[6] == 0 && l4[7] == 0);
	else
		FUZZ_CHECK(checksum_error(frame, p) == before);
	if (!(p->flags & PACKET_F_IPV6))
		FUZZ_CHECK(checksum_ipv4_ok(l3, (uint32_t)(l3[0] & 15) * 4));
}

/* An mbuf in memory of its own: the frame in one segment, behind some headroom. */
static struct rte_mbuf *mbuf_make(const uint8_t *frame, uint32_t bytes, const struct packet *p)
{
	size_t before = sizeof(struct rte_mbuf) + sizeof(struct packet);
	struct rte_mbuf *m = calloc(1, before + RTE_PKTMBUF_HEADROOM + bytes);

	FUZZ_CHECK(m);
	m->priv_size = sizeof(struct packet);
	m->buf_addr = (uint8_t *)m + before;
	m->buf_len = (uint16_t)(RTE_PKTMBUF_HEADROOM + bytes);
	m->data_off = RTE_PKTMBUF_HEADROOM;
	m->data_len = (uint16_t)bytes;
	m->pkt_len = bytes;
	m->nb_segs = 1;
	memcpy(packet_at(m, 0), frame, bytes);
	*packet_of(m) = *p;
	return m;
}

/* What the error about a packet says of it must be what is known of the packet. */
static void error_check(const uint8_t *frame, uint32_t bytes, const struct packet *p)
{
	static const uint8_t mac[6] = { 2 };
	struct rte_mbuf *m = mbuf_make(frame, bytes, p);
	const bool ipv6 = p->flags & PACKET_F_IPV6;
	struct packet again;

	if (icmp_error_allowed(m)) {
		icmp_error_make(m, ICMP_ERROR_TOO_BIG, 1300, mac);
		uint32_t length = rte_pktmbuf_pkt_len(m);
		uint32_t header = ipv6 ? 40 : 20;
		const uint8_t *l3 = packet_at(m, p->l3_offset);

		FUZZ_CHECK(length - p->l3_offset <= (ipv6 ? 1280 : 576));
		uint64_t sum =
			ipv6 ? checksum_pseudo(l3, IPPROTO_ICMPV6, length - p->l3_offset - 40) : 0;

		FUZZ_CHECK(checksum_fold(checksum_add(
				   sum, l3 + header, length - p->l3_offset - header)) == 0xffff);
		packet_reset(&again, 1, 0, length);
		parse_one(packet_at(m, 0), length, length, &again);
		if (!(p->flags & PACKET_F_EXTENSIONS) && !(frame[6] & 1)) {
			FUZZ_CHECK(again.verdict == PARSE_ICMP_ERROR);
			FUZZ_CHECK(again.sport == p->dport && again.dport == p->sport);
		}
	}
	free(m);
}

/* How far the ICMP checksum is from the right one, which a translation must not change. */
static uint32_t icmp_checksum_error(const uint8_t *frame, const struct packet *p)
{
	const uint8_t *l3 = frame + p->l3_offset;
	const bool ipv6 = p->flags & PACKET_F_IPV6;
	uint32_t end =
		p->l3_offset + (uint32_t)(ipv6 ? 40 + (l3[4] << 8 | l3[5]) : l3[2] << 8 | l3[3]);
	uint64_t sum = ipv6 ? checksum_pseudo(l3, IPPROTO_ICMPV6, end - p->l4_offset) : 0;

	return checksum_fold(checksum_add(sum, frame + p->l4_offset, end - p->l4_offset)) % 0xffff;
}

static void error_translate_check(const uint8_t *frame, uint32_t bytes, const struct packet *p)
{
	struct rte_mbuf *m = mbuf_make(frame, bytes, p);
	struct icmp_ends to = { .quoted_ports = 0x12345678 };
	uint32_t before = icmp_checksum_error(frame, p);

	memset(to.addrs, 0x35, sizeof(to.addrs));
	memset(to.quoted_addrs, 0xfd, sizeof(to.quoted_addrs));
	icmp_error_translate(m, &to);
	const uint8_t *l3 = packet_at(m, p->l3_offset);

	FUZZ_CHECK(icmp_checksum_error(packet_at(m, 0), p) == before);
	FUZZ_CHECK(memcmp(packet_at(m, p->quoted_l4_offset), &to.quoted_ports, 4) == 0);
	if (!(p->flags & PACKET_F_IPV6))
		FUZZ_CHECK(checksum_ipv4_ok(l3, (uint32_t)(l3[0] & 15) * 4));
	free(m);
}

/* What the PROXY protocol does to segments: options are walked, numbers and lengths changed. */
static void proxy_check(const uint8_t *frame, uint32_t frame_bytes, const struct packet *p)
{
	const bool ipv6 = p->flags & PACKET_F_IPV6;
	const uint32_t bytes = proxy_header_bytes(ipv6);
	const uint32_t tcp_bytes = (uint32_t)p->payload_offset - p->l4_offset + p->payload_length;
	uint32_t before = checksum_error(frame, p);
	uint8_t header[PROXY_HEADER_MAX];
	uint8_t *copy = malloc(frame_bytes + bytes);
	struct packet longer = *p;

	FUZZ_CHECK(copy);
	proxy_header_write(header, frame + p->l3_offset, p->ports, ipv6);
	memcpy(copy, frame, p->payload_offset);
	memcpy(copy + p->payload_offset + bytes, frame + p->payload_offset,
		frame_bytes - p->payload_offset);
	proxy_shift(copy + p->l4_offset, bytes);
	proxy_make_room(copy + p->l4_offset, bytes);
	proxy_acknowledge(copy + p->l4_offset, p->ports, bytes);
	proxy_insert(copy + p->l3_offset, copy + p->l4_offset, tcp_bytes, header, bytes);
	longer.payload_length = (uint16_t)(longer.payload_length + bytes);
	FUZZ_CHECK(checksum_error(copy, &longer) == before);
	proxy_cut(copy + p->l3_offset, copy + p->l4_offset, tcp_bytes + bytes);
	longer.payload_length = 0;
	FUZZ_CHECK(checksum_error(copy, &longer) == before);
	free(copy);
}

static void use(uint8_t *frame, uint32_t bytes, const struct packet *p)
{
	if (p->verdict == PARSE_ICMP_ERROR && p->ttl > 1)
		error_translate_check(frame, bytes, p);
	if (p->verdict == PARSE_OK ||
		(p->verdict == PARSE_FRAGMENT && (p->flags & PACKET_F_FIRST_FRAGMENT)))
		error_check(frame, bytes, p);
	if (p->verdict == PARSE_OK && p->ttl > 1)
		translate_check(frame, p);
	if (p->verdict == PARSE_OK && p->l4_proto == IPPROTO_TCP && bytes < 60000)
		proxy_check(frame, bytes, p);
}

/* A look and the parser must not disagree on whose a packet is; a look knows nothing of what is malformed. */
static void glance_check(const uint8_t *segment, uint32_t data_bytes, const struct packet *p)
{
	const bool ipv6 = p->flags & PACKET_F_IPV6;
	const uint32_t addrs = p->l3_offset + (ipv6 ? REWRITE_IPV6_ADDRS : REWRITE_IPV4_ADDRS);
	const uint16_t close = PACKET_F_EXTENSIONS | PACKET_F_VLAN | PACKET_F_FRAGMENT;
	struct glance g;

	if (!glance_at(segment, data_bytes, &g)) {
		FUZZ_CHECK(p->verdict != PARSE_OK || (p->flags & close));
		return;
	}
	FUZZ_CHECK(p->verdict == PARSE_OK || p->verdict == PARSE_MALFORMED_L4);
	FUZZ_CHECK(g.ipv6 == ipv6 && g.protocol == p->l4_proto && g.addrs == segment + addrs);
	FUZZ_CHECK(p->verdict != PARSE_OK || g.ports == p->ports);
}

/* A device that has found the header's sum right spares that sum and nothing else. */
static void summed_check(const uint8_t *segment, uint32_t data_bytes, uint32_t frame_bytes,
	const struct packet *p, const struct packet *fresh)
{
	struct packet summed = *fresh;

	parse_one_summed(segment, data_bytes, frame_bytes, &summed);
	if (memcmp(&summed, p, sizeof(summed)) == 0)
		return;
	FUZZ_CHECK(p->verdict == PARSE_MALFORMED_L4 && !(summed.flags & PACKET_F_IPV6));
	FUZZ_CHECK(summed.l3_offset == 14 && segment[14] == 0x45);
	FUZZ_CHECK(!checksum_ipv4_ok(segment + 14, 20));
	if (summed.verdict == PARSE_OK)
		offsets_check(&summed, data_bytes, frame_bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1 || size > 65536)
		return 0;
	uint32_t frame_bytes = (uint32_t)size - 1;
	uint32_t data_bytes = data[0] == 255 || data[0] > frame_bytes ? frame_bytes : data[0];
	/* The first segment alone, in memory of its exact size. */
	uint8_t *segment = malloc(data_bytes ? data_bytes : 1);
	struct packet p, again, fresh;

	FUZZ_CHECK(segment);
	memcpy(segment, data + 1, data_bytes);
	packet_reset(&p, 1, 0, frame_bytes);
	again = p;
	fresh = p;
	enum parse_verdict verdict = parse_one(segment, data_bytes, frame_bytes, &p);
	FUZZ_CHECK(verdict < PARSE_VERDICT_COUNT && verdict == p.verdict);
	FUZZ_CHECK(parse_one(segment, data_bytes, frame_bytes, &again) == verdict);
	glance_check(segment, data_bytes, &p);
	summed_check(segment, data_bytes, frame_bytes, &p, &fresh);
	if (verdict == PARSE_OK)
		offsets_check(&p, data_bytes, frame_bytes);
	if (verdict == PARSE_FRAGMENT)
		FUZZ_CHECK(p.fragment_bytes != 0 && p.fragment_offset % 8 == 0 &&
			p.fragment_offset + p.fragment_bytes <= UINT16_MAX);
	if (data_bytes == frame_bytes && frame_bytes <= UINT16_MAX - RTE_PKTMBUF_HEADROOM)
		use(segment, data_bytes, &p);
	free(segment);
	return 0;
}
