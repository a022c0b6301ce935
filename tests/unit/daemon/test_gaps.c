/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/daemon/dataplane/gaps.h"
#include "tests/unit/tap.h"

#define MS UINT64_C(1000000)
#define S  UINT64_C(1000000000)

static struct snapshot_core cores[3];
static struct snapshot s;

static void start(void)
{
	s = (struct snapshot){ .cores = cores, .core_count = 3, .taken_ns = 1000 * S };
	for (size_t i = 0; i < 3; i++)
		cores[i] = (struct snapshot_core){ .entry = { .cpu = (uint32_t)i } };
}

static void gap(size_t core, uint64_t end_ns, uint64_t length_ns)
{
	cores[core].cell.gaps.recent[end_ns / WEIR_GAP_TURN_NS % WEIR_GAPS_RECENT] =
		(struct weir_gap){ .end_ns = end_ns, .length_ns = length_ns };
}

static void the_longest_of_all_cores_is_told(void)
{
	struct gap_watch w = { 0 };
	size_t core = 9, count = 9;

	start();
	CU_ASSERT_PTR_NULL(gap_watch_find(&w, &s, &core, &count));
	gap(0, 999 * S, 9 * MS); /* too short */
	CU_ASSERT_PTR_NULL(gap_watch_find(&w, &s, &core, &count));
	gap(1, 990 * S, 12 * MS);
	gap(2, 980 * S, 300 * MS);
	gap(2, 930 * S, 900 * MS); /* too long ago */
	const struct weir_gap *found = gap_watch_find(&w, &s, &core, &count);

	CU_ASSERT_PTR_NOT_NULL_FATAL(found);
	CU_ASSERT_EQUAL(found->length_ns, 300 * MS);
	CU_ASSERT_EQUAL(core, 2);
	CU_ASSERT_EQUAL(count, 2);
}

static void it_is_told_once_a_minute_at_most(void)
{
	struct gap_watch w = { 0 };
	size_t core, count;

	start();
	gap(1, 999 * S, 300 * MS);
	CU_ASSERT_PTR_NOT_NULL(gap_watch_find(&w, &s, &core, &count));
	CU_ASSERT_PTR_NULL(gap_watch_find(&w, &s, &core, &count));
	gap(0, 1005 * S, 50 * MS);
	s.taken_ns = 1006 * S;
	CU_ASSERT_PTR_NULL(gap_watch_find(&w, &s, &core, &count));
	/* After the minute: what came in it, and not what was told. */
	s.taken_ns = 1060 * S;
	const struct weir_gap *found = gap_watch_find(&w, &s, &core, &count);

	CU_ASSERT_PTR_NOT_NULL_FATAL(found);
	CU_ASSERT_EQUAL(found->length_ns, 50 * MS);
	CU_ASSERT_EQUAL(core, 0);
	CU_ASSERT_EQUAL(count, 1);
}

static const struct tap_case cases[] = {
	{ "the longest gap of all cores is told of", the_longest_of_all_cores_is_told },
	{ "a gap is told of once a minute at most", it_is_told_once_a_minute_at_most },
};

TAP_MAIN("gaps of cores", cases)
