/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/core/gaps.h"
#include "tests/unit/tap.h"

#include <string.h>

#define MS UINT64_C(1000000)
#define S  UINT64_C(1000000000)

static struct weir_core_gaps gaps;

static void the_longest_ones_stay(void)
{
	memset(&gaps, 0, sizeof(gaps));
	/* 1, 8, 15, ... ms in no order: each of 0 to 99 once. */
	for (uint64_t i = 0; i < 100; i++)
		gap_note(&gaps, i * S, (i * 37 % 100) * MS, WEIR_GAP_ASLEEP, 0);
	CU_ASSERT_EQUAL(gaps.count, 100);
	CU_ASSERT_EQUAL(gaps.sum_ns, 4950 * MS);
	CU_ASSERT_EQUAL(gaps.seq, 200);
	for (uint32_t i = 0; i < WEIR_GAPS_LONGEST; i++) {
		CU_ASSERT_EQUAL(gaps.longest[i].length_ns, (99 - i) * MS);
		CU_ASSERT_EQUAL(gaps.longest[i].end_ns / S * 37 % 100, 99 - i);
	}
}

static void what_a_gap_was_is_kept_with_it(void)
{
	memset(&gaps, 0, sizeof(gaps));
	gap_note(&gaps, 7 * S, 3 * MS, WEIR_GAP_PACKETS, 32);
	gap_note(&gaps, 8 * S, 4 * MS, WEIR_GAP_IDLE, 0);
	CU_ASSERT_EQUAL(gaps.longest[0].during, WEIR_GAP_IDLE);
	CU_ASSERT_EQUAL(gaps.longest[1].during, WEIR_GAP_PACKETS);
	CU_ASSERT_EQUAL(gaps.longest[1].packets, 32);
	CU_ASSERT_EQUAL(gaps.longest[1].end_ns, 7 * S);
}

static void each_turn_keeps_its_longest(void)
{
	memset(&gaps, 0, sizeof(gaps));
	gap_note(&gaps, 1 * S, 3 * MS, WEIR_GAP_IDLE, 0);
	gap_note(&gaps, 2 * S, 9 * MS, WEIR_GAP_IDLE, 0);
	gap_note(&gaps, 3 * S, 2 * MS, WEIR_GAP_IDLE, 0);
	gap_note(&gaps, 6 * S, 1 * MS, WEIR_GAP_IDLE, 0);
	CU_ASSERT_EQUAL(gaps.recent[0].length_ns, 9 * MS);
	CU_ASSERT_EQUAL(gaps.recent[0].end_ns, 2 * S);
	CU_ASSERT_EQUAL(gaps.recent[1].length_ns, 1 * MS);
	CU_ASSERT_EQUAL(gaps.recent[2].length_ns, 0);
	/* A later turn at the same place begins anew, however short its gap is. */
	gap_note(&gaps, (WEIR_GAPS_RECENT * 5 + 4) * S, 1 * MS, WEIR_GAP_IDLE, 0);
	CU_ASSERT_EQUAL(gaps.recent[0].length_ns, 1 * MS);
	CU_ASSERT_EQUAL(gaps.recent[1].end_ns, 6 * S);
}

static const struct tap_case cases[] = {
	{ "the longest gaps since the start stay, the longest first", the_longest_ones_stay },
	{ "what a gap was is kept with it", what_a_gap_was_is_kept_with_it },
	{ "each five seconds keep their longest gap", each_turn_keeps_its_longest },
};

TAP_MAIN("gaps", cases)
