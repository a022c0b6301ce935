/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Internet checksums: incremental update and full computation. All 16 and 32 bit values are as they
 * lie in memory (network order, loaded natively): one's complement sums do not care.
 *
 * Source: RFC 1071 (the sum, byte order independence), RFC 1624 section 3 equation 3 (the update).
 */

#ifndef WEIR_NET_CHECKSUM_H
#define WEIR_NET_CHECKSUM_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct rte_mbuf;

/*
 * Fold a sum of 16 or 32 bit words to 16 bits, not complemented. Never 0 unless sum is 0.
 *
 * A word and itself with its halves swapped, added up, has in the upper half the sum of both halves and
 * the carry of the lower one: the carry that comes round.
 */
static inline uint16_t checksum_fold(uint64_t sum)
{
	uint32_t half = (uint32_t)((sum + (sum << 32 | sum >> 32)) >> 32);

	return (uint16_t)((half + (half << 16 | half >> 16)) >> 16);
}

/*
 * What a change of words adds to the (uncomplemented) sum: ~m + m' of equation 3. Deltas of several
 * changes are added up; up to 2^31 of them fit.
 */
static inline uint64_t checksum_delta32(uint32_t from, uint32_t to)
{
	return (uint64_t)(uint32_t)~from + to;
}

static inline uint64_t checksum_delta16(uint16_t from, uint16_t to)
{
	return (uint64_t)(uint16_t)~from + to;
}

/* 16 bytes, as an IPv6 address has. */
static inline uint64_t checksum_delta128(const void *from, const void *to)
{
	uint32_t f[4], t[4];

	memcpy(f, from, 16);
	memcpy(t, to, 16);
	return checksum_delta32(f[0], t[0]) + checksum_delta32(f[1], t[1]) +
		checksum_delta32(f[2], t[2]) + checksum_delta32(f[3], t[3]);
}

/* Equation 3: the checksum field after a change. For IPv4 headers and TCP. */
static inline uint16_t checksum_apply(uint16_t checksum, uint64_t delta)
{
	return (uint16_t)~checksum_fold((uint64_t)(uint16_t)~checksum + delta);
}

/* The same for UDP: 0 means that there is none and stays 0; a computed 0 is sent as 0xffff. */
static inline uint16_t checksum_apply_udp(uint16_t checksum, uint64_t delta)
{
	uint16_t c = checksum_apply(checksum, delta);

	if (checksum == 0)
		return 0;
	return c != 0 ? c : 0xffffu;
}

/* Add a run of bytes to a sum; bytes at an odd place of the whole must be passed in one run. */
uint64_t checksum_add(uint64_t sum, const void *data, uint32_t bytes);

/* Sum of `bytes` bytes of a frame from an offset on; segments are followed. */
uint64_t checksum_segments(const struct rte_mbuf *m, uint32_t offset, uint32_t bytes);

/* True when an IPv4 header of header_bytes (20..60, a multiple of 4) has a right checksum. */
static inline bool checksum_ipv4_ok(const uint8_t *header, uint32_t header_bytes)
{
	uint64_t a, b;
	uint32_t w;

	memcpy(&a, header, sizeof(a));
	memcpy(&b, header + 8, sizeof(b));
	memcpy(&w, header + 16, sizeof(w));
	uint64_t sum = (a & UINT32_MAX) + (a >> 32) + (b & UINT32_MAX) + (b >> 32) + w;

	/* Options are rare. */
	for (uint32_t i = 20; __builtin_expect(i < header_bytes, 0); i += 4) {
		memcpy(&w, header + i, 4);
		sum += w;
	}
	return checksum_fold(sum) == 0xffffu;
}

/* The checksum field of an IPv4 header; its old value is ignored. */
uint16_t checksum_ipv4(const uint8_t *header, uint32_t header_bytes);

/*
 * Sum of the pseudo header, folded, not complemented: what a sender with checksum offload leaves in
 * the field.
 *
 * l3         IPv4 or IPv6 header, by its version
 * l4_proto   IPPROTO_TCP or IPPROTO_UDP
 * l4_bytes   L4 header and payload
 */
uint16_t checksum_pseudo(const uint8_t *l3, uint8_t l4_proto, uint32_t l4_bytes);

/*
 * The L4 checksum of a packet whose L4 part is contiguous, ready for the field (UDP: never 0); the
 * old value of the field is ignored.
 */
uint16_t checksum_l4(const uint8_t *l3, const uint8_t *l4, uint8_t l4_proto, uint32_t l4_bytes);

/*
 * CHECKSUM_PARTIAL: a veth's peer may leave the bare pseudo-header sum in the field for hardware that
 * is not there. When a parsed packet's field is that, compute the checksum; else leave it. A packet
 * that has the same value by chance and is right gets the same value again. Segments are followed.
 *
 * m  PARSE_OK, not yet rewritten
 *
 * Returns true when it was completed.
 */
bool checksum_complete_partial(struct rte_mbuf *m);

#endif
