/* SPDX-License-Identifier: BSD-3-Clause */

#include "ebpf/engine/map.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LOCK_TRIES 4096

static bool is_array(uint32_t type)
{
	return type == BPF_MAP_TYPE_ARRAY || type == BPF_MAP_TYPE_PERCPU_ARRAY;
}

static uint32_t array_stride(const struct policy_image_map *m)
{
	return (m->value_size + 7) & ~7u;
}

static uint64_t array_worker_stride(const struct policy_image_map *m)
{
	return ((uint64_t)array_stride(m) * m->max_entries + 63) & ~UINT64_C(63);
}

static uint32_t worker_count(const struct policy_image_map *m, uint32_t workers)
{
	return m->type == BPF_MAP_TYPE_PERCPU_ARRAY ? workers : 1;
}

uint64_t policy_map_bytes(const struct policy_image_map *m, uint32_t workers)
{
	if (is_array(m->type))
		return array_worker_stride(m) * worker_count(m, workers);
	return hash_table_bytes(m->key_size, m->value_size, m->max_entries);
}

static int array_init(struct policy_map *map, const struct policy_image *image,
	const struct policy_image_map *m, int fd, int node)
{
	map->stride = array_stride(m);
	map->worker_stride = array_worker_stride(m);
	if (map->worker_stride * map->worker_count > POLICY_MAX_MAP_BYTES)
		return -E2BIG;
	int rc = fd >= 0 ?
		policy_memory_share(
			fd, (uint64_t)map->stride * m->max_entries, map->constant, &map->memory) :
		policy_memory_create(map->worker_stride * map->worker_count, node, &map->memory);
	if (rc < 0)
		return rc;
	map->values = map->memory.at;
	if (fd < 0 && (m->flags & POLICY_MAP_F_INITIAL))
		memcpy(map->values, image_at(image, m->initial_offset), m->value_size);
	return 0;
}

int policy_map_create(const struct policy_image *image, const struct policy_image_map *m, int fd,
	uint32_t workers, int node, uint64_t seed, struct policy_map **ret_map)
{
	struct policy_map *map = calloc(1, sizeof(*map));
	int rc;

	if (!map)
		return -ENOMEM;
	memcpy(map->name, m->name, sizeof(map->name));
	map->type = m->type;
	map->key_size = m->key_size;
	map->value_size = m->value_size;
	map->max_entries = m->max_entries;
	map->constant = m->flags & POLICY_MAP_F_CONSTANT;
	map->worker_count = worker_count(m, workers);
	if (is_array(map->type))
		rc = array_init(map, image, m, fd, node);
	else
		rc = hash_table_init(&map->hash, m->key_size, m->value_size, m->max_entries,
			m->type == BPF_MAP_TYPE_LRU_HASH, node, seed);
	if (rc < 0) {
		free(map);
		return rc;
	}
	*ret_map = map;
	return 0;
}

void policy_map_destroy(struct policy_map *map)
{
	if (!map)
		return;
	policy_memory_destroy(&map->memory);
	hash_table_fini(&map->hash);
	free(map);
}

static void *array_at(struct policy_map *map, const void *key, uint32_t worker)
{
	uint32_t index;

	memcpy(&index, key, sizeof(index));
	if (index >= map->max_entries)
		return NULL;
	return map->values + map->worker_stride * (map->worker_count > 1 ? worker : 0) +
		(uint64_t)index * map->stride;
}

/* The key with its bits beyond the length cleared, as the hash table has it. */
static void prefix_make(const struct policy_map *map, const void *key, uint32_t bits, uint8_t *ret)
{
	uint32_t bytes = map->key_size - 4;

	memset(ret, 0, map->key_size);
	memcpy(ret, &bits, 4);
	memcpy(ret + 4, (const uint8_t *)key + 4, bits / 8);
	if (bits % 8 && bits / 8 < bytes)
		ret[4 + bits / 8] =
			((const uint8_t *)key)[4 + bits / 8] & (uint8_t)(0xff00u >> bits % 8);
}

static bool prefix_bits(const struct policy_map *map, const void *key, uint32_t *ret_bits)
{
	memcpy(ret_bits, key, 4);
	return *ret_bits <= (map->key_size - 4) * 8;
}

/* The longest length in use that is at most `bits`, or -1. */
static int length_below(const struct policy_map *map, int bits)
{
	for (int word = bits >> 6; bits >= 0 && word >= 0; word--) {
		uint64_t set = __atomic_load_n(&map->lengths[word], __ATOMIC_ACQUIRE);

		if (word == bits >> 6)
			set &= UINT64_MAX >> (63 - (bits & 63));
		if (set)
			return word * 64 + 63 - __builtin_clzll(set);
	}
	return -1;
}

static void *prefix_lookup(struct policy_map *map, const void *key)
{
	uint8_t prefix[POLICY_MAX_KEY];
	uint32_t bits;

	if (!prefix_bits(map, key, &bits))
		return NULL;
	for (int n = length_below(map, (int)bits); n >= 0; n = length_below(map, n - 1)) {
		prefix_make(map, key, (uint32_t)n, prefix);
		void *value = hash_table_lookup(&map->hash, prefix);

		if (value)
			return value;
	}
	return NULL;
}

