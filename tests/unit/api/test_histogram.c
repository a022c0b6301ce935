/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/api/histogram.h"
#include "tests/unit/tap.h"

#include <math.h>
#include <stdlib.h>

static void every_value_is_near_its_buckets_middle(void)
{
	uint32_t last = 0;

	for (double d = 1100; d < 60e9; d *= 1.0007) {
		uint64_t ns = (uint64_t)d;
		uint32_t bucket = weir_histogram_index(ns);
		double middle = (double)weir_histogram_value(bucket);

		CU_ASSERT(bucket >= last && bucket < WEIR_HIST_BUCKETS - 1);
		CU_ASSERT(fabs(middle - d) / d <= 0.017);
		last = bucket;
	}
}

static void edges_have_buckets_of_their_own(void)
{
	CU_ASSERT_EQUAL(weir_histogram_index(0), 0);
	CU_ASSERT_EQUAL(weir_histogram_index(1023), 0);
	CU_ASSERT_EQUAL(weir_histogram_index(1024), 1);
	CU_ASSERT_EQUAL(weir_histogram_index((UINT64_C(1) << 36) - 1), WEIR_HIST_BUCKETS - 2);
	CU_ASSERT_EQUAL(weir_histogram_index(UINT64_C(1) << 36), WEIR_HIST_BUCKETS - 1);
	CU_ASSERT_EQUAL(weir_histogram_index(UINT64_MAX), WEIR_HIST_BUCKETS - 1);
	for (uint32_t i = 1; i + 1 < WEIR_HIST_BUCKETS; i++)
		CU_ASSERT_EQUAL(weir_histogram_index(weir_histogram_value(i)), i);
}

static struct weir_histogram *histogram_of(uint64_t first_us, uint64_t last_us)
{
	struct weir_histogram *h = calloc(1, sizeof(*h));

	CU_ASSERT_PTR_NOT_NULL_FATAL(h);
	for (uint64_t us = first_us; us <= last_us; us++) {
		h->bucket[weir_histogram_index(us * 1000)]++;
		h->count++;
		h->sum_ns += us * 1000;
	}
	return h;
}

static void quantiles_are_within_the_promised_error(void)
{
	struct weir_histogram *h = histogram_of(10, 10009);

	for (double share = 0.01; share <= 1; share += 0.01) {
		double exact = (9 + ceil(share * 10000)) * 1e-6;

		CU_ASSERT(fabs(weir_histogram_quantile(h, share) - exact) / exact <= 0.03);
	}
	CU_ASSERT(fabs(weir_histogram_quantile(h, 0) - 10e-6) <= 0.3e-6);
	free(h);
}

static void quantile_of_nothing_is_no_number(void)
{
	struct weir_histogram *h = calloc(1, sizeof(*h));

	CU_ASSERT_PTR_NOT_NULL_FATAL(h);
	CU_ASSERT(isnan(weir_histogram_quantile(h, 0.5)));
	free(h);
}

static void difference_of_two_moments(void)
{
	struct weir_histogram *before = histogram_of(10, 1000);
	struct weir_histogram *after = histogram_of(10, 3000);
	struct weir_histogram *sum = calloc(1, sizeof(*sum));

	CU_ASSERT_PTR_NOT_NULL_FATAL(sum);
	weir_histogram_add(sum, after, before);
	CU_ASSERT_EQUAL(sum->count, 2000);
	CU_ASSERT(fabs(weir_histogram_quantile(sum, 0.5) - 2000e-6) < 60e-6);
	weir_histogram_add(sum, before, NULL);
	CU_ASSERT_EQUAL(sum->count, after->count);
	CU_ASSERT_EQUAL(sum->sum_ns, after->sum_ns);
	free(before);
	free(after);
	free(sum);
}

static const struct tap_case cases[] = {
	{ "every value is within 1.7 % of its bucket's middle",
		every_value_is_near_its_buckets_middle },
	{ "values at the edges fall where they should", edges_have_buckets_of_their_own },
	{ "quantiles are within 3 %", quantiles_are_within_the_promised_error },
	{ "the quantile of an empty histogram is no number", quantile_of_nothing_is_no_number },
	{ "the difference of two moments is what came between", difference_of_two_moments },
};

TAP_MAIN("histogram", cases)
