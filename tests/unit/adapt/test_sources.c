/* SPDX-License-Identifier: BSD-3-Clause */

/* Shares of sources: water filling, and the tables that keep them apart, on made-up signals. */

#include "control/adapt/sources.h"
#include "tests/unit/tap.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct adapt_signals signals;
static struct adapt_settings settings;

static void begin(void)
{
	settings = (struct adapt_settings){ .objective_s = 0.06,
		.mode = { ADAPT_ON, ADAPT_ON, ADAPT_ON, ADAPT_ON },
		.sees_replies = true,
		.is_tcp = true,
		.gains = adapt_gains_preset };
	signals = (struct adapt_signals){ .now_ns = 1000 * ADAPT_TICK_NS,
		.elapsed_ns = ADAPT_TICK_NS };
}

static void water_is_filled(void)
{
	struct sources_claim claims[] = { { 10, 1 }, { 100, 1 }, { 100, 1 } };
	CU_ASSERT_DOUBLE_EQUAL(sources_water_fill(claims, 3, 110), 50, 1e-9);
	struct sources_claim heavy[] = { { 100, 1 }, { 100, 3 } };
	CU_ASSERT_DOUBLE_EQUAL(sources_water_fill(heavy, 2, 100), 25, 1e-9);
	struct sources_claim small[] = { { 10, 1 }, { 20, 1 } };
	CU_ASSERT(isinf(sources_water_fill(small, 2, 31)));
	CU_ASSERT(isinf(sources_water_fill(small, 0, 31)));
	CU_ASSERT_DOUBLE_EQUAL(sources_water_fill(small, 2, -5), 0, 0);
}

static int claim_compare(const void *a, const void *b)
{
	const struct sources_claim *x = a, *y = b;
	double p = x->demand / x->weight, q = y->demand / y->weight;
	return (p > q) - (p < q);
}

/* As it is defined: who asks for least of its share is met first. */
static double water_of_sorted(struct sources_claim *claims, size_t count, double capacity)
{
	double weights = 0;
	qsort(claims, count, sizeof(*claims), claim_compare);
	for (size_t i = 0; i < count; i++)
		weights += claims[i].weight;
	for (size_t i = 0; i < count; i++) {
		double rate = fmax(0, capacity) / weights;
		if (claims[i].demand > rate * claims[i].weight)
			return rate;
		capacity -= claims[i].demand;
		weights -= claims[i].weight;
	}
	return INFINITY;
}

static void water_is_that_of_sorted_claims(void)
{
	unsigned int seed = 11;
	for (int round = 0; round < 20000; round++) {
		struct sources_claim claims[64];
		size_t count = (size_t)rand_r(&seed) % 64;
		double demands = 0;
		for (size_t i = 0; i < count; i++) {
			bool heavy = rand_r(&seed) % 8 == 0;
			claims[i].demand = (double)(rand_r(&seed) % 1000) * (heavy ? 100 : 1);
			claims[i].weight = rand_r(&seed) % 4 ? 1 : 1 + rand_r(&seed) % 310 / 10.0;
			demands += claims[i].demand;
		}
		double capacity = demands * (rand_r(&seed) % 1100) / 1000.0 - 1;
		double rate = sources_water_fill(claims, count, capacity);
		double wanted = water_of_sorted(claims, count, capacity);
		CU_ASSERT_EQUAL_FATAL(isinf(rate), isinf(wanted));
		if (!isinf(rate))
			CU_ASSERT_FATAL(fabs(rate - wanted) <= 1e-9 * (1 + wanted));
	}
}

