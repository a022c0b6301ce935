/* SPDX-License-Identifier: BSD-3-Clause */

/* Shares of sources: water filling, and the tables that keep them apart, on made-up signals. */

#include "control/adapt/sources.h"
#include "tests/unit/adapt/first.h"
#include "tests/unit/tap.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct adapt_signals signals;
static struct adapt_settings settings;

static void begin(void)
{
	settings = first_settings();
	signals = first_signals(NULL, 0);
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

#define CROWD 100
#define NEAR  1e-6

/* Sources that ask for as many flows and packets a second, and what is served of them. */
static struct crowd {
	struct sources_state v;
	struct adapt_policing policing;
	struct adapt_directive to;
	struct estimate_service e;
	struct adapt_source_signals list[CROWD];
	double others; /* asked for by those that no table has */
	double served[ADAPT_RESOURCE_COUNT];
	size_t boxes;
	double box_s; /* of the last time */
} crowd;

static void boxes_note(void *ctx, const struct adapt_decision *d)
{
	crowd.boxes += strcmp(d->action, "box") == 0;
	for (size_t i = 0; i < d->figure_count; i++)
		if (strcmp(d->figures[i].name, "seconds") == 0)
			crowd.box_s = d->figures[i].value;
}

static void crowd_begin(size_t count)
{
	begin();
	memset(&crowd, 0, sizeof(crowd));
	crowd.to.policing = &crowd.policing;
	estimate_service_init(&crowd.e);
	signals.sources = crowd.list;
	signals.source_count = count;
	signals.sources_ns = ADAPT_TICK_NS;
	crowd.served[ADAPT_FLOWS] = crowd.served[ADAPT_PACKETS] = INFINITY;
	for (size_t i = 0; i < count; i++) {
		crowd.list[i].prefix[15] = (uint8_t)i;
		crowd.list[i].rate[ADAPT_FLOWS] = 10;
		crowd.list[i].rate[ADAPT_PACKETS] = 1000;
	}
}

static void crowd_run(int ticks)
{
	const struct adapt_log log = { NULL, boxes_note };
	for (; ticks > 0; ticks--) {
		double flows = crowd.others, packets = 0;
		for (size_t i = 0; i < signals.source_count; i++) {
			flows += crowd.list[i].rate[ADAPT_FLOWS];
			packets += crowd.list[i].rate[ADAPT_PACKETS];
		}
		signals.now_ns += ADAPT_TICK_NS;
		signals.offered = (uint64_t)(flows / 10);
		signals.forwarded = (uint64_t)(fmin(flows, crowd.served[ADAPT_FLOWS]) / 10);
		signals.shed = signals.offered - signals.forwarded;
		signals.packets = (uint64_t)(packets / 10);
		signals.ring_full = (uint64_t)(fmax(0, packets - crowd.served[ADAPT_PACKETS]) / 10);
		sources_step(&crowd.v, &crowd.e, &signals, &settings, &crowd.to, &log);
	}
}

/* The weight of a source in shares; 1 when it is not named. */
static double weight_of(uint8_t source)
{
	for (size_t i = 0; i < crowd.policing.weight_count; i++)
		if (crowd.policing.weights[i].prefix[15] == source)
			return crowd.policing.weights[i].weight;
	return 1;
}

/* Packets are what a ring loses: 85 % of what is served is shared out, and what is left is the flood's. */
static void packets_run_short(void)
{
	crowd_begin(10);
	crowd_run(100);
	CU_ASSERT_FALSE(crowd.policing.on);
	crowd.list[9].rate[ADAPT_PACKETS] = 100000;
	crowd.served[ADAPT_PACKETS] = 20000;
	crowd_run(2);
	CU_ASSERT_FALSE(crowd.policing.on);
	crowd_run(1);
	CU_ASSERT_TRUE(crowd.policing.on);
	crowd_run(60);
	CU_ASSERT(isinf(crowd.policing.rate[ADAPT_FLOWS]));
	CU_ASSERT_DOUBLE_EQUAL(crowd.policing.rate[ADAPT_PACKETS], 0.85 * 20000 - 9 * 1000, 10);
	CU_ASSERT_DOUBLE_EQUAL(crowd.policing.yellow, 4, 0.01);
	/* All is served now: more of it is tried out, but not while a worker is over 85 % busy. */
	crowd.served[ADAPT_PACKETS] = INFINITY;
	signals.busy = 0.86;
	double before = crowd.v.of[ADAPT_PACKETS].load.capacity;
	signals.policed = 8900; /* what is served is as much as before */
	crowd_run(20);
	CU_ASSERT(crowd.v.of[ADAPT_PACKETS].load.capacity < 1.1 * before);
	signals.busy = 0.84;
	before = crowd.v.of[ADAPT_PACKETS].load.capacity;
	crowd_run(1);
	CU_ASSERT_DOUBLE_EQUAL(
		crowd.v.of[ADAPT_PACKETS].load.capacity, 1.02 * before, 1e-3 * before);
}

/* Ten seconds without excess end it, and not less. */
static void calm_ends_policing(void)
{
	crowd_begin(10);
	crowd_run(100);
	crowd.list[9].rate[ADAPT_FLOWS] = 500;
	crowd.served[ADAPT_FLOWS] = 200;
	crowd_run(20);
	CU_ASSERT_TRUE(crowd.policing.on);
	crowd.list[9].rate[ADAPT_FLOWS] = 10;
	crowd_run(95);
	CU_ASSERT_TRUE(crowd.policing.on);
	crowd_run(25);
	CU_ASSERT_FALSE(crowd.policing.on);
}

/* Half a second in red: 10 s in the box, then twice as long, up to five minutes. */
static void boxes_grow(void)
{
	static const double seconds[] = { 10, 20, 40, 80, 160, 300, 300 };
	crowd_begin(10);
	crowd_run(100);
	crowd.list[9].rate[ADAPT_PACKETS] = 500000; /* red at once */
	crowd.served[ADAPT_PACKETS] = 20000;
	crowd_run(3);
	CU_ASSERT_EQUAL(crowd.v.source[9].red_ns, signals.now_ns);
	crowd_run(4);
	CU_ASSERT_EQUAL(crowd.policing.box_count, 0);
	crowd_run(1);
	for (size_t i = 0; i < sizeof(seconds) / sizeof(seconds[0]); i++) {
		CU_ASSERT_EQUAL(crowd.boxes, i + 1);
		CU_ASSERT_EQUAL(crowd.box_s, seconds[i]);
		CU_ASSERT_EQUAL(crowd.policing.box_count, 1);
		CU_ASSERT_EQUAL(crowd.policing.box[0].prefix[15], 9);
		CU_ASSERT_EQUAL(crowd.policing.box[0].until_ns,
			signals.now_ns + (uint64_t)(seconds[i] * 1e9));
		crowd_run((int)(10 * seconds[i]));
	}
}

/* Red begins at four times the share. */
static void red_is_four_times(void)
{
	for (int k = 0; k < 2; k++) {
		crowd_begin(10);
		crowd_run(100);
		crowd.served[ADAPT_PACKETS] = 20000; /* a share of 8000 */
		crowd.list[9].rate[ADAPT_PACKETS] = k == 0 ? 31000 : 33500;
		crowd_run(200);
		CU_ASSERT_EQUAL(crowd.boxes > 0, k == 1);
	}
}

/* Who is alone with its excess is in nobody's way. */
static void a_box_protects_somebody(void)
{
	crowd_begin(10);
	crowd_run(100);
	for (size_t i = 0; i < 9; i++)
		crowd.list[i].rate[ADAPT_PACKETS] = 100;
	crowd_run(50);
	crowd.served[ADAPT_PACKETS] = 20000;
	crowd.list[9].rate[ADAPT_PACKETS] = 500000;
	crowd_run(200);
	CU_ASSERT_TRUE(crowd.policing.on);
	CU_ASSERT_EQUAL(crowd.boxes, 0);
}

/* Above twice the mean a habit is worth its shares, 32 at most; who is new has one, whatever it asks for. */
static void habits_are_worth_shares(void)
{
	crowd_begin(CROWD - 1);
	crowd.list[1].rate[ADAPT_FLOWS] = 20000;
	crowd.list[2].rate[ADAPT_FLOWS] = 1000;
	crowd.list[3].rate[ADAPT_FLOWS] = 400;
	double mean = (96 * 10 + 20000 + 1000 + 400) / 99.0;
	crowd_run(1500);
	signals.source_count = CROWD;
	crowd.list[CROWD - 1].prefix[15] = CROWD - 1;
	crowd.list[CROWD - 1].rate[ADAPT_FLOWS] = 1e6;
	crowd.served[ADAPT_FLOWS] = 20000;
	crowd_run(4);
	CU_ASSERT_TRUE(crowd.policing.on);
	CU_ASSERT_DOUBLE_EQUAL(weight_of(1), 32, NEAR);
	CU_ASSERT_DOUBLE_EQUAL(weight_of(2), 1000 / mean, 0.2);
	CU_ASSERT_EQUAL(weight_of(3), 1);
	CU_ASSERT_EQUAL(weight_of(CROWD - 1), 1);
}

/* Nobody makes itself known quickly: four times in ten seconds. */
static void habits_grow_slowly(void)
{
	crowd_begin(10);
	crowd_run(200);
	double before = crowd.v.source[9].habit[ADAPT_FLOWS];
	crowd.list[9].rate[ADAPT_FLOWS] = 100000;
	crowd_run(100);
	double after = crowd.v.source[9].habit[ADAPT_FLOWS];
	CU_ASSERT_DOUBLE_EQUAL(before, 10, 0.1);
	CU_ASSERT_DOUBLE_EQUAL(after, 4 * before, 0.1);
	/* And who gets less is soon less known. */
	crowd.list[9].rate[ADAPT_FLOWS] = 0;
	crowd_run(200);
	CU_ASSERT(crowd.v.source[9].habit[ADAPT_FLOWS] < 0.5 * after);
}

/* No habit is believed before five seconds of calm. */
static void habits_come_first(void)
{
	for (int k = 0; k < 2; k++) {
		crowd_begin(10);
		crowd_run(k == 0 ? 48 : 51);
		crowd.list[9].rate[ADAPT_FLOWS] = 5000;
		crowd.served[ADAPT_FLOWS] = 200;
		crowd_run(20);
		CU_ASSERT_EQUAL(crowd.policing.on, k == 1);
	}
}

/* Nobody comes for a while, or what comes has been counted of one resource only: learned when it comes. */
static void habits_after_silence(void)
{
	for (int k = 0; k < 3; k++) {
		crowd_begin(k == 0 ? 0 : 10);
		for (size_t i = 0; k == 1 && i < 10; i++)
			crowd.list[i].rate[ADAPT_PACKETS] = 0;
		crowd_run(100);
		if (k == 2) {
			signals.source_count = 0;
			crowd_run(750);
			CU_ASSERT_EQUAL(crowd.v.count, 0);
		}
		signals.source_count = 10;
		for (size_t i = 0; i < 10; i++) {
			crowd.list[i].prefix[15] = (uint8_t)i;
			crowd.list[i].rate[ADAPT_FLOWS] = 10;
			crowd.list[i].rate[ADAPT_PACKETS] = 1000;
		}
		crowd_run(20);
		CU_ASSERT(crowd.v.of[ADAPT_PACKETS].calm_s < 2.5);
		crowd_run(200);
		CU_ASSERT_DOUBLE_EQUAL(crowd.v.of[ADAPT_FLOWS].habit, 10, 1.5);
		CU_ASSERT_DOUBLE_EQUAL(crowd.v.of[ADAPT_PACKETS].habit, 1000, 150);
		crowd.list[9].rate[ADAPT_PACKETS] = 100000;
		crowd.served[ADAPT_PACKETS] = 20000;
		crowd_run(10);
		CU_ASSERT_TRUE(crowd.policing.on);
	}
}

/* Those that no table has get all they ask for first, and nobody less than the mean habit. */
static void others_are_met_first(void)
{
	crowd_begin(10);
	crowd.others = 1000;
	crowd_run(150);
	crowd.list[9].rate[ADAPT_FLOWS] = 5000;
	crowd.served[ADAPT_FLOWS] = 1400;
	crowd_run(60);
	CU_ASSERT_TRUE(crowd.policing.on);
	CU_ASSERT_DOUBLE_EQUAL(crowd.policing.rate[ADAPT_FLOWS], 0.85 * 1400 - 1000 - 9 * 10, 1);
	crowd.others = 2000;
	crowd_run(60);
	CU_ASSERT_DOUBLE_EQUAL(
		crowd.policing.rate[ADAPT_FLOWS], crowd.v.of[ADAPT_FLOWS].habit, 0.1);
}

static const struct tap_case cases[] = {
	{ "fair rates are found by water filling", water_is_filled },
	{ "water filling without sorting finds what sorting does", water_is_that_of_sorted_claims },
	{ "sources keep their own figures while they come, move and go", sources_are_told_apart },
	{ "more sources than places", many_sources },
	{ "packets that rings lose are shared out at 85 % of what is served", packets_run_short },
	{ "ten seconds without excess end policing", calm_ends_policing },
	{ "half a second in red is 10 s in the box, doubling up to 300", boxes_grow },
	{ "red begins at four shares", red_is_four_times },
	{ "nobody is boxed whom nobody is to be protected from", a_box_protects_somebody },
	{ "habits are worth shares, 32 at most, and nothing at first", habits_are_worth_shares },
	{ "a habit grows by four times in ten seconds at most", habits_grow_slowly },
	{ "five seconds of calm come before policing", habits_come_first },
	{ "habits are learned from the beginning when nobody was there", habits_after_silence },
	{ "sources without a place are met first, and nobody is below the mean habit",
		others_are_met_first },
};

TAP_MAIN("adapt sources", cases)
