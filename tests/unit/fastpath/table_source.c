/* SPDX-License-Identifier: BSD-3-Clause */

/* Limits per source with a made-up clock: who is judged by what, and who keeps his place. */

#include "dataplane/table/source_table.h"
#include "tests/unit/fastpath/random.h"
#include "tests/unit/fastpath/scarce.h"
#include "tests/unit/tap.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>

#define HZ   UINT64_C(1000000000)
#define MS   UINT64_C(1000000)
#define UNIT (UINT64_C(1) << SOURCE_UNIT_SHIFT) /* milliseconds */

struct bench {
	struct source_table *t;
	struct source_limits limits;
	struct source_use use;
	uint64_t ms; /* the clock; fractions of it are in `ns` */
	uint64_t ns;
};

static struct source_table *table_make(uint32_t entries, bool ipv6, uint8_t prefix, bool by_time)
{
	const struct source_table_params params = {
		.entries = entries,
		.ipv6 = ipv6,
		.prefix = prefix,
		.by_time = by_time,
		.seed = hash_seed_make(7),
		.node = -1,
		.memory = table_memory_libc,
	};
	struct source_table *t = NULL;

	CU_ASSERT_EQUAL_FATAL(source_table_create(&params, &t), 0);
	return t;
}

static struct bench start(uint32_t entries, bool by_time, uint64_t packets, uint64_t connections)
{
	struct bench b = { .t = table_make(entries, false, 32, by_time), .ms = 5000000 };

	limiter_rate_init(&b.limits.packets, packets, 10 * MS, HZ);
	limiter_rate_init(&b.limits.connections, connections, 10 * MS, HZ);
	return b;
}

static struct source_clock clock_of(const struct bench *b)
{
	return (struct source_clock){ .tsc = b->ms * MS + b->ns, .ms = (uint32_t)b->ms };
}

/* As an address lies in a packet; IPv6 tables would read all of it. */
static struct source_id identify(const struct source_table *t, uint32_t address)
{
	uint32_t words[4] = { address };

	return source_identify(t, words);
}

static struct source_id id_of(const struct bench *b, uint32_t address)
{
	return identify(b->t, address);
}

static enum source_verdict packet(struct bench *b, uint32_t address)
{
	const struct source_clock clock = clock_of(b);
	const struct source_id id = id_of(b, address);

	return source_packet(b->t, &b->limits, &id, &clock, &b->use);
}

static bool flow(struct bench *b, uint32_t address)
{
	const struct source_clock clock = clock_of(b);
	const struct source_id id = id_of(b, address);

	return source_flow(b->t, &b->limits, &id, &clock);
}

static void prove(struct bench *b, uint32_t address)
{
	const struct source_clock clock = clock_of(b);
	const struct source_id id = id_of(b, address);

	source_prove(b->t, &id, &clock, &b->use);
}

/* One-packet sources that nobody has seen before. Returns how many passed. */
static uint32_t flood(struct bench *b, struct random *random, uint32_t count)
{
	uint32_t passed = 0;

	for (uint32_t i = 0; i < count; i++)
		passed += packet(b, 0x80000000u | (uint32_t)random_next(random)) != SOURCE_REFUSED;
	return passed;
}

static void each_source_has_its_own(void)
{
	struct bench b = start(1024, true, 1000, 100);
	uint32_t passed[4] = { 0 };
	uint32_t flows[4] = { 0 };

	/* Sources 0 to 3 send 500, 1000, 2000 and 5000 a second for 10 s. */
	for (uint32_t tick = 0; tick < 100000; tick++) {
		b.ms = 5000000 + tick / 10;
		b.ns = tick % 10 * 100000;
		if (tick % 20 == 0)
			passed[0] += packet(&b, 10) != SOURCE_REFUSED;
		if (tick % 10 == 0)
			passed[1] += packet(&b, 11) != SOURCE_REFUSED;
		if (tick % 5 == 0)
			passed[2] += packet(&b, 12) != SOURCE_REFUSED;
		if (tick % 2 == 0)
			passed[3] += packet(&b, 13) != SOURCE_REFUSED;
		if (tick % 50 == 0)
			flows[1] += flow(&b, 11);
		if (tick % 200 == 0)
			flows[2] += flow(&b, 12);
	}
	CU_ASSERT_EQUAL(passed[0], 5000);
	CU_ASSERT_EQUAL(passed[1], 10000);
	CU_ASSERT(passed[2] >= 9990 && passed[2] <= 10020);
	CU_ASSERT(passed[3] >= 9990 && passed[3] <= 10020);
	CU_ASSERT(flows[1] >= 998 && flows[1] <= 1004);
	CU_ASSERT_EQUAL(flows[2], 500);
	CU_ASSERT_EQUAL(b.use.tracked, 4);
	CU_ASSERT_EQUAL(b.use.overflow, 0);
	source_table_destroy(b.t);
}

