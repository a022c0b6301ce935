/* SPDX-License-Identifier: BSD-3-Clause */

/* The maps against a plain list that does the same slowly, and under several threads. */

#include "ebpf/engine/map.h"
#include "tests/unit/engine/image_build.h"
#include "tests/unit/tap.h"
#include "tests/unit/tsan.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>

#define MODEL_MAX 512

struct model {
	uint8_t key[20];
	uint64_t value;
};

static struct model model[MODEL_MAX];
static uint32_t model_count;
static uint64_t state = 88172645463325252u;

static uint32_t next(uint32_t below)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 20) % below;
}

static struct policy_map *map_make(uint32_t type, uint32_t key, uint32_t value, uint32_t entries)
{
	const struct bpf_insn insns[] = { EXIT };
	const struct map_shape shape = { type, key, value, entries, false };
	struct policy_image *image = image_build(insns, 1, &shape, 1);
	struct policy_map *map = NULL;
	char err[256];

	CU_ASSERT_EQUAL_FATAL(policy_image_check(image, image->size, err, sizeof(err)), 0);
	CU_ASSERT_EQUAL_FATAL(policy_map_create(image, image_maps(image), -1, 2, -1, 7, &map), 0);
	free(image);
	return map;
}

static struct model *model_find(const uint8_t *key, uint32_t size)
{
	for (uint32_t i = 0; i < model_count; i++)
		if (memcmp(model[i].key, key, size) == 0)
			return &model[i];
	return NULL;
}

static int model_update(
	const uint8_t *key, uint32_t size, uint64_t value, uint64_t flags, uint32_t capacity)
{
	struct model *m = model_find(key, size);

	if (flags > BPF_EXIST)
		return -EINVAL;
	if (m && flags == BPF_NOEXIST)
		return -EEXIST;
	if (!m && flags == BPF_EXIST)
		return -ENOENT;
	if (!m && model_count == capacity)
		return -E2BIG;
	if (!m) {
		m = &model[model_count++];
		memcpy(m->key, key, size);
	}
	m->value = value;
	return 0;
}

static int model_delete(const uint8_t *key, uint32_t size)
{
	struct model *m = model_find(key, size);

	if (!m)
		return -ENOENT;
	*m = model[--model_count];
	return 0;
}

static void hash_agrees(uint32_t key_size, uint32_t capacity)
{
	struct policy_map *map = map_make(BPF_MAP_TYPE_HASH, key_size, 8, capacity);
	unsigned int wrong = 0;

	model_count = 0;
	for (uint32_t i = 0; i < 40000; i++) {
		uint8_t key[20] = { 0 };
		uint64_t value = i;
		uint32_t number = next(capacity * 2);
		uint64_t flags = next(4);

		memcpy(key + (key_size >= 4 ? next(1) : 0), &number, key_size < 4 ? key_size : 4);
		if (next(3) == 0) {
			wrong += policy_map_delete(map, key) != model_delete(key, key_size);
		} else {
			wrong += policy_map_update(map, key, &value, flags, 0) !=
				model_update(key, key_size, value, flags, capacity);
		}
		const struct model *m = model_find(key, key_size);
		const uint64_t *found = policy_map_lookup(map, key, 0);

		wrong += !m != !found || (m && m->value != *found);
	}
	CU_ASSERT_EQUAL(wrong, 0);
	/* A walk sees each entry once. */
	uint64_t cursor = 0, value;
	uint8_t key[20];
	uint32_t seen = 0;

	while (policy_map_next(map, &cursor, 0, key, &value)) {
		const struct model *m = model_find(key, key_size);

		CU_ASSERT(m && m->value == value);
		seen++;
	}
	CU_ASSERT_EQUAL(seen, model_count);
	policy_map_destroy(map);
}

static void a_hash_is_exact_and_holds_all_its_entries(void)
{
	static const uint32_t sizes[] = { 1, 2, 3, 4, 8, 12, 16, 20 };

	for (unsigned int i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		hash_agrees(sizes[i], 16);
		hash_agrees(sizes[i], 100);
	}
}

