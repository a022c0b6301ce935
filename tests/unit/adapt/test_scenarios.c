/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The scenarios that decide, in the closed loop of loop.h: ten backends of four servers that take 10 ms,
 * objective 60 ms. A pool serves 4000 requests a second.
 */

#include "tests/unit/adapt/loop.h"
#include "tests/unit/tap.h"

#include <math.h>
#include <string.h>

#define CAPACITY 4000.0

static double share(uint64_t part, uint64_t whole)
{
	return whole ? (double)part / (double)whole : 0;
}

static void ten_calm_minutes(void)
{
	struct loop *l = loop_create(10, 2000);
	loop_run(l, 10);
	loop_forget(l);
	loop_run(l, 600);
	CU_ASSERT_EQUAL(l->refused, 0);
	CU_ASSERT_EQUAL(loop_decided(l, "weight"), 0);
	CU_ASSERT_EQUAL(loop_decided(l, "shed"), 0);
	CU_ASSERT_EQUAL(loop_decided(l, "eject"), 0);
	CU_ASSERT_EQUAL(loop_decided(l, "police"), 0);
	CU_ASSERT_EQUAL(loop_decided(l, "headroom"), 0);
	CU_ASSERT(l->least_factor > 0.98);
	CU_ASSERT(l->most_factor < 1.02);
	loop_destroy(l);
}

/* Six requests a second and backend, and half of one; and between, where rises by chance are largest. */
static void ten_calm_minutes_of_little(void)
{
	const double rates[] = { 18, 5, 60 };
	for (int i = 0; i < 3; i++) {
		struct loop *l = loop_create(i == 1 ? 10 : 3, rates[i]);
		loop_run(l, 600);
		CU_ASSERT_EQUAL(l->refused, 0);
		CU_ASSERT_EQUAL(loop_decided(l, "weight"), 0);
		CU_ASSERT_EQUAL(loop_decided(l, "shed"), 0);
		CU_ASSERT_EQUAL(loop_decided(l, "headroom"), 0);
		CU_ASSERT(l->least_factor > 0.98);
		CU_ASSERT(l->most_factor < 1.02);
		loop_destroy(l);
	}
}

static void one_slow(void)
{
	struct loop *l = loop_create(10, 2400);
	loop_run(l, 20);
	loop_forget(l);
	loop_run(l, 20);
	double before = loop_p99(l);
	l->backends[3].slow = 10;
	loop_run(l, 2);
	CU_ASSERT(l->in_force[3].factor < 0.05);
	CU_ASSERT(l->in_force[3].close_idle > 0);
	loop_forget(l);
	loop_run(l, 18);
	CU_ASSERT(loop_p99(l) < 1.5 * before);
	CU_ASSERT(share(l->good, l->asked_for) > 0.99);
	l->backends[3].slow = 1;
	loop_run(l, 10);
	for (size_t i = 0; i < 10; i++)
		CU_ASSERT_DOUBLE_EQUAL(l->in_force[i].factor, 1, 0.02);
	loop_destroy(l);
}

static void one_slow_of_little(void)
{
	struct loop *l = loop_create(3, 60);
	loop_run(l, 60);
	l->backends[1].slow = 10;
	loop_run(l, 5);
	CU_ASSERT(l->in_force[1].factor < 0.2);
	loop_forget(l);
	loop_run(l, 35);
	CU_ASSERT(share(l->good, l->asked_for) > 0.98);
	l->backends[1].slow = 1;
	loop_run(l, 20);
	CU_ASSERT_DOUBLE_EQUAL(l->in_force[1].factor, 1, 0.02);
	loop_destroy(l);
}

static void one_dead(void)
{
	struct loop *l = loop_create(10, 2400);
	loop_run(l, 20);
	l->backends[4].dead = true;
	loop_run(l, 0.4);
	CU_ASSERT_TRUE(l->in_force[4].ejected);
	loop_forget(l);
	loop_run(l, 10);
	CU_ASSERT_EQUAL(l->lost, 0);
	CU_ASSERT(share(l->good, l->asked_for) > 0.99);
	CU_ASSERT_EQUAL(loop_decided(l, "panic"), 0);
	l->backends[4].dead = false;
	l->backends[4].count = 0;
	loop_run(l, 20);
	CU_ASSERT_EQUAL(loop_decided(l, "return"), 1);
	CU_ASSERT_FALSE(l->in_force[4].ejected);
	CU_ASSERT_DOUBLE_EQUAL(l->in_force[4].factor, 1, 0.02);
	loop_destroy(l);
}

