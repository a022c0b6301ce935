/* SPDX-License-Identifier: BSD-3-Clause */

/* Between parse.c (what every packet goes through) and parse_icmp.c. */

#ifndef WEIR_NET_PARSE_PRIVATE_H
#define WEIR_NET_PARSE_PRIVATE_H

#include "dataplane/net/parse.h"

#include <netinet/in.h>
#include <stdbool.h>

#define IPV4_MORE_BIT	 0x2000u
#define IPV4_OFFSET_BITS 0x1fffu

/* One frame on its way through the layers; offsets from the start of the first segment. */
struct cursor {
	const uint8_t *data;
	uint32_t data_bytes; /* in the first segment */
	uint32_t frame_bytes; /* in all */
	uint32_t at; /* next header */
	uint32_t end; /* end of the IP datagram, by its header; at most frame_bytes */
	bool sum_known; /* a device has found the sum of the IPv4 header right */
};

/* What the walk along the extension headers found. */
struct chain {
	uint8_t next; /* protocol behind the last header walked */
	bool fragment;
	uint32_t fragment_start; /* what the fragment header stands before */
};

static inline uint16_t load_be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline bool parse_is_ours(uint8_t l4_proto)
{
	return l4_proto == IPPROTO_TCP || l4_proto == IPPROTO_UDP;
}

static inline bool parse_is_extension(uint8_t type)
{
	return type == IPPROTO_HOPOPTS || type == IPPROTO_ROUTING || type == IPPROTO_DSTOPTS ||
		type == IPPROTO_FRAGMENT || type == IPPROTO_AH;
}

enum parse_verdict parse_extensions(struct cursor *c, struct packet *p, struct chain *chain);

/*
 * A packet that is neither TCP nor UDP: PARSE_ICMP_ERROR or PARSE_NOT_OURS. c->at is at the IPv4 header
 * (IPv6: at the header behind the last extension header).
 */
enum parse_verdict parse_icmp4(struct cursor *c, struct packet *p);
enum parse_verdict parse_icmp6(struct cursor *c, struct packet *p);

#endif
