/* SPDX-License-Identifier: BSD-3-Clause */

/* Limits with a made-up clock. */

#include "dataplane/table/limiter.h"
#include "tests/unit/fastpath/random.h"
#include "tests/unit/tap.h"

#define MS UINT64_C(1000000)
#define S  UINT64_C(1000000000)

static struct limiter_rate rate_of(uint64_t per_second, uint64_t burst_ns, uint64_t hz)
{
	struct limiter_rate r;

	limiter_rate_init(&r, per_second, burst_ns, hz);
	return r;
}

static uint64_t scale(uint64_t ns, uint64_t hz)
{
	return (uint64_t)((unsigned __int128)ns * hz / S);
}

static void nothing_and_everything(void)
{
	struct limiter l = { 0 };
	struct limiter_rate zero = rate_of(0, 10 * MS, S);
	struct limiter_rate all = rate_of(LIMITER_UNLIMITED, 10 * MS, S);

	for (uint64_t t = 0; t < 100 * S; t += S) {
		CU_ASSERT_EQUAL(limiter_claim(&l, &zero, t, NULL, 32), 0);
		CU_ASSERT_EQUAL(limiter_claim(&l, &all, t, NULL, 32), 32);
	}
	CU_ASSERT_EQUAL(l.tat, 0);
}

static void burst_is_as_deep_as_configured(void)
{
	struct limiter l = { 0 };
	struct limiter_rate r = rate_of(1000, 10 * MS, 2 * S);
	uint64_t t = 77 * S;

	CU_ASSERT_EQUAL(limiter_claim(&l, &r, t, NULL, 4), 4);
	CU_ASSERT_EQUAL(limiter_claim(&l, &r, t, NULL, 32), 6);
	CU_ASSERT_EQUAL(limiter_claim(&l, &r, t, NULL, 32), 0);
	/* 1 ms later there is one more, and not earlier. */
	CU_ASSERT_EQUAL(limiter_claim(&l, &r, t + 2 * 9 * MS / 10, NULL, 32), 0);
	CU_ASSERT_EQUAL(limiter_claim(&l, &r, t + 2 * MS + 2, NULL, 32), 1);
	/* After a rest the whole burst, and not more. */
	CU_ASSERT_EQUAL(limiter_claim(&l, &r, t + 20 * S, NULL, 32), 10);
}

static void two_units_at_least(void)
{
	struct limiter l = { 0 };
	struct limiter_rate r = rate_of(1, 10 * MS, S);
	uint32_t passed = 0;

	for (uint64_t t = 1000 * S; t < 1100 * S; t += S / 50)
		passed += limiter_claim(&l, &r, t, NULL, 3);
	CU_ASSERT(passed >= 99 && passed <= 101);
}

/* Offer about twice the rate for `bursts` claims of random sizes; what passes is the rate. */
static void long_run(struct random *random, uint64_t per_second, uint64_t hz, bool single)
{
	struct limiter l = { 0 };
	/* Deep enough for the bursts that are offered: what does not fit is lost for good. */
	uint32_t largest = per_second < 100000 ? 1 : 12080;
	uint64_t burst_ns = (uint64_t)((unsigned __int128)50 * largest * S / per_second) + MS;
	struct limiter_rate r = rate_of(per_second, burst_ns, hz);
	uint64_t start = random_next(random) >> 12, now = start;
	unsigned __int128 passed = 0;
	uint32_t units[32];

	for (uint32_t i = 0; i < 20000; i++) {
		uint32_t n = 1 + random_below(random, 32);
		uint64_t offered = 0;

		for (uint32_t k = 0; k < n; k++) {
			units[k] = largest == 1 ? 1 : 480 + random_below(random, 11600);
			offered += units[k];
		}
		uint32_t k = single ? limiter_claim_single(&l, &r, now, units, n) :
				      limiter_claim(&l, &r, now, units, n);

		for (uint32_t j = 0; j < k; j++)
			passed += units[j];
		now += (uint64_t)((unsigned __int128)offered * hz / per_second / 2) +
			random_below(random, 2);
	}
	double seconds = (double)(now - start) / (double)hz;
	double allowed = seconds * (double)per_second;
	/* The burst at the start, and the last packet's overshoot. */
	double once = (double)burst_ns / 1e9 * (double)per_second + largest;

	CU_ASSERT((double)passed > allowed * 0.999 - 2);
	CU_ASSERT((double)passed < allowed * 1.001 + once);
}

static void exact_in_the_long_run(void)
{
	static const uint64_t rates[] = { 1, 3, 1000, 99999, 10000000, 1000000007, 40000000000,
		1000000000000 };
	static const uint64_t clocks[] = { 1 * S, 2100000123, 5 * S };
	struct random random = random_start("limiter, long run");

	for (uint32_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++)
		for (uint32_t c = 0; c < 3; c++)
			long_run(&random, rates[i], clocks[c], (i + c) % 2 == 0);
}

