/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * In-place changes of a parsed packet (PARSE_OK): addresses, ports, TTL, link addresses. Worker, once
 * per packet. Checksums follow by RFC 1624; a UDP checksum of 0 stays 0.
 *
 * The headers are contiguous in the first segment (parse.h), so plain pointers will do. Addresses and
 * ports are in network order.
 */

#ifndef WEIR_NET_REWRITE_H
#define WEIR_NET_REWRITE_H

#include "dataplane/net/checksum.h"

#include <netinet/in.h>
#include <stdint.h>
#include <string.h>

enum rewrite_offset {
	REWRITE_IPV4_TTL = 8,
	REWRITE_IPV4_CHECKSUM = 10,
	REWRITE_IPV4_ADDRS = 12,
	REWRITE_IPV6_HOP_LIMIT = 7,
	REWRITE_IPV6_ADDRS = 8,
	REWRITE_TCP_CHECKSUM = 16,
	REWRITE_UDP_CHECKSUM = 6,
};

/* Set the ports and bring the L4 checksum in step; delta is that of the addresses. */
static inline void rewrite_l4(uint8_t *l4, uint8_t l4_proto, uint32_t new_ports, uint64_t delta)
{
	uint32_t ports;
	uint16_t check;

	memcpy(&ports, l4, 4);
	delta += checksum_delta32(ports, new_ports);
	memcpy(l4, &new_ports, 4);
	if (l4_proto == IPPROTO_TCP) {
		memcpy(&check, l4 + REWRITE_TCP_CHECKSUM, 2);
		check = checksum_apply(check, delta);
		memcpy(l4 + REWRITE_TCP_CHECKSUM, &check, 2);
	} else {
		memcpy(&check, l4 + REWRITE_UDP_CHECKSUM, 2);
		check = checksum_apply_udp(check, delta);
		memcpy(l4 + REWRITE_UDP_CHECKSUM, &check, 2);
	}
}

/* Decrement the TTL (at least 2) and fix the header checksum, also for another change's delta. */
static inline void rewrite_ttl4_with(uint8_t *l3, uint64_t delta)
{
	uint16_t check, from, to;

	/* TTL and protocol as one word: a byte written and read back as part of a word stalls. */
	memcpy(&from, l3 + REWRITE_IPV4_TTL, 2);
	to = (uint16_t)(from - htons(0x0100));
	memcpy(l3 + REWRITE_IPV4_TTL, &to, 2);
	memcpy(&check, l3 + REWRITE_IPV4_CHECKSUM, 2);
	check = checksum_apply(check, delta + checksum_delta16(from, to));
	memcpy(l3 + REWRITE_IPV4_CHECKSUM, &check, 2);
}

/*
 * Translate both ends of an IPv4 packet and decrement its TTL.
 *
 * l3, l4     headers; TTL is at least 2
 * new_addrs  source and destination as the header's 8 bytes
 * new_ports  source and destination as the L4 header's 4 bytes
 */
static inline void rewrite_nat4(
	uint8_t *l3, uint8_t *l4, uint8_t l4_proto, uint64_t new_addrs, uint32_t new_ports)
{
	uint64_t addrs;

	memcpy(&addrs, l3 + REWRITE_IPV4_ADDRS, 8);
	uint64_t delta = checksum_delta32((uint32_t)addrs, (uint32_t)new_addrs) +
		checksum_delta32((uint32_t)(addrs >> 32), (uint32_t)(new_addrs >> 32));
	memcpy(l3 + REWRITE_IPV4_ADDRS, &new_addrs, 8);

	rewrite_ttl4_with(l3, delta);
	rewrite_l4(l4, l4_proto, new_ports, delta);
}

/* The same for IPv6; new_addrs are 32 bytes, any alignment. */
static inline void rewrite_nat6(
	uint8_t *l3, uint8_t *l4, uint8_t l4_proto, const void *new_addrs, uint32_t new_ports)
{
	uint8_t *addrs = l3 + REWRITE_IPV6_ADDRS;
	const uint8_t *to = (const uint8_t *)new_addrs;
	uint64_t delta = checksum_delta128(addrs, to) + checksum_delta128(addrs + 16, to + 16);

	memcpy(addrs, to, 32);
	l3[REWRITE_IPV6_HOP_LIMIT]--;
	rewrite_l4(l4, l4_proto, new_ports, delta);
}

/* Decrement the TTL of an IPv4 packet (at least 2) and fix the header checksum. */
static inline void rewrite_ttl4(uint8_t *l3)
{
	rewrite_ttl4_with(l3, 0);
}

/* Decrement the hop limit of an IPv6 packet (at least 2). */
static inline void rewrite_ttl6(uint8_t *l3)
{
	l3[REWRITE_IPV6_HOP_LIMIT]--;
}

/* Link addresses of an Ethernet frame; tags behind them stay. */
static inline void rewrite_macs(uint8_t *frame, const uint8_t dst[6], const uint8_t src[6])
{
	memcpy(frame, dst, 6);
	memcpy(frame + 6, src, 6);
}

#endif