static uint64_t key6(const struct source_table *t, const char *text)
{
	uint8_t address[16];

	CU_ASSERT_EQUAL_FATAL(inet_pton(AF_INET6, text, address), 1);
	return source_identify(t, address).key;
}

static void prefixes_make_sources(void)
{
	struct source_table *t24 = table_make(1024, false, 24, true);
	struct source_table *t64 = table_make(1024, true, 64, true);
	struct source_table *t100 = table_make(1024, true, 100, true);
	uint32_t a = htonl(0x0a010203), same = htonl(0x0a0102ff), other = htonl(0x0a010303);

	CU_ASSERT_EQUAL(identify(t24, a).key, identify(t24, same).key);
	CU_ASSERT_NOT_EQUAL(identify(t24, a).key, identify(t24, other).key);
	CU_ASSERT_EQUAL(key6(t64, "2001:db8:1:2::1"), key6(t64, "2001:db8:1:2:ffff::9"));
	CU_ASSERT_NOT_EQUAL(key6(t64, "2001:db8:1:2::1"), key6(t64, "2001:db8:1:3::1"));
	CU_ASSERT_EQUAL(key6(t100, "2001:db8::1:fff:1"), key6(t100, "2001:db8::1:fff:ffff"));
	CU_ASSERT_NOT_EQUAL(key6(t100, "2001:db8::f000:1"), key6(t100, "2001:db8::fff:1"));
	CU_ASSERT_NOT_EQUAL(key6(t100, "2001:db8::1000:1"), key6(t100, "2001:db8::1:1000:1"));
	CU_ASSERT_NOT_EQUAL(key6(t100, "2001:db8:0:1::1"), key6(t100, "2001:db8:0:2::1"));
	source_table_destroy(t24);
	source_table_destroy(t64);
	source_table_destroy(t100);
}

static void sets_are_two(void)
{
	struct random random = random_start("sources, sets");
	struct source_table *t = table_make(1024, false, 32, true);
	uint32_t hits[128] = { 0 };

	CU_ASSERT_EQUAL(source_table_entries(t), 1024);
	for (uint32_t i = 0; i < 100000; i++) {
		uint32_t address = (uint32_t)random_next(&random);
		struct source_id id = identify(t, address);

		CU_ASSERT_FATAL(id.set[0] < 128 && id.set[1] < 128 && id.set[0] != id.set[1]);
		CU_ASSERT(id.tag != 0 && id.tag != UINT32_MAX);
		hits[id.set[0]]++;
		hits[id.set[1]]++;
	}
	for (uint32_t i = 0; i < 128; i++)
		CU_ASSERT(hits[i] > 1200 && hits[i] < 2000);
	source_table_destroy(t);
}

/* Four places of five can be had before more than a few have to share. */
static void places_are_used(void)
{
	struct random random = random_start("sources, fill");
	struct bench b = start(65536, true, 1000, 1000);

	flood(&b, &random, 52428);
	CU_ASSERT(b.use.tracked + b.use.overflow <= 52428); /* some addresses came twice */
	CU_ASSERT(b.use.overflow < 26); /* 0.05 % */
	source_table_destroy(b.t);
}

/*
 * 50,000 made-up sources a second, beside a good one that was there before, one that comes later and
 * sends often, and one that is over its limit: for ten seconds.
 */