/* The smallest costs: single units at 10^12 per second, far below a clock unit each. */
static void exact_below_the_clock(void)
{
	struct random random = random_start("limiter, small costs");
	struct limiter l = { 0 };
	struct limiter_rate r = rate_of(UINT64_C(1000000000000), 1000, S);
	uint64_t passed = 0, start = 5 * S, now = start;
	uint32_t units[32];

	for (uint32_t i = 0; i < 300000; i++) {
		for (uint32_t k = 0; k < 32; k++)
			units[k] = 1 + random_below(&random, 3);
		uint32_t n = limiter_claim(&l, &r, now, units, 32);

		for (uint32_t k = 0; k < n; k++)
			passed += units[k];
		if (n < 32)
			now++;
	}
	double allowed = (double)(now - start) * 1000;

	CU_ASSERT(now - start > 5000);
	passed -= 1000000; /* the burst */
	CU_ASSERT_DOUBLE_EQUAL((double)passed / allowed, 1, 0.001);
}

/*
 * Workers with clocks that differ, unequal shares and a limit smaller than their number: the sum is
 * the limit.
 */
static void sum_over_workers(uint64_t per_second, const uint32_t *share, uint32_t workers)
{
	struct random random = random_start("limiter, workers");
	struct limiter l = { 0 };
	uint64_t hz = 3 * S;
	struct limiter_rate r = rate_of(per_second, 10 * MS, hz);
	uint64_t start = 1000 * S, end = start + 20 * hz;
	uint64_t step = hz / per_second / 40 + 1;
	uint64_t passed = 0;

	for (uint64_t now = start; now < end; now += step) {
		uint32_t w = random_below(&random, workers);
		/* A worker's clock is up to 50 us away from the others', and its own burst's. */
		uint64_t skewed = now + w * 10000 - random_below(&random, 150000);

		passed += limiter_claim(&l, &r, skewed, NULL, share[w]);
	}
	double allowed = 20.0 * (double)per_second;

	CU_ASSERT((double)passed >= allowed * 0.99 - 1);
	CU_ASSERT((double)passed <= allowed * 1.01 + 0.01 * (double)per_second + 1);
}

static void exact_over_workers(void)
{
	static const uint32_t even[] = { 1, 1, 1, 1, 1, 1, 1, 1 };
	static const uint32_t skewed[] = { 32, 1, 1, 1 };

	sum_over_workers(3, even, 8);
	sum_over_workers(1, skewed, 4);
	sum_over_workers(1000, even, 8);
	sum_over_workers(5000, skewed, 4);
}

/* Idle for every power of two of cycles and a bit, also far past the wrap: never shut, never too open. */
static void idling_is_harmless(void)
{
	static const uint64_t rates[] = { 1, 1000, 1000000, 10000000000 };

	for (uint32_t i = 0; i < 4; i++) {
		for (uint32_t bit = 33; bit < 63; bit++) {
			struct limiter l = { 0 };
			struct limiter_rate r = rate_of(rates[i], 10 * MS, 5 * S);
			uint64_t now = 123456789123;

			CU_ASSERT(limiter_claim(&l, &r, now, NULL, 1) == 1);
			now += (UINT64_C(1) << bit) + 7 * S;
			CU_ASSERT(limiter_claim(&l, &r, now, NULL, 1) == 1);
			if (rates[i] == 1)
				CU_ASSERT_EQUAL(limiter_claim(&l, &r, now, NULL, 32), 1);
			if (rates[i] == 1000)
				CU_ASSERT_EQUAL(limiter_claim(&l, &r, now, NULL, 32), 9);
		}
	}
}

/* Packets a little faster than a limit which is slower than its burst: no credit is lost between them. */
static void sparse_packets_get_all_of_it(void)
{
	static const uint64_t gaps_ms[] = { 333, 290, 499, 150 };

	for (uint32_t g = 0; g < 4; g++) {
		struct limiter l = { 0 };
		struct limiter_rate r = rate_of(2, 10 * MS, 5 * S);
		uint64_t now = 5 * S;
		uint64_t end = now + 1000 * UINT64_C(5) * S;
		uint32_t passed = 0;

		for (; now < end; now += gaps_ms[g] * 5 * MS)
			passed += limiter_claim(&l, &r, now, NULL, 1);
		CU_ASSERT(passed >= 1960 && passed <= 2040);
	}
}

static void big_packets_pass_small_limits(void)
{
	struct limiter l = { 0 };
	struct limiter_rate r =
		rate_of(12000, 10 * MS, S); /* a full frame per second, burst 120 bits */
	uint32_t units[2] = { 12000, 12000 };
	uint32_t passed = 0;

	for (uint64_t t = S; t < 101 * S; t += S / 10)
		passed += limiter_claim(&l, &r, t, units, 2);
	CU_ASSERT(passed >= 99 && passed <= 101);
	/* A limit of one bit per second lets a frame pass and is then shut for hours. */
	struct limiter slow = { 0 };

	r = rate_of(1, 10 * MS, 5 * S);
	passed = 0;
	for (uint64_t t = 0; t < 24001; t += 100)
		passed += limiter_claim(&slow, &r, 9 * S + t * 5 * S, units, 2);
	CU_ASSERT_EQUAL(passed, 3);
}

