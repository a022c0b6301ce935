/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Link addresses of next hops, in the order of the configuration's neighbour array, and the groups of
 * next hops that are equally good. Built by the main thread with every applied configuration and shared by
 * the generations that follow from it.
 *
 * An entry is one 64-bit word: link address, port and whether it is known. So the main thread changes
 * it in place with one relaxed store, and a worker sees the old next hop or the new one, never half of
 * each; no generation is needed for a neighbour that moves.
 *
 * A group spreads hashes over 128 places, each with one of its hops in proportion to their weights. While
 * a hop's link address is not known, its places are spread over the others; nobody else's place moves. A
 * flow does not depend on its place: it notes a mark of the hop that it got, which stays the same over
 * configurations, and keeps that hop for as long as it is in the group and known. So neither a path
 * that comes nor one that goes touches the flows of the others.
 */

#ifndef WEIR_SERVICE_NEIGHBOURS_H
#define WEIR_SERVICE_NEIGHBOURS_H

#include "dataplane/api/messages.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define HOP_PLACES     128u
#define HOP_PLACE_BITS 7

struct hop_group {
	uint8_t place[HOP_PLACES]; /* which of the hops; relaxed atomic */
	uint32_t neighbour[WEIR_MAX_HOPS];
	uint16_t mark[WEIR_MAX_HOPS]; /* of its address and port; not 0, differs within the group */
	uint16_t weight[WEIR_MAX_HOPS]; /* main thread only */
	uint32_t count;
};

struct neighbours {
	uint32_t references; /* main thread only */
	uint32_t count;
	uint32_t group_count;
	struct hop_group *group; /* owned; [group_count] */
	struct weir_config_neighbour
		*config; /* owned; what an entry is found by, main thread only */
	uint32_t *sorted; /* owned; indices in the order of address and port, main thread only */
	uint64_t entry[]; /* union neighbour_word; relaxed atomic */
};

/* What a word says, laid out as it lies in memory. */
union neighbour_word {
	uint64_t word;
	struct {
		uint8_t mac[6];
		uint8_t port; /* the telemetry index of the port, struct port's `index` */
		uint8_t resolved;
	};
};
static_assert(sizeof(union neighbour_word) == 8, "a neighbour is stored with one store");

/*
 * Make a set with one reference.
 *
 * groups      their neighbours are indices into config
 * port_index  by index of the configuration's port array: struct port's `index`, or UINT8_MAX where
 *             the port could not be opened
 */
int neighbours_create(const struct weir_config_neighbour *config, uint32_t count,
	const struct weir_config_hop_group *groups, uint32_t group_count,
	const uint8_t port_index[WEIR_MAX_PORTS], struct neighbours **ret_neighbours);
struct neighbours *neighbours_hold(struct neighbours *n);
void neighbours_release(struct neighbours *n); /* NULL is fine */

/* Take over new link addresses; those whose address and port are not in the set are ignored. */
void neighbours_update(struct neighbours *n, const struct weir_neighbour_update *updates,
	uint32_t count, const uint8_t port_index[WEIR_MAX_PORTS]);

/*
 * Worker: choose from a group, WEIR_HOP_GROUP | its index.
 *
 * hash  of the packet's flow
 * mark  of the flow, or NULL; 0 when it has no hop yet, updated
 *
 * Returns an index, or WEIR_NO_NEIGHBOUR.
 */
uint32_t neighbours_choose(
	const struct neighbours *n, uint32_t group, uint64_t hash, uint16_t *mark);

/* Worker. index may be WEIR_NO_NEIGHBOUR: then it is an unresolved one. */
static inline union neighbour_word neighbours_read(const struct neighbours *n, uint32_t index)
{
	union neighbour_word w = { .word = 0 };

	if (index < n->count)
		w.word = __atomic_load_n(&n->entry[index], __ATOMIC_RELAXED);
	return w;
}

#endif
