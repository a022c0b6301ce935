/* SPDX-License-Identifier: BSD-3-Clause */

/* A slice of time of the isolation bench, and what it was like. */

#ifndef WEIR_BENCH_ISOLATION_SLICE_H
#define WEIR_BENCH_ISOLATION_SLICE_H

#include "dataplane/api/telemetry.h"
#include "tests/bench/isolation.h"

#include <assert.h>
#include <stdint.h>

/* What a slice of time was like, or all counters at a moment. */
struct slice {
	uint64_t ticks;
	uint64_t gaps; /* in which a CPU was somebody else's */
	uint64_t sent; /* B's packets, from here on */
	uint64_t dropped;
	uint64_t missed;
	uint64_t busy; /* cycles of B's core */
	uint64_t packets; /* of B's core */
	uint64_t a_worked; /* A's packets that its worker took */
	uint64_t a_offered;
	uint64_t a_missed;
	uint64_t a_reason; /* drops for the reason of the flood */
	uint64_t dispatcher_cycles, worker_cycles; /* of CPU 0: with packets for all, and for A */
	uint64_t bucket[WEIR_HIST_BUCKETS]; /* residence */
};
static_assert(sizeof(struct slice) % sizeof(uint64_t) == 0, "whole words");

/* Let things go on for so many microseconds with these packets a second for A and B, and say what it was like. */
void slice_run(
	struct isolation *b, uint64_t rate_a, uint64_t rate_b, uint64_t us, struct slice *ret);

double slice_per_second(uint64_t count, const struct slice *s);

/* Of B's residence: the upper end of the bucket that the quantile is in, in microseconds. */
double slice_quantile_us(const struct slice *s, double q);

#endif
