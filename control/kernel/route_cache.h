/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What the kernel has said of the ways to single addresses, until it reports a change that could matter
 * to them: a full table's worth of changes elsewhere costs neither questions nor plans. Pure memory.
 */

#ifndef WEIR_KERNEL_ROUTE_CACHE_H
#define WEIR_KERNEL_ROUTE_CACHE_H

#include "control/kernel/rtnl_parse.h"

#include <stddef.h>

struct route_entry;

struct route_cache {
	struct route_entry *entries; /* owned */
	size_t count;
	size_t capacity;
	uint32_t *slots; /* owned; open addressing: index + 1, or 0 */
	size_t mask;
	uint32_t *order; /* owned; [count] by address; NULL until it is needed */
};

void route_cache_fini(struct route_cache *c);

/* What is known of an address; false when it has to be asked for. */
bool route_cache_find(struct route_cache *c, const struct address *to, int *ret_rc,
	struct kernel_route *ret_route);
/* Remember an answer; rc is an error's, and then route counts for nothing. */
void route_cache_keep(
	struct route_cache *c, const struct address *to, int rc, const struct kernel_route *route);

/*
 * Forget what is known of the addresses in a prefix (of the mapped 128 bits). Returns true when anything
 * of them has been kept, known or forgotten.
 */
bool route_cache_forget(
	struct route_cache *c, const struct address *prefix, unsigned int prefix_length);
void route_cache_forget_all(struct route_cache *c);

/* Let go of the addresses that nobody has asked for since the last sweep. */
void route_cache_sweep(struct route_cache *c);

#endif
