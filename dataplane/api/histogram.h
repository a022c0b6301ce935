/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The arithmetic of struct weir_histogram, shared by the one who writes and those who read.
 */

#ifndef WEIR_API_HISTOGRAM_H
#define WEIR_API_HISTOGRAM_H

#include "telemetry.h"

#include <stdint.h>

/* Bucket of a duration; no loop, no division. */
static inline uint32_t weir_histogram_index(uint64_t ns)
{
	if (ns < (UINT64_C(1) << WEIR_HIST_MIN_SHIFT))
		return 0;
	if (ns >= (UINT64_C(1) << WEIR_HIST_MAX_SHIFT))
		return WEIR_HIST_BUCKETS - 1;
	uint32_t octave = 63u - (uint32_t)__builtin_clzll(ns);
	uint32_t step = (uint32_t)(ns >> (octave - WEIR_HIST_SUB_SHIFT)) &
		((1u << WEIR_HIST_SUB_SHIFT) - 1);
	return 1 + ((octave - WEIR_HIST_MIN_SHIFT) << WEIR_HIST_SUB_SHIFT) + step;
}

/* Middle of a bucket in nanoseconds; bucket < WEIR_HIST_BUCKETS. */
uint64_t weir_histogram_value(uint32_t bucket);

/*
 * The duration that `share` (0..1) of all values do not exceed, in seconds; NAN when h is empty.
 */
double weir_histogram_quantile(const struct weir_histogram *h, double share);

/* to += from - base, bucket by bucket; base may be NULL. Reads are relaxed atomic. */
void weir_histogram_add(struct weir_histogram *to, const struct weir_histogram *from,
	const struct weir_histogram *base);

#endif
