/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A look at a frame's destination at fixed offsets: much cheaper than parse.h, and only for deciding that a
 * packet need not be parsed. What it says of a frame, the parser would say as well, unless the packet is
 * malformed. Pure; any thread.
 */

#ifndef WEIR_NET_GLANCE_H
#define WEIR_NET_GLANCE_H

#include "dataplane/net/rewrite.h"

#include <rte_branch_prediction.h>
#include <rte_byteorder.h>
#include <rte_ether.h>
#include <rte_ip.h>

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define GLANCE_IPV4_PLAIN    0x45 /* version, and the length of a header without options */
#define GLANCE_IPV4_FRAGMENT RTE_BE16(0x3fff) /* more, or an offset */

struct glance {
	const uint8_t *addrs; /* source and destination, in the frame */
	uint32_t ports; /* as they lie in the header */
	uint8_t protocol;
	bool ipv6;
};

/*
 * bytes  of the frame that are there
 * Returns false for anything but whole TCP or UDP without options, extension headers and tags; then the
 * parser has a closer look.
 */
static inline bool glance_at(const uint8_t *frame, uint32_t bytes, struct glance *ret_g)
{
	const uint8_t *l3 = frame + RTE_ETHER_HDR_LEN;
	const uint8_t *l4;
	uint16_t type, fragment;

	if (unlikely(bytes < RTE_ETHER_HDR_LEN + sizeof(struct rte_ipv4_hdr) +
				    sizeof(ret_g->ports) ||
		    (frame[0] & 1)))
		return false;
	memcpy(&type, frame + 12, sizeof(type));
	if (likely(type == RTE_BE16(RTE_ETHER_TYPE_IPV4))) {
		memcpy(&fragment, l3 + 6, sizeof(fragment));
		if (l3[0] != GLANCE_IPV4_PLAIN || (fragment & GLANCE_IPV4_FRAGMENT) != 0)
			return false;
		ret_g->ipv6 = false;
		ret_g->addrs = l3 + REWRITE_IPV4_ADDRS;
		ret_g->protocol = l3[9];
		l4 = l3 + sizeof(struct rte_ipv4_hdr);
	} else if (type == RTE_BE16(RTE_ETHER_TYPE_IPV6)) {
		if (bytes < RTE_ETHER_HDR_LEN + sizeof(struct rte_ipv6_hdr) +
					sizeof(ret_g->ports) ||
			l3[0] >> 4 != 6)
			return false;
		ret_g->ipv6 = true;
		ret_g->addrs = l3 + REWRITE_IPV6_ADDRS;
		ret_g->protocol = l3[6];
		l4 = l3 + sizeof(struct rte_ipv6_hdr);
	} else {
		return false;
	}
	memcpy(&ret_g->ports, l4, sizeof(ret_g->ports));
	return ret_g->protocol == IPPROTO_TCP || ret_g->protocol == IPPROTO_UDP;
}

#endif
