/* SPDX-License-Identifier: BSD-3-Clause */

/* What is smoothed and forecast, by its figures: estimates of one tick, and forecasts of one series. */

#include "control/adapt/estimate.h"
#include "control/adapt/holt.h"
#include "dataplane/api/histogram.h"
#include "tests/unit/adapt/calm.h"
#include "tests/unit/tap.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NEAR 1e-6

static struct estimate_backend of[BACKENDS];
static struct estimate_service service;

/* Each backend answers so many in 10 ms each, for so many ticks. */
static void estimate_begin(int ticks)
{
	begin();
	estimate_service_init(&service);
	for (size_t i = 0; i < BACKENDS; i++)
		estimate_backend_init(&of[i]);
	for (int i = 0; i < ticks; i++) {
		calm_tick();
		estimate_step(&service, of, &signals, &settings);
	}
}

/* A tick leaves 70 % of what was known; of what is more than half as slow again six tenths are believed. */
static void latencies_are_smoothed(void)
{
	estimate_begin(200);
	CU_ASSERT_DOUBLE_EQUAL(of[0].latency, 0.01, NEAR);
	CU_ASSERT_DOUBLE_EQUAL(of[0].rate, 500, NEAR);
	calm_tick();
	backends[0].answered_s = 50 * 0.014;
	backends[1].answered_s = 50 * 0.016;
	backends[2].answered = backends[2].requests = 100;
	backends[2].answered_s = 100 * 0.01;
	estimate_step(&service, of, &signals, &settings);
	CU_ASSERT_DOUBLE_EQUAL(of[0].latency, 0.01 + 0.3 * 0.004, NEAR);
	CU_ASSERT_DOUBLE_EQUAL(of[1].latency, 0.01 + 0.6 * 0.006, NEAR);
	CU_ASSERT_DOUBLE_EQUAL(of[2].rate, 500 + 0.3 * 500, NEAR);
}

/* A window moves the spread by a twentieth; a backend that is slow for itself has no part in it. */
static void the_tail_is_learned(void)
{
	static struct adapt_histogram tails[BACKENDS];
	const double target = 0.9 * 0.06;
	estimate_begin(20);
	for (size_t i = 0; i < BACKENDS; i++) {
		tails[i] = (struct adapt_histogram){ .count = 1000 };
		tails[i].bucket[weir_histogram_index(10000000) >> ADAPT_HIST_SHIFT] = 1000;
	}
	CU_ASSERT_DOUBLE_EQUAL(service.spread, 0.4 * target, NEAR);
	service.tail_ticks = 0;
	for (int k = 0; k < 2; k++) {
		calm_tick();
		for (size_t i = 0; i < BACKENDS; i++)
			backends[i].tail = &tails[i];
		estimate_step(&service, of, &signals, &settings);
	}
	/* p99 and mean are the same, so a tenth of the target is aimed at. */
	CU_ASSERT_DOUBLE_EQUAL(service.spread, (0.1 + 0.3 * 0.95 * 0.95) * target, 1e-4 * target);
	CU_ASSERT_DOUBLE_EQUAL(service.p99, 0.01, 0.001);
	memset(&tails[2], 0, sizeof(tails[2]));
	tails[2].count = 1000;
	tails[2].bucket[weir_histogram_index(500000000) >> ADAPT_HIST_SHIFT] = 1000;
	for (int i = 0; i < 10; i++) {
		calm_tick();
		backends[2].answered_s = 50 * 0.5;
		for (size_t k = 0; k < BACKENDS; k++)
			backends[k].tail = i > 2 ? &tails[k] : NULL;
		estimate_step(&service, of, &signals, &settings);
	}
	CU_ASSERT_DOUBLE_EQUAL(service.p99, 0.01, 0.001);
}

/* Who is out has old figures, which are no measure for others. */
static void the_out_are_no_reference(void)
{
	estimate_begin(20);
	of[0].slow = of[0].latency = of[1].slow = of[1].latency = 1;
	of[0].out = of[1].out = true;
	calm_tick();
	for (size_t i = 0; i < 2; i++)
		backends[i].answered = backends[i].requests = backends[i].new_flows = 0;
	estimate_step(&service, of, &signals, &settings);
	CU_ASSERT_DOUBLE_EQUAL(service.pool, 0.01, NEAR);
}

static void forecasts_are_damped_trends(void)
{
	struct holt h;
	double sum = 0;
	holt_init(&h);
	for (int i = 1; i <= HOLT_AHEAD; i++)
		sum += pow(0.9, i);
	holt_take(&h, 100, 20, &adapt_gains_preset);
	CU_ASSERT_DOUBLE_EQUAL(h.level, 100, NEAR);
	holt_take(&h, 200, 20, &adapt_gains_preset);
	CU_ASSERT_DOUBLE_EQUAL(h.level, 150, NEAR);
	CU_ASSERT_DOUBLE_EQUAL(h.trend, 15, NEAR);
	CU_ASSERT_DOUBLE_EQUAL(holt_promise(&h), 150 + sum * 15, NEAR);
	for (int i = 3; i < 15; i++) {
		holt_take(&h, 200, 20, &adapt_gains_preset);
		CU_ASSERT_TRUE(isnan(h.ahead)); /* not believed yet */
	}
	holt_take(&h, 200, 20, &adapt_gains_preset);
	CU_ASSERT_FALSE(isnan(h.ahead));
}

static void headroom_has_a_band_and_an_end(void)
{
	struct holt h = { .seconds = 100, .level = 100, .ahead = 150, .error = 20 };
	CU_ASSERT_DOUBLE_EQUAL(holt_headroom(&h, 20), 1.7, NEAR);
	h.over = 13; /* a rise of less than four times what was promised too much */
	CU_ASSERT_EQUAL(holt_headroom(&h, 20), 1);
	h.ahead = 10000;
	CU_ASSERT_EQUAL(holt_headroom(&h, 20), 4);
	h.ahead = NAN;
	CU_ASSERT_EQUAL(holt_headroom(&h, 20), 1);
}

/* Off above half of the level, on again below three tenths. */
static void bad_forecasts_are_off(void)
{
	unsigned int seed = 3, offs = 0, between = 0;
	struct holt h;
	holt_init(&h);
	for (int i = 0; i < 20000; i++) {
		/* Wild for a while, and calm for a while. */
		int wild = i / 100 % 2 ? 1000 : 100;
		bool before = h.off;
		holt_take(&h, 500 + rand_r(&seed) % wild * (i / 7 % 2 ? 1 : -0.5), 20,
			&adapt_gains_preset);
		double share = h.error / fmax(h.level, 20);
		offs += h.off && !before;
		between += share > 0.3 && share <= 0.5;
		if (i < HOLT_AHEAD)
			continue;
		CU_ASSERT_EQUAL(h.off, share > 0.5 ? true : share < 0.3 ? false : before);
		CU_ASSERT_EQUAL(isnan(h.ahead), h.off || i < 14);
	}
	CU_ASSERT(offs > 10);
	CU_ASSERT(between > 100);
}

static const struct tap_case cases[] = {
	{ "a tick leaves 70 % of latencies and rates", latencies_are_smoothed },
	{ "the tail's spread is learned by twentieths, without outliers", the_tail_is_learned },
	{ "who is out is no reference", the_out_are_no_reference },
	{ "forecasts are a level and a damped trend", forecasts_are_damped_trends },
	{ "a headroom has a band, and is four at most", headroom_has_a_band_and_an_end },
	{ "forecasts that are off by half of the level are switched off", bad_forecasts_are_off },
};

TAP_MAIN("adapt figures", cases)
