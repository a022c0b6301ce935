/* SPDX-License-Identifier: BSD-3-Clause */

/* Cores that directives ask for: which are taken, when none is free, and what they are busy with. */

#include "dataplane/core/buckets/cores.h"
#include "dataplane/core/buckets/spread.h"
#include "tests/unit/fastpath/pipeline_direct.h"
#include "tests/unit/tap.h"

#include <stdio.h>
#include <string.h>

#define CLIENT "198.51.100.7"
#define FLOWS  64u

static char told[256];
static uint32_t times_told;

static void tell(void *ctx, const char *service, const char *text)
{
	snprintf(told, sizeof(told), "%s: %s", service, text);
	times_told += strstr(text, "is to have") != NULL;
}

/* A service on one of three working cores, which may get up to `most`. */
static void start(struct bed *b, uint16_t most)
{
	struct weir_config_service *s;

	bed_start(b, 4, 1);
	s = bed_add_service(b, "web", WEIR_MODE_NAT, 17, DIRECT_SERVICE, 80);
	s->cores = 1;
	s->cores_max = most;
	bed_add_backend(b, 0, "10.0.0.11", 8080);
	bed_apply(b);
	told[0] = '\0';
	times_told = 0;
}

/* The main thread's time: `ms` of it, in which everything that moves arrives. */
static void pass(struct bed *b, uint32_t ms)
{
	for (uint32_t i = 0; i < ms; i += 10) {
		fastpath_move_tick(b->fp, b->now, tell, NULL);
		bed_run(b);
		b->now += 10 * BED_MS;
	}
}

static int ask(struct bed *b, uint16_t cores)
{
	struct direct d;

	direct_begin(&d, b);
	d.header.issued_ns = b->now;
	d.header.cores = cores;
	return direct_send(&d, b);
}

static uint64_t on_cores(const struct bed *b, uint32_t service)
{
	return b->telemetry->service[service].worker_mask;
}

static const struct weir_service_entry *shown(const struct bed *b)
{
	return &b->telemetry->service[0];
}

static uint64_t exchanged(struct bed *b, uint32_t tag)
{
	uint64_t came = 0;

	for (uint32_t i = 0; i < FLOWS; i++) {
		struct bed_packet p = bed_client(CLIENT, (uint16_t)(2000 + i), DIRECT_SERVICE, 80);
		struct bed_packet out;

		p.protocol = 17;
		p.payload = 8;
		p.tag = i << 16 | tag;
		came += bed_exchange(b, 0, &p, &out) && out.tag == p.tag;
	}
	return came;
}

static void grows_and_gives_back(void)
{
	struct bed b;

	start(&b, 3);
	CU_ASSERT_EQUAL(exchanged(&b, 0), FLOWS);
	CU_ASSERT_EQUAL(shown(&b)->cores_min, 1);
	CU_ASSERT_EQUAL(shown(&b)->cores_max, 3);
	CU_ASSERT_EQUAL(shown(&b)->cores_wanted, 1);
	CU_ASSERT_EQUAL(ask(&b, 2), 0);
	CU_ASSERT_EQUAL(shown(&b)->cores_wanted, 2);
	pass(&b, 100);
	CU_ASSERT_EQUAL(on_cores(&b, 0), 2 | 4);
	CU_ASSERT_EQUAL(shown(&b)->bucket_count[1], 128);
	CU_ASSERT_EQUAL(exchanged(&b, 1), FLOWS);
	/* More than it may have is what it may have. */
	CU_ASSERT_EQUAL(ask(&b, 64), 0);
	pass(&b, 200);
	CU_ASSERT_EQUAL(shown(&b)->cores_wanted, 3);
	CU_ASSERT_EQUAL(on_cores(&b, 0), 2 | 4 | 8);
	CU_ASSERT_EQUAL(exchanged(&b, 2), FLOWS);
	/* What came last goes first. */
	CU_ASSERT_EQUAL(ask(&b, 1), 0);
	pass(&b, 200);
	CU_ASSERT_EQUAL(on_cores(&b, 0), 2);
	CU_ASSERT_EQUAL(exchanged(&b, 3), FLOWS);
	CU_ASSERT_EQUAL(bed_sum(&b, 0, new_flows), FLOWS);
	CU_ASSERT_EQUAL(bed_dropped_all(&b, 0), 0);
	CU_ASSERT_EQUAL(ask(&b, 65), -EINVAL);
	CU_ASSERT_EQUAL(times_told, 0);
	bed_stop(&b);
}