static void good_ones_lose_nothing(void)
{
	struct random random = random_start("sources, flood");
	struct bench b = start(1024, true, 1000, LIMITER_UNLIMITED);
	uint32_t before = 0, late = 0, late_after = 0, greedy = 0, others = 0;

	for (uint32_t i = 0; i < 5; i++, b.ms += 10)
		CU_ASSERT_EQUAL(packet(&b, 1), SOURCE_PASSED);
	for (uint32_t ms = 0; ms < 10000; ms++, b.ms++) {
		others += flood(&b, &random, 50);
		if (ms % 5 == 0)
			before += packet(&b, 1) != SOURCE_REFUSED;
		if (ms % 10 == 0 && packet(&b, 2) != SOURCE_REFUSED) {
			late++;
			late_after += ms >= 3000;
		}
		greedy += packet(&b, 3) != SOURCE_REFUSED;
		greedy += packet(&b, 3) != SOURCE_REFUSED;
	}
	CU_ASSERT_EQUAL(before, 2000);
	CU_ASSERT_EQUAL(late_after, 700);
	CU_ASSERT(late >= 750);
	CU_ASSERT(greedy >= 9800 && greedy <= 10200);
	/* 16 budgets, what found free places at first, and nothing for those that took each other's. */
	CU_ASSERT(others >= 155000 && others <= 163000);
	CU_ASSERT_EQUAL(b.use.tracked, 1024);
	CU_ASSERT_EQUAL(packet(&b, 1), SOURCE_PASSED_KNOWN);
	CU_ASSERT_EQUAL(packet(&b, 2), SOURCE_PASSED_KNOWN);
	source_table_destroy(b.t);
}

/* Addresses that take turns get flows by the groups' budgets, and not one each. */
static void a_place_on_trial_gives_no_budget(void)
{
	struct random random = random_start("sources, flows of a flood");
	struct bench b = start(1024, false, LIMITER_UNLIMITED, 10);
	uint32_t flows = 0;

	for (uint32_t ms = 0; ms < 20000; ms++, b.ms++) {
		for (uint32_t i = 0; i < 20; i++) {
			uint32_t address = 0x80000000u | (uint32_t)random_next(&random);

			CU_ASSERT(packet(&b, address) != SOURCE_REFUSED);
			flows += flow(&b, address);
		}
	}
	CU_ASSERT(flows <= 1024 + 16 * (10 * 20 + 2));
	CU_ASSERT(flows >= 16 * 10 * 19);
	source_table_destroy(b.t);
}

static void one_of_the_overflow_cannot_have_it_all(void)
{
	struct random random = random_start("sources, overflow");
	struct bench b = start(1024, false, 100, LIMITER_UNLIMITED);
	uint32_t greedy = 0, others = 0;

	for (uint32_t i = 0; i < 20000; i++) { /* all places are taken, by sources that came back */
		uint32_t address = i % 10000;

		packet(&b, address);
		b.ms += i == 9999 ? UNIT : 0;
	}
	for (uint32_t ms = 0; ms < 8000; ms++, b.ms++) {
		uint64_t before = b.use.overflow;

		for (uint32_t i = 0; i < 10; i++)
			greedy += packet(&b, 0x7fffffff) != SOURCE_REFUSED;
		CU_ASSERT_EQUAL(b.use.overflow - before, 10);
		if (ms % 4 == 0)
			others += flood(&b, &random, 1);
	}
	/* 250 a second of others are 16 for each group: fifteen groups of sixteen are not touched. */
	CU_ASSERT(greedy <= 1200);
	CU_ASSERT(others >= 1800);
	source_table_destroy(b.t);
}

static void known_by_being_there(void)
{
	struct bench b = start(1024, true, 10, LIMITER_UNLIMITED);

	for (uint32_t i = 0; i < SOURCE_KNOWN_AFTER; i++, b.ms += UNIT)
		CU_ASSERT_EQUAL(packet(&b, 1), SOURCE_PASSED);
	CU_ASSERT_EQUAL(b.use.known, 0);
	CU_ASSERT_EQUAL(packet(&b, 1), SOURCE_PASSED_KNOWN);
	CU_ASSERT_EQUAL(b.use.known, 1);
	/* Who is over the limit all the time is there as well. */
	for (uint32_t i = 0; i < 1000; i++, b.ms += 20)
		packet(&b, 2);
	CU_ASSERT_EQUAL(b.use.known, 1);
	source_table_destroy(b.t);
}

