/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Hold the links of the ports' XDP programs beside the data plane, so that they outlast it when it is
 * killed (ebpf/kernel/links.h says why). The daemon's thread.
 */

#ifndef WEIR_DAEMON_LINK_HOLD_H
#define WEIR_DAEMON_LINK_HOLD_H

#include "ebpf/kernel/links.h"

#include <stddef.h>
#include <stdint.h>

struct held_link {
	uint32_t ifindex;
	struct port_link link;
};

struct link_hold {
	struct held_link *items; /* owned */
	size_t count;
};

/*
 * Hold what is on these interfaces now, and nothing else. Cheap when nothing has changed: one question
 * to the kernel for each interface. Call it every now and then.
 *
 * owner  port_link_owner() of the instance
 */
void link_hold_follow(struct link_hold *h, uint64_t owner, const uint32_t *ifindex, size_t count);
void link_hold_fini(struct link_hold *h);

#endif
