/* SPDX-License-Identifier: BSD-3-Clause */

/* What a backend has room for, from made-up answers, and the caps that come of it. */

#include "control/adapt/curve.h"
#include "tests/unit/adapt/loop.h"
#include "tests/unit/tap.h"

#include <math.h>

#define NOISE_S 0.012

/* Answers of a backend of `places` that take 20 ms: as often as a calm service finds so many in flight. */
static struct adapt_found answers(double count, uint32_t places)
{
	struct adapt_found f = { 0 };
	for (uint32_t n = 0; n < 6; n++, count /= 3) {
		double waits = n < places ? 0 : (double)(n - places + 1);
		f.count[n] = count;
		f.sum_s[n] = count * 0.02 * (1 + waits / places);
	}
	return f;
}

static void classes_keep_order(void)
{
	for (uint32_t n = 1; n < 448; n++) {
		uint32_t found = weir_found_class(n);
		CU_ASSERT(found == weir_found_class(n - 1) || found == weir_found_class(n - 1) + 1);
		CU_ASSERT(fabs(weir_found_middle(found) - n) <= n / 8.0);
	}
	CU_ASSERT_EQUAL(weir_found_class(447), WEIR_FOUND_CLASSES - 2);
	CU_ASSERT_EQUAL(weir_found_class(448), WEIR_FOUND_CLASSES - 1);
	CU_ASSERT_EQUAL(weir_found_class(UINT32_MAX), WEIR_FOUND_CLASSES - 1);
}

/* Two places: the one that finds n waits for (n - 1) x 10 ms. */
static void room_is_seen_before_it_is_needed(void)
{
	struct curve c = { 0 };
	struct adapt_found f = answers(1000, 2);
	curve_step(&c, &f, 0.5);
	/* 70 ms: the seventh in flight finds six others, and takes just that. */
	double room = curve_room(&c, NULL, 0.07, NOISE_S);
	CU_ASSERT(room > 5.5 && room <= 7);
	CU_ASSERT(curve_room(&c, NULL, 0.05, NOISE_S) < room);
	CU_ASSERT_EQUAL(curve_room(&c, NULL, 0.0, NOISE_S), 0);
}

/* Many places, few answers, or answers that scatter: nothing is known. */
static void nothing_is_made_up(void)
{
	struct curve c = { 0 };
	struct adapt_found flat = answers(1000, 64), few = answers(20, 2);
	CU_ASSERT(isnan(curve_room(&c, NULL, 0.07, NOISE_S)));
	curve_step(&c, &flat, 0.5);
	CU_ASSERT(isnan(curve_room(&c, NULL, 0.07, NOISE_S)));
	c = (struct curve){ 0 };
	curve_step(&c, &few, 0.5);
	CU_ASSERT(isnan(curve_room(&c, NULL, 0.07, NOISE_S)));
	struct adapt_found f = answers(100, 2);
	c = (struct curve){ 0 };
	curve_step(&c, &f, 0.5);
	CU_ASSERT_FALSE(isnan(curve_room(&c, NULL, 0.07, NOISE_S)));
	CU_ASSERT(isnan(curve_room(&c, NULL, 0.07, 10 * NOISE_S)));
	/* How many those of the last class found is not known: their times are no part of a line. */
	c = (struct curve){ .past = { .count = { 500 }, .sum_s = { 10 } } };
	c.past.count[WEIR_FOUND_CLASSES - 1] = 500;
	c.past.sum_s[WEIR_FOUND_CLASSES - 1] = 500;
	CU_ASSERT(isnan(curve_room(&c, NULL, 0.07, NOISE_S)));
}

static void others_help_at_first(void)
{
	struct curve own = { 0 }, all = { 0 };
	struct adapt_found few = answers(20, 2), flat = answers(1000, 64);
	curve_step(&own, &few, 0.5);
	for (int i = 0; i < 100; i++)
		curve_add(&all, &own);
	CU_ASSERT_DOUBLE_EQUAL(curve_room(&own, &all, 0.07, NOISE_S), 6.25, 0.75);
	/* Its own answers of some time say that it is of another kind. */
	own = (struct curve){ 0 };
	for (int i = 0; i < 10; i++)
		curve_step(&own, &flat, 0.5);
	double room = curve_room(&own, &all, 0.07, NOISE_S);
	CU_ASSERT(isnan(room) || room > 14);
}

