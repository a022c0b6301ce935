/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/service/account.h"

#include <rte_common.h>
#include <rte_log.h>
#include <rte_malloc.h>

void account_init(struct account *a, struct budget *budget)
{
	static const char *const what[] = {
#define X(name, what) what,
		ACCOUNT_KINDS(X)
#undef X
	};

	a->budget = budget;
	for (uint32_t i = 0; i < ACCOUNT_KIND_COUNT; i++)
		a->line[i] = (struct account_line){ .account = a, .what = what[i] };
}

uint64_t account_size(const void *p)
{
	size_t size = 0;

	return p && rte_malloc_validate(p, &size) == 0 ? size : 0;
}

static void charge(struct account_line *line, uint64_t bytes)
{
	line->bytes += bytes;
	line->account->budget->used += bytes;
}

void account_charge(struct account *a, enum account_kind kind, uint64_t bytes)
{
	charge(&a->line[kind], bytes);
}

static void *line_alloc_beyond(void *ctx, size_t bytes, int node)
{
	struct account_line *line = ctx;
	void *p = NULL;

	if (node >= 0)
		p = rte_zmalloc_socket(line->what, bytes, RTE_CACHE_LINE_SIZE, node);
	if (p) {
		charge(line, account_size(p));
		return p;
	}
	p = rte_zmalloc_socket(line->what, bytes, RTE_CACHE_LINE_SIZE, SOCKET_ID_ANY);
	if (p && node >= 0)
		RTE_LOG(WARNING, USER1,
			"%zu bytes for the %s do not fit on NUMA node %d: taken from another one\n",
			bytes, line->what, node);
	charge(line, account_size(p));
	return p;
}

static void *line_alloc(void *ctx, size_t bytes, int node)
{
	const struct account_line *line = ctx;

	return bytes > budget_left(line->account->budget) ? NULL :
							    line_alloc_beyond(ctx, bytes, node);
}

static void line_free(void *ctx, void *p)
{
	struct account_line *line = ctx;

	charge(line, -account_size(p));
	rte_free(p);
}

struct table_memory account_memory(struct account *a, enum account_kind kind)
{
	return (struct table_memory){
		.alloc = line_alloc, .free = line_free, .ctx = &a->line[kind]
	};
}

struct table_memory account_memory_beyond(struct account *a, enum account_kind kind)
{
	return (struct table_memory){
		.alloc = line_alloc_beyond, .free = line_free, .ctx = &a->line[kind]
	};
}

void *account_alloc(struct account *a, enum account_kind kind, uint64_t bytes)
{
	return line_alloc(&a->line[kind], bytes, SOCKET_ID_ANY);
}

void account_free(struct account *a, enum account_kind kind, void *p)
{
	line_free(&a->line[kind], p);
}
