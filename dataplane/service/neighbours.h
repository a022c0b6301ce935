/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Link addresses of next hops, in the order of the configuration's neighbour array. Built by the main
 * thread with every applied configuration and shared by the generations that follow from it.
 *
 * An entry is one 64-bit word: link address, port and whether it is known. So the main thread changes
 * it in place with one relaxed store, and a worker sees the old next hop or the new one, never half of
 * each; no generation is needed for a neighbour that moves.
 */

#ifndef WEIR_SERVICE_NEIGHBOURS_H
#define WEIR_SERVICE_NEIGHBOURS_H

#include "dataplane/api/messages.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct neighbours {
	uint32_t references; /* main thread only */
	uint32_t count;
	struct weir_config_neighbour
		*config; /* owned; what an entry is found by, main thread only */
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
 * port_index  by index of the configuration's port array: struct port's `index`, or UINT8_MAX where
 *             the port could not be opened
 */
int neighbours_create(const struct weir_config_neighbour *config, uint32_t count,
	const uint8_t port_index[WEIR_MAX_PORTS], struct neighbours **ret_neighbours);
struct neighbours *neighbours_hold(struct neighbours *n);
void neighbours_release(struct neighbours *n); /* NULL is fine */

/* Take over a new link address; ignored when address and port are not in the set. */
void neighbours_update(struct neighbours *n, const struct weir_neighbour_update *update,
	const uint8_t port_index[WEIR_MAX_PORTS]);

/* Worker. index may be WEIR_NO_NEIGHBOUR: then it is an unresolved one. */
static inline union neighbour_word neighbours_read(const struct neighbours *n, uint32_t index)
{
	union neighbour_word w = { .word = 0 };

	if (index < n->count)
		w.word = __atomic_load_n(&n->entry[index], __ATOMIC_RELAXED);
	return w;
}

#endif
