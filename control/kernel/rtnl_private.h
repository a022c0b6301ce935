/* SPDX-License-Identifier: BSD-3-Clause */

/* Attributes of rtnetlink messages; inside control/kernel only. */

#ifndef WEIR_KERNEL_RTNL_PRIVATE_H
#define WEIR_KERNEL_RTNL_PRIVATE_H

#include "control/kernel/rtnl_parse.h"

#include <libmnl/libmnl.h>

/* The attributes that are read all have numbers below this. */
#define ATTRIBUTES 32

struct attributes {
	const struct nlattr *at[ATTRIBUTES];
	const char *end; /* of the message; libmnl rounds it up */
};

/* Walk the attributes behind a family header of the given size; false when the message is cut. */
bool attributes_read(const struct nlmsghdr *nlh, size_t header, struct attributes *ret);
/* Walk attributes that lie in `length` readable bytes; false when one of them is cut. */
bool attributes_read_bytes(const void *bytes, size_t length, struct attributes *ret);
bool address_read(const struct nlattr *attr, uint8_t family, struct address *ret);
bool u32_read(const struct nlattr *attr, uint32_t *ret);

int rtnl_route_parse(const struct nlmsghdr *nlh, struct kernel_route *ret);
int rtnl_nexthop_parse(const struct nlmsghdr *nlh, struct kernel_nexthop *ret);

#endif
