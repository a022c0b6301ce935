/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Where tables get their memory: a pair of functions, so that tables run in tests without EAL. Only
 * the control thread allocates and frees.
 */

#ifndef WEIR_TABLE_MEMORY_H
#define WEIR_TABLE_MEMORY_H

#include <stddef.h>

struct table_memory {
	/* Zeroed bytes, aligned to 64, on a NUMA node (-1: any), or NULL. */
	void *(*alloc)(void *ctx, size_t bytes, int node);
	void (*free)(void *ctx, void *p); /* p may be NULL */
	void *ctx;
};

extern const struct table_memory table_memory_libc; /* ignores the node */
extern const struct table_memory table_memory_eal; /* rte_zmalloc_socket() */

#endif