/* Without health checks it is tried again after a second, then two, then four. */
static void dead_without_probes(void)
{
	struct loop *l = loop_create(10, 2400);
	l->probed = false;
	loop_run(l, 20);
	loop_forget(l);
	l->backends[4].dead = true;
	loop_run(l, 30);
	size_t times = loop_decided(l, "eject");
	CU_ASSERT(times >= 3 && times <= 6);
	CU_ASSERT(share(l->lost, l->asked_for) < 0.01);
	loop_destroy(l);
}

static void half_dead(void)
{
	struct loop *l = loop_create(10, 2400);
	loop_run(l, 20);
	loop_forget(l);
	for (size_t i = 0; i < 6; i++)
		l->backends[i].dead = true;
	loop_run(l, 2);
	CU_ASSERT_EQUAL(loop_decided(l, "eject"), 5);
	CU_ASSERT_EQUAL(loop_decided(l, "panic"), 1);
	loop_forget(l);
	loop_run(l, 18);
	/* What is left is worth 1600 a second. */
	CU_ASSERT((double)l->good / 18 > 0.85 * 0.4 * CAPACITY);
	for (size_t i = 0; i < 6; i++) {
		l->backends[i].dead = false;
		l->backends[i].count = 0;
	}
	loop_run(l, 40);
	loop_forget(l);
	loop_run(l, 10);
	CU_ASSERT(share(l->good, l->asked_for) > 0.97);
	loop_destroy(l);
}

/* Nobody answers at all: it is no backend's fault, and there is no better place. */
static void all_dead(void)
{
	struct loop *l = loop_create(10, 2400);
	loop_run(l, 20);
	loop_forget(l);
	for (size_t i = 0; i < 10; i++)
		l->backends[i].dead = true;
	loop_run(l, 5);
	CU_ASSERT_EQUAL(loop_decided(l, "panic"), 1);
	for (size_t i = 0; i < 10; i++)
		CU_ASSERT_FALSE(l->in_force[i].ejected);
	loop_destroy(l);
}

/* Changes of direction of a backend's factor, of moves of a twentieth or more. */
struct turns {
	double extreme;
	int direction;
	unsigned int count;
};

static void turns_count(struct turns *t, struct loop *l, size_t backend, double seconds)
{
	for (double end = l->now + seconds; l->now < end;) {
		loop_run(l, 0.1);
		double moved = l->in_force[backend].factor - t->extreme;
		int direction = moved > 0 ? 1 : -1;
		if (direction != t->direction && fabs(moved) < 0.05)
			continue;
		t->count += t->direction != 0 && direction != t->direction;
		t->direction = direction;
		t->extreme = l->in_force[backend].factor;
	}
}

static void flapping(void)
{
	struct loop *l = loop_create(10, 2400);
	size_t cuts = 0;
	struct turns turns = { .extreme = 1 };
	loop_run(l, 20);
	loop_forget(l);
	for (int i = 0; i < 20; i++) {
		l->backends[2].slow = i % 2 == 0 ? 4 : 1;
		turns_count(&turns, l, 2, 2);
	}
	CU_ASSERT(turns.count <= 8);
	CU_ASSERT(share(l->good, l->asked_for) > 0.99);
	for (size_t i = 1; i < l->decision_count; i++)
		cuts += strcmp(l->decisions[i].action, "weight") == 0 &&
			l->decisions[i].to < l->decisions[i].from && l->decisions[i].from > 90;
	/* Ten times it was slow: after a few it is not believed to be well any more. */
	CU_ASSERT(cuts <= 6);
	loop_destroy(l);
}

static void unequal(void)
{
	struct loop *l = loop_create(10, 2700);
	l->backends[0].slow = l->backends[1].slow = 3;
	loop_run(l, 20);
	loop_forget(l);
	struct turns turns = { .extreme = l->in_force[0].factor };
	turns_count(&turns, l, 0, 40);
	CU_ASSERT(share(l->good, l->asked_for) > 0.98);
	/* Tried out again ever more seldom. */
	CU_ASSERT(turns.count <= 4);
	loop_destroy(l);
}

