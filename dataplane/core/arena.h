/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The telemetry region's memory: the main thread hands out zeroed, cache-line aligned ranges of the
 * sparse memfd and takes them back. Freed ranges serve later requests; their pages stay, as the kernel
 * lets nobody punch holes in a region that is sealed against writers.
 */

#ifndef WEIR_CORE_ARENA_H
#define WEIR_CORE_ARENA_H

#include "dataplane/api/telemetry.h"

#include <stddef.h>
#include <stdint.h>

struct arena;

/*
 * Make the sealed memfd (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) and map it
 * for writing; the header struct weir_telemetry lies at its start with magic, version and size set.
 *
 * size_bytes  address space, not memory; at least sizeof(struct weir_telemetry) + 1 MiB
 */
int arena_create(size_t size_bytes, struct arena **ret_arena);
void arena_destroy(struct arena *a);
int arena_fd(const struct arena *a); /* borrowed; what HELLO passes on */
struct weir_telemetry *arena_telemetry(struct arena *a);

/* 64-byte aligned and zeroed, or NULL when the region is full. Main thread. */
void *arena_alloc(struct arena *a, size_t bytes);
void arena_free(struct arena *a, void *p, size_t bytes);
uint64_t arena_offset(const struct arena *a, const void *p); /* NULL -> 0 */

#endif
