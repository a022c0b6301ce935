/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The hash tables of policies: fixed capacity, all memory there from the start, with the kernel's
 * meaning for preallocated hashes. Chained; a bucket is a head and a sequence number, which is odd while
 * somebody changes the chain.
 *
 * Any number of threads at a time. Lookups take no lock: they walk, and believe what they found when
 * the sequence has not moved. Changes lock their bucket only, and wait for a bounded time: a worker
 * never waits for another that the kernel has taken the CPU from; it gets -EBUSY instead.
 *
 * The value that a lookup returns stays memory of this table for ever, as in the kernel; when its
 * entry is deleted meanwhile it can become another key's value. Free entries are used again in the order in
 * which they became free, so that this takes as long as it can. A value that is replaced lies in a
 * new entry, so nobody sees a half of it.
 *
 * With `lru` a full table makes room: a clock hand goes over the entries and takes the first that no
 * lookup has touched since it came by last.
 */

#ifndef WEIR_ENGINE_HASH_H
#define WEIR_ENGINE_HASH_H

#include "ebpf/engine/memory.h"

#include <stdbool.h>
#include <stdint.h>

#define HASH_NIL UINT32_MAX

struct hash_bucket {
	uint32_t head; /* entry, or HASH_NIL */
	uint32_t sequence;
};

/* Followed by the key and, at value_offset, the value. */
struct hash_entry {
	uint32_t next;
	uint32_t hash;
	uint32_t in_use; /* 0: free; 1: in a chain; 2: and looked up since the hand came by */
	uint32_t reserved;
};

struct hash_table {
	struct hash_bucket *buckets; /* in memory */
	uint8_t *entries; /* in memory */
	uint32_t *free; /* in memory; a ring of entry_count places */
	uint64_t seed;
	uint32_t bucket_mask;
	uint32_t entry_size;
	uint32_t value_offset;
	uint32_t key_size;
	uint32_t value_size;
	uint32_t capacity;
	uint32_t entry_count; /* capacity and some to replace values by */
	bool lru;
	/* Written by whoever changes the table, under free_lock. */
	uint32_t free_lock;
	uint32_t free_first;
	uint32_t free_count;
	uint32_t used;
	uint32_t hand;
	struct policy_memory memory; /* owned */
};

/* What hash_table_init() is going to take. */
uint64_t hash_table_bytes(uint32_t key_size, uint32_t value_size, uint32_t capacity);
int hash_table_init(struct hash_table *t, uint32_t key_size, uint32_t value_size, uint32_t capacity,
	bool lru, int node, uint64_t seed);
void hash_table_fini(struct hash_table *t);

/* The value of a key, or NULL. */
void *hash_table_lookup(struct hash_table *t, const void *key);
/* flags: BPF_ANY, BPF_NOEXIST or BPF_EXIST. Returns 0, -EEXIST, -ENOENT, -E2BIG, -EINVAL, -EBUSY. */
int hash_table_update(struct hash_table *t, const void *key, const void *value, uint64_t flags);
/* Returns 0, -ENOENT or -EBUSY. */
int hash_table_delete(struct hash_table *t, const void *key);
/*
 * Copy the next entry at or after *cursor (start with 0) and move it on. Entries that come or go
 * meanwhile may be seen or not. False at the end. Control thread.
 */
bool hash_table_next(struct hash_table *t, uint32_t *cursor, void *ret_key, void *ret_value);

#endif
