/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What a service has of the data plane's memory, to the byte: all that is made for it comes through its account, and
 * all accounts draw on one budget. What would exceed the budget is not made, so that nobody takes what is another's.
 * Charged is what the allocator gives, which rounds up; its own words around each piece (128 bytes) are not.
 *
 * Main thread.
 */

#ifndef WEIR_SERVICE_ACCOUNT_H
#define WEIR_SERVICE_ACCOUNT_H

#include "dataplane/table/memory.h"

#include <stdint.h>

/* Kind, and what it is called where memory of the asked node ran out. */
#define ACCOUNT_KINDS(X)                         \
	X(FLOWS, "flow table")                   \
	X(SOURCES, "table of sources")           \
	X(POLICING, "table of policed sources")  \
	X(PORTS, "translated ports")             \
	X(POOLS, "backends, pools and settings") \
	X(WORKERS, "workers and their rings")

enum account_kind {
#define X(name, what) ACCOUNT_##name,
	ACCOUNT_KINDS(X)
#undef X
	ACCOUNT_KIND_COUNT
};

/* Of all services together. */
struct budget {
	uint64_t bytes;
	uint64_t used;
};

struct account {
	struct budget *budget; /* borrowed: lives longer */
	struct account_line {
		struct account *account;
		const char *what;
		uint64_t bytes;
	} line[ACCOUNT_KIND_COUNT];
};

static inline uint64_t budget_left(const struct budget *b)
{
	return b->bytes > b->used ? b->bytes - b->used : 0;
}

/* An account lies where it is, as what it gave out points to it. */
void account_init(struct account *a, struct budget *budget);

/* For tables of the account's owner; node: memory of that one if there is, else of any, with a word about it. */
struct table_memory account_memory(struct account *a, enum account_kind kind);

/* The same, where the budget has no room, too: what keeps going what there is already. */
struct table_memory account_memory_beyond(struct account *a, enum account_kind kind);

/* Zeroed, aligned to 64, of any node; NULL when there is none, or the budget has no room for it. */
void *account_alloc(struct account *a, enum account_kind kind, uint64_t bytes);
void account_free(struct account *a, enum account_kind kind, void *p); /* NULL is fine */

/* What came another way; the negative of it: went. */
void account_charge(struct account *a, enum account_kind kind, uint64_t bytes);

/* What the allocator has set aside for p. */
uint64_t account_size(const void *p);

#endif
