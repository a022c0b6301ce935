/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The arithmetic of struct weir_histogram, shared by the one who writes and those who read.
 */

#ifndef WEIR_API_HISTOGRAM_H
#define WEIR_API_HISTOGRAM_H

#include "telemetry.h"

#include <stdint.h>

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
