/* SPDX-License-Identifier: BSD-3-Clause */

/* The kernel watch from inside: its requests. */

#ifndef WEIR_KERNEL_KERNEL_PRIVATE_H
#define WEIR_KERNEL_KERNEL_PRIVATE_H

#include "control/kernel/kernel_tables.h"
#include "control/kernel/kernel_watch.h"
#include "control/kernel/route_cache.h"

#define KERNEL_BUFFER_BYTES 65536

struct event;
struct mnl_socket;
struct nlmsghdr;

struct kernel_watch {
	struct mnl_socket *events; /* owned; subscribed, non-blocking */
	struct mnl_socket *requests; /* owned; one question at a time */
	struct event *readable; /* owned */
	struct kernel_tables tables;
	struct route_cache routes;
	uint32_t sequence;
	kernel_change_cb cb;
	void *ctx;
	char buffer[KERNEL_BUFFER_BYTES] __attribute__((aligned(8)));
};

struct collect {
	struct kernel_watch *watch;
	struct rtnl_change
		*answer; /* to a question for one thing: its kind is set, the rest filled */
	unsigned int changes;
	bool interrupted;
};

/* Send a request and read to the end of its answer. Returns 0 or the kernel's negative errno. */
int kernel_request(struct kernel_watch *w, struct nlmsghdr *nlh, struct collect *collect);

bool address_is_v4(const struct address *a);
void kernel_put_address(struct nlmsghdr *nlh, uint16_t type, const struct address *a);

#endif
