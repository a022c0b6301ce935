/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A mempool whose hand-over from one thread to another ThreadSanitizer sees: DPDK's own are in a library that is
 * not instrumented, so that an mbuf which was freed by one core and is used by the next would look like a race.
 * Only in builds with that sanitizer; POOL_OPS is NULL (DPDK's own) in others.
 */

#ifndef WEIR_TESTS_TSAN_POOL_H
#define WEIR_TESTS_TSAN_POOL_H

#include "tests/unit/tsan.h"

#ifdef UNDER_TSAN

#include <rte_mempool.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define POOL_OPS "tsan"

struct tsan_pool {
	pthread_mutex_t mutex;
	uint32_t count;
	void *objects[]; /* mp->size */
};

static int tsan_pool_alloc(struct rte_mempool *mp)
{
	struct tsan_pool *p = calloc(1, sizeof(*p) + mp->size * sizeof(p->objects[0]));

	if (!p)
		return -ENOMEM;
	pthread_mutex_init(&p->mutex, NULL);
	mp->pool_data = p;
	return 0;
}

static void tsan_pool_free(struct rte_mempool *mp)
{
	free(mp->pool_data);
}

static int tsan_pool_put(struct rte_mempool *mp, void *const *objects, unsigned int n)
{
	struct tsan_pool *p = mp->pool_data;

	pthread_mutex_lock(&p->mutex);
	memcpy(&p->objects[p->count], objects, n * sizeof(p->objects[0]));
	p->count += n;
	pthread_mutex_unlock(&p->mutex);
	return 0;
}

static int tsan_pool_get(struct rte_mempool *mp, void **ret_objects, unsigned int n)
{
	struct tsan_pool *p = mp->pool_data;
	int rc = -ENOBUFS;

	pthread_mutex_lock(&p->mutex);
	if (p->count >= n) {
		p->count -= n;
		memcpy(ret_objects, &p->objects[p->count], n * sizeof(p->objects[0]));
		rc = 0;
	}
	pthread_mutex_unlock(&p->mutex);
	return rc;
}

static unsigned int tsan_pool_count(const struct rte_mempool *mp)
{
	struct tsan_pool *p = mp->pool_data;

	pthread_mutex_lock(&p->mutex);
	unsigned int count = p->count;
	pthread_mutex_unlock(&p->mutex);
	return count;
}

static const struct rte_mempool_ops tsan_pool_ops = {
	.name = POOL_OPS,
	.alloc = tsan_pool_alloc,
	.free = tsan_pool_free,
	.enqueue = tsan_pool_put,
	.dequeue = tsan_pool_get,
	.get_count = tsan_pool_count,
};

RTE_MEMPOOL_REGISTER_OPS(tsan_pool_ops)

#else

#define POOL_OPS NULL

#endif
#endif