static void known_by_proof(void)
{
	struct bench b = start(1024, false, 1000, 1000);
	struct random random = random_start("sources, proof");

	for (uint32_t i = 0; i < 100; i++, b.ms += UNIT)
		CU_ASSERT_EQUAL(packet(&b, 1), SOURCE_PASSED); /* being there is not enough */
	prove(&b, 1);
	CU_ASSERT_EQUAL(packet(&b, 1), SOURCE_PASSED_KNOWN);
	prove(&b, 1);
	CU_ASSERT_EQUAL(b.use.known, 1);
	/* A full table of sources that came back: a proof finds a place, until all are known. */
	for (uint32_t i = 0; i < 20000; i++) {
		packet(&b, 1000 + i % 10000);
		b.ms += i == 9999 ? UNIT : 0;
	}
	CU_ASSERT_EQUAL(b.use.tracked, 1024);
	for (uint32_t i = 0; i < 100; i++) {
		uint32_t address = 50000 + i;

		prove(&b, address);
		CU_ASSERT_EQUAL(packet(&b, address), SOURCE_PASSED_KNOWN);
	}
	CU_ASSERT_EQUAL(b.use.known, 101);
	for (uint32_t i = 0; i < 100000; i++)
		prove(&b, 0x80000000u | (uint32_t)random_next(&random));
	CU_ASSERT_EQUAL(b.use.known, 1024);
	for (uint32_t i = 0; i < 100; i++)
		CU_ASSERT_EQUAL(packet(&b, 50000 + i), SOURCE_PASSED_KNOWN);
	CU_ASSERT_EQUAL(packet(&b, 1), SOURCE_PASSED_KNOWN);
	source_table_destroy(b.t);
}

static void silence_gives_places_back(void)
{
	struct bench b = start(1024, false, 1000, 1000);
	struct random random = random_start("sources, silence");

	for (uint32_t i = 0; i < 100000; i++)
		prove(&b, (uint32_t)random_next(&random));
	CU_ASSERT_EQUAL(b.use.known, 1024);
	b.ms += SOURCE_KNOWN_UNITS * UNIT;
	flood(&b, &random, 1000);
	CU_ASSERT_EQUAL(b.use.overflow, 1000);
	b.ms += UNIT;
	flood(&b, &random, 500);
	CU_ASSERT_EQUAL(b.use.overflow, 1000);
	CU_ASSERT_EQUAL(b.use.known, 1024 - 500);
	b.ms += (SOURCE_NEW_UNITS + 1) * UNIT;
	flood(&b, &random, 500);
	CU_ASSERT_EQUAL(b.use.overflow, 1000);
	CU_ASSERT_EQUAL(b.use.tracked, 1024);
	source_table_destroy(b.t);
}

/*
 * The times that last-seen holds go round every 9.3 hours; for the ten minutes behind that a place looks as
 * if it were in use.
 */
static void times_go_round(void)
{
	struct random random = random_start("sources, times");

	for (uint32_t hours = 1; hours < 40; hours++) {
		if ((uint16_t)(hours * 3600000 / UNIT + 11) <= SOURCE_KNOWN_UNITS + 1)
			continue;
		struct bench b = start(1024, false, 1000, 1000);

		for (uint32_t i = 0; i < 100000; i++)
			prove(&b, (uint32_t)random_next(&random));
		b.ms += hours * 3600000 + 11 * UNIT;
		flood(&b, &random, 500);
		CU_ASSERT_EQUAL(b.use.overflow, 0);
		source_table_destroy(b.t);
	}
}

