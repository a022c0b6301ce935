/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The buckets of struct weir_histogram. Needs no C library, as programs that the kernel runs count in
 * them as well.
 *
 * Durations in nanoseconds: 26 octaves from 2^10 ns (1.02 us) to 2^36 ns (68.7 s) with 32 linear steps in
 * each, so a bucket's middle is within 1.6 % of any value in it. Bucket 0 takes all that is shorter, the
 * last all that is longer.
 */

#ifndef WEIR_API_HISTOGRAM_SHAPE_H
#define WEIR_API_HISTOGRAM_SHAPE_H

#include <stdint.h>

#define WEIR_HIST_MIN_SHIFT 10
#define WEIR_HIST_MAX_SHIFT 36
#define WEIR_HIST_SUB_SHIFT 5
#define WEIR_HIST_BUCKETS   (((WEIR_HIST_MAX_SHIFT - WEIR_HIST_MIN_SHIFT) << WEIR_HIST_SUB_SHIFT) + 2)

/* Number of the highest bit; ns is not 0. clang 14 cannot count zeros for the kernel's machine. */
static inline uint32_t weir_histogram_octave(uint64_t ns)
{
#ifdef __bpf__
	uint32_t bit = 0;

	for (uint32_t step = 32; step; step >>= 1)
		if (ns >> (bit + step))
			bit += step;
	return bit;
#else
	return 63u - (uint32_t)__builtin_clzll(ns);
#endif
}

/* Bucket of a duration; no division. */
static inline uint32_t weir_histogram_index(uint64_t ns)
{
	if (ns < (UINT64_C(1) << WEIR_HIST_MIN_SHIFT))
		return 0;
	if (ns >= (UINT64_C(1) << WEIR_HIST_MAX_SHIFT))
		return WEIR_HIST_BUCKETS - 1;
	uint32_t octave = weir_histogram_octave(ns);
	uint32_t step = (uint32_t)(ns >> (octave - WEIR_HIST_SUB_SHIFT)) &
		((1u << WEIR_HIST_SUB_SHIFT) - 1);
	return 1 + ((octave - WEIR_HIST_MIN_SHIFT) << WEIR_HIST_SUB_SHIFT) + step;
}

#endif
