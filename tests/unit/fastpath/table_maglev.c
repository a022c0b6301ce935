/* SPDX-License-Identifier: BSD-3-Clause */

/* Maglev: shares, stability, independence of order. */

#include "dataplane/table/maglev.h"
#include "tests/unit/fastpath/random.h"
#include "tests/unit/tap.h"

#include <errno.h>
#include <string.h>

#define MOST 4096

static uint16_t table_a[MAGLEV_SIZE], table_b[MAGLEV_SIZE];
static struct maglev_backend pool[MOST];
static uint32_t share[65536];

/* Backend i is 10.x.x.x:80 + i % 3 in slot i. */
static void pool_make(uint32_t count, uint16_t weight)
{
	memset(pool, 0, sizeof(pool));
	for (uint32_t i = 0; i < count; i++) {
		pool[i].address[10] = pool[i].address[11] = 0xff;
		pool[i].address[12] = 10;
		pool[i].address[14] = (uint8_t)(i >> 8);
		pool[i].address[15] = (uint8_t)i;
		pool[i].port = (uint16_t)(80 + i % 3);
		pool[i].weight = weight;
		pool[i].slot = (uint16_t)i;
	}
}

static void build(uint16_t *table, uint32_t count)
{
	struct hash_seed seed = hash_seed_make(42);

	CU_ASSERT_EQUAL_FATAL(maglev_build(table, pool, count, &seed), 0);
}

static void shares_count(const uint16_t *table)
{
	memset(share, 0, sizeof(share));
	for (uint32_t i = 0; i < MAGLEV_SIZE; i++)
		share[table[i]]++;
}

/* Entries that differ though both pools have the backend that the first table says. */
static uint32_t moved_needlessly(uint16_t gone)
{
	uint32_t moved = 0;

	for (uint32_t i = 0; i < MAGLEV_SIZE; i++)
		moved += table_a[i] != table_b[i] && table_a[i] != gone && table_b[i] != gone;
	return moved;
}

static void equal_weights_get_equal_shares(void)
{
	static const uint32_t counts[] = { 1, 2, 3, 7, 100, 1000, 4096 };

	for (uint32_t c = 0; c < sizeof(counts) / sizeof(counts[0]); c++) {
		pool_make(counts[c], 5);
		build(table_a, counts[c]);
		shares_count(table_a);
		for (uint32_t i = 0; i < counts[c]; i++)
			CU_ASSERT(share[i] == MAGLEV_SIZE / counts[c] ||
				share[i] == MAGLEV_SIZE / counts[c] + 1);
	}
}

static void small_weights_get_their_share(void)
{
	/* 1 among 99 others of 100: 1 in 9901 of the table, that is 6.6 entries. */
	pool_make(100, 100);
	pool[37].weight = 1;
	build(table_a, 100);
	shares_count(table_a);
	CU_ASSERT(share[37] == 6 || share[37] == 7);
	/* 1 beside 99: one percent. */
	pool_make(2, 99);
	pool[0].weight = 1;
	build(table_a, 2);
	shares_count(table_a);
	CU_ASSERT_DOUBLE_EQUAL(share[0] / 655.37, 1, 0.01);
	/* 1 beside the largest weight there is, many times: everybody has an entry. */
	pool_make(4096, 1);
	pool[4000].weight = 65535;
	build(table_a, 4096);
	shares_count(table_a);
	uint32_t sum = 0;

	for (uint32_t i = 0; i < 4096; i++) {
		CU_ASSERT(share[i] >= 1);
		sum += share[i];
	}
	CU_ASSERT_EQUAL(sum, MAGLEV_SIZE);
	CU_ASSERT_EQUAL(share[4000], MAGLEV_SIZE - 4095);
}

static void random_weights_get_their_shares(void)
{
	struct random random = random_start("maglev");

	for (uint32_t round = 0; round < 20; round++) {
		uint32_t count = 1 + random_below(&random, 300);
		uint64_t sum = 0;

		pool_make(count, 0);
		for (uint32_t i = 0; i < count; i++) {
			pool[i].weight = (uint16_t)random_below(&random, 101);
			sum += pool[i].weight;
		}
		pool[count - 1].weight++;
		sum++;
		build(table_a, count);
		shares_count(table_a);
		for (uint32_t i = 0; i < count; i++) {
			double want = 65537.0 * pool[i].weight / (double)sum;

			CU_ASSERT_DOUBLE_EQUAL(share[i], want, 1);
			CU_ASSERT((share[i] == 0) == (pool[i].weight == 0));
		}
	}
}

