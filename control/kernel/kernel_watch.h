/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The kernel's links, addresses and neighbours as tables that follow rtnetlink, and the few requests
 * that control makes of the kernel: which way to an address, resolve this neighbour, add or remove an
 * address. Routes are not copied (a host may hold a million of them): the kernel is asked per
 * address, and a change is reported when it could matter to an address that was asked for.
 *
 * Event loop's thread only. Requests wait for the kernel's answer, which rtnetlink gives at once.
 */

#ifndef WEIR_KERNEL_KERNEL_WATCH_H
#define WEIR_KERNEL_KERNEL_WATCH_H

#include "control/kernel/rtnl_parse.h"

struct event_base;
struct kernel_watch;

enum kernel_change {
	KERNEL_CHANGE_LINKS = 1u << 0,
	KERNEL_CHANGE_ADDRESSES = 1u << 1,
	KERNEL_CHANGE_NEIGHBOURS = 1u << 2,
	KERNEL_CHANGE_ROUTES = 1u << 3, /* of an address that was asked for */
};

/* Called once per batch of messages, after the tables have changed; changes: enum kernel_change. */
typedef void (*kernel_change_cb)(void *ctx, unsigned int changes);

/*
 * Read the tables and follow them. cb may be NULL.
 *
 * Returns 0 or a negative errno. Ends with kernel_watch_stop(), NULL is fine.
 */
int kernel_watch_start(
	struct event_base *base, kernel_change_cb cb, void *ctx, struct kernel_watch **ret_watch);
void kernel_watch_stop(struct kernel_watch *w);

/* Borrowed until the loop runs again; NULL when there is none. */
const struct kernel_link *kernel_link_by_name(const struct kernel_watch *w, const char *name);
const struct kernel_link *kernel_link_by_index(const struct kernel_watch *w, uint32_t ifindex);
const struct kernel_neighbour *kernel_neighbour_find(
	const struct kernel_watch *w, uint32_t ifindex, const struct address *a);

/* True when the interface has this address; ifindex 0: when any has. */
bool kernel_address_exists(const struct kernel_watch *w, const struct address *a, uint32_t ifindex);

/* A link address that packets can be sent to now. */
bool kernel_neighbour_is_valid(const struct kernel_neighbour *n);

/*
 * The routing table's entry for an address, with all its next hops. The kernel is asked only for what it
 * has not said before, or has reported a change of. Returns 0, -ENETUNREACH, -EHOSTUNREACH, ...
 */
int kernel_route_get(struct kernel_watch *w, const struct address *to, struct kernel_route *ret);
/* Forget the addresses that have not been asked for since the last sweep. */
void kernel_routes_sweep(struct kernel_watch *w);

/* Have the kernel resolve, or confirm, a neighbour now, as if it had a packet for it. */
int kernel_neighbour_ask(struct kernel_watch *w, uint32_t ifindex, const struct address *a);

/*
 * Add a service's or source's address, so that the kernel answers for it but never chooses it as a
 * source of its own packets: IPv4 as /32 with scope host, IPv6 as /128, deprecated and without
 * duplicate address detection. Returns 0, -EEXIST or another -errno. The table follows at once.
 */
int kernel_address_add(struct kernel_watch *w, uint32_t ifindex, const struct address *a);
/* Returns 0, -EADDRNOTAVAIL when it is not there, -ENODEV or another -errno. */
int kernel_address_remove(struct kernel_watch *w, uint32_t ifindex, const struct address *a);

#endif