static void a_faster_limit_forgets_old_debt(void)
{
	struct limiter l = { 0 };
	struct limiter_rate slow = rate_of(1, 0, S);
	struct limiter_rate fast = rate_of(1000000000, 10 * MS, S);
	uint32_t units = 12000;

	CU_ASSERT_EQUAL(limiter_claim(&l, &slow, S, &units, 1), 1);
	CU_ASSERT_EQUAL(limiter_claim(&l, &slow, 2 * S, &units, 1), 0);
	CU_ASSERT_EQUAL(limiter_claim(&l, &fast, 2 * S, &units, 1), 1);
}

/* Who may use half of the depth only leaves the other half to who may use all of it. */
static void half_is_left(void)
{
	struct limiter l = { 0 };
	struct limiter_rate full = rate_of(1000, 20 * MS, S);
	struct limiter_rate half;
	uint32_t half_passed = 0, full_passed = 0;
	uint64_t start = 5 * S;

	limiter_rate_init_half(&half, &full);
	/* Thousands a second of those with the half, 300 a second of the others: all of these pass. */
	for (uint64_t t = start; t < start + 10 * S; t += MS / 4) {
		half_passed += limiter_claim(&l, &half, t, NULL, 8);
		if (t % (10 * MS) == 0)
			full_passed += limiter_claim(&l, &full, t, NULL, 3);
	}
	CU_ASSERT_EQUAL(full_passed, 3000);
	CU_ASSERT(half_passed >= 6980 && half_passed <= 7030);
	/* Alone they get all of the rate, also of a limit as shallow as can be. */
	static const uint64_t rates[] = { 2, 100, 5000 };

	for (uint32_t i = 0; i < 3; i++) {
		struct limiter alone = { 0 };
		uint32_t passed = 0;

		full = rate_of(rates[i], 10 * MS, S);
		limiter_rate_init_half(&half, &full);
		for (uint64_t t = start; t < start + 10 * S; t += S / rates[i] * 2 / 3)
			passed += limiter_claim(&alone, &half, t, NULL, 1);
		CU_ASSERT(passed >= rates[i] * 98 / 10 && passed <= rates[i] * 102 / 10 + 52);
	}
}

/* Single and shared form decide alike. */
static void both_forms_agree(void)
{
	struct random random = random_start("limiter, both forms");
	struct limiter a = { 0 }, b = { 0 };
	struct limiter_rate r = rate_of(1000000, MS, scale(2 * S, S));
	uint64_t now = 1;
	uint32_t units[32];

	for (uint32_t i = 0; i < 20000; i++) {
		now += random_below(&random, 1000);
		CU_ASSERT_EQUAL(limiter_claim(&a, &r, now, NULL, 1) == 1,
			limiter_claim_one(&b, &r, now, i % 2));
		CU_ASSERT_EQUAL(a.tat, b.tat);
	}
	for (uint32_t i = 0; i < 20000; i++) {
		uint32_t n = random_below(&random, 33);

		for (uint32_t k = 0; k < 32; k++)
			units[k] = 1 + random_below(&random, 9);
		now += random_below(&random, 100000);
		CU_ASSERT_EQUAL(limiter_claim(&a, &r, now, units, n),
			limiter_claim_single(&b, &r, now, units, n));
		CU_ASSERT_EQUAL(a.tat, b.tat);
	}
}

static const struct tap_case cases[] = {
	{ "limit 0 lets nothing pass, no limit lets all pass", nothing_and_everything },
	{ "a burst is as deep as configured", burst_is_as_deep_as_configured },
	{ "a limit of one a second lets one a second pass", two_units_at_least },
	{ "the long run is within 0.1 % from 1 to 10^12 per second, at 1 to 5 GHz",
		exact_in_the_long_run },
	{ "costs far below a clock unit add up without bias", exact_below_the_clock },
	{ "the sum over workers is the limit, with skew and limits below their number",
		exact_over_workers },
	{ "idling for any time gives the burst, no more and no less", idling_is_harmless },
	{ "sparse packets get the whole of a small limit", sparse_packets_get_all_of_it },
	{ "a packet larger than the burst passes, and is paid for", big_packets_pass_small_limits },
	{ "a faster limit forgets a slower one's debt", a_faster_limit_forgets_old_debt },
	{ "who has half the depth leaves the other half to others", half_is_left },
	{ "the form without atomic operations decides alike", both_forms_agree },
};

TAP_MAIN("limiter", cases)
