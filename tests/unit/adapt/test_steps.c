/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The constants of weights, ejection and caps, one step at a time on made-up estimates: what the rules say is
 * 0.1, 5 % or two seconds is exactly that. Scenarios would hardly notice half or twice as much.
 */

#include "control/adapt/decision.h"
#include "control/adapt/eject.h"
#include "control/adapt/shed.h"
#include "control/adapt/weights.h"
#include "tests/unit/adapt/first.h"
#include "tests/unit/adapt/told.h"
#include "tests/unit/tap.h"

#include <math.h>
#include <string.h>

#define BACKENDS 4
#define NEAR	 1e-6

/* The first backend is the one that steps are looked at of; the others are what they should be. */
static struct adapt_backend_signals backends[BACKENDS];
static struct adapt_backend_directive directives[BACKENDS];
static struct estimate_backend estimates[BACKENDS];
static struct weights_backend weights[BACKENDS];
static struct eject_backend ejects[BACKENDS];
static struct shed_backend sheds[BACKENDS];
static struct estimate_service estimate;
static struct eject_service eject;
static struct shed_service shed;
static struct adapt_signals signals;
static struct adapt_settings settings;
static struct adapt_directive to;

/* Nothing is chance: latencies are of so many answers that they have no error. */
static void begin(void)
{
	settings = first_settings();
	signals = first_signals(backends, BACKENDS);
	to = (struct adapt_directive){ .backends = directives, .headroom = 1, .room = 1 };
	estimate_service_init(&estimate);
	estimate.pool = 0.01;
	estimate.spread = 0.014; /* of 54 ms, so 40 ms are left */
	eject = (struct eject_service){ 0 };
	shed = (struct shed_service){ 0 };
	for (size_t i = 0; i < BACKENDS; i++) {
		backends[i] = (struct adapt_backend_signals){
			.port = 80, .weight = 100, .usable = true, .answered = 50
		};
		estimate_backend_init(&estimates[i]);
		estimates[i].samples = INFINITY;
		estimates[i].latency = estimates[i].slow = 0.01;
		estimates[i].rate = 1e6;
		estimates[i].ratio = 1;
		weights_backend_init(&weights[i]);
		ejects[i] = (struct eject_backend){ 0 };
		sheds[i] = (struct shed_backend){ 0 };
	}
}

/* The factor after so many ticks at a ratio. */
static double weigh(double ratio, int ticks)
{
	estimates[0].ratio = ratio;
	estimates[0].latency = estimates[0].slow = ratio * estimate.pool;
	for (int i = 0; i < ticks; i++) {
		signals.now_ns += ADAPT_TICK_NS;
		weights_step(weights, estimates, &estimate, &signals, &settings, &to, NULL);
	}
	return directives[0].factor;
}

static void outliers(void)
{
	begin();
	CU_ASSERT_DOUBLE_EQUAL(weigh(6.5, 1), 1 / 6.5, NEAR);
	begin();
	CU_ASSERT_DOUBLE_EQUAL(weigh(25, 1), 0.1, NEAR); /* a tenth at least */
	CU_ASSERT_DOUBLE_EQUAL(weigh(25, 1), 0.01, NEAR);
	CU_ASSERT_DOUBLE_EQUAL(weigh(25, 1), 0.005, NEAR); /* the floor */
	begin();
	CU_ASSERT_EQUAL(weigh(3.1, 1), 1); /* one may be a short queue */
	CU_ASSERT_DOUBLE_EQUAL(weigh(3.1, 1), 1 / 3.1, NEAR);
	begin();
	CU_ASSERT_EQUAL(weigh(2.9, 9), 1);
	begin();
	estimate.over = true;
	CU_ASSERT_DOUBLE_EQUAL(weigh(3.1, 2), 1 / 3.1, NEAR);
}