/* Who asks is gone: for a minute nothing is said, and all stays where it is. */
static void silence_moves_nothing(void)
{
	struct bed b;

	start(&b, 3);
	CU_ASSERT_EQUAL(ask(&b, 2), 0);
	pass(&b, 100);
	for (uint32_t i = 0; i < 60; i++) {
		direct_time(&b, 1000);
		pass(&b, 10);
	}
	CU_ASSERT_EQUAL(shown(&b)->directed, WEIR_DIRECTED_NO);
	CU_ASSERT_EQUAL(shown(&b)->cores_wanted, 2);
	CU_ASSERT_EQUAL(on_cores(&b, 0), 2 | 4);
	/* As does one that says nothing of cores. */
	CU_ASSERT_EQUAL(ask(&b, 0), 0);
	pass(&b, 100);
	CU_ASSERT_EQUAL(on_cores(&b, 0), 2 | 4);
	bed_stop(&b);
}

static void configurations_bound_it(void)
{
	struct bed b;

	start(&b, 3);
	CU_ASSERT_EQUAL(ask(&b, 3), 0);
	pass(&b, 200);
	/* The same again, or a wider range: it keeps what it has. */
	bed_apply(&b);
	pass(&b, 200);
	CU_ASSERT_EQUAL(on_cores(&b, 0), 2 | 4 | 8);
	b.service[0].cores_max = 2;
	bed_apply(&b);
	pass(&b, 200);
	CU_ASSERT_EQUAL(on_cores(&b, 0), 2 | 4);
	/* A number alone: nobody may ask for anything else. */
	b.service[0].cores_max = 0;
	bed_apply(&b);
	pass(&b, 200);
	CU_ASSERT_EQUAL(on_cores(&b, 0), 2);
	CU_ASSERT_EQUAL(ask(&b, 3), 0);
	pass(&b, 200);
	CU_ASSERT_EQUAL(on_cores(&b, 0), 2);
	/* One that must have more gets them at once. */
	b.service[0].cores = 2;
	b.service[0].cores_max = 3;
	bed_apply(&b);
	pass(&b, 200);
	CU_ASSERT_EQUAL(on_cores(&b, 0), 2 | 4);
	bed_stop(&b);
}

/* The other cores are others' own: it waits, says so once, and takes what becomes free. */
static void none_is_free(void)
{
	struct bed b;

	start(&b, 3);
	bed_add_service(&b, "dns", WEIR_MODE_DSR, 17, DIRECT_SERVICE, 53)->cores = 2;
	bed_add_backend(&b, 1, "10.0.0.21", 53);
	bed_apply(&b);
	CU_ASSERT_EQUAL(on_cores(&b, 1), 4 | 8);
	CU_ASSERT_EQUAL(ask(&b, 3), 0);
	pass(&b, 1000);
	CU_ASSERT_EQUAL(on_cores(&b, 0), 2);
	CU_ASSERT_EQUAL(shown(&b)->cores_wanted, 3);
	CU_ASSERT_EQUAL(shown(&b)->cores_short, 2);
	CU_ASSERT_STRING_EQUAL(told, "web: is to have 3 cores and has 1: no other is free");
	CU_ASSERT_EQUAL(times_told, 1);
	CU_ASSERT_EQUAL(exchanged(&b, 0), FLOWS);
	b.service[1].cores = 1;
	bed_apply(&b);
	pass(&b, 1000);
	CU_ASSERT_EQUAL(on_cores(&b, 1), 4);
	CU_ASSERT_EQUAL(on_cores(&b, 0), 2 | 8);
	CU_ASSERT_EQUAL(shown(&b)->cores_short, 1);
	CU_ASSERT_EQUAL(ask(&b, 2), 0);
	CU_ASSERT_EQUAL(shown(&b)->cores_short, 0);
	pass(&b, 1000);
	CU_ASSERT_EQUAL(times_told, 2);
	CU_ASSERT_EQUAL(exchanged(&b, 1), FLOWS);
	bed_stop(&b);
}

static void ranks(void)
{
	uint32_t services[] = { 0, 1, 0, 0, 2 };
	uint16_t busy[] = { 900, 100, 30, 20, 0 };
	uint32_t rank[5];
	struct cores_view v = { .first = 1,
		.core_count = 5,
		.service_count = 3,
		.answer = 0x1f,
		.services = services,
		.busy = busy };

	/* Its own by configuration: where there are fewest services, then the least busy. */
	cores_rank(&v, false, rank);
	CU_ASSERT_TRUE(rank[3] < rank[2] && rank[2] < rank[1] && rank[1] < rank[4]);
	CU_ASSERT_NOT_EQUAL(rank[4], SPREAD_NOT_FREE);
	cores_rank(&v, true, rank);
	CU_ASSERT_TRUE(rank[3] < rank[2] && rank[2] < SPREAD_NOT_FREE);
	CU_ASSERT_EQUAL(rank[1], SPREAD_NOT_FREE);
	CU_ASSERT_EQUAL(rank[4], SPREAD_NOT_FREE);
	/* Not on another node, and not where nobody answers. */
	v.near = 0x17;
	cores_rank(&v, true, rank);
	CU_ASSERT_EQUAL(rank[3], SPREAD_NOT_FREE);
	CU_ASSERT_NOT_EQUAL(rank[2], SPREAD_NOT_FREE);
	v.near = 0;
	v.answer = 0x1b;
	cores_rank(&v, true, rank);
	CU_ASSERT_EQUAL(rank[2], SPREAD_NOT_FREE);
	CU_ASSERT_NOT_EQUAL(rank[3], SPREAD_NOT_FREE);
	/* More services than cores: they share, and who is busy for half of its time is taken. */
	v.answer = 0x1f;
	v.service_count = 5;
	busy[3] = 500;
	busy[1] = 499;
	cores_rank(&v, true, rank);
	CU_ASSERT_EQUAL(rank[3], SPREAD_NOT_FREE);
	CU_ASSERT_TRUE(rank[4] < rank[2] && rank[2] < rank[1] && rank[1] < SPREAD_NOT_FREE);
}

