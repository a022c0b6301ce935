/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * rtnetlink messages as plain structs: pure functions of the bytes, for the kernel watch and its
 * tests. Attributes of a wrong size are refused, unknown ones are skipped.
 */

#ifndef WEIR_KERNEL_RTNL_PARSE_H
#define WEIR_KERNEL_RTNL_PARSE_H

#include "control/config/model.h"

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

struct nlmsghdr;

struct kernel_link {
	uint32_t ifindex;
	char name[IFNAMSIZ];
	bool up; /* administratively */
	bool running; /* has a carrier */
	bool loopback;
	bool has_mac;
	uint8_t mac[6];
	uint32_t mtu;
};

struct kernel_address {
	uint32_t ifindex;
	struct address address;
	uint8_t prefix_length; /* of the mapped 128-bit address */
};

struct kernel_neighbour {
	uint32_t ifindex;
	struct address address;
	uint16_t state; /* NUD_* */
	bool has_mac;
	uint8_t mac[6];
};

#define KERNEL_HOPS_MAX 16

struct kernel_hop {
	uint32_t ifindex; /* outgoing */
	uint16_t weight; /* 1.. */
	bool dead; /* the interface is down or has no carrier */
	bool has_via; /* false: the destination is on the link itself */
	struct address via;
};

struct kernel_route {
	uint8_t type; /* RTN_*, linux/rtnetlink.h */
	uint8_t prefix_length; /* of the mapped 128-bit destination */
	struct address destination;
	uint32_t nexthop_id; /* of a nexthop object; 0: none */
	uint32_t hops_left_out; /* beyond KERNEL_HOPS_MAX */
	uint32_t hop_count; /* 0 when the kernel names only the nexthop object */
	struct kernel_hop hops[KERNEL_HOPS_MAX];
};

/* A nexthop object: a next hop, or a group of others. */
struct kernel_nexthop {
	uint32_t id;
	uint32_t member_count; /* 0: not a group */
	struct {
		uint32_t id;
		uint16_t weight; /* 1.. */
	} members[KERNEL_HOPS_MAX];
	struct kernel_hop hop;
};

enum rtnl_kind {
	RTNL_OTHER,
	RTNL_LINK,
	RTNL_ADDRESS,
	RTNL_NEIGHBOUR,
	RTNL_ROUTE,
	RTNL_NEXTHOP,
	RTNL_RULE, /* which table is asked; nothing of it is read */
};

struct rtnl_change {
	enum rtnl_kind kind;
	bool removed;
	union {
		struct kernel_link link;
		struct kernel_address address;
		struct kernel_neighbour neighbour;
		struct kernel_route route;
		struct kernel_nexthop nexthop;
	};
};

/*
 * Read one message of a netlink socket; nlh->nlmsg_len bytes must be readable.
 *
 * Returns 0 (kind RTNL_OTHER for what is of no interest), or -EINVAL when it is malformed.
 */
int rtnl_parse(const struct nlmsghdr *nlh, struct rtnl_change *ret_change);

#endif
