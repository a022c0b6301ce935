/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/report/report_private.h"

#include <stdlib.h>

#define MINUTE_NS UINT64_C(60000000000)

static const char *during_label(uint32_t during)
{
	static const char *const labels[] = { [WEIR_GAP_ASLEEP] = "asleep",
		[WEIR_GAP_IDLE] = "polling",
		[WEIR_GAP_PACKETS] = "packets" };

	return during < sizeof(labels) / sizeof(labels[0]) ? labels[during] : "unknown";
}

/* The wall clock then: it and the monotonic one only part when somebody sets it. */
static double seconds_of(const struct snapshot *s, uint64_t at_ns)
{
	int64_t since_start = (int64_t)(at_ns - s->start_ns);

	return ((double)s->start_time_ns + (double)since_start) / 1e9;
}

json_t *report_gap(const struct snapshot *s, const struct weir_gap *gap)
{
	return json_pack("{s:f, s:f, s:s, s:I}", "time", seconds_of(s, gap->end_ns), "length",
		(double)gap->length_ns / 1e9, "during", during_label(gap->during), "packets",
		(json_int_t)gap->packets);
}

const struct weir_gap *report_gap_longest(
	const struct snapshot *s, const struct weir_core_gaps *gaps, uint64_t after_ns)
{
	const struct weir_gap *longest = NULL;

	for (size_t i = 0; i < WEIR_GAPS_RECENT; i++) {
		const struct weir_gap *gap = &gaps->recent[i];

		if (gap->length_ns == 0 || gap->end_ns + MINUTE_NS < s->taken_ns ||
			gap->end_ns <= after_ns)
			continue;
		if (longest == NULL || longest->length_ns < gap->length_ns)
			longest = gap;
	}
	return longest;
}

/* Oldest first. */
static int by_time(const void *a, const void *b)
{
	const struct weir_gap *x = a, *y = b;

	return x->end_ns < y->end_ns ? -1 : x->end_ns > y->end_ns;
}

static json_t *gap_list(const struct snapshot *s, const struct weir_gap *gaps, size_t count)
{
	json_t *list = json_array();

	for (size_t i = 0; list != NULL && i < count; i++)
		if (gaps[i].length_ns != 0)
			json_array_append_new(list, report_gap(s, &gaps[i]));
	return list;
}

json_t *report_gaps(const struct snapshot *s, const struct weir_core_gaps *gaps)
{
	const struct weir_gap *longest = report_gap_longest(s, gaps, 0);
	struct weir_gap recent[WEIR_GAPS_RECENT];

	for (size_t i = 0; i < WEIR_GAPS_RECENT; i++)
		recent[i] = gaps->recent[i];
	qsort(recent, WEIR_GAPS_RECENT, sizeof(recent[0]), by_time);
	return json_pack("{s:o, s:f, s:o, s:o, s:o}", "count", report_count(gaps->count), "total",
		(double)gaps->sum_ns / 1e9, "last_minute",
		longest != NULL ? json_real((double)longest->length_ns / 1e9) : json_null(),
		"longest", gap_list(s, gaps->longest, WEIR_GAPS_LONGEST), "recent",
		gap_list(s, recent, WEIR_GAPS_RECENT));
}