static void an_lru_hash_keeps_what_is_looked_up(void)
{
	struct policy_map *map = map_make(BPF_MAP_TYPE_LRU_HASH, 4, 8, 64);
	uint32_t favourite = 0xffffffff, lost = 0;
	uint64_t value = 1;

	CU_ASSERT_EQUAL(policy_map_update(map, &favourite, &value, BPF_ANY, 0), 0);
	for (uint32_t i = 0; i < 10000; i++) {
		CU_ASSERT_EQUAL_FATAL(policy_map_update(map, &i, &value, BPF_ANY, 0), 0);
		/* Most are never asked for again. */
		if (i % 8 == 0)
			lost += policy_map_lookup(map, &i, 0) == NULL;
		lost += policy_map_lookup(map, &favourite, 0) == NULL;
	}
	CU_ASSERT_EQUAL(lost, 0);
	uint64_t cursor = 0;
	uint32_t key, count = 0;

	while (policy_map_next(map, &cursor, 0, &key, &value))
		count++;
	CU_ASSERT_EQUAL(count, 64);
	policy_map_destroy(map);
}

static bool bit(const uint8_t *p, uint32_t i)
{
	return p[i / 8] >> (7 - i % 8) & 1;
}

static const struct model *model_longest(const uint8_t *key, uint32_t bits)
{
	const struct model *best = NULL;
	uint32_t best_bits = 0, mine;

	for (uint32_t i = 0; i < model_count; i++) {
		bool same = true;

		memcpy(&mine, model[i].key, 4);
		for (uint32_t b = 0; b < mine && same; b++)
			same = b < bits && bit(model[i].key + 4, b) == bit(key + 4, b);
		if (same && mine <= bits && (!best || mine >= best_bits)) {
			best = &model[i];
			best_bits = mine;
		}
	}
	return best;
}

static void prefix_key(uint8_t *key, uint32_t size, bool clean)
{
	uint32_t bits = next((size - 4) * 8 + 1);

	memset(key, 0, 20);
	memcpy(key, &bits, 4);
	for (uint32_t i = 4; i < size; i++)
		key[i] = (uint8_t)(next(4) * 85);
	for (uint32_t b = bits; clean && b < (size - 4) * 8; b++)
		key[4 + b / 8] &= (uint8_t) ~(1u << (7 - b % 8));
}

static void lpm_agrees(uint32_t key_size)
{
	struct policy_map *map = map_make(BPF_MAP_TYPE_LPM_TRIE, key_size, 8, 256);
	unsigned int wrong = 0;
	uint8_t key[20];

	model_count = 0;
	for (uint32_t i = 0; i < 20000; i++) {
		uint64_t value = i;

		prefix_key(key, key_size, true);
		if (next(3) == 0) {
			wrong += policy_map_delete(map, key) != model_delete(key, key_size);
		} else {
			int rc = model_update(key, key_size, value, BPF_ANY, 256);

			wrong += policy_map_update(map, key, &value, BPF_ANY, 0) !=
				(rc == -E2BIG ? -ENOSPC : rc);
		}
		uint32_t bits;

		prefix_key(key, key_size, false);
		memcpy(&bits, key, 4);
		const struct model *m = model_longest(key, bits);
		const uint64_t *found = policy_map_lookup(map, key, 0);

		wrong += !m != !found || (m && m->value != *found);
	}
	CU_ASSERT_EQUAL(wrong, 0);
	uint32_t far = key_size * 8;

	memcpy(key, &far, 4);
	CU_ASSERT_PTR_NULL(policy_map_lookup(map, key, 0));
	CU_ASSERT_EQUAL(policy_map_update(map, key, key, BPF_ANY, 0), -EINVAL);
	policy_map_destroy(map);
}

static void the_longest_prefix_is_found(void)
{
	lpm_agrees(8);
	lpm_agrees(12);
	lpm_agrees(20);
}

static void arrays_have_values_for_each_worker(void)
{
	struct policy_map *map = map_make(BPF_MAP_TYPE_PERCPU_ARRAY, 4, 12, 3);
	uint32_t key = 2, outside = 3;
	uint8_t a[12] = "worker zero", b[12] = "worker  one";

	CU_ASSERT_EQUAL(policy_map_update(map, &key, a, BPF_ANY, 0), 0);
	CU_ASSERT_EQUAL(policy_map_update(map, &key, b, BPF_EXIST, 1), 0);
	CU_ASSERT(memcmp(policy_map_lookup(map, &key, 0), a, 12) == 0);
	CU_ASSERT(memcmp(policy_map_lookup(map, &key, 1), b, 12) == 0);
	CU_ASSERT_PTR_NULL(policy_map_lookup(map, &outside, 0));
	CU_ASSERT_EQUAL(policy_map_update(map, &outside, a, BPF_ANY, 0), -E2BIG);
	CU_ASSERT_EQUAL(policy_map_update(map, &key, a, BPF_NOEXIST, 0), -EEXIST);
	CU_ASSERT_EQUAL(policy_map_delete(map, &key), -EINVAL);
	policy_map_destroy(map);
}