static void flash_crowd(void)
{
	struct loop *l = loop_create(10, 2400);
	loop_run(l, 20);
	loop_forget(l);
	l->rate = 12000;
	loop_run(l, 1);
	CU_ASSERT(loop_p99(l) <= 0.06);
	loop_run(l, 9);
	CU_ASSERT((double)l->good / 10 > 0.85 * CAPACITY);
	CU_ASSERT(loop_p99(l) <= 0.06);
	loop_forget(l);
	loop_run(l, 5);
	CU_ASSERT((double)l->good / 5 > 0.85 * CAPACITY);
	CU_ASSERT(loop_p99(l) <= 0.06);
	CU_ASSERT(share(l->late, l->good) < 0.02);
	l->rate = 2400;
	loop_run(l, 5);
	loop_forget(l);
	loop_run(l, 5);
	CU_ASSERT(share(l->good, l->asked_for) > 0.99);
	loop_destroy(l);
}

static void same_crowd_without(void)
{
	struct loop *l = loop_create(10, 2400);
	l->adapt = false;
	loop_run(l, 20);
	l->rate = 12000;
	loop_run(l, 1);
	loop_forget(l);
	loop_run(l, 14);
	CU_ASSERT((double)l->good / 14 < 0.1 * CAPACITY);
	loop_destroy(l);
}

/* 1 % of the sources ask for twenty times what all others do. */
static void attack(void)
{
	struct loop *l = loop_create(10, 2400);
	l->attackers = 2;
	loop_run(l, 20);
	l->attack_rate = 48000;
	loop_run(l, 2);
	CU_ASSERT_EQUAL(loop_decided(l, "box"), 2);
	loop_forget(l);
	loop_run(l, 13);
	CU_ASSERT(share(l->good, l->asked_for) > 0.95);
	l->attack_rate = 0;
	loop_run(l, 15);
	loop_forget(l);
	loop_run(l, 10);
	CU_ASSERT(share(l->good, l->asked_for) > 0.99);
	loop_destroy(l);
}

/* Each of them only as much as twenty normal ones. */
static void small_attack(void)
{
	struct loop *l = loop_create(10, 3400);
	l->attackers = 2;
	loop_run(l, 20);
	l->attack_rate = 680;
	loop_run(l, 1);
	loop_forget(l);
	loop_run(l, 14);
	CU_ASSERT(share(l->good, l->asked_for) > 0.95);
	loop_destroy(l);
}

/* One proxy in front of all clients, and backends that are slow whatever is let in: it is not strangled. */
static void one_source(void)
{
	struct loop *l = loop_create(10, 2000);
	l->one_source = true;
	loop_run(l, 20);
	for (size_t i = 0; i < 10; i++)
		l->backends[i].slow = 8;
	loop_run(l, 20);
	CU_ASSERT_EQUAL(loop_decided(l, "box"), 0);
	CU_ASSERT_EQUAL(loop_decided(l, "police"), 0);
	loop_destroy(l);
}

static void brownout(void)
{
	struct loop *l = loop_create(10, 3000);
	loop_run(l, 20);
	for (size_t i = 0; i < 10; i++)
		l->backends[i].slow = 1.5;
	loop_run(l, 3);
	loop_forget(l);
	loop_run(l, 17);
	CU_ASSERT((double)l->good / 17 > 0.85 * CAPACITY / 1.5);
	CU_ASSERT(loop_p99(l) <= 0.065);
	loop_destroy(l);
}

static void ramp(void)
{
	uint64_t refused[2];
	for (int forecast = 0; forecast < 2; forecast++) {
		struct loop *l = loop_create(10, 900);
		l->settings.mode[ADAPT_FORECAST] = forecast ? ADAPT_ON : ADAPT_OFF;
		loop_run(l, 30);
		loop_forget(l);
		for (int i = 1; i <= 30; i++) {
			l->rate = 900 * (1 + 3 * i / 30.0);
			loop_run(l, 0.5);
		}
		refused[forecast] = l->refused;
		CU_ASSERT(share(l->good, l->asked_for) > 0.97);
		if (forecast) {
			CU_ASSERT(loop_decided(l, "headroom") >= 1);
		}
		loop_destroy(l);
	}
	/* It takes room from nobody. */
	CU_ASSERT(refused[1] <= refused[0] + 50);
}

