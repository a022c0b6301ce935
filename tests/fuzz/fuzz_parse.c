/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Packet parse, and the translation of what was parsed. The first input byte says how much of the frame
 * lies in the first segment (255: all of it), the rest is the frame.
 */

#include "dataplane/net/checksum.h"
#include "dataplane/net/parse.h"
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1 || size > 65536)
		return 0;
	uint32_t frame_bytes = (uint32_t)size - 1;
	uint32_t data_bytes = data[0] == 255 || data[0] > frame_bytes ? frame_bytes : data[0];
	/* The first segment alone, in memory of its exact size. */
	uint8_t *segment = malloc(data_bytes ? data_bytes : 1);
	struct packet p, again;

	FUZZ_CHECK(segment);
	memcpy(segment, data + 1, data_bytes);
	packet_reset(&p, 1, 0, frame_bytes);
	again = p;
	enum parse_verdict verdict = parse_one(segment, data_bytes, frame_bytes, &p);
	FUZZ_CHECK(verdict < PARSE_VERDICT_COUNT && verdict == p.verdict);
	FUZZ_CHECK(parse_one(segment, data_bytes, frame_bytes, &again) == verdict);
	if (verdict == PARSE_OK) {
		offsets_check(&p, data_bytes, frame_bytes);
		if (data_bytes == frame_bytes && p.ttl > 1)
			translate_check(segment, &p);
	}
	free(segment);
	return 0;
}