static void zero_and_unlimited(void)
{
	struct bench b = start(1024, true, 0, 0);

	CU_ASSERT_EQUAL(packet(&b, 1), SOURCE_REFUSED);
	CU_ASSERT_FALSE(flow(&b, 1));
	limiter_rate_init(&b.limits.packets, LIMITER_UNLIMITED, MS, HZ);
	limiter_rate_init(&b.limits.connections, LIMITER_UNLIMITED, MS, HZ);
	for (uint32_t i = 0; i < 1000; i++) {
		CU_ASSERT(packet(&b, 1) != SOURCE_REFUSED);
		CU_ASSERT(flow(&b, 1));
	}
	source_table_destroy(b.t);
}

static void bad_parameters_and_no_memory(void)
{
	struct source_table_params params = { .entries = 5000, .prefix = 33, .node = -1 };
	struct source_table *t = NULL;

	params.memory = table_memory_libc;
	CU_ASSERT_EQUAL(source_table_create(&params, &t), -EINVAL);
	params.prefix = 0;
	CU_ASSERT_EQUAL(source_table_create(&params, &t), -EINVAL);
	params.prefix = 32;
	for (int left = 0; left < 4; left++) {
		struct scarce scarce = { .left = left };

		params.memory = scarce_memory(&scarce);
		CU_ASSERT_EQUAL(source_table_create(&params, &t), -ENOMEM);
		CU_ASSERT_EQUAL(scarce.held, 0);
		CU_ASSERT_PTR_NULL(t);
	}
	params.memory = table_memory_libc;
	CU_ASSERT_EQUAL_FATAL(source_table_create(&params, &t), 0);
	CU_ASSERT_EQUAL(source_table_entries(t), 8192);
	CU_ASSERT_EQUAL(source_table_bytes(8192), source_table_bytes(5000));
	CU_ASSERT(source_table_bytes(65536) < 65536 * 40 + 4096);
	source_table_destroy(t);
}

/* ---- several workers ---- */

struct hammer {
	struct source_table *t;
	const struct source_limits *limits;
	uint64_t *clock;
	uint64_t end;
	uint64_t passed[3];
	struct source_use use;
};

static void *hammer_run(void *ctx)
{
	struct hammer *h = ctx;
	uint32_t turn = 0;

	for (;;) {
		/* 30,000 packets a second of the made-up clock, of which each source has a third. */
		uint64_t now = __atomic_add_fetch(h->clock, HZ / 30000, __ATOMIC_RELAXED);
		uint32_t address = 100 + turn++ % 3;
		struct source_id id = identify(h->t, address);
		const struct source_clock clock = { now, (uint32_t)(now / MS), true };

		if (now >= h->end)
			return NULL;
		h->passed[address - 100] +=
			source_packet(h->t, h->limits, &id, &clock, &h->use) != SOURCE_REFUSED;
	}
}

static void exact_over_workers(void)
{
	struct bench b = start(1024, true, 1000, 1000);
	uint64_t clock = 5 * HZ;
	struct hammer h[3];
	pthread_t thread[3];

	for (uint32_t i = 0; i < 3; i++) {
		h[i] = (struct hammer){ b.t, &b.limits, &clock, 25 * HZ, { 0 }, { 0 } };
		CU_ASSERT_EQUAL_FATAL(pthread_create(&thread[i], NULL, hammer_run, &h[i]), 0);
	}
	for (uint32_t i = 0; i < 3; i++)
		pthread_join(thread[i], NULL);
	for (uint32_t i = 0; i < 3; i++) {
		uint64_t passed = h[0].passed[i] + h[1].passed[i] + h[2].passed[i];

		CU_ASSERT(passed >= 19600 && passed <= 20400);
	}
	/* Several workers may enter a source at once; then it has more than one place for a while. */
	CU_ASSERT(h[0].use.tracked + h[1].use.tracked + h[2].use.tracked <= 9);
	CU_ASSERT_EQUAL(h[0].use.overflow + h[1].use.overflow + h[2].use.overflow, 0);
	source_table_destroy(b.t);
}

/* ---- against a naive reference ---- */

#define MODEL_SETS 128u

struct model_place {
	bool used;
	uint32_t address;
	uint64_t seen; /* unit, not wrapped */
	uint32_t returns;
	enum source_state state;
	struct limiter packets;
	struct limiter connections;
};

