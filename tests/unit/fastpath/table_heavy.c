/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/net/hash.h"
#include "dataplane/table/heavy.h"
#include "tests/unit/fastpath/random.h"
#include "tests/unit/tap.h"

#include <string.h>

static struct weir_heavy heavy;

static void flow_of(uint32_t source, uint32_t second)
{
	uint8_t address[16] = { [10] = 0xff, [11] = 0xff };

	memcpy(address + 12, &source, sizeof(source));
	heavy_note(&heavy, hash_mix(source ^ UINT64_C(0x5bd1e9955bd1e995), 0x1234567), address, 1,
		0, second);
}

static const struct weir_heavy_entry *entry_of(uint32_t source)
{
	for (uint32_t i = 0; i < WEIR_HEAVY_SETS; i++)
		for (uint32_t k = 0; k < WEIR_HEAVY_WAYS; k++) {
			const struct weir_heavy_entry *e = &heavy.set[i].entry[k];

			if (heavy.set[i].tag[k] && memcmp(e->address + 12, &source, 4) == 0)
				return e;
		}
	return NULL;
}

/* 20 heavy ones with 2 % of all each, among ever new others. */
static void heavy_ones_are_found(void)
{
	struct random random = random_start("heavy");
	uint32_t sent[20] = { 0 };
	uint32_t found = 0;

	memset(&heavy, 0, sizeof(heavy));
	for (uint32_t i = 0; i < 100000; i++) {
		uint32_t r = (uint32_t)random_next(&random) % 50;

		if (r < 20)
			sent[r]++;
		flow_of(r < 20 ? r + 1 : 1000 + i, 1 + i / 20000);
	}
	for (uint32_t i = 0; i < 20; i++) {
		const struct weir_heavy_entry *e = entry_of(i + 1);

		if (!e)
			continue;
		CU_ASSERT_TRUE(e->flows <= sent[i]);
		found += e->flows * 10 > sent[i] * 9;
	}
	CU_ASSERT_EQUAL(found, 20);
}

/* Who was heavy and went away does not keep a place that another needs. */
static void past_ones_make_room(void)
{
	memset(&heavy, 0, sizeof(heavy));
	for (uint32_t i = 0; i < 300000; i++)
		flow_of(1 + i % 300, 1);
	for (uint32_t i = 0; i < 2000; i++)
		for (uint32_t k = 0; k < 100; k++)
			flow_of(1000 + k, 20);
	uint32_t found = 0;
	for (uint32_t k = 0; k < 100; k++)
		found += entry_of(1000 + k) && entry_of(1000 + k)->flows > 1800;
	CU_ASSERT_TRUE(found >= 95); /* more than eight of them may share a set */
	if (found < 95)
		printf("# %u\n", found);
}

static void changes_are_marked(void)
{
	uint32_t seq;

	memset(&heavy, 0, sizeof(heavy));
	flow_of(1, 1);
	for (uint32_t i = 0; i < WEIR_HEAVY_SETS; i++) {
		seq = heavy.set[i].seq;
		CU_ASSERT_TRUE(seq == 0 || seq == 2);
	}
}

static const struct tap_case cases[] = {
	{ "heavy sources are found among many, and never counted too high", heavy_ones_are_found },
	{ "past ones make room", past_ones_make_room },
	{ "a changed set has another even sequence number", changes_are_marked },
};

TAP_MAIN("heavy", cases)
