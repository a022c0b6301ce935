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

struct kernel_route {
	uint8_t type; /* RTN_*, linux/rtnetlink.h */
	bool has_via; /* false: the destination is on the link itself */
	uint32_t ifindex; /* outgoing; 0 when the answer names none */
	struct address via;
};

enum rtnl_kind {
	RTNL_OTHER,
	RTNL_LINK,
	RTNL_ADDRESS,
	RTNL_NEIGHBOUR,
	RTNL_ROUTE,
};

struct rtnl_change {
	enum rtnl_kind kind;
	bool removed;
	union {
		struct kernel_link link;
		struct kernel_address address;
		struct kernel_neighbour neighbour;
		struct kernel_route route;
	};
};

/*
 * Read one message of a netlink socket; nlh->nlmsg_len bytes must be readable.
 *
 * Returns 0 (kind RTNL_OTHER for what is of no interest), or -EINVAL when it is malformed.
 */
int rtnl_parse(const struct nlmsghdr *nlh, struct rtnl_change *ret_change);

#endif
