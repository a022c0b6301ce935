/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The next hops of a plan, each once, and the groups of those that are equally good; inside control/plan
 * only. Both grow as they are needed and are found by their content.
 */

#ifndef WEIR_PLAN_NEXT_HOPS_H
#define WEIR_PLAN_NEXT_HOPS_H

#include "dataplane/api/messages.h"

#include <stddef.h>
#include <stdint.h>

/* In the order in which they were first needed. */
struct next_hops {
	struct weir_config_neighbour *items; /* owned */
	size_t count;
	size_t most;
	uint32_t *slots; /* owned; open addressing: index + 1, or 0 */
	size_t mask; /* of slots; at most half of them are taken */
};

struct hop_groups {
	struct weir_config_hop_group *items; /* owned */
	size_t count;
	uint32_t *slots; /* owned; as above */
	size_t mask;
};

int next_hops_init(struct next_hops *h, size_t most);
void next_hops_fini(struct next_hops *h);
/* The index of n, added when it is not there; WEIR_NO_NEIGHBOUR when there is no room. */
uint32_t next_hops_add(struct next_hops *h, const struct weir_config_neighbour *n);
/* port -1 is any: the first that was added. Borrowed until h changes. */
const struct weir_config_neighbour *next_hops_find(
	const struct next_hops *h, const uint8_t *address, int port);

/* Put a next hop into a group; one that is in it already gets the sum of the weights. */
void group_add(struct weir_config_hop_group *g, uint32_t neighbour, uint16_t weight);
/*
 * The index of a group, added when it is not there; WEIR_NO_NEIGHBOUR when there is no room. Its members
 * are put into the order of their addresses first: the kernel's order is nothing to go by.
 */
uint32_t groups_add(
	struct hop_groups *all, struct weir_config_hop_group *g, const struct next_hops *h);
void groups_fini(struct hop_groups *all);

#endif