static void slow_ones(void)
{
	begin();
	CU_ASSERT_EQUAL(weigh(2.25, 9), 1);
	CU_ASSERT_DOUBLE_EQUAL(weigh(2.25, 1), 1 / 1.5, NEAR);
	CU_ASSERT_DOUBLE_EQUAL(weigh(2.25, 9), 1 / 1.5, NEAR);
	CU_ASSERT_DOUBLE_EQUAL(weigh(2.25, 1), 1 / 2.25, NEAR);
	begin();
	estimates[0].samples = 4; /* of so few an outlier begins at 4.5 */
	CU_ASSERT_DOUBLE_EQUAL(weigh(4.4, 10), 0.5, NEAR);
	begin();
	CU_ASSERT_EQUAL(weigh(1.29, 50), 1);
	CU_ASSERT_DOUBLE_EQUAL(weigh(1.31, 10), 1 / sqrt(1.31), NEAR);
	begin();
	estimate.over = true; /* as a whole: it would help nobody */
	CU_ASSERT_EQUAL(weigh(2.25, 50), 1);
}

static void ways_back(void)
{
	begin();
	weights[0].factor = 0.5;
	CU_ASSERT_DOUBLE_EQUAL(weigh(1.16, 50), 0.5, NEAR); /* neither slow nor well */
	CU_ASSERT_DOUBLE_EQUAL(weigh(1.14, 1), 0.6, NEAR);
	CU_ASSERT_DOUBLE_EQUAL(weigh(1.14, 1), 0.72, NEAR);
	CU_ASSERT_EQUAL(weigh(1.14, 2), 1);
	CU_ASSERT_DOUBLE_EQUAL(weigh(0.69, 1), 1.02, NEAR); /* clearly faster */
	CU_ASSERT_DOUBLE_EQUAL(weigh(0.69, 200), 2, NEAR); /* twice at most */
	CU_ASSERT_DOUBLE_EQUAL(weigh(1, 1), 1.98, NEAR); /* a fiftieth of the way */
	CU_ASSERT_DOUBLE_EQUAL(weigh(0.71, 1), 1.9604, NEAR);
	CU_ASSERT_EQUAL(weigh(1, 400), 1);
	weights[0].factor = 4; /* as nothing makes it */
	CU_ASSERT_EQUAL(weigh(0.5, 1), 2);
}

/* Held for 1 s, 2, 4, up to 60 when it falls again; a calm minute forgives. */
static void relapses(void)
{
	static const int held[] = { 0, 10, 20, 40, 80, 160, 320, 600, 600 };
	begin();
	for (size_t i = 0; i < sizeof(held) / sizeof(held[0]); i++) {
		double low = weigh(7, 1);
		CU_ASSERT_DOUBLE_EQUAL(low, 1 / 7.0, NEAR);
		CU_ASSERT_EQUAL(weigh(1, held[i] > 0 ? held[i] - 1 : 0), low);
		CU_ASSERT_DOUBLE_EQUAL(weigh(1, 1), 1.2 * low, NEAR);
		/* It has been well for 19 s, and falls again. */
		CU_ASSERT_EQUAL(weigh(1, 190), 1);
	}
	/* After more than twenty it is no relapse. */
	weigh(1, 30);
	weigh(7, 1);
	CU_ASSERT_DOUBLE_EQUAL(weigh(1, 1), 1.2 / 7, NEAR);
	weigh(1, 20);
	weigh(7, 1);
	weigh(1, 1201);
	CU_ASSERT_EQUAL(weights[0].relapses, 0);
	weigh(7, 1);
	CU_ASSERT_DOUBLE_EQUAL(weigh(1, 1), 1.2 / 7, NEAR);
}

/* A slow one keeps a request a second, where that is no more than 0.4 % of its pool's. */
static void floors(void)
{
	begin();
	for (size_t i = 0; i < BACKENDS; i++)
		estimates[i].rate = 100;
	CU_ASSERT_DOUBLE_EQUAL(weigh(50, 5), BACKENDS / 400.0, NEAR);
	begin();
	for (size_t i = 0; i < BACKENDS; i++)
		estimates[i].rate = 1;
	CU_ASSERT_DOUBLE_EQUAL(weigh(50, 5), BACKENDS * 0.004, NEAR);
}

/* Only ratios count, so the largest is 1. */
static void a_pool_does_not_sink(void)
{
	begin();
	for (size_t i = 0; i < BACKENDS; i++)
		weights[i].factor = 0.25;
	weights[2].factor = 0.5;
	for (size_t i = 0; i < BACKENDS; i++)
		estimates[i].ratio = 1.2;
	CU_ASSERT_DOUBLE_EQUAL(weigh(1.2, 1), 0.5, NEAR);
	CU_ASSERT_DOUBLE_EQUAL(directives[2].factor, 1, NEAR);
}