static uint64_t spent(const struct bed *b, uint32_t service)
{
	return bed_sum(b, service, busy_cycles);
}

static void send(struct bed *b, uint16_t dport)
{
	struct bed_packet p = bed_client(CLIENT, 999, DIRECT_SERVICE, dport);

	p.protocol = 17;
	bed_send(b, 0, &p);
}

/* One round of all cores, then time passes. */
static void round_of(struct bed *b, uint64_t ns)
{
	for (uint32_t i = 0; i < b->core_count; i++)
		fastpath_core_step(b->fp, i, b->now);
	b->now += ns;
}

/* Rounds with packets are charged to whose they are, until the next round begins; others to nobody. */
static void time_is_charged(void)
{
	struct bed b;

	start(&b, 1);
	bed_add_service(&b, "dns", WEIR_MODE_DSR, 17, DIRECT_SERVICE, 53);
	bed_add_backend(&b, 1, "10.0.0.21", 53);
	bed_apply(&b);
	round_of(&b, 1000);
	round_of(&b, 1000);
	CU_ASSERT_EQUAL(spent(&b, 0), 0);
	send(&b, 80);
	round_of(&b, 300);
	round_of(&b, 5000);
	round_of(&b, 7000);
	CU_ASSERT_EQUAL(spent(&b, 0), 300);
	CU_ASSERT_EQUAL(spent(&b, 0), bed_core(&b, 1)->busy_cycles);
	CU_ASSERT_EQUAL(spent(&b, 1), 0);
	/* What core 0 does for them is nobody's. */
	CU_ASSERT_TRUE(bed_core(&b, 0)->busy_cycles > 0);
	bed_stop(&b);
}

/* Two services on one core: their shares make up the whole. */
static void shares_of_a_core(void)
{
	struct bed b;
	uint64_t before;

	bed_start(&b, 2, 1);
	bed_add_service(&b, "web", WEIR_MODE_DSR, 17, DIRECT_SERVICE, 80);
	bed_add_backend(&b, 0, "10.0.0.11", 80);
	bed_add_service(&b, "dns", WEIR_MODE_DSR, 17, DIRECT_SERVICE, 53);
	bed_add_backend(&b, 1, "10.0.0.21", 53);
	bed_apply(&b);
	for (uint32_t i = 0; i < 10; i++) {
		send(&b, i % 2 ? 80 : 53);
		for (uint32_t k = 0; k < 4; k++)
			round_of(&b, i % 2 ? 700 : 300);
	}
	CU_ASSERT_EQUAL(spent(&b, 0), 5 * 700);
	CU_ASSERT_EQUAL(spent(&b, 1), 5 * 300);
	CU_ASSERT_EQUAL(spent(&b, 0) + spent(&b, 1), bed_core(&b, 1)->busy_cycles);
	/* A generation is left while a round is open: nobody pays for it, and nobody who is gone is asked to. */
	before = spent(&b, 0);
	send(&b, 80);
	round_of(&b, 0);
	round_of(&b, 0);
	b.service_count = 1;
	bed_apply(&b);
	b.now += 1000;
	round_of(&b, 1000);
	CU_ASSERT_EQUAL(spent(&b, 0), before);
	bed_discard(&b, 1);
	bed_stop(&b);
}

static const struct tap_case cases[] = {
	{ "a service gets cores that directives ask for, and gives them back",
		grows_and_gives_back },
	{ "silence and expiry move no bucket", silence_moves_nothing },
	{ "configurations say how far cores move", configurations_bound_it },
	{ "where no core is free a service waits for one, and says so once", none_is_free },
	{ "which cores are taken, and which are free", ranks },
	{ "a core's time is charged to the service whose packets were there", time_is_charged },
	{ "services that share a core share its time", shares_of_a_core },
};

TAP_MAIN("grow", cases)
