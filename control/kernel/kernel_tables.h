/* SPDX-License-Identifier: BSD-3-Clause */

/* The tables behind the kernel watch; private to control/kernel and its tests. */

#ifndef WEIR_KERNEL_KERNEL_TABLES_H
#define WEIR_KERNEL_KERNEL_TABLES_H

#include "control/kernel/rtnl_parse.h"

#include <stddef.h>

struct neighbour_entry {
	struct neighbour_entry *next; /* owned */
	struct kernel_neighbour n;
};

struct kernel_tables {
	struct kernel_link *links; /* owned */
	size_t link_count;
	struct kernel_address *addresses; /* owned */
	size_t address_count;
	struct neighbour_entry *neighbours[1024]; /* chains by hash, owned */
};

void kernel_tables_clear(struct kernel_tables *t);

/*
 * Bring the tables in step with one message. Returns true when that changed something, so that
 * repeated or uninteresting messages cause no work.
 */
bool kernel_tables_apply(struct kernel_tables *t, const struct rtnl_change *c);

const struct kernel_link *kernel_tables_link(const struct kernel_tables *t, uint32_t ifindex);
const struct kernel_neighbour *kernel_tables_neighbour(
	const struct kernel_tables *t, uint32_t ifindex, const struct address *a);
bool kernel_tables_has_address(
	const struct kernel_tables *t, const struct address *a, uint32_t ifindex);

#endif
