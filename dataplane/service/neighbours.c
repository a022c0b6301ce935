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

int neighbours_create(const struct weir_config_neighbour *config, uint32_t count,
	const uint8_t port_index[WEIR_MAX_PORTS], struct neighbours **ret_neighbours)
{
	struct neighbours *n =
		rte_zmalloc("neighbours", sizeof(*n) + count * sizeof(n->entry[0]), 64);

	if (!n)
		return -ENOMEM;
	n->references = 1;
	n->count = count;
	n->config = calloc(count ? count : 1, sizeof(*config));
	if (!n->config) {
		rte_free(n);
		return -ENOMEM;
	}
	if (count)
		memcpy(n->config, config, count * sizeof(*config));
	for (uint32_t i = 0; i < count; i++)
		n->entry[i] =
			word_of(config[i].mac, config[i].port, config[i].resolved, port_index).word;
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
	rte_free(n);
}

void neighbours_update(struct neighbours *n, const struct weir_neighbour_update *update,
	const uint8_t port_index[WEIR_MAX_PORTS])
{
	for (uint32_t i = 0; i < n->count; i++) {
		union neighbour_word w;

		if (n->config[i].port != update->port ||
			memcmp(n->config[i].address, update->address, 16) != 0)
			continue;
		w = word_of(update->mac, update->port, update->resolved, port_index);
		__atomic_store_n(&n->entry[i], w.word, __ATOMIC_RELAXED);
	}
}
