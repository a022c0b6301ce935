/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/table/memory.h"

#include <rte_common.h>
#include <rte_malloc.h>

#include <stdlib.h>
#include <string.h>

static void *libc_alloc(void *ctx, size_t bytes, int node)
{
	size_t rounded = RTE_ALIGN_CEIL(bytes, (size_t)RTE_CACHE_LINE_SIZE);
	void *p;

	if (rounded < bytes)
		return NULL;
	p = aligned_alloc(RTE_CACHE_LINE_SIZE, rounded);
	if (p != NULL)
		memset(p, 0, rounded);
	return p;
}

static void libc_free(void *ctx, void *p)
{
	free(p);
}

static void *eal_alloc(void *ctx, size_t bytes, int node)
{
	return rte_zmalloc_socket(
		NULL, bytes, RTE_CACHE_LINE_SIZE, node < 0 ? SOCKET_ID_ANY : node);
}

static void eal_free(void *ctx, void *p)
{
	rte_free(p);
}

const struct table_memory table_memory_libc = { .alloc = libc_alloc, .free = libc_free };
const struct table_memory table_memory_eal = { .alloc = eal_alloc, .free = eal_free };