/* A third of its idle flows each tick, once it was 3 times slower for 300 ms, and slow for the objective. */
static void idle_flows(void)
{
	begin();
	weigh(3.1, 2);
	CU_ASSERT_EQUAL(directives[0].close_idle, 0);
	weigh(3.1, 1);
	CU_ASSERT_DOUBLE_EQUAL(directives[0].close_idle, 0.3, NEAR);
	CU_ASSERT_EQUAL(directives[1].close_idle, 0);
	weigh(2.9, 1);
	CU_ASSERT_EQUAL(directives[0].close_idle, 0);
	estimate.pool = 0.001; /* 3.1 ms are slow for nobody */
	weigh(3.1, 5);
	CU_ASSERT_EQUAL(directives[0].close_idle, 0);
	estimate.pool = 0.01;
	settings.is_tcp = false;
	weigh(3.1, 5);
	CU_ASSERT_EQUAL(directives[0].close_idle, 0);
	settings.is_tcp = true;
	settings.sees_replies = false;
	weigh(3.1, 5);
	CU_ASSERT_EQUAL(directives[0].close_idle, 0);
}

/* A tick of ejection: the first gets so many SYNs, that it does not answer. */
static bool is_out(uint64_t syns)
{
	signals.now_ns += ADAPT_TICK_NS;
	for (size_t i = 0; i < BACKENDS; i++) {
		backends[i].syn_sent = i == 0 ? syns : 50;
		backends[i].syn_answered = backends[i].answered = i == 0 ? 0 : 50;
	}
	eject_step(&eject, ejects, weights, estimates, &signals, &settings, &to, &log_all);
	weights_step(weights, estimates, &estimate, &signals, &settings, &to, NULL);
	return directives[0].ejected;
}

static void five_syns(void)
{
	begin();
	CU_ASSERT_FALSE(is_out(4));
	CU_ASSERT_FALSE(is_out(0));
	CU_ASSERT_FALSE(is_out(1)); /* its answer may be on the way */
	CU_ASSERT_TRUE(is_out(0));
	CU_ASSERT_STRING_EQUAL(last.action, "eject");
	begin();
	CU_ASSERT_FALSE(is_out(12)); /* as many at once, but it may only begin */
	begin();
	CU_ASSERT_FALSE(is_out(1));
	CU_ASSERT_TRUE(is_out(12)); /* of steady traffic they are enough */
	begin();
	CU_ASSERT_FALSE(is_out(1));
	CU_ASSERT_FALSE(is_out(11));
}

/* Out for 1 s, 2, 4, up to 60 when it does not get better, and from a tenth to the whole in 5 s. */
static void times_out(void)
{
	static const int ticks[] = { 10, 20, 40, 80, 160, 320, 600, 600 };
	begin();
	for (size_t i = 0; i < sizeof(ticks) / sizeof(ticks[0]); i++) {
		is_out(5);
		CU_ASSERT_TRUE(is_out(0));
		for (int k = 1; k < ticks[i]; k++)
			CU_ASSERT_TRUE(is_out(0));
		CU_ASSERT_FALSE(is_out(0));
		CU_ASSERT_STRING_EQUAL(last.action, "return");
		CU_ASSERT_DOUBLE_EQUAL(directives[0].factor, 0.1, NEAR);
	}
	estimates[0].ratio = 1;
	for (int k = 1; k < 25; k++)
		is_out(0);
	weights[0].factor = 1;
	is_out(0);
	CU_ASSERT_DOUBLE_EQUAL(directives[0].factor, 0.55, NEAR);
	weights[0].factor = 0.99; /* would come back at once */
	for (int k = 0; k < 24; k++)
		is_out(0);
	CU_ASSERT_DOUBLE_EQUAL(directives[0].factor, 0.982, NEAR);
	is_out(0);
	CU_ASSERT_EQUAL(directives[0].factor, 1);
	/* Two calm minutes forgive. */
	for (int k = 0; k < 1200; k++)
		is_out(0);
	is_out(5);
	CU_ASSERT_TRUE(is_out(0));
	CU_ASSERT_EQUAL(last.figures[last.figure_count - 1].value, 1);
}

