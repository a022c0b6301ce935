/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The maps of a policy, with the kernel's meaning. Arrays (and .rodata, .data, .bss) are the kernel's
 * own memory when there is a file descriptor for them, so a pre-filter in the kernel works on the same
 * numbers; all others live here.
 *
 * A longest-prefix match keeps its prefixes in one hash table, with the length in the key, and counts
 * them by length: a lookup asks for the lengths that are there, longest first. It costs a probe for
 * each length in use (a routing table has about 20), whatever the number of prefixes.
 */

#ifndef WEIR_ENGINE_MAP_H
#define WEIR_ENGINE_MAP_H

#include "ebpf/engine/hash.h"
#include "ebpf/engine/image.h"

#define LPM_MAX_BITS 128

struct policy_map {
	char name[POLICY_NAME_SIZE];
	uint32_t type;
	uint32_t key_size;
	uint32_t value_size;
	uint32_t max_entries;
	bool constant; /* nobody writes it */
	/* Arrays. */
	uint8_t *values; /* in memory */
	uint32_t stride; /* between two values */
	uint32_t worker_count; /* of a per-CPU array, else 1 */
	uint64_t worker_stride;
	struct policy_memory memory; /* owned */
	/* The others. */
	struct hash_table hash;
	uint32_t prefixes[LPM_MAX_BITS + 1]; /* how many of each length; atomic */
	uint64_t lengths[3]; /* bit n: there are prefixes of n bits; atomic */
	uint32_t lengths_lock;
};

/* What a map takes when its memory is its own, and not the kernel's. */
uint64_t policy_map_bytes(const struct policy_image_map *m, uint32_t workers);

/*
 * Make a map.
 *
 * image    where m comes from: its first content is copied
 * fd       the kernel's array to share, or -1: own memory
 * workers  1..1024: how many values an entry of a per-CPU array has
 * node     NUMA node, -1: any
 *
 * Control thread. Returns 0 or -errno.
 */
int policy_map_create(const struct policy_image *image, const struct policy_image_map *m, int fd,
	uint32_t workers, int node, uint64_t seed, struct policy_map **ret_map);
void policy_map_destroy(struct policy_map *map);

/* As the helpers of the same names; worker: index, below worker_count. Any thread. */
void *policy_map_lookup(struct policy_map *map, const void *key, uint32_t worker);
int policy_map_update(struct policy_map *map, const void *key, const void *value, uint64_t flags,
	uint32_t worker);
int policy_map_delete(struct policy_map *map, const void *key);

/* As hash_table_next(), for any map; of a per-CPU array the values of one worker. */
bool policy_map_next(
	struct policy_map *map, uint64_t *cursor, uint32_t worker, void *ret_key, void *ret_value);

/* True when the n bytes at p belong to a value of this map. */
bool policy_map_owns(const struct policy_map *map, uint64_t p, uint32_t n);

#endif
