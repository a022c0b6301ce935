/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/net/packet.h"
#include "dataplane/port/port_private.h"

#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_mbuf_pool_ops.h>

#include <errno.h>

static void memory_free(struct rte_mempool_memhdr *chunk, void *memory)
{
	rte_free(memory);
}

/* Objects of exactly a page each, on page boundaries, in memory of our own. */
static int pool_populate(struct rte_mempool *pool, uint32_t count, int node)
{
	size_t bytes = (size_t)count * PORT_FRAME_BYTES;
	void *memory = rte_malloc_socket("frames", bytes, PORT_FRAME_BYTES, node);

	if (!memory)
		return -ENOMEM;
	int populated = rte_mempool_populate_virt(
		pool, memory, bytes, PORT_FRAME_BYTES, memory_free, memory);
	if (populated < 0) {
		rte_free(memory);
		return populated;
	}
	return (uint32_t)populated == count ? 0 : -ENOMEM;
}

int port_frame_pool_create(
	const char *name, uint32_t count, int node, struct rte_mempool **ret_pool)
{
	const unsigned int flags = RTE_MEMPOOL_F_NO_SPREAD;
	const uint16_t private = PACKET_PRIVATE_BYTES;
	uint32_t element = PORT_FRAME_BYTES;
	/* Header and trailer depend on how DPDK was built. */
	uint32_t around = rte_mempool_calc_obj_size(element, flags, NULL) - element;
	struct rte_pktmbuf_pool_private room = { .mbuf_priv_size = private };

	element -= around;
	room.mbuf_data_room_size = (uint16_t)(element - sizeof(struct rte_mbuf) - private);
	struct rte_mempool *pool =
		rte_mempool_create_empty(name, count, element, 256, sizeof(room), node, flags);
	if (!pool)
		return -ENOMEM;
	int rc = rte_mempool_set_ops_byname(pool, rte_mbuf_best_mempool_ops(), NULL);
	if (rc == 0) {
		rte_pktmbuf_pool_init(pool, &room);
		rc = pool_populate(pool, count, node);
	}
	if (rc < 0) {
		rte_mempool_free(pool);
		return rc;
	}
	rte_mempool_obj_iter(pool, rte_pktmbuf_init, NULL);
	*ret_pool = pool;
	return 0;
}

/* Longer than any packet waits anywhere: early fragments for half a second, a full ring much less. */
#define REST_NS UINT64_C(2000000000)

/* More at a time are kept for good: ports do not come and go that fast. */
#define RETIRED_MAX 64

static struct retired {
	struct rte_mempool *pool; /* owned */
	bool whole; /* all of its buffers come back, however late */
	unsigned int in_use;
	uint64_t since_ns; /* that many are in use; 0: not looked at yet */
} retired[RETIRED_MAX];

static unsigned int keepers; /* devices that keep what they have sent for as long as they like */

static void retire(struct rte_mempool *pool, bool whole)
{
	for (unsigned int i = 0; pool && i < RETIRED_MAX; i++) {
		if (retired[i].pool)
			continue;
		retired[i] = (struct retired){ .pool = pool, .whole = whole };
		return;
	}
}

void port_pool_retire(struct rte_mempool *pool)
{
	retire(pool, false);
}

void port_pool_drain(struct rte_mempool *pool)
{
	if (pool && rte_mempool_in_use_count(pool) == 0)
		rte_mempool_free(pool);
	else
		retire(pool, true);
}

void port_pools_keep(bool keep)
{
	keepers = keep ? keepers + 1 : keepers - 1;
}

void port_pools_reap(uint64_t now_ns)
{
	for (unsigned int i = 0; i < RETIRED_MAX; i++) {
		struct retired *r = &retired[i];

		if (!r->pool)
			continue;
		unsigned int in_use = rte_mempool_in_use_count(r->pool);

		if (!r->since_ns || in_use != r->in_use) {
			r->since_ns = now_ns;
			r->in_use = in_use;
		} else if (now_ns - r->since_ns >= REST_NS &&
			(in_use == 0 || (!r->whole && keepers == 0))) {
			rte_mempool_free(r->pool);
			*r = (struct retired){ .pool = NULL };
		}
	}
}
