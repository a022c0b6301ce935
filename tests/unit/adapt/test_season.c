/* SPDX-License-Identifier: BSD-3-Clause */

/* The season of the forecast: made-up days, a tick a second. */

#include "control/adapt/forecast.h"
#include "tests/unit/tap.h"

#include <math.h>
#include <string.h>

#define SECOND UINT64_C(1000000000)
#define RISE   (9 * 3600) /* time of day */
#define QUIET  (17 * 3600)

static struct season season;
static struct forecast_state with, without;
static uint64_t now_s; /* since a midnight */
static unsigned int decided; /* because of the season */
static double season_told; /* of the last headroom; NAN: it took no part */
static uint32_t seed;

static void decide(void *ctx, const struct adapt_decision *d)
{
	(void)ctx;
	season_told = NAN;
	for (size_t i = 0; i < d->figure_count; i++)
		if (!strcmp(d->figures[i].name, "season"))
			season_told = d->figures[i].value;
	decided += d->to > 1 && season_told >= d->to * 100 * 0.9;
}

static void begin(void)
{
	memset(&with, 0, sizeof(with));
	memset(&without, 0, sizeof(without));
	season_init(&season);
	now_s = 0;
	decided = 0;
	season_told = NAN;
	seed = 1;
}

/* Noise of about the root of the rate. */
static uint64_t about(double rate)
{
	double sum = 0;
	for (int i = 0; i < 12; i++) {
		seed = seed * 1664525 + 1013904223;
		sum += seed / 4294967296.0 - 0.5;
	}
	return (uint64_t)fmax(0, round(rate + sqrt(rate) * sum));
}

/* One second at a rate; returns the headroom with the season, which is never below the one without. */
static double second(double rate)
{
	struct adapt_settings settings = { .gains = adapt_gains_preset };
	struct adapt_log log = { NULL, decide };
	struct adapt_directive to = { .headroom = 1, .room = 1 }, other = to;
	now_s++;
	struct adapt_signals s = { .now_ns = now_s * SECOND,
		.elapsed_ns = SECOND,
		.day_s = now_s % SEASON_DAY_S,
		.offered = about(rate) };
	forecast_step(&without, NULL, NULL, &s, &settings, &other, NULL);
	forecast_step(&with, &season, NULL, &s, &settings, &to, &log);
	if (to.headroom < other.headroom || with.ahead < without.ahead)
		CU_FAIL("the season lowered the forecast");
	return to.headroom;
}

static double usual(uint64_t day_s, double scale)
{
	return scale * (day_s >= RISE && day_s < QUIET ? 300 : 100);
}

/* Up to that second; returns the most headroom in the last eight before it. */
static double until(uint64_t day, uint64_t day_s, double scale)
{
	double most = 1;
	while (now_s < day * SEASON_DAY_S + day_s) {
		double headroom = second(usual((now_s + 1) % SEASON_DAY_S, scale));
		if (now_s + 8 > day * SEASON_DAY_S + day_s)
			most = fmax(most, headroom);
	}
	return most;
}

static void a_daily_rise_is_foreseen_on_the_third_day(void)
{
	begin();
	CU_ASSERT_EQUAL(until(0, RISE - 1, 1), 1);
	CU_ASSERT_EQUAL(until(1, RISE - 1, 1), 1);
	CU_ASSERT(isnan(with.season));
	CU_ASSERT_EQUAL(until(2, RISE - 12, 1), 1);
	double headroom = until(2, RISE - 1, 1);
	CU_ASSERT(headroom > 2.5 && headroom < 4);
	CU_ASSERT_DOUBLE_EQUAL(with.season, 300, 15);
	CU_ASSERT_DOUBLE_EQUAL(season_told, 300, 15);
	/* The rise is there: nothing more is expected. */
	until(2, RISE + 60, 1);
	CU_ASSERT_EQUAL(until(2, RISE + 100, 1), 1);
}

static void a_busy_day_is_scaled(void)
{
	begin();
	until(2, 0, 1);
	double headroom = until(2, RISE - 1, 2);
	CU_ASSERT(headroom > 2.5 && headroom < 4);
	CU_ASSERT_DOUBLE_EQUAL(with.season, 600, 30);
}

/* A day off: the rise that is promised does not come. */
static void a_day_that_differs_switches_it_off(void)
{
	unsigned int raised = 0;
	begin();
	until(2, RISE - 1, 1);
	for (int i = 0; i < 1800; i++)
		raised += second(100) > 1;
	CU_ASSERT(raised > 0 && raised < 30);
	CU_ASSERT(isnan(with.season));
	/* Still so hours later, where the scale has followed. */
	raised = 0;
	for (int i = 0; i < 7200; i++)
		raised += second(100) > 1;
	CU_ASSERT_EQUAL(raised, 0);
}

static void days_without_a_shape_decide_nothing(void)
{
	begin();
	while (now_s < 3 * SEASON_DAY_S)
		second(100);
	CU_ASSERT_EQUAL(decided, 0);
}

/* No days: 0 of a minute that the daemon has not seen, and the figures as they were. */
static void a_gap_leaves_it_as_it_was(void)
{
	begin();
	until(0, 3600, 1);
	CU_ASSERT_EQUAL(season.profile.days[59], 1);
	struct season_profile before = season.profile;
	season.learned = false;
	now_s = 7200 + 40;
	for (int i = 0; i < 18; i++)
		second(900);
	CU_ASSERT_FALSE(season.learned);
	CU_ASSERT_EQUAL(memcmp(&before, &season.profile, sizeof(before)), 0);
	until(0, 7200 + 125, 1);
	CU_ASSERT_TRUE(season.learned);
	CU_ASSERT_EQUAL(season.profile.days[60], 0);
	CU_ASSERT_EQUAL(season.profile.days[120], 0);
	CU_ASSERT_EQUAL(season.profile.days[121], 1);
	CU_ASSERT_DOUBLE_EQUAL(season.profile.usual[121], 100, 10);
}

static const struct tap_case cases[] = {
	{ "a rise of each day is foreseen on the third",
		a_daily_rise_is_foreseen_on_the_third_day },
	{ "a busy day is a usual one, scaled", a_busy_day_is_scaled },
	{ "a day that differs switches it off", a_day_that_differs_switches_it_off },
	{ "days without a shape decide nothing", days_without_a_shape_decide_nothing },
	{ "a gap leaves it as it was", a_gap_leaves_it_as_it_was },
};

TAP_MAIN("adapt season", cases)