static void a_minute_is_remembered(void)
{
	struct curve c = { 0 };
	struct adapt_found f = answers(1000, 2), none = { 0 };
	curve_step(&c, &f, 0.5);
	for (int i = 0; i < 120; i++)
		curve_step(&c, &none, 0.5);
	CU_ASSERT_DOUBLE_EQUAL(c.past.count[0], 1000 / exp(1), 1);
	for (int i = 0; i < 600; i++)
		curve_step(&c, &none, 0.5);
	CU_ASSERT(isnan(curve_room(&c, NULL, 0.07, NOISE_S)));
}

static double caps_of(const struct loop *l)
{
	double sum = 0;
	for (size_t i = 0; i < l->count; i++)
		sum += l->in_force[i].cap;
	return sum / (double)l->count;
}

/* The caps of calm weather: before a crowd, and whenever in a tick it comes. */
static void a_crowd_finds_caps(void)
{
	for (uint64_t seed = 1; seed <= 10; seed++) {
		struct loop *l = loop_create(10, 2400);
		l->random = seed * 7919;
		loop_run(l, 20 + (double)seed / 100);
		CU_ASSERT_EQUAL(l->refused, 0);
		CU_ASSERT(caps_of(l) > 8 && caps_of(l) < 13);
		loop_forget(l);
		l->rate = 12000;
		loop_run(l, 1);
		CU_ASSERT(loop_p99(l) <= 0.06);
		CU_ASSERT((double)l->good > 0.9 * 4000);
		loop_run(l, 9);
		CU_ASSERT(loop_p99(l) <= 0.06);
		CU_ASSERT((double)l->good / 10 > 0.9 * 4000);
		loop_destroy(l);
	}
}

/* Nobody is refused for it: not in calm weather of any kind, nor by a jump that the pool can serve. */
static void calm_refuses_nobody(void)
{
	static const double loads[] = { 0.05, 0.2, 0.4, 0.6 };
	static const size_t pools[] = { 2, 3, 5, 10 };
	for (size_t i = 0; i < 16; i++) {
		struct loop *l =
			loop_create(pools[i / 4], loads[i % 4] * 400 * (double)pools[i / 4]);
		l->random = 104729;
		loop_run(l, 120);
		CU_ASSERT_EQUAL(l->refused, 0);
		loop_destroy(l);
	}
	for (uint64_t seed = 1; seed <= 5; seed++) {
		struct loop *l = loop_create(10, 600);
		l->random = seed * 31;
		loop_run(l, 60);
		l->rate = 3000;
		loop_run(l, 5);
		CU_ASSERT_EQUAL(l->refused, 0);
		loop_destroy(l);
	}
}

/* By affinity a flow has one choice, and one backend alone reaches such a cap. */
static void affinity_keeps_wide_caps(void)
{
	struct loop *l = loop_create(10, 2400);
	l->settings.sticks = true;
	loop_run(l, 60);
	CU_ASSERT(caps_of(l) > 14);
	loop_destroy(l);
}

static const struct tap_case cases[] = {
	{ "classes of what was found are in order, and near it", classes_keep_order },
	{ "what there is room for is seen before it is needed", room_is_seen_before_it_is_needed },
	{ "nothing is made up where nothing is known", nothing_is_made_up },
	{ "backends like it help at first, and do not decide for ever", others_help_at_first },
	{ "a minute is remembered", a_minute_is_remembered },
	{ "a crowd of five times finds caps: p99 of its first second", a_crowd_finds_caps },
	{ "nobody is refused in calm weather, nor by a jump that can be served",
		calm_refuses_nobody },
	{ "where affinity leaves one choice caps stay wide", affinity_keeps_wide_caps },
};

TAP_MAIN("adapt curve", cases)