static void only_values_belong_to_the_policy(void)
{
	struct policy_map *map = map_make(BPF_MAP_TYPE_HASH, 4, 16, 8);
	uint32_t key = 1;
	uint64_t value[2] = { 0 };

	policy_map_update(map, &key, value, BPF_ANY, 0);
	uint64_t at = (uint64_t)(uintptr_t)policy_map_lookup(map, &key, 0);

	CU_ASSERT(policy_map_owns(map, at, 16));
	CU_ASSERT(policy_map_owns(map, at + 8, 8));
	CU_ASSERT_FALSE(policy_map_owns(map, at + 9, 8));
	CU_ASSERT_FALSE(policy_map_owns(map, at - 1, 1));
	CU_ASSERT_FALSE(policy_map_owns(map, at + 16, 1));
	CU_ASSERT_FALSE(policy_map_owns(map, 0, 1));
	CU_ASSERT_FALSE(policy_map_owns(map, UINT64_MAX, 8));
	policy_map_destroy(map);
}

/* Two write the same keys and one looks: a value is always whole, and of its key. */
struct pair {
	uint64_t key;
	uint64_t twice;
};

static struct policy_map *shared;
static bool stop;
static uint32_t torn;

static void *write_pairs(void *seed)
{
	uint64_t x = *(const uint64_t *)seed;

	for (uint32_t i = 0; i < TSAN_LESS(200000); i++) {
		x = x * 6364136223846793005u + 1442695040888963407u;
		uint64_t key = (x >> 33) % 128;
		struct pair p = { key, 2 * key };

		if (x >> 62 == 0)
			policy_map_delete(shared, &key);
		else
			policy_map_update(shared, &key, &p, BPF_ANY, 0);
	}
	return NULL;
}

static void *read_pairs(void *unused)
{
	uint64_t x = 3;

	TSAN_READS_HIDE();
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		x = x * 6364136223846793005u + 1442695040888963407u;
		uint64_t key = (x >> 33) % 128;
		const volatile struct pair *p = policy_map_lookup(shared, &key, 0);

		/* It may have become another's while we look, but then as a whole and much later. */
		if (p && p->twice != 2 * p->key)
			__atomic_fetch_add(&torn, 1, __ATOMIC_RELAXED);
	}
	TSAN_READS_SHOW();
	return unused;
}

static void threads_see_whole_values(uint32_t type)
{
	static uint64_t seeds[2] = { 1, 99 };
	pthread_t writers[2], reader;

	shared = map_make(type, 8, sizeof(struct pair), 96);
	stop = false;
	torn = 0;
	pthread_create(&reader, NULL, read_pairs, NULL);
	for (unsigned int i = 0; i < 2; i++)
		pthread_create(&writers[i], NULL, write_pairs, &seeds[i]);
	for (unsigned int i = 0; i < 2; i++)
		pthread_join(writers[i], NULL);
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	pthread_join(reader, NULL);
	/* The reader can lose the CPU for so long that its entry has gone round the free list. */
	CU_ASSERT(torn < 20);
	uint64_t cursor = 0, key;
	struct pair p;
	uint32_t count = 0;

	while (policy_map_next(shared, &cursor, 0, &key, &p)) {
		CU_ASSERT_EQUAL(p.key, key);
		CU_ASSERT_EQUAL(p.twice, 2 * key);
		count++;
	}
	CU_ASSERT_EQUAL(count, shared->hash.used);
	CU_ASSERT(count <= 96);
	CU_ASSERT_EQUAL(shared->hash.free_count + count, shared->hash.entry_count);
	policy_map_destroy(shared);
}

static void threads_see_whole_values_in_a_hash(void)
{
	threads_see_whole_values(BPF_MAP_TYPE_HASH);
}

static void threads_see_whole_values_in_an_lru_hash(void)
{
	threads_see_whole_values(BPF_MAP_TYPE_LRU_HASH);
}

static const struct tap_case cases[] = {
	{ "a hash is exact and holds all its entries", a_hash_is_exact_and_holds_all_its_entries },
	{ "an LRU hash keeps what is looked up", an_lru_hash_keeps_what_is_looked_up },
	{ "the longest prefix is found", the_longest_prefix_is_found },
	{ "per-CPU arrays have values for each worker", arrays_have_values_for_each_worker },
	{ "only values belong to the policy", only_values_belong_to_the_policy },
	{ "threads see whole values in a hash", threads_see_whole_values_in_a_hash },
	{ "threads see whole values in an LRU hash", threads_see_whole_values_in_an_lru_hash },
};

TAP_MAIN("policy maps", cases)