/* Prefixes come and go under a lock of their own, so that counts and bits agree with the table. */
static bool lengths_lock(struct policy_map *map)
{
	for (unsigned int i = 0; i < LOCK_TRIES; i++)
		if (__atomic_exchange_n(&map->lengths_lock, 1, __ATOMIC_ACQUIRE) == 0)
			return true;
	return false;
}

static int prefix_update(struct policy_map *map, const void *key, const void *value, uint64_t flags)
{
	uint8_t prefix[POLICY_MAX_KEY];
	uint32_t bits;

	if (!prefix_bits(map, key, &bits) || flags > BPF_EXIST)
		return -EINVAL;
	prefix_make(map, key, bits, prefix);
	if (!lengths_lock(map))
		return -EBUSY;
	bool known = hash_table_lookup(&map->hash, prefix) != NULL;
	int rc = hash_table_update(&map->hash, prefix, value, flags);

	/* The kernel's trie says ENOSPC where its hash says E2BIG. */
	if (rc == -E2BIG)
		rc = -ENOSPC;
	if (rc == 0 && !known && map->prefixes[bits]++ == 0)
		__atomic_fetch_or(
			&map->lengths[bits >> 6], UINT64_C(1) << (bits & 63), __ATOMIC_RELEASE);
	__atomic_store_n(&map->lengths_lock, 0, __ATOMIC_RELEASE);
	return rc;
}

static int prefix_delete(struct policy_map *map, const void *key)
{
	uint8_t prefix[POLICY_MAX_KEY];
	uint32_t bits;

	if (!prefix_bits(map, key, &bits))
		return -EINVAL;
	prefix_make(map, key, bits, prefix);
	if (!lengths_lock(map))
		return -EBUSY;
	int rc = hash_table_delete(&map->hash, prefix);

	if (rc == 0 && --map->prefixes[bits] == 0)
		__atomic_fetch_and(
			&map->lengths[bits >> 6], ~(UINT64_C(1) << (bits & 63)), __ATOMIC_RELEASE);
	__atomic_store_n(&map->lengths_lock, 0, __ATOMIC_RELEASE);
	return rc;
}

void *policy_map_lookup(struct policy_map *map, const void *key, uint32_t worker)
{
	if (is_array(map->type))
		return array_at(map, key, worker);
	if (map->type == BPF_MAP_TYPE_LPM_TRIE)
		return prefix_lookup(map, key);
	return hash_table_lookup(&map->hash, key);
}

int policy_map_update(
	struct policy_map *map, const void *key, const void *value, uint64_t flags, uint32_t worker)
{
	if (map->type == BPF_MAP_TYPE_LPM_TRIE)
		return prefix_update(map, key, value, flags);
	if (!is_array(map->type))
		return hash_table_update(&map->hash, key, value, flags);
	void *at = array_at(map, key, worker);

	if (flags > BPF_EXIST)
		return -EINVAL;
	if (!at)
		return -E2BIG;
	if (flags == BPF_NOEXIST)
		return -EEXIST;
	if (map->constant)
		return -EPERM;
	memcpy(at, value, map->value_size);
	return 0;
}

int policy_map_delete(struct policy_map *map, const void *key)
{
	if (is_array(map->type))
		return -EINVAL;
	if (map->type == BPF_MAP_TYPE_LPM_TRIE)
		return prefix_delete(map, key);
	return hash_table_delete(&map->hash, key);
}

bool policy_map_next(
	struct policy_map *map, uint64_t *cursor, uint32_t worker, void *ret_key, void *ret_value)
{
	if (!is_array(map->type)) {
		uint32_t at = (uint32_t)*cursor;
		bool found = hash_table_next(&map->hash, &at, ret_key, ret_value);

		*cursor = at;
		return found;
	}
	uint32_t index = (uint32_t)*cursor;
	const void *value = *cursor < map->max_entries ? array_at(map, &index, worker) : NULL;

	if (!value)
		return false;
	memcpy(ret_key, &index, sizeof(index));
	memcpy(ret_value, value, map->value_size);
	*cursor += 1;
	return true;
}

bool policy_map_owns(const struct policy_map *map, uint64_t p, uint32_t n)
{
	if (is_array(map->type)) {
		uint64_t bytes = map->worker_stride * (map->worker_count - 1) +
			(uint64_t)map->stride * map->max_entries;
		uint64_t offset = p - (uint64_t)(uintptr_t)map->values;

		return offset < bytes && n <= bytes - offset;
	}
	const struct hash_table *t = &map->hash;
	uint64_t offset = p - (uint64_t)(uintptr_t)t->entries;

	if (offset >= (uint64_t)t->entry_count * t->entry_size)
		return false;
	offset %= t->entry_size;
	uint64_t end = t->value_offset + ((t->value_size + 7) & ~7u);

	return offset >= t->value_offset && offset < end && n <= end - offset;
}
