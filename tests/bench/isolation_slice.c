/* SPDX-License-Identifier: BSD-3-Clause */

#include "tests/bench/isolation_slice.h"

#include "dataplane/service/service.h"

#include <rte_cycles.h>

#define SETTLE_US  2000
#define RECOVER_US 500

static uint64_t load(const uint64_t *word)
{
	return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static void counters_read(const struct isolation *b, struct slice *s)
{
	s->ticks = rte_rdtsc();
	s->gaps = isolation_gaps(b);
	s->missed = b->source[SIDE_B].missed;
	s->busy = load(&isolation_core(b, 2)->busy_cycles);
	s->packets = load(&isolation_core(b, 2)->packets);
	s->a_worked = load(&isolation_core(b, 1)->packets);
	s->a_offered = b->source[SIDE_A].offered;
	s->a_missed = b->source[SIDE_A].missed;
	s->dispatcher_cycles = b->dispatcher_cycles;
	s->worker_cycles = b->worker_cycles;
	s->sent = s->dropped = s->a_reason = 0;
	for (uint32_t core = 0; core < ISOLATION_CORES; core++) {
		const struct weir_service_cell *cell = isolation_cell(b, SIDE_B, core);
		const struct weir_service_cell *noisy = isolation_cell(b, SIDE_A, core);

		if (noisy && b->flood->reason != WEIR_DROP_COUNT)
			s->a_reason += load(&noisy->dropped[b->flood->reason]);
		if (!cell)
			continue;
		s->sent += load(&cell->packets_transmitted);
		for (int i = 0; i < WEIR_DROP_COUNT; i++)
			s->dropped += load(&cell->dropped[i]);
	}
}

static void buckets_read(const struct isolation *b, struct slice *s)
{
	const struct weir_service_cell *cell = isolation_cell(b, SIDE_B, 2);

	for (int i = 0; i < WEIR_HIST_BUCKETS; i++)
		s->bucket[i] = load(&cell->residence.bucket[i]);
}

void slice_run(
	struct isolation *b, uint64_t rate_a, uint64_t rate_b, uint64_t us, struct slice *ret)
{
	uint64_t *words = (uint64_t *)ret;
	struct slice before;

	isolation_rates(b, rate_a, rate_b);
	isolation_run(b, SETTLE_US);
	buckets_read(b, &before);
	/* That took its time, in which packets came: what that costs is nobody's. */
	isolation_run(b, RECOVER_US);
	counters_read(b, &before);
	isolation_run(b, us);
	counters_read(b, ret);
	buckets_read(b, ret);
	/* Who stands still at this moment notes it when it goes on. */
	const uint64_t loops = load(&isolation_core(b, 2)->loops);
	do
		isolation_run(b, 10);
	while (load(&isolation_core(b, 2)->loops) - loops < 2);
	ret->gaps = isolation_gaps(b);
	for (size_t i = 0; i < sizeof(*ret) / sizeof(*words); i++)
		words[i] -= ((const uint64_t *)&before)[i];
}

double slice_per_second(uint64_t count, const struct slice *s)
{
	return (double)count * (double)rte_get_tsc_hz() / (double)s->ticks;
}

/* Not weir_histogram_quantile(), which takes a bucket's middle: of the lowest one, below 1 us, half would be left. */
double slice_quantile_us(const struct slice *s, double q)
{
	uint64_t all = 0, sum = 0;
	int i = 0;

	for (int k = 0; k < WEIR_HIST_BUCKETS; k++)
		all += s->bucket[k];
	for (; i < WEIR_HIST_BUCKETS - 1; i++) {
		sum += s->bucket[i];
		if ((double)sum >= q * (double)all)
			break;
	}
	if (i == 0)
		return 1.024;
	const int octave = (i - 1) >> WEIR_HIST_SUB_SHIFT, step = (i - 1) & 31;

	return (double)(UINT64_C(1) << (octave + WEIR_HIST_MIN_SHIFT)) * (1 + (step + 1) / 32.0) /
		1000;
}