struct model {
	struct bench *b;
	struct model_place place[MODEL_SETS][SOURCE_WAYS];
	uint64_t tracked, known, overflow;
};

static struct model_place *model_find(struct model *m, uint32_t address)
{
	for (uint32_t s = 0; s < MODEL_SETS; s++)
		for (uint32_t w = 0; w < SOURCE_WAYS; w++)
			if (m->place[s][w].used && m->place[s][w].address == address)
				return &m->place[s][w];
	return NULL;
}

static bool model_is_free(const struct model *m, const struct model_place *p)
{
	uint64_t idle = m->b->ms / UNIT - p->seen;

	return !p->used ||
		idle > (p->state == SOURCE_KNOWN ? SOURCE_KNOWN_UNITS : SOURCE_NEW_UNITS);
}

/* Is a better to take than b? Nobody's first, then by silence; seen once before all that is in use. */
static bool model_is_better(
	const struct model *m, const struct model_place *a, const struct model_place *b)
{
	if (model_is_free(m, a) != model_is_free(m, b))
		return model_is_free(m, a);
	if (model_is_free(m, a) && a->used != b->used)
		return !a->used;
	if (!a->used)
		return false;
	if (!model_is_free(m, a) && (a->returns == 0) != (b->returns == 0))
		return a->returns == 0;
	return a->seen < b->seen;
}

static bool model_may_have(const struct model *m, const struct model_place *p, bool proved)
{
	if (model_is_free(m, p))
		return true;
	if (p->state == SOURCE_KNOWN)
		return false;
	return proved || (p->returns == 0 && m->b->ms / UNIT - p->seen >= SOURCE_TRIAL_UNITS);
}

static struct model_place *model_best(
	struct model *m, uint32_t set, bool proved, uint32_t *ret_free)
{
	struct model_place *best = NULL;

	*ret_free = 0;
	for (uint32_t w = 0; w < SOURCE_WAYS; w++) {
		struct model_place *p = &m->place[set][w];

		*ret_free += model_is_free(m, p);
		if (model_may_have(m, p, proved) && (!best || model_is_better(m, p, best)))
			best = p;
	}
	return best;
}

static struct model_place *model_choose(struct model *m, uint32_t address, bool proved)
{
	struct source_id id = id_of(m->b, address);
	uint32_t free_a, free_b;
	struct model_place *a = model_best(m, id.set[0], proved, &free_a);
	struct model_place *b = model_best(m, id.set[1], proved, &free_b);

	if (free_a != free_b)
		return free_a > free_b ? a : b;
	return a && (!b || !model_is_better(m, b, a)) ? a : b;
}

static void model_enter(
	struct model *m, struct model_place *p, uint32_t address, enum source_state state)
{
	m->tracked += !p->used;
	m->known -= p->used && p->state == SOURCE_KNOWN;
	m->known += state == SOURCE_KNOWN;
	*p = (struct model_place){ .used = true, .address = address, .state = state };
	p->seen = m->b->ms / UNIT;
}

/* -1: judged with the overflow, whose budget is not the model's matter. */
static int model_packet(struct model *m, uint32_t address)
{
	const uint64_t now = m->b->ms * MS + m->b->ns;
	struct model_place *p = model_find(m, address);

	if (!p) {
		p = model_choose(m, address, false);
		if (!p || !model_is_free(m, p)) {
			if (p)
				model_enter(m, p, address, SOURCE_TRIAL);
			m->overflow++;
			return -1;
		}
		model_enter(m, p, address, SOURCE_NEW);
	}
	if (p->seen != m->b->ms / UNIT) {
		p->seen = m->b->ms / UNIT;
		p->returns++;
		if (p->state == SOURCE_TRIAL) {
			p->state = SOURCE_NEW;
		} else if (p->state == SOURCE_NEW && m->b->t->by_time &&
			p->returns >= SOURCE_KNOWN_AFTER) {
			p->state = SOURCE_KNOWN;
			m->known++;
		}
	}
	if (p->state == SOURCE_TRIAL) {
		m->overflow++;
		return -1;
	}
	if (limiter_claim_single(&p->packets, &m->b->limits.packets, now, NULL, 1) == 1)
		return p->state == SOURCE_KNOWN ? SOURCE_PASSED_KNOWN : SOURCE_PASSED;
	if (m->b->t->by_time && p->state == SOURCE_NEW && p->returns > 1)
		p->returns = 1;
	return SOURCE_REFUSED;
}

