/* SPDX-License-Identifier: BSD-3-Clause */

/* Memory that runs out after some allocations, and counts what is not given back. */

#ifndef WEIR_TESTS_UNIT_FASTPATH_SCARCE_H
#define WEIR_TESTS_UNIT_FASTPATH_SCARCE_H

#include "dataplane/table/memory.h"

struct scarce {
	int left; /* allocations that still succeed */
	int held; /* blocks not given back */
};

static inline void *scarce_alloc(void *ctx, size_t bytes, int node)
{
	struct scarce *s = ctx;

	if (s->left-- <= 0)
		return NULL;
	s->held++;
	return table_memory_libc.alloc(NULL, bytes, node);
}

static inline void scarce_free(void *ctx, void *p)
{
	struct scarce *s = ctx;

	s->held -= p != NULL;
	table_memory_libc.free(NULL, p);
}

static inline struct table_memory scarce_memory(struct scarce *s)
{
	return (struct table_memory){ .alloc = scarce_alloc, .free = scarce_free, .ctx = s };
}

#endif
