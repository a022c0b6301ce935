/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What the stages know of one packet: one cache line in the private area of its mbuf, so every pool
 * that packets come from has at least sizeof(struct packet) of private bytes, a multiple of 64.
 *
 * Each field says which stage writes it. Offsets are from the start of the frame's data in the first
 * segment. Receive sets rx_tsc, port_in and zeroes the rest with packet_reset(); the mbuf belongs to
 * the core that works on it, so nothing here is atomic.
 */

#ifndef WEIR_NET_PACKET_H
#define WEIR_NET_PACKET_H

#include <rte_mbuf.h>

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct flow;

enum packet_flag {
	PACKET_F_IPV6 = 1u << 0, /* parse; clear: IPv4 */
	PACKET_F_VLAN = 1u << 1, /* parse; one or two tags */
	PACKET_F_FRAGMENT = 1u << 2, /* parse; part of a fragmented datagram */
	PACKET_F_FIRST_FRAGMENT = 1u << 3, /* parse; with FRAGMENT: carries the L4 header */
	PACKET_F_EXTENSIONS = 1u << 4, /* parse; IPv4 options or IPv6 extension headers */
	PACKET_F_FROM_BACKEND = 1u << 5, /* service: a reply to a translated port */
	PACKET_F_NEW_FLOW = 1u << 6, /* flow: this packet opened its flow */
	PACKET_F_STATELESS = 1u << 7, /* balance: placed by hashing alone */
	PACKET_F_ORIGINATED = 1u << 8, /* made by Weir itself, not received */
	PACKET_F_TO_KERNEL = 1u << 9, /* not ours: counted as passed to the kernel */
	PACKET_F_MARKED = 1u << 10, /* followed by a trace: stage/trace/trace.h */
	PACKET_F_MORE_FRAGMENTS = 1u << 11, /* parse; with FRAGMENT: not the last one */
	PACKET_F_ASIDE = 1u << 12, /* service: not for the stages of whole packets, see aside.h */
	PACKET_F_KNOWN_SOURCE = 1u << 13, /* limit: its source is known to be good */
	PACKET_F_YELLOW = 1u << 14, /* limit: over its source's fair share */
};

enum parse_verdict {
	PARSE_OK = 0, /* TCP or UDP of one whole datagram: everything below is set */
	PARSE_NOT_OURS, /* not IP, another protocol, ICMP, group address: the kernel's */
	PARSE_FRAGMENT, /* TCP or UDP in fragments: of the first one all is known, of others no ports */
	PARSE_ICMP_ERROR, /* about a TCP or UDP packet from the address that it is sent to */
	PARSE_MALFORMED_L4, /* addresses and l4_proto are known, the rest contradicts: see parse.h */
	PARSE_MALFORMED_L3, /* not certainly anybody's: the kernel's */
	PARSE_VERDICT_COUNT
};

#define PACKET_NO_SERVICE   UINT16_MAX
#define PACKET_NO_BACKEND   UINT16_MAX
#define PACKET_NO_NEIGHBOUR UINT32_MAX

struct packet {
	uint64_t rx_tsc; /* receive: TSC of the burst it came with */
	struct flow *flow; /* flow: borrowed from the flow table, or NULL */
	union {
		uint64_t hash; /* service: of the 5-tuple as it lies in the packet (hash.h) */
		struct { /* parse, for the service stage: of a fragment */
			uint32_t fragment_id; /* as it lies in the header */
			uint16_t fragment_offset; /* bytes of the datagram before this one's */
			uint16_t fragment_bytes; /* of the datagram in this one */
		};
	};
	uint16_t l3_offset;
	uint16_t l4_offset; /* TCP or UDP header */
	uint16_t
		payload_offset; /* first byte behind the L4 header; ICMP error: the quoted packet */
	union {
		uint16_t payload_length; /* bytes of L4 payload by the IP header, without padding */
		uint16_t quoted_l4_offset; /* ICMP error: L4 header of the quoted packet */
	};
	union {
		struct {
			/* parse; network order, as received, kept over rewrite. Of an ICMP error those
			 * that an answer to the quoted packet would have; of later fragments the
			 * service stage writes those of the first. */
			uint16_t sport;
			uint16_t dport;
		};
		uint32_t ports; /* both as they lie in the L4 header */
	};
	uint16_t service; /* service: index, or PACKET_NO_SERVICE */
	uint16_t backend; /* balance: slot, or PACKET_NO_BACKEND */
	uint16_t flags; /* enum packet_flag */
	uint8_t verdict; /* parse: enum parse_verdict */
	uint8_t l4_proto; /* parse: IPPROTO_TCP or IPPROTO_UDP, but of NOT_OURS and MALFORMED_L3 */
	uint8_t tcp_flags; /* parse: byte 13 of the TCP header; 0 for UDP */
	uint8_t drop; /* enum weir_drop_reason when it was dropped; service: 1 + it for a moment */
	uint8_t bucket; /* service: 0..255 */
	uint8_t port_in; /* receive: index of the port */
	uint8_t port_out; /* neighbour */
	uint8_t ttl; /* parse: TTL or hop limit as received */
	uint8_t pool; /* policy: the service's n-th pool is to serve its flow; 0: the main one */
	uint8_t policy_class; /* policy: in the service's n-th class; 0: in none */
	uint32_t neighbour; /* balance: next hop, as the backend names it, or PACKET_NO_NEIGHBOUR */
	uint32_t length; /* receive: frame bytes without FCS as received */
};

/* What a pool that packets come from has in front of each frame's buffer. */
#define PACKET_PRIVATE_BYTES sizeof(struct packet)

/* Where a frame as a device writes it begins, from its mbuf; good enough for a prefetch. */
#define PACKET_DATA_OFFSET (sizeof(struct rte_mbuf) + PACKET_PRIVATE_BYTES + RTE_PKTMBUF_HEADROOM)

static_assert(sizeof(struct packet) == 64, "a packet's state is one cache line");
static_assert(offsetof(struct packet, ports) % 4 == 0, "ports are loaded as one word");

/* The packet's state; m is of a pool with a private area. */
static inline struct packet *packet_of(struct rte_mbuf *m)
{
	return (struct packet *)rte_mbuf_to_priv(m);
}

/* The frame's bytes from an offset in the first segment. */
static inline uint8_t *packet_at(struct rte_mbuf *m, uint32_t offset)
{
	return rte_pktmbuf_mtod_offset(m, uint8_t *, offset);
}

/*
 * Has the device found that the sum of the IPv4 header is right? Only of one that was asked to look, and only this is
 * believed: what it calls wrong, or says nothing of, is summed up by who parses it, so that what is dropped for it
 * is wrong indeed. Of a tunnel devices mean the inner header, and say of the outer one when that is wrong.
 */
static inline bool packet_sum_is_right(const struct rte_mbuf *m)
{
	return (m->ol_flags & (RTE_MBUF_F_RX_IP_CKSUM_MASK | RTE_MBUF_F_RX_OUTER_IP_CKSUM_BAD)) ==
		RTE_MBUF_F_RX_IP_CKSUM_GOOD;
}

/* What receive writes; parse and the later stages rely on the defaults that it sets. */
static inline void packet_reset(
	struct packet *p, uint64_t rx_tsc, uint8_t port_in, uint32_t frame_bytes)
{
	*p = (struct packet){
		.rx_tsc = rx_tsc,
		.service = PACKET_NO_SERVICE,
		.backend = PACKET_NO_BACKEND,
		.neighbour = PACKET_NO_NEIGHBOUR,
		.port_in = port_in,
		.length = frame_bytes,
	};
}

#endif
