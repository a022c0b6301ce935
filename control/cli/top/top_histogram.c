/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/cli/top/top.h"

#include <math.h>

const char *const top_measure_keys[TOP_MEASURES] = {
	[TOP_RESIDENCE] = "residence",
	[TOP_CONNECT] = "connect",
	[TOP_FIRST_BYTE] = "first_byte",
};

const char *const top_measure_titles[TOP_MEASURES] = {
	[TOP_RESIDENCE] = "time in Weir, from receive to transmit",
	[TOP_CONNECT] = "connect, from SYN to SYN-ACK",
	[TOP_FIRST_BYTE] = "first byte, from request to response",
};

/* Bars of an octave; the shortest time that is told apart is about a microsecond. */
static const int parts[] = { 8, 4, 2, 1 };
#define SHORTEST 1.024e-6

static int step_of(double seconds, int per_octave)
{
	return seconds < SHORTEST ? -1 : (int)floor(log2(seconds / SHORTEST) * per_octave + 1e-6);
}

static double start_of(int step, int per_octave)
{
	return step < 0 ? 0 : SHORTEST * exp2((double)step / per_octave);
}

static double seconds_at(const json_t *pair)
{
	return json_number_value(json_array_get(pair, 0));
}

static void mark(const json_t *histogram, const char *key, struct top_bar *bars, size_t count,
	int first, int per_octave, size_t flag)
{
	const json_t *value = json_object_get(histogram, key);
	if (!json_is_number(value))
		return;
	int at = step_of(json_number_value(value), per_octave) - first;
	if (at < 0 || (size_t)at >= count)
		return;
	bool *flags[] = { &bars[at].has_p50, &bars[at].has_p99, &bars[at].has_p999,
		&bars[at].has_p9999 };
	*flags[flag] = true;
}

size_t top_bars(const json_t *histogram, struct top_bar *ret_bars, size_t max_bars)
{
	const json_t *buckets = json_object_get(histogram, "buckets");
	size_t size = json_array_size(buckets), i;
	json_t *pair;
	if (size == 0 || max_bars == 0)
		return 0;
	double shortest = seconds_at(json_array_get(buckets, 0));
	double longest = seconds_at(json_array_get(buckets, size - 1));
	int per_octave = 1, first = 0, last = 0;
	for (size_t p = 0; p < sizeof(parts) / sizeof(parts[0]); p++) {
		per_octave = parts[p];
		first = step_of(shortest, per_octave);
		last = step_of(longest, per_octave);
		if ((size_t)(last - first + 1) <= max_bars)
			break;
	}
	size_t count = (size_t)(last - first + 1);
	if (count > max_bars)
		count = max_bars;
	for (i = 0; i < count; i++)
		ret_bars[i] = (struct top_bar){ .from_s = start_of(first + (int)i, per_octave) };
	json_array_foreach(buckets, i, pair)
	{
		size_t at = (size_t)(step_of(seconds_at(pair), per_octave) - first);
		/* Where there is no room for all, the last one takes the rest. */
		ret_bars[at < count ? at : count - 1].count +=
			json_number_value(json_array_get(pair, 1));
	}
	mark(histogram, "p50", ret_bars, count, first, per_octave, 0);
	mark(histogram, "p99", ret_bars, count, first, per_octave, 1);
	mark(histogram, "p999", ret_bars, count, first, per_octave, 2);
	mark(histogram, "p9999", ret_bars, count, first, per_octave, 3);
	return count;
}
