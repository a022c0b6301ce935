/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * ICMP and ICMPv6 errors: made of the packet that they are about, and translated. Worker, cold.
 *
 * Source: RFC 792, RFC 1812 section 4.3.2 (what is quoted, and about what no error is sent), RFC 4443,
 * RFC 5508 section 4 (translation).
 */

#ifndef WEIR_NET_ICMP_H
#define WEIR_NET_ICMP_H

#include "dataplane/net/packet.h"

#include <stdbool.h>
#include <stdint.h>

enum icmp_error_kind {
	ICMP_ERROR_TOO_BIG, /* fragmentation needed; packet too big */
	ICMP_ERROR_TTL, /* time to live (hop limit) exceeded in transit */
	ICMP_ERROR_PORT, /* nobody is at the port */
	ICMP_ERROR_KIND_COUNT
};

/*
 * May there be an error about this packet? Not about later fragments, about ICMP errors, to senders that
 * are no single host, and where the mbuf has no room for more headers.
 *
 * m  parsed, and as it was received: addresses, ports, link addresses
 */
bool icmp_error_allowed(struct rte_mbuf *m);

/*
 * Turn a packet into the error about it: on its way back to where it came from, from the address that it
 * was sent to. It quotes what fits of the first segment. The packet's state is that of one which Weir made
 * itself, to leave by the port that it came in by.
 *
 * m    icmp_error_allowed()
 * mtu  of ICMP_ERROR_TOO_BIG: the largest IP packet that would have passed
 * mac  link address of the port that it came in by
 */
void icmp_error_make(
	struct rte_mbuf *m, enum icmp_error_kind kind, uint16_t mtu, const uint8_t mac[6]);

/* Keep the first bytes of a packet, which lie in its first segment, and let the others go. */
void icmp_cut(struct rte_mbuf *m, uint32_t bytes);

/* New ends of an error and of the packet that it quotes; addresses as 8 or 32 bytes of the header. */
struct icmp_ends {
	uint8_t addrs[32]; /* source, destination */
	uint8_t quoted_addrs[32];
	uint32_t quoted_ports;
};

/*
 * Translate a PARSE_ICMP_ERROR, outside and inside, and decrement the TTL (at least 2). The checksums of
 * the error, of the quoted IPv4 header and of the quoted L4 header, where it is quoted that far, follow by
 * RFC 1624, so one that was wrong stays wrong.
 */
void icmp_error_translate(struct rte_mbuf *m, const struct icmp_ends *to);

#endif
