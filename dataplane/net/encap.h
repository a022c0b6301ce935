/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Packets inside packets, for the way to distant backends: IP in IP (RFC 2003; IPv6 in IPv6: RFC 2473),
 * and the same behind UDP, Generic UDP Encapsulation variant 0 (draft-ietf-intarea-gue, the form that
 * Linux' fou module takes). The outer packet is of the inner one's family.
 *
 * The outer header has the inner one's traffic class with its ECN bits (RFC 6040, normal mode), a TTL of
 * its own, and in IPv4 "don't fragment", so that its identification may be 0 (RFC 6864).
 */

#ifndef WEIR_NET_ENCAP_H
#define WEIR_NET_ENCAP_H

#include <stdbool.h>
#include <stdint.h>

struct rte_mbuf;

#define ENCAP_GUE_PORT	  6080 /* of the receiver; IANA: "gue" */
#define ENCAP_TTL	  64
#define ENCAP_MAX_BYTES	  52 /* IPv6, UDP, GUE */
#define ENCAP_FIRST_SPORT 0xc000u /* senders' ports: 49152 to 65535, by the flow */

/* Bytes that an outer header takes. */
static inline uint16_t encap_bytes(const bool ipv6, const bool gue)
{
	return (uint16_t)((ipv6 ? 40 : 20) + (gue ? 12 : 0));
}

/*
 * Put an outer header in front of a packet's network header; what stands before that (Ethernet, tags)
 * moves to the front, and p->l3_offset is the outer header's then. Worker, once per packet.
 *
 * m      a packet as parse left it, TTL and all rewritten; its other offsets are those of before
 * src    outer source: 4 or 16 bytes
 * dst    outer destination
 * entropy  the same for all packets of a flow
 *
 * Returns false when there is no room in front, and then nothing was changed.
 */
bool encap_push(struct rte_mbuf *m, const uint8_t *src, const uint8_t *dst, uint32_t entropy,
	const bool ipv6, const bool gue);

/* Take the outer header off again. */
void encap_pop(struct rte_mbuf *m, const bool ipv6, const bool gue);

#endif