static void none_is_empty(void)
{
	struct hash_seed seed = hash_seed_make(1);

	memset(table_a, 0xab, sizeof(table_a));
	pool_make(3, 0);
	CU_ASSERT_EQUAL(maglev_build(table_a, pool, 3, &seed), -ENOENT);
	CU_ASSERT_EQUAL(maglev_build(table_a, pool, 0, &seed), -ENOENT);
	CU_ASSERT_EQUAL(maglev_build(table_a, pool, MAGLEV_MAX_BACKENDS + 1, &seed), -EINVAL);
	CU_ASSERT_EQUAL(table_a[0], 0xabab);
}

static void order_and_slots_do_not_matter(void)
{
	pool_make(50, 10);
	pool[3].weight = 3;
	build(table_a, 50);
	for (uint32_t i = 0; i < 25; i++) {
		struct maglev_backend swap = pool[i];

		pool[i] = pool[49 - i];
		pool[49 - i] = swap;
	}
	for (uint32_t i = 0; i < 50; i++)
		pool[i].slot = (uint16_t)(pool[i].slot + 1000);
	build(table_b, 50);
	for (uint32_t i = 0; i < MAGLEV_SIZE; i++)
		CU_ASSERT_FATAL(table_b[i] == table_a[i] + 1000);
}

static void little_moves_when_the_pool_changes(void)
{
	static const uint32_t counts[] = { 3, 10, 100, 1000 };

	for (uint32_t c = 0; c < 4; c++) {
		pool_make(counts[c], 10);
		build(table_a, counts[c]);
		pool[1].weight = 0;
		build(table_b, counts[c]);
		/* Of what the leaving one did not have. */
		CU_ASSERT(moved_needlessly(1) < MAGLEV_SIZE * 3 / 100);
	}
	/* Another weight for one of a hundred moves no more than the change asks for, and a little. */
	pool_make(100, 10);
	build(table_a, 100);
	pool[1].weight = 5;
	build(table_b, 100);
	CU_ASSERT(moved_needlessly(1) < MAGLEV_SIZE * 3 / 100);
	shares_count(table_b);
	CU_ASSERT_DOUBLE_EQUAL(share[1], 65537.0 * 5 / 995, 1);
}

static void seeds_differ(void)
{
	struct hash_seed seed = hash_seed_make(43);
	uint32_t same = 0;

	pool_make(10, 10);
	build(table_a, 10);
	CU_ASSERT_EQUAL(maglev_build(table_b, pool, 10, &seed), 0);
	for (uint32_t i = 0; i < MAGLEV_SIZE; i++)
		same += table_a[i] == table_b[i];
	CU_ASSERT(same < MAGLEV_SIZE / 5);
}

static void hashes_spread_over_the_table(void)
{
	struct hash_seed seed = hash_seed_make(42);

	pool_make(10, 1);
	build(table_a, 10);
	memset(share, 0, sizeof(share));
	for (uint32_t i = 0; i < 200000; i++)
		share[maglev_slot(table_a, hash_tuple4(&seed, i, 0x50001234, 6))]++;
	for (uint32_t i = 0; i < 10; i++)
		CU_ASSERT_DOUBLE_EQUAL(share[i], 20000, 800);
	CU_ASSERT_EQUAL(maglev_entry(0), 0);
	CU_ASSERT_EQUAL(maglev_entry(UINT64_MAX), MAGLEV_SIZE - 1);
}

static const struct tap_case cases[] = {
	{ "equal weights get equal shares", equal_weights_get_equal_shares },
	{ "small weights among large ones get their share", small_weights_get_their_share },
	{ "random weights get their shares to an entry, weight 0 gets none",
		random_weights_get_their_shares },
	{ "a pool without weight is empty and writes nothing", none_is_empty },
	{ "neither order nor slots matter", order_and_slots_do_not_matter },
	{ "a change of the pool moves little else", little_moves_when_the_pool_changes },
	{ "another seed gives another table", seeds_differ },
	{ "hashes spread evenly over the backends", hashes_spread_over_the_table },
};

TAP_MAIN("maglev", cases)
