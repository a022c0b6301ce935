/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/service/neighbours.h"

#include <rte_malloc.h>

#include <errno.h>
#include <stdlib.h>

static union neighbour_word word_of(
	const uint8_t mac[6], uint8_t port, uint8_t resolved, const uint8_t *port_index)
{
	union neighbour_word w = { .port = port_index[port], .resolved = resolved };

	memcpy(w.mac, mac, sizeof(w.mac));
	return w;
}

static bool is_usable(const struct neighbours *n, uint32_t index)
{
	union neighbour_word w = neighbours_read(n, index);

	return w.resolved && w.port < WEIR_MAX_PORTS;
}

/* groups */

/* The same for an address and port in every configuration and process. Never 0. */
static uint16_t mark_of(const struct weir_config_neighbour *n)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325); /* FNV-1a, 64 bits (draft-eastlake-fnv) */

	for (size_t i = 0; i < sizeof(n->address); i++)
		h = (h ^ n->address[i]) * UINT64_C(0x100000001b3);
	h = (h ^ n->port) * UINT64_C(0x100000001b3);
	h ^= h >> 32;
	h ^= h >> 16;
	return (uint16_t)h ? (uint16_t)h : 1;
}

static bool mark_is_taken(const struct hop_group *g, uint32_t hop)
{
	for (uint32_t i = 0; i < hop; i++)
		if (g->mark[i] == g->mark[hop])
			return true;
	return false;
}

static void group_init(
	struct hop_group *g, const struct neighbours *n, const struct weir_config_hop_group *config)
{
	g->count = config->hop_count;
	for (uint32_t i = 0; i < g->count; i++) {
		g->neighbour[i] = config->neighbour[i];
		g->weight[i] = config->weight[i];
		g->mark[i] = mark_of(&n->config[g->neighbour[i]]);
		while (mark_is_taken(g, i) || g->mark[i] == 0)
			g->mark[i]++;
	}
}

/*
 * Which hop gets the place `at` of `places` that are shared by the hops in `mask`, in proportion to their
 * weights: the one in whose part of the line the middle of the place lies.
 */
static uint8_t hop_at(const struct hop_group *g, uint32_t mask, uint32_t at, uint32_t places)
{
	uint64_t sum = 0;
	uint64_t end = 0;
	uint8_t last = 0;

	for (uint32_t i = 0; i < g->count; i++)
		sum += mask >> i & 1 ? g->weight[i] : 0;
	for (uint8_t i = 0; i < g->count; i++) {
		if (!(mask >> i & 1))
			continue;
		last = i;
		end += g->weight[i];
		if ((2 * (uint64_t)at + 1) * sum < end * 2 * places)
			return i;
	}
	return last;
}

static void group_spread(struct hop_group *g, const struct neighbours *n)
{
	const uint32_t all = (1u << g->count) - 1;
	uint8_t home[HOP_PLACES];
	uint32_t usable = 0;
	uint32_t homeless = 0;
	uint32_t at = 0;

	for (uint32_t i = 0; i < g->count; i++)
		usable |= (uint32_t)is_usable(n, g->neighbour[i]) << i;
	for (uint32_t i = 0; i < HOP_PLACES; i++) {
		home[i] = hop_at(g, all, i, HOP_PLACES);
		homeless += !(usable >> home[i] & 1);
	}
	for (uint32_t i = 0; i < HOP_PLACES; i++) {
		if (usable && !(usable >> home[i] & 1))
			home[i] = hop_at(g, usable, at++, homeless);
		__atomic_store_n(&g->place[i], home[i], __ATOMIC_RELAXED);
	}
}
static_assert(WEIR_MAX_HOPS < 32, "a hop has a bit in a mask");