/* Where health is checked, two checks have to be passed as well. */
static void probes_bring_back(void)
{
	begin();
	backends[0].probed = true;
	backends[0].probes_good = 7;
	is_out(5);
	is_out(0);
	for (int k = 0; k < 100; k++)
		CU_ASSERT_TRUE(is_out(0));
	backends[0].probes_good = 8;
	CU_ASSERT_TRUE(is_out(0));
	backends[0].probes_good = 9;
	CU_ASSERT_FALSE(is_out(0));
}

/* The cap after one tick with a latency, when it was `cap` and so many were in flight. */
static double step_cap(double cap, double latency, double peak)
{
	signals.now_ns += ADAPT_TICK_NS;
	if (cap > 0)
		sheds[0].cap = cap;
	estimates[0].slow = estimates[0].latency = latency;
	backends[0].in_flight = backends[0].in_flight_peak = peak;
	shed_step(&shed, sheds, &estimate, estimates, &signals, &settings, &to, NULL);
	return sheds[0].cap;
}

/* A backend that has been cut before, and answers 1000 a second: 40 in flight take 40 ms. */
static void begin_cut(void)
{
	begin();
	estimates[0].rate = 1000;
	backends[0].answered = 100;
	sheds[0].cap = 100;
	sheds[0].room = NAN;
	sheds[0].cut = true;
	sheds[0].cut_ns = signals.now_ns;
}

static void cuts(void)
{
	const double late = 0.06; /* with the spread more than 1.25 x 54 ms */
	begin_cut();
	CU_ASSERT_DOUBLE_EQUAL(step_cap(60, late, 60), 40, NEAR);
	CU_ASSERT_EQUAL(directives[0].cap, 40);
	begin_cut();
	CU_ASSERT_DOUBLE_EQUAL(step_cap(100, late, 100), 50, NEAR); /* half of it */
	begin_cut();
	CU_ASSERT_DOUBLE_EQUAL(step_cap(41, late, 41), 38.95, NEAR); /* by a twentieth */
	begin_cut();
	estimates[0].calm = 70; /* what it serves without a queue */
	CU_ASSERT_DOUBLE_EQUAL(step_cap(100, late, 100), 70, NEAR);
	begin_cut();
	estimates[0].rate = 1;
	backends[0].answered = 0;
	CU_ASSERT_DOUBLE_EQUAL(step_cap(3, late, 3), 2, NEAR);
	/* 54 ms are met by 40; a little above is believed the second time. */
	begin_cut();
	CU_ASSERT_DOUBLE_EQUAL(step_cap(60, 0.0399, 60), 60, NEAR);
	CU_ASSERT_DOUBLE_EQUAL(step_cap(60, 0.0401, 60), 60, NEAR);
	CU_ASSERT_DOUBLE_EQUAL(step_cap(60, 0.0401, 60), 40, NEAR);
	/* Nothing that is in flight has seen it yet: a latency has to pass. */
	begin_cut();
	CU_ASSERT_DOUBLE_EQUAL(step_cap(100, 0.25, 100), 50, NEAR);
	CU_ASSERT_DOUBLE_EQUAL(step_cap(0, 0.25, 50), 50, NEAR);
	CU_ASSERT_DOUBLE_EQUAL(step_cap(0, 0.25, 50), 50, NEAR);
	CU_ASSERT_DOUBLE_EQUAL(step_cap(0, 0.25, 50), 40, NEAR);
}

static void growth(void)
{
	begin_cut();
	CU_ASSERT_DOUBLE_EQUAL(step_cap(100, 0.02, 80), 105, NEAR);
	CU_ASSERT_DOUBLE_EQUAL(step_cap(100, 0.02, 79), 100, NEAR); /* not in use */
	/* 0.92 x 54 ms less the spread are 35.7 ms. */
	CU_ASSERT_DOUBLE_EQUAL(step_cap(100, 0.0356, 100), 105, NEAR);
	CU_ASSERT_DOUBLE_EQUAL(step_cap(100, 0.0358, 100), 100, NEAR);
	/* Before the first cut: ten at least, and a quarter more while they are used. */
	begin();
	estimates[0].rate = 10;
	CU_ASSERT_DOUBLE_EQUAL(step_cap(0, 0.02, 5), 10, NEAR);
	CU_ASSERT_DOUBLE_EQUAL(step_cap(0, 0.02, 8), 12.5, 0.05);
	/* Half a minute after the last cut it is as before the first. */
	begin_cut();
	estimates[0].rate = 10;
	signals.now_ns += UINT64_C(29800000000);
	CU_ASSERT_DOUBLE_EQUAL(step_cap(100, 0.02, 80), 105, NEAR);
	signals.now_ns += UINT64_C(100000000);
	CU_ASSERT_DOUBLE_EQUAL(step_cap(100, 0.02, 80), 125, 0.5);
}

