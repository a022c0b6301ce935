/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/table/affinity.h"
#include "tests/unit/fastpath/random.h"
#include "tests/unit/tap.h"

#include <errno.h>
#include <stdlib.h>

#define UNIT   (UINT64_C(1) << AFFINITY_TIME_SHIFT)
#define PLACES 4096u

static struct affinity *make(uint32_t places)
{
	struct affinity *a = NULL;

	CU_ASSERT_EQUAL_FATAL(affinity_create(places, &table_memory_libc, -1, &a), 0);
	return a;
}

static uint64_t hash_of(uint64_t n)
{
	const struct hash_seed seed = hash_seed_make(7);

	return hash_tuple4(&seed, n, 0, 0);
}

static void bounds(void)
{
	struct affinity *a;

	CU_ASSERT_EQUAL(affinity_create(AFFINITY_MIN - 1, &table_memory_libc, -1, &a), -EINVAL);
	CU_ASSERT_EQUAL(affinity_create(AFFINITY_MAX + 1, &table_memory_libc, -1, &a), -EINVAL);
	a = make(AFFINITY_MIN + 1);
	affinity_destroy(a);
	affinity_destroy(NULL);
}

static void remembers(void)
{
	struct affinity *a = make(PLACES);
	uint16_t epoch = 0;

	CU_ASSERT_EQUAL(affinity_find(a, hash_of(1), 0, 10, &epoch), AFFINITY_NO_SLOT);
	affinity_set(a, hash_of(1), 5 * UNIT, AFFINITY_MAX_SLOTS - 1, 0xffff);
	CU_ASSERT_EQUAL(affinity_find(a, hash_of(1), 5 * UNIT, 10, &epoch), AFFINITY_MAX_SLOTS - 1);
	CU_ASSERT_TRUE(affinity_same_epoch(epoch, 0xffff));
	CU_ASSERT_FALSE(affinity_same_epoch(epoch, 0xfffe));
	CU_ASSERT_EQUAL(affinity_find(a, hash_of(2), 5 * UNIT, 10, &epoch), AFFINITY_NO_SLOT);
	affinity_set(a, hash_of(1), 6 * UNIT, 0, 1);
	CU_ASSERT_EQUAL(affinity_find(a, hash_of(1), 6 * UNIT, 10, &epoch), 0);
	CU_ASSERT_TRUE(affinity_same_epoch(epoch, 1));
	affinity_destroy(a);
}

/* Also where the clock's 22 bits wrap. */
static void forgets(void)
{
	struct affinity *a = make(PLACES);
	uint16_t epoch;

	for (uint64_t at = 0; at < 3; at++) {
		uint64_t start = ((at << 22) - (at ? 5 : 0)) * UNIT;

		affinity_set(a, hash_of(at), start, 3, 0);
		CU_ASSERT_EQUAL(affinity_find(a, hash_of(at), start + 10 * UNIT, 10, &epoch), 3);
		CU_ASSERT_EQUAL(affinity_find(a, hash_of(at), start + 11 * UNIT, 10, &epoch),
			AFFINITY_NO_SLOT);
		/* Used again, it lives on. */
		affinity_set(a, hash_of(at), start + 9 * UNIT, 3, 0);
		CU_ASSERT_EQUAL(affinity_find(a, hash_of(at), start + 19 * UNIT, 10, &epoch), 3);
	}
	affinity_destroy(a);
}

/* Against a map without bounds: what is found is right; nothing is lost before there are many. */
static void model(void)
{
	enum {
		SOURCES = PLACES / 4
	};
	struct affinity *a = make(PLACES);
	uint16_t *slot = calloc(SOURCES, sizeof(*slot));
	struct random random = random_start("affinity");
	uint64_t now = 0;
	uint32_t lost = 0;

	for (uint32_t i = 0; i < SOURCES; i++)
		slot[i] = AFFINITY_NO_SLOT;
	for (uint32_t i = 0; i < 200000; i++) {
		uint32_t source = random_below(&random, SOURCES);
		uint16_t epoch;
		uint16_t found;

		now += random_below(&random, 1000) * 1000000;
		found = affinity_find(a, hash_of(source), now, (1u << 22) - 1, &epoch);
		if (found == AFFINITY_NO_SLOT)
			lost += slot[source] != AFFINITY_NO_SLOT;
		else
			CU_ASSERT_EQUAL(found, slot[source]);
		if (random_below(&random, 3))
			continue;
		slot[source] = (uint16_t)random_below(&random, AFFINITY_MAX_SLOTS);
		affinity_set(a, hash_of(source), now, slot[source], 0);
	}
	CU_ASSERT_TRUE(lost < 200); /* a quarter full: few sets overflow */
	free(slot);
	affinity_destroy(a);
}

/* A flood of other sources: what was used last stays, and memory does not grow. */
static void flood(void)
{
	struct affinity *a = make(PLACES);
	uint32_t kept = 0;
	uint16_t epoch;

	for (uint64_t i = 0; i < 100; i++)
		affinity_set(a, hash_of(i), 0, 1, 0);
	for (uint64_t i = 0; i < 10 * PLACES; i++) {
		affinity_set(a, hash_of(1000000 + i), UNIT * (1 + i / 100), 2, 0);
		/* Each of these comes again after a thousand others, two to each set. */
		if (i % 10 == 0)
			affinity_set(a, hash_of(i / 10 % 100), UNIT * (1 + i / 100), 1, 0);
	}
	for (uint64_t i = 0; i < 100; i++)
		kept += affinity_find(a, hash_of(i), UNIT * 411, 1000, &epoch) == 1;
	CU_ASSERT_TRUE(kept >= 95);
	affinity_destroy(a);
}

static void prefixes(void)
{
	const struct hash_seed seed = hash_seed_make(1);
	const uint8_t a4[4] = { 198, 51, 100, 7 }, b4[4] = { 198, 51, 100, 8 };
	uint8_t a6[16] = { 0x20, 1, 0xd, 0xb8 }, b6[16] = { 0x20, 1, 0xd, 0xb8 };

	CU_ASSERT_NOT_EQUAL(
		affinity_hash(&seed, a4, 32, false), affinity_hash(&seed, b4, 32, false));
	CU_ASSERT_NOT_EQUAL(
		affinity_hash(&seed, a4, 29, false), affinity_hash(&seed, b4, 29, false));
	CU_ASSERT_EQUAL(affinity_hash(&seed, a4, 28, false), affinity_hash(&seed, b4, 28, false));
	CU_ASSERT_EQUAL(affinity_hash(&seed, a4, 24, false), affinity_hash(&seed, b4, 24, false));
	a6[8] = 1;
	b6[7] = 0;
	CU_ASSERT_NOT_EQUAL(
		affinity_hash(&seed, a6, 128, true), affinity_hash(&seed, b6, 128, true));
	CU_ASSERT_NOT_EQUAL(affinity_hash(&seed, a6, 72, true), affinity_hash(&seed, b6, 72, true));
	CU_ASSERT_EQUAL(affinity_hash(&seed, a6, 71, true), affinity_hash(&seed, b6, 71, true));
	CU_ASSERT_EQUAL(affinity_hash(&seed, a6, 64, true), affinity_hash(&seed, b6, 64, true));
}

static const struct tap_case cases[] = {
	{ "a size out of bounds is refused", bounds },
	{ "a source's backend is remembered and replaced", remembers },
	{ "a source is forgotten after its timeout, unless it comes again", forgets },
	{ "what is found is what was set last", model },
	{ "a flood takes places from others, not more memory", flood },
	{ "a source is as many bits of the address as are asked for", prefixes },
};

TAP_MAIN("affinity", cases)