uint32_t neighbours_choose(
	const struct neighbours *n, uint32_t group, uint64_t hash, uint16_t *mark)
{
	const struct hop_group *g;
	uint8_t hop;

	group &= ~WEIR_HOP_GROUP;
	if (group >= n->group_count)
		return WEIR_NO_NEIGHBOUR;
	g = &n->group[group];
	for (uint32_t i = 0; mark && *mark && i < g->count; i++)
		if (g->mark[i] == *mark && is_usable(n, g->neighbour[i]))
			return g->neighbour[i];
	/* Multiplied, as the same bits have chosen bucket, worker and backend before. */
	hop = __atomic_load_n(
		&g->place[(hash * UINT64_C(0x9e3779b97f4a7c15)) >> (64 - HOP_PLACE_BITS)],
		__ATOMIC_RELAXED);
	if (mark)
		*mark = g->mark[hop];
	return g->neighbour[hop];
}

/* the set */

static int neighbour_compare(
	const void *address, uint8_t port, const struct weir_config_neighbour *n)
{
	int order = memcmp(address, n->address, sizeof(n->address));

	return order ? order : (int)port - (int)n->port;
}

static int sorted_compare(const void *a, const void *b, void *ctx)
{
	const struct weir_config_neighbour *config = ctx;
	const struct weir_config_neighbour *x = &config[*(const uint32_t *)a];

	return neighbour_compare(x->address, x->port, &config[*(const uint32_t *)b]);
}

int neighbours_create(const struct weir_config_neighbour *config, uint32_t count,
	const struct weir_config_hop_group *groups, uint32_t group_count,
	const uint8_t port_index[WEIR_MAX_PORTS], struct neighbours **ret_neighbours)
{
	struct neighbours *n =
		rte_zmalloc("neighbours", sizeof(*n) + count * sizeof(n->entry[0]), 64);

	if (!n)
		return -ENOMEM;
	n->references = 1;
	n->count = count;
	n->group_count = group_count;
	n->config = calloc(count + 1, sizeof(*config));
	n->sorted = calloc(count + 1, sizeof(n->sorted[0]));
	n->group = rte_zmalloc("next hops", (group_count + 1) * sizeof(n->group[0]), 64);
	if (!n->config || !n->sorted || !n->group) {
		neighbours_release(n);
		return -ENOMEM;
	}
	if (count)
		memcpy(n->config, config, count * sizeof(*config));
	for (uint32_t i = 0; i < count; i++) {
		n->sorted[i] = i;
		n->entry[i] =
			word_of(config[i].mac, config[i].port, config[i].resolved, port_index).word;
	}
	qsort_r(n->sorted, count, sizeof(n->sorted[0]), sorted_compare, n->config);
	for (uint32_t i = 0; i < group_count; i++) {
		group_init(&n->group[i], n, &groups[i]);
		group_spread(&n->group[i], n);
	}
	*ret_neighbours = n;
	return 0;
}

struct neighbours *neighbours_hold(struct neighbours *n)
{
	n->references++;
	return n;
}

void neighbours_release(struct neighbours *n)
{
	if (!n || --n->references)
		return;
	free(n->config);
	free(n->sorted);
	rte_free(n->group);
	rte_free(n);
}

static uint32_t neighbour_find(const struct neighbours *n, const uint8_t address[16], uint8_t port)
{
	uint32_t low = 0;
	uint32_t high = n->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		int order = neighbour_compare(address, port, &n->config[n->sorted[middle]]);

		if (order == 0)
			return n->sorted[middle];
		if (order > 0)
			low = middle + 1;
		else
			high = middle;
	}
	return WEIR_NO_NEIGHBOUR;
}

void neighbours_update(struct neighbours *n, const struct weir_neighbour_update *updates,
	uint32_t count, const uint8_t port_index[WEIR_MAX_PORTS])
{
	for (uint32_t i = 0; i < count; i++) {
		const struct weir_neighbour_update *u = &updates[i];
		uint32_t index = neighbour_find(n, u->address, u->port);

		if (index == WEIR_NO_NEIGHBOUR)
			continue;
		union neighbour_word w = word_of(u->mac, u->port, u->resolved, port_index);

		__atomic_store_n(&n->entry[index], w.word, __ATOMIC_RELAXED);
	}
	for (uint32_t i = 0; i < n->group_count; i++)
		group_spread(&n->group[i], n);
}
