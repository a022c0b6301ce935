/* SPDX-License-Identifier: BSD-3-Clause */

#include "ebpf/engine/hash.h"

#include <linux/bpf.h>

#include <errno.h>
#include <string.h>

#define SPARE_ENTRIES 64
#define LOOKUP_TRIES  64
#define LOCK_TRIES    4096 /* about 50 us */
#define SPARED_MAX    64 /* entries that get a second chance, an eviction */

static inline void relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#endif
}

static inline uint64_t mix(uint64_t a, uint64_t b)
{
	unsigned __int128 m = (unsigned __int128)a * b;

	return (uint64_t)m ^ (uint64_t)(m >> 64);
}

/* Keyed, so that nobody can choose keys that fall into one chain. Source: wyhash's mix (Wang Yi). */
static inline uint32_t key_hash(const struct hash_table *t, const void *key)
{
	const uint8_t *p = key;
	uint64_t h = t->seed;
	uint32_t left = t->key_size;
	uint64_t a, b;

	for (; left > 16; left -= 16, p += 16) {
		memcpy(&a, p, 8);
		memcpy(&b, p + 8, 8);
		h = mix(a ^ UINT64_C(0xe7037ed1a0b428db), b ^ h);
	}
	if (left >= 8) {
		memcpy(&a, p, 8);
		memcpy(&b, p + left - 8, 8);
	} else if (left >= 4) {
		uint32_t x, y;

		memcpy(&x, p, 4);
		memcpy(&y, p + left - 4, 4);
		a = x;
		b = y;
	} else {
		a = (uint64_t)p[0] << 16 | (uint64_t)p[left / 2] << 8 | p[left - 1];
		b = 0;
	}
	h = mix(a ^ UINT64_C(0xa0761d6478bd642f) ^ t->key_size, b ^ h);
	return (uint32_t)(h ^ h >> 32);
}

static inline struct hash_entry *entry_at(const struct hash_table *t, uint32_t index)
{
	return (struct hash_entry *)(t->entries + (size_t)index * t->entry_size);
}

static inline void *entry_key(struct hash_entry *e)
{
	return e + 1;
}

static inline void *entry_value(const struct hash_table *t, struct hash_entry *e)
{
	return (uint8_t *)e + t->value_offset;
}

static inline bool key_equal(const void *a, const void *b, uint32_t size)
{
	switch (size) {
	case 4:
		return memcmp(a, b, 4) == 0;
	case 8:
		return memcmp(a, b, 8) == 0;
	case 16:
		return memcmp(a, b, 16) == 0;
	default:
		return memcmp(a, b, size) == 0;
	}
}

static uint64_t buckets_for(uint32_t capacity)
{
	uint64_t buckets = 8;

	while (buckets < (uint64_t)capacity * 2)
		buckets *= 2;
	return buckets;
}

static uint32_t value_offset_for(uint32_t key_size)
{
	return (uint32_t)sizeof(struct hash_entry) + ((key_size + 7) & ~7u);
}

/* What fits into a cache line lies in one. */
static uint32_t entry_size_for(uint32_t key_size, uint32_t value_size)
{
	uint32_t size = value_offset_for(key_size) + ((value_size + 7) & ~7u);

	return size <= 32 ? 32 : (size + 63) & ~63u;
}

uint64_t hash_table_bytes(uint32_t key_size, uint32_t value_size, uint32_t capacity)
{
	return buckets_for(capacity) * sizeof(struct hash_bucket) +
		((uint64_t)capacity + SPARE_ENTRIES) *
		(entry_size_for(key_size, value_size) + sizeof(uint32_t));
}

int hash_table_init(struct hash_table *t, uint32_t key_size, uint32_t value_size, uint32_t capacity,
	bool lru, int node, uint64_t seed)
{
	uint64_t buckets = buckets_for(capacity);

	if (capacity > UINT32_MAX - SPARE_ENTRIES - 1 || buckets > UINT64_C(1) << 31)
		return -EINVAL;
	*t = (struct hash_table){
		.seed = seed,
		.bucket_mask = (uint32_t)buckets - 1,
		.key_size = key_size,
		.value_size = value_size,
		.capacity = capacity,
		.entry_count = capacity + SPARE_ENTRIES,
		.lru = lru,
	};
	t->value_offset = value_offset_for(key_size);
	t->entry_size = entry_size_for(key_size, value_size);
	size_t bucket_bytes = buckets * sizeof(struct hash_bucket);
	size_t entry_bytes = (size_t)t->entry_count * t->entry_size;
	int rc = policy_memory_create(
		hash_table_bytes(key_size, value_size, capacity), node, &t->memory);
	if (rc < 0)
		return rc;
	t->buckets = t->memory.at;
	t->entries = (uint8_t *)t->memory.at + bucket_bytes;
	t->free = (uint32_t *)(t->entries + entry_bytes);
	for (uint64_t i = 0; i < buckets; i++)
		t->buckets[i].head = HASH_NIL;
	for (uint32_t i = 0; i < t->entry_count; i++)
		t->free[i] = i;
	t->free_count = t->entry_count;
	return 0;
}

