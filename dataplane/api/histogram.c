/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/api/histogram.h"

#include <math.h>
#include <stddef.h>

uint64_t weir_histogram_value(uint32_t bucket)
{
	const uint64_t least = UINT64_C(1) << WEIR_HIST_MIN_SHIFT;

	if (bucket == 0)
		return least / 2;
	if (bucket >= WEIR_HIST_BUCKETS - 1)
		return UINT64_C(1) << WEIR_HIST_MAX_SHIFT;
	uint32_t octave = WEIR_HIST_MIN_SHIFT + ((bucket - 1) >> WEIR_HIST_SUB_SHIFT);
	uint32_t step = (bucket - 1) & ((1u << WEIR_HIST_SUB_SHIFT) - 1);
	uint64_t width = UINT64_C(1) << (octave - WEIR_HIST_SUB_SHIFT);
	return (UINT64_C(1) << octave) + step * width + width / 2;
}

/*
 * The sum of the buckets, not `count`, is what ranks are taken of: a histogram that is being written
 * may have one without the other.
 */
double weir_histogram_quantile(const struct weir_histogram *h, double share)
{
	uint64_t total = 0;

	for (uint32_t i = 0; i < WEIR_HIST_BUCKETS; i++)
		total += h->bucket[i];
	if (total == 0)
		return NAN;
	if (!(share > 0))
		share = 0;
	if (share > 1)
		share = 1;
	uint64_t rank = (uint64_t)ceil(share * (double)total);
	if (rank == 0)
		rank = 1;
	if (rank > total)
		rank = total;
	uint64_t seen = 0;
	for (uint32_t i = 0; i < WEIR_HIST_BUCKETS; i++) {
		seen += h->bucket[i];
		if (seen >= rank)
			return (double)weir_histogram_value(i) / 1e9;
	}
	return NAN;
}

static uint64_t difference(const uint64_t *from, const uint64_t *base)
{
	uint64_t value = __atomic_load_n(from, __ATOMIC_RELAXED);

	return base ? value - __atomic_load_n(base, __ATOMIC_RELAXED) : value;
}

void weir_histogram_add(struct weir_histogram *to, const struct weir_histogram *from,
	const struct weir_histogram *base)
{
	to->count += difference(&from->count, base ? &base->count : NULL);
	to->sum_ns += difference(&from->sum_ns, base ? &base->sum_ns : NULL);
	for (uint32_t i = 0; i < WEIR_HIST_BUCKETS; i++)
		to->bucket[i] += difference(&from->bucket[i], base ? &base->bucket[i] : NULL);
}