/* Yellow ones get only room that leaves no queue. */
static void room_of_yellow_ones(void)
{
	begin_cut();
	estimates[0].calm = 12;
	step_cap(60, 0.02, 5);
	CU_ASSERT_EQUAL(directives[0].cap, 60);
	CU_ASSERT_EQUAL(directives[0].cap_calm, 12);
	estimates[0].calm = 50;
	step_cap(60, 0.02, 5);
	CU_ASSERT_EQUAL(directives[0].cap_calm, 30); /* half at most */
}

/* The measured tail trims what Little's law promises: by 7 % down, by 3 % up, each half a second. */
static void trims(void)
{
	begin_cut();
	signals.shed = 1;
	estimate.p99 = 0.061;
	step_cap(100, 0.02, 5);
	CU_ASSERT_DOUBLE_EQUAL(shed.trim, 0.93, NEAR);
	for (int i = 0; i < 4; i++)
		step_cap(100, 0.02, 5);
	CU_ASSERT_DOUBLE_EQUAL(shed.trim, 0.93, NEAR);
	step_cap(100, 0.02, 5);
	CU_ASSERT_DOUBLE_EQUAL(shed.trim, 0.93 * 0.93, NEAR);
	CU_ASSERT_DOUBLE_EQUAL(step_cap(50, 0.06, 50), 40 * 0.93 * 0.93, NEAR);
	estimate.p99 = 0.055; /* near enough */
	for (int i = 0; i < 10; i++)
		step_cap(100, 0.02, 5);
	CU_ASSERT_DOUBLE_EQUAL(shed.trim, 0.93 * 0.93, NEAR);
	estimate.p99 = 0.05;
	for (int i = 0; i < 5; i++)
		step_cap(100, 0.02, 5);
	CU_ASSERT_DOUBLE_EQUAL(shed.trim, 0.93 * 0.93 * 1.03, NEAR);
	for (int i = 0; i < 500; i++)
		step_cap(100, 0.02, 5);
	CU_ASSERT_DOUBLE_EQUAL(shed.trim, 1.5, NEAR);
	estimate.p99 = 0.061;
	for (int i = 0; i < 500; i++)
		step_cap(100, 0.02, 5);
	CU_ASSERT_DOUBLE_EQUAL(shed.trim, 0.5, NEAR);
}

static const struct tap_case cases[] = {
	{ "an outlier is cut at once, to a tenth at most, and never below 0.005", outliers },
	{ "a slow one is cut after a second, by the root, to a half at most", slow_ones },
	{ "weights come back by a fifth, rise to twice, and relax by a fiftieth", ways_back },
	{ "who falls again is held for 1 s, then 2, up to 60; a calm minute forgives", relapses },
	{ "a slow one keeps a request a second, or 0.4 % of its pool's", floors },
	{ "a pool as a whole does not sink", a_pool_does_not_sink },
	{ "idle flows are closed by thirds after 300 ms of three times the pool's latency",
		idle_flows },
	{ "five SYNs without an answer eject, twelve of steady traffic at once", five_syns },
	{ "out for 1 s, then 2, up to 60, and slowly back over 5 s", times_out },
	{ "two passed checks bring back", probes_bring_back },
	{ "a cap is cut to what the target leaves, between a half and 95 %", cuts },
	{ "a cap that is used grows by 5 %, before the first cut by 25 %", growth },
	{ "sources above their share have only room without a queue", room_of_yellow_ones },
	{ "the measured tail trims caps", trims },
};

TAP_MAIN("adapt steps", cases)