void hash_table_fini(struct hash_table *t)
{
	policy_memory_destroy(&t->memory);
}

/* Walk a chain that others may change: no further than there are entries, and never outside. */
static inline uint32_t chain_find(
	struct hash_table *t, const struct hash_bucket *b, uint32_t hash, const void *key)
{
	uint32_t at = __atomic_load_n(&b->head, __ATOMIC_ACQUIRE);

	for (uint32_t steps = 0; at < t->entry_count && steps < t->entry_count; steps++) {
		struct hash_entry *e = entry_at(t, at);

		if (__atomic_load_n(&e->hash, __ATOMIC_RELAXED) == hash &&
			key_equal(entry_key(e), key, t->key_size))
			return at;
		at = __atomic_load_n(&e->next, __ATOMIC_RELAXED);
	}
	return HASH_NIL;
}

void *hash_table_lookup(struct hash_table *t, const void *key)
{
	uint32_t hash = key_hash(t, key);
	struct hash_bucket *b = &t->buckets[hash & t->bucket_mask];
	uint32_t at = HASH_NIL;

	for (unsigned int tries = 0; tries < LOOKUP_TRIES; tries++) {
		uint32_t before = __atomic_load_n(&b->sequence, __ATOMIC_ACQUIRE);

		at = chain_find(t, b, hash, key);
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (!(before & 1) && __atomic_load_n(&b->sequence, __ATOMIC_RELAXED) == before)
			break;
		relax();
	}
	if (at == HASH_NIL)
		return NULL;
	struct hash_entry *e = entry_at(t, at);

	uint32_t once = 1;

	/* Only ever from 1: an entry that was freed just now must stay free. */
	if (t->lru && __atomic_load_n(&e->in_use, __ATOMIC_RELAXED) == 1)
		__atomic_compare_exchange_n(
			&e->in_use, &once, 2, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
	return entry_value(t, e);
}

static bool bucket_try(struct hash_bucket *b)
{
	uint32_t s = __atomic_load_n(&b->sequence, __ATOMIC_RELAXED);

	return !(s & 1) &&
		__atomic_compare_exchange_n(
			&b->sequence, &s, s + 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

static bool bucket_lock(struct hash_bucket *b)
{
	for (unsigned int i = 0; i < LOCK_TRIES; i++) {
		if (bucket_try(b)) {
			/* Readers must not see what we write before they can see the odd number. */
			__atomic_thread_fence(__ATOMIC_RELEASE);
			return true;
		}
		relax();
	}
	return false;
}

static void bucket_unlock(struct hash_bucket *b)
{
	__atomic_fetch_add(&b->sequence, 1, __ATOMIC_RELEASE);
}

static bool free_lock(struct hash_table *t)
{
	for (unsigned int i = 0; i < LOCK_TRIES; i++) {
		if (__atomic_exchange_n(&t->free_lock, 1, __ATOMIC_ACQUIRE) == 0)
			return true;
		relax();
	}
	return false;
}

static void free_unlock(struct hash_table *t)
{
	__atomic_store_n(&t->free_lock, 0, __ATOMIC_RELEASE);
}

/* The place that points at entry `at` of a locked bucket. */
static uint32_t *chain_link(struct hash_table *t, struct hash_bucket *b, uint32_t at)
{
	uint32_t *link = &b->head;

	while (*link != at)
		link = &entry_at(t, *link)->next;
	return link;
}

/* With the free lock held. */
static void entry_give(struct hash_table *t, uint32_t at)
{
	uint32_t place = t->free_first + t->free_count;

	if (place >= t->entry_count || place < t->free_first)
		place -= t->entry_count;
	t->free[place] = at;
	t->free_count++;
}

static uint32_t entry_take(struct hash_table *t)
{
	uint32_t at = t->free[t->free_first];

	t->free_first = t->free_first + 1 == t->entry_count ? 0 : t->free_first + 1;
	t->free_count--;
	return at;
}

/* Take the first entry that nobody wants, with the free lock and the bucket `mine` held. */
static bool evict(struct hash_table *t, const struct hash_bucket *mine)
{
	uint32_t spared = 0;

	for (uint64_t step = 0; step < 2 * (uint64_t)t->entry_count; step++) {
		uint32_t at = t->hand;
		struct hash_entry *e = entry_at(t, at);
		uint32_t in_use = __atomic_load_n(&e->in_use, __ATOMIC_RELAXED);

		t->hand = at + 1 == t->entry_count ? 0 : at + 1;
		if (in_use == 0)
			continue;
		if (in_use == 2 && spared++ < SPARED_MAX) {
			__atomic_store_n(&e->in_use, 1, __ATOMIC_RELAXED);
			continue;
		}
		struct hash_bucket *b =
			&t->buckets[__atomic_load_n(&e->hash, __ATOMIC_RELAXED) & t->bucket_mask];
		if (b != mine) {
			if (!bucket_try(b))
				continue;
			__atomic_thread_fence(__ATOMIC_RELEASE);
		}
		__atomic_store_n(chain_link(t, b, at), e->next, __ATOMIC_RELEASE);
		__atomic_store_n(&e->in_use, 0, __ATOMIC_RELAXED);
		if (b != mine)
			bucket_unlock(b);
		entry_give(t, at);
		t->used--;
		return true;
	}
	return false;
}

static void entry_fill(struct hash_table *t, uint32_t at, uint32_t hash, const void *key,
	const void *value, uint32_t next)
{
	struct hash_entry *e = entry_at(t, at);

	__atomic_store_n(&e->hash, hash, __ATOMIC_RELAXED);
	memcpy(entry_key(e), key, t->key_size);
	memcpy(entry_value(t, e), value, t->value_size);
	__atomic_store_n(&e->next, next, __ATOMIC_RELAXED);
	__atomic_store_n(&e->in_use, 1, __ATOMIC_RELEASE);
}

/* With the bucket and the free lock held. */
static int entry_insert(struct hash_table *t, struct hash_bucket *b, uint32_t hash, const void *key,
	const void *value)
{
	if (t->used == t->capacity && (!t->lru || !evict(t, b)))
		return -E2BIG;
	uint32_t at = entry_take(t);

	entry_fill(t, at, hash, key, value, b->head);
	__atomic_store_n(&b->head, at, __ATOMIC_RELEASE);
	t->used++;
	return 0;
}

static int entry_replace(struct hash_table *t, struct hash_bucket *b, uint32_t old, const void *key,
	const void *value)
{
	struct hash_entry *e = entry_at(t, old);
	uint32_t at = entry_take(t);

	entry_fill(t, at, e->hash, key, value, e->next);
	__atomic_store_n(chain_link(t, b, old), at, __ATOMIC_RELEASE);
	__atomic_store_n(&e->in_use, 0, __ATOMIC_RELAXED);
	entry_give(t, old);
	return 0;
}

int hash_table_update(struct hash_table *t, const void *key, const void *value, uint64_t flags)
{
	uint32_t hash = key_hash(t, key);
	struct hash_bucket *b = &t->buckets[hash & t->bucket_mask];
	int rc = -EBUSY;

	if (flags > BPF_EXIST)
		return -EINVAL;
	if (!bucket_lock(b))
		return -EBUSY;
	uint32_t at = chain_find(t, b, hash, key);

	if (at != HASH_NIL && flags == BPF_NOEXIST)
		rc = -EEXIST;
	else if (at == HASH_NIL && flags == BPF_EXIST)
		rc = -ENOENT;
	else if (free_lock(t)) {
		rc = at == HASH_NIL ? entry_insert(t, b, hash, key, value) :
				      entry_replace(t, b, at, key, value);
		free_unlock(t);
	}
	bucket_unlock(b);
	return rc;
}

int hash_table_delete(struct hash_table *t, const void *key)
{
	uint32_t hash = key_hash(t, key);
	struct hash_bucket *b = &t->buckets[hash & t->bucket_mask];
	int rc = -EBUSY;

	if (!bucket_lock(b))
		return -EBUSY;
	uint32_t at = chain_find(t, b, hash, key);

	if (at == HASH_NIL) {
		rc = -ENOENT;
	} else if (free_lock(t)) {
		struct hash_entry *e = entry_at(t, at);

		__atomic_store_n(chain_link(t, b, at), e->next, __ATOMIC_RELEASE);
		__atomic_store_n(&e->in_use, 0, __ATOMIC_RELAXED);
		entry_give(t, at);
		t->used--;
		free_unlock(t);
		rc = 0;
	}
	bucket_unlock(b);
	return rc;
}

bool hash_table_next(struct hash_table *t, uint32_t *cursor, void *ret_key, void *ret_value)
{
	for (uint32_t at = *cursor; at < t->entry_count; at++) {
		struct hash_entry *e = entry_at(t, at);
		uint32_t hash = __atomic_load_n(&e->hash, __ATOMIC_RELAXED);
		struct hash_bucket *b = &t->buckets[hash & t->bucket_mask];

		if (!__atomic_load_n(&e->in_use, __ATOMIC_ACQUIRE) || !bucket_lock(b))
			continue;
		bool there = e->in_use && e->hash == hash;

		if (there) {
			memcpy(ret_key, entry_key(e), t->key_size);
			memcpy(ret_value, entry_value(t, e), t->value_size);
		}
		bucket_unlock(b);
		if (there) {
			*cursor = at + 1;
			return true;
		}
	}
	*cursor = t->entry_count;
	return false;
}