static void model_prove(struct model *m, uint32_t address)
{
	struct model_place *p = model_find(m, address);

	if (m->b->t->by_time)
		return;
	if (p) {
		m->known += p->state != SOURCE_KNOWN;
		p->state = SOURCE_KNOWN;
		return;
	}
	p = model_choose(m, address, true);
	if (p)
		model_enter(m, p, address, SOURCE_KNOWN);
}

static void model_flow(struct model *m, uint32_t address)
{
	const uint64_t now = m->b->ms * MS + m->b->ns;
	struct model_place *p = model_find(m, address);
	bool passed = flow(m->b, address);

	if (p && p->state != SOURCE_TRIAL)
		CU_ASSERT_EQUAL(passed,
			limiter_claim_single(
				&p->connections, &m->b->limits.connections, now, NULL, 1));
}

static void model_run(bool by_time, uint32_t steps)
{
	struct random random = random_start("sources, model");
	struct bench b = start(1024, by_time, 20, 3);
	struct model *m = calloc(1, sizeof(*m));

	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	m->b = &b;
	for (uint32_t i = 0; i < steps; i++) {
		/* Some send often, some now and then, most once. */
		uint32_t kind = random_below(&random, 4);
		uint32_t address = kind == 0 ? random_below(&random, 50) :
			kind == 1	     ? 1000 + random_below(&random, 1500) :
					       0x80000000u | (uint32_t)random_next(&random);
		int expected = model_packet(m, address);
		int found = packet(&b, address);

		if (expected >= 0)
			CU_ASSERT_EQUAL(found, expected);
		if (random_below(&random, 8) == 0)
			model_flow(m, address);
		if (kind < 2 && random_below(&random, 40) == 0) {
			model_prove(m, address);
			prove(&b, address);
		}
		CU_ASSERT_EQUAL_FATAL(b.use.tracked, m->tracked);
		CU_ASSERT_EQUAL_FATAL(b.use.known, m->known);
		CU_ASSERT_EQUAL_FATAL(b.use.overflow, m->overflow);
		b.ns = random_below(&random, MS);
		b.ms += random_below(&random, 3000) == 0 ? random_below(&random, 700000) :
							   random_below(&random, 8);
	}
	CU_ASSERT(m->overflow > steps / 100);
	free(m);
	source_table_destroy(b.t);
}

static void same_as_the_reference(void)
{
	model_run(false, 60000);
	model_run(true, 60000);
}

static const struct tap_case cases[] = {
	{ "each source has a budget of its own, and it is exact", each_source_has_its_own },
	{ "addresses of one prefix are one source, IPv4 and IPv6", prefixes_make_sources },
	{ "a source has two sets, and all are used alike", sets_are_two },
	{ "four places of five can be had before sources have to share", places_are_used },
	{ "beside a flood of made-up sources a good one loses nothing", good_ones_lose_nothing },
	{ "a flood does not get a budget for each of its addresses",
		a_place_on_trial_gives_no_budget },
	{ "one source of the overflow does not have all of it",
		one_of_the_overflow_cannot_have_it_all },
	{ "a source becomes known by being there within its limits", known_by_being_there },
	{ "a proof makes a source known, and finds a place in a full table", known_by_proof },
	{ "places of silent sources are free again", silence_gives_places_back },
	{ "a place stays free however long nobody comes", times_go_round },
	{ "0 lets nothing pass, no limit lets all pass", zero_and_unlimited },
	{ "bad parameters are refused, and so is it without memory", bad_parameters_and_no_memory },
	{ "the sum over three workers is the limit of each source", exact_over_workers },
	{ "random packets are judged as by a naive reference", same_as_the_reference },
};

TAP_MAIN("source table", cases)