/* In the middle of it four come back, and start slowly: the others are full before they may help. */
static void ramp_with_returns(void)
{
	uint64_t refused[2], late[2];
	for (int forecast = 0; forecast < 2; forecast++) {
		struct loop *l = loop_create(10, 800);
		l->settings.mode[ADAPT_FORECAST] = forecast ? ADAPT_ON : ADAPT_OFF;
		l->slow_start = 60;
		for (size_t i = 6; i < 10; i++)
			l->backends[i].down = true;
		loop_run(l, 30);
		loop_forget(l);
		for (int i = 1; i <= 50; i++) {
			l->rate = 800 * (1 + fmin(3, 3 * i / 30.0));
			loop_run(l, 0.5);
			for (size_t k = 6; i == 12 && k < 10; k++) {
				l->backends[k].down = false;
				l->backends[k].back_at = l->now;
			}
		}
		refused[forecast] = l->refused;
		late[forecast] = l->late;
		CU_ASSERT_EQUAL(loop_decided(l, "lift"), forecast ? 4 : 0);
		CU_ASSERT_EQUAL(l->in_force[9].weight, forecast ? 100 : 40);
		loop_destroy(l);
	}
	CU_ASSERT(refused[0] > 300);
	CU_ASSERT(4 * refused[1] <= refused[0]);
	CU_ASSERT(late[1] <= late[0]);
}

/* Decides and says so, and nothing else happens. */
static void observes(void)
{
	struct loop *l = loop_create(10, 2400);
	for (int i = 0; i < ADAPT_CONTROLLER_COUNT; i++)
		l->settings.mode[i] = ADAPT_OBSERVE;
	loop_run(l, 10);
	l->backends[3].slow = 10;
	l->backends[4].dead = true;
	loop_run(l, 5);
	CU_ASSERT(loop_decided(l, "weight") > 0);
	CU_ASSERT(loop_decided(l, "eject") > 0);
	for (size_t i = 0; i < l->decision_count; i++)
		CU_ASSERT_TRUE(l->decisions[i].observed);
	for (size_t i = 0; i < 10; i++) {
		CU_ASSERT_EQUAL(l->in_force[i].weight, 100);
		CU_ASSERT_EQUAL(l->in_force[i].cap, ADAPT_NO_CAP);
		CU_ASSERT_FALSE(l->in_force[i].ejected);
		CU_ASSERT_EQUAL(l->in_force[i].close_idle, 0);
	}
	loop_destroy(l);
}

static const struct tap_case cases[] = {
	{ "ten minutes of steady load: no action at all, nobody refused", ten_calm_minutes },
	{ "the same with very few requests", ten_calm_minutes_of_little },
	{ "one backend ten times slower loses its flows within 2 s, and gets them back in 10 s",
		one_slow },
	{ "a slow backend of a small service is found, too", one_slow_of_little },
	{ "a dead backend is ejected, and returns after two probes with a slow start", one_dead },
	{ "a dead backend without health checks is tried again, ever more seldom",
		dead_without_probes },
	{ "half of the pool dead: not more than half is ejected, and it is said", half_dead },
	{ "all of the pool dead: nobody is ejected", all_dead },
	{ "a backend that flaps is held down", flapping },
	{ "unequal backends get unequal weights", unequal },
	{ "a crowd of five times: what can be served is served in time", flash_crowd },
	{ "without adaptation the same crowd is served too late", same_crowd_without },
	{ "two sources with 20 times the load of all others end in the box", attack },
	{ "two sources of 20 times a normal one do not harm the others", small_attack },
	{ "a source that is the only one is neither policed nor boxed", one_source },
	{ "all backends 1.5 times slower: shed, within the objective", brownout },
	{ "a ramp of four times in 15 s: the forecast prepares for it", ramp },
	{ "backends that come back in the middle of a ramp: their slow start is shortened",
		ramp_with_returns },
	{ "controllers that observe change nothing", observes },
};

TAP_MAIN("adapt scenarios", cases)