/* Who is new, who is gone and who has another place in the tables: each has its own figures. */
static void sources_are_told_apart(void)
{
	struct sources_state *v = calloc(1, sizeof(*v));
	struct adapt_policing *policing = calloc(1, sizeof(*policing));
	struct adapt_directive to = { .policing = policing };
	double demand[200] = { 0 };
	struct adapt_source_signals list[200];
	struct estimate_service e;
	unsigned int seed = 5;
	begin();
	estimate_service_init(&e);
	signals.sources = list;
	signals.sources_ns = ADAPT_TICK_NS;
	for (unsigned int tick = 0; tick < 1500; tick++) {
		double share = adapt_share(0.2, 1);
		/* Half of them stop for good in the middle: they are forgotten. */
		unsigned int most = tick < 500 ? 200 : 100;
		signals.now_ns += ADAPT_TICK_NS;
		signals.offered = signals.forwarded = 100;
		signals.source_count = 0;
		for (unsigned int i = 0; i < 200; i++)
			demand[i] *= 1 - share;
		for (unsigned int n = 0; n < most; n++) {
			unsigned int i = (n + tick) % most; /* another order each time */
			double rate = rand_r(&seed) % 100;
			if (rand_r(&seed) % 5 == 0)
				continue;
			struct adapt_source_signals *s = &list[signals.source_count++];
			*s = (struct adapt_source_signals){ .rate = { rate, 2 * rate } };
			memcpy(s->prefix + 10,
				(uint8_t[]){ 255, 255, 10, 0, (uint8_t)(i / 7), (uint8_t)i }, 6);
			demand[i] += share * rate;
		}
		sources_step(v, &e, &signals, &settings, &to, NULL);
	}
	CU_ASSERT_EQUAL(v->count, 100);
	for (size_t j = 0; j < v->count; j++) {
		unsigned int i = v->source[j].prefix[15];
		CU_ASSERT_DOUBLE_EQUAL(v->demand[ADAPT_FLOWS][j], demand[i], 1e-9);
		CU_ASSERT_DOUBLE_EQUAL(v->demand[ADAPT_PACKETS][j], 2 * demand[i], 1e-9);
	}
	free(policing);
	free(v);
}

/* More sources than there are places: nobody is lost who asks for much, nothing breaks. */
static void many_sources(void)
{
	struct sources_state *v = calloc(1, sizeof(*v));
	struct adapt_policing *policing = calloc(1, sizeof(*policing));
	struct adapt_directive to = { .policing = policing };
	struct estimate_service e;
	struct adapt_source_signals list[64];
	begin();
	estimate_service_init(&e);
	signals.sources = list;
	signals.source_count = 64;
	signals.sources_ns = ADAPT_TICK_NS;
	for (unsigned int tick = 0; tick < 200; tick++) {
		signals.now_ns += ADAPT_TICK_NS;
		signals.offered = tick > 100 ? 6000 : 640;
		signals.forwarded = tick > 100 ? 340 : 640;
		signals.shed = signals.offered - signals.forwarded;
		for (unsigned int i = 0; i < 64; i++) {
			unsigned int source = tick * 63 + i;
			list[i] = (struct adapt_source_signals){ .rate = { 100, 500 } };
			memcpy(list[i].prefix, &source, sizeof(source));
		}
		/* One is always there. */
		memset(list[0].prefix, 0xff, 16);
		list[0].rate[ADAPT_FLOWS] = tick > 100 ? 50000 : 100;
		sources_step(v, &e, &signals, &settings, &to, NULL);
		CU_ASSERT(v->count <= SOURCES_MOST);
	}
	CU_ASSERT_TRUE(policing->on);
	CU_ASSERT_EQUAL(policing->box_count, 1);
	CU_ASSERT_EQUAL(policing->box[0].prefix[0], 0xff);
	CU_ASSERT(policing->rate[ADAPT_FLOWS] >= 1);
	CU_ASSERT(policing->yellow >= 2 && policing->yellow <= 64);
	free(policing);
	free(v);
}

static const struct tap_case cases[] = {
	{ "fair rates are found by water filling", water_is_filled },
	{ "water filling without sorting finds what sorting does", water_is_that_of_sorted_claims },
	{ "sources keep their own figures while they come, move and go", sources_are_told_apart },
	{ "more sources than places", many_sources },
};

TAP_MAIN("adapt sources", cases)
