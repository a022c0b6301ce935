/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/plan/next_hops.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS_MIN 16

/* FNV-1a, 64 bits (draft-eastlake-fnv). */
static size_t hash_of(const void *data, size_t length)
{
	const uint8_t *at = data;
	uint64_t hash = UINT64_C(0xcbf29ce484222325);
	for (size_t i = 0; i < length; i++)
		hash = (hash ^ at[i]) * UINT64_C(0x100000001b3);
	return (size_t)(hash ^ hash >> 32);
}

/* The slot of an address on a port; port -1 is any: the first that was added. */
static uint32_t *next_hops_slot(const struct next_hops *h, const uint8_t *address, int port)
{
	size_t at = hash_of(address, 16) & h->mask;
	for (; h->slots[at] != 0; at = (at + 1) & h->mask) {
		const struct weir_config_neighbour *n = &h->items[h->slots[at] - 1];
		if (memcmp(n->address, address, 16) == 0 && (port < 0 || n->port == port))
			break;
	}
	return &h->slots[at];
}

int next_hops_init(struct next_hops *h, size_t most)
{
	*h = (struct next_hops){ .most = most, .mask = SLOTS_MIN - 1 };
	h->items = calloc(SLOTS_MIN / 2, sizeof(*h->items));
	h->slots = calloc(SLOTS_MIN, sizeof(*h->slots));
	return h->items != NULL && h->slots != NULL ? 0 : -ENOMEM;
}

void next_hops_fini(struct next_hops *h)
{
	free(h->items);
	free(h->slots);
}

static int next_hops_grow(struct next_hops *h)
{
	size_t size = 2 * (h->mask + 1);
	struct weir_config_neighbour *items = realloc(h->items, size / 2 * sizeof(*items));
	uint32_t *slots = calloc(size, sizeof(*slots));
	if (items != NULL)
		h->items = items;
	if (items == NULL || slots == NULL) {
		free(slots);
		return -ENOMEM;
	}
	free(h->slots);
	h->slots = slots;
	h->mask = size - 1;
	for (size_t i = 0; i < h->count; i++)
		*next_hops_slot(h, items[i].address, items[i].port) = (uint32_t)i + 1;
	return 0;
}

uint32_t next_hops_add(struct next_hops *h, const struct weir_config_neighbour *n)
{
	uint32_t *slot = next_hops_slot(h, n->address, n->port);
	if (*slot != 0)
		return *slot - 1;
	if (h->count >= h->most || (h->count >= (h->mask + 1) / 2 && next_hops_grow(h) < 0))
		return WEIR_NO_NEIGHBOUR;
	slot = next_hops_slot(h, n->address, n->port);
	h->items[h->count++] = *n;
	*slot = (uint32_t)h->count;
	return *slot - 1;
}

const struct weir_config_neighbour *next_hops_find(
	const struct next_hops *h, const uint8_t *address, int port)
{
	uint32_t index = *next_hops_slot(h, address, port);
	return index ? &h->items[index - 1] : NULL;
}

void group_add(struct weir_config_hop_group *g, uint32_t neighbour, uint16_t weight)
{
	for (uint32_t i = 0; i < g->hop_count; i++) {
		if (g->neighbour[i] != neighbour)
			continue;
		uint32_t sum = (uint32_t)g->weight[i] + weight;
		g->weight[i] = (uint16_t)(sum < WEIR_MAX_HOP_WEIGHT ? sum : WEIR_MAX_HOP_WEIGHT);
		return;
	}
	if (g->hop_count == WEIR_MAX_HOPS)
		return;
	g->neighbour[g->hop_count] = neighbour;
	g->weight[g->hop_count++] = weight ? weight : 1;
}

static int next_hop_compare(
	const struct weir_config_neighbour *a, const struct weir_config_neighbour *b)
{
	int order = memcmp(a->address, b->address, sizeof(a->address));
	return order ? order : (int)a->port - (int)b->port;
}

/* At most WEIR_MAX_HOPS: insertion is quick enough. */
static void group_sort(struct weir_config_hop_group *g, const struct weir_config_neighbour *items)
{
	for (uint32_t i = 1; i < g->hop_count; i++) {
		uint32_t neighbour = g->neighbour[i];
		uint16_t weight = g->weight[i];
		uint32_t at = i;
		for (; at > 0 &&
			next_hop_compare(&items[g->neighbour[at - 1]], &items[neighbour]) > 0;
			at--) {
			g->neighbour[at] = g->neighbour[at - 1];
			g->weight[at] = g->weight[at - 1];
		}
		g->neighbour[at] = neighbour;
		g->weight[at] = weight;
	}
}

static uint32_t *groups_slot(const struct hop_groups *all, const struct weir_config_hop_group *g)
{
	size_t at = hash_of(g, sizeof(*g)) & all->mask;
	while (all->slots[at] != 0 && memcmp(&all->items[all->slots[at] - 1], g, sizeof(*g)) != 0)
		at = (at + 1) & all->mask;
	return &all->slots[at];
}

static int groups_grow(struct hop_groups *all)
{
	size_t size = all->slots != NULL ? 2 * (all->mask + 1) : SLOTS_MIN;
	struct weir_config_hop_group *items = realloc(all->items, size / 2 * sizeof(*items));
	uint32_t *slots = calloc(size, sizeof(*slots));
	if (items != NULL)
		all->items = items;
	if (items == NULL || slots == NULL) {
		free(slots);
		return -ENOMEM;
	}
	free(all->slots);
	all->slots = slots;
	all->mask = size - 1;
	for (size_t i = 0; i < all->count; i++)
		*groups_slot(all, &items[i]) = (uint32_t)i + 1;
	return 0;
}

uint32_t groups_add(
	struct hop_groups *all, struct weir_config_hop_group *g, const struct next_hops *h)
{
	group_sort(g, h->items);
	if (all->slots == NULL && groups_grow(all) < 0)
		return WEIR_NO_NEIGHBOUR;
	uint32_t *slot = groups_slot(all, g);
	if (*slot != 0)
		return *slot - 1;
	if (all->count >= WEIR_MAX_HOP_GROUPS ||
		(all->count >= (all->mask + 1) / 2 && groups_grow(all) < 0))
		return WEIR_NO_NEIGHBOUR;
	slot = groups_slot(all, g);
	all->items[all->count++] = *g;
	*slot = (uint32_t)all->count;
	return *slot - 1;
}

void groups_fini(struct hop_groups *all)
{
	free(all->items);
	free(all->slots);
}
