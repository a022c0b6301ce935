/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A noisy neighbour: one service is flooded, and another one, on a core of its own behind the same
 * dispatcher, loses nothing. What it costs the other one is printed as a comment line.
 */

#include "tests/unit/fastpath/pipeline_bed.h"
#include "tests/unit/tap.h"

#include <rte_cycles.h>

#include <stdio.h>
#include <string.h>

#define NOISY  "203.0.113.10"
#define QUIET  "203.0.113.11"
#define LITTLE "203.0.113.12"
#define QUIET6 "2001:db8::11"
#define DEVICE 1024u /* what a device's queue holds */
#define TICKS  2000u
#define WINDOW 20u /* ticks; alone and beside a flood in turn */
#define STEADY 8u /* packets of the quiet one in a tick */
#define FLOOD  64u /* packets of the noisy one in a tick: */
#define BEHIND 10u /* its worker takes as many every tenth */

static void start(struct bed *b, uint8_t mode, uint16_t workers)
{
	bed_start(b, 2u + workers, 2u + workers);
	bed_add_service(b, "noisy", mode, 17, NOISY, 80)->cores = workers;
	bed_add_backend(b, 0, "10.0.0.11", 80);
	bed_add_service(b, "quiet", WEIR_MODE_DSR, 17, QUIET, 53);
	bed_add_backend(b, 1, "10.0.0.12", 53);
	bed_apply(b);
}

/* The core that works for the quiet one is the last. */
static uint32_t quiet_core(const struct bed *b)
{
	return b->core_count - 1;
}

static void send_as(struct bed *b, uint8_t protocol, const char *to, uint16_t port, uint32_t count,
	uint32_t first)
{
	for (uint32_t i = 0; i < count; i++) {
		struct bed_packet p =
			bed_client("198.51.100.7", (uint16_t)(1024 + first + i), to, port);

		p.protocol = protocol;
		p.src[14] = (uint8_t)((first + i) >> 16);
		bed_send(b, 0, &p);
	}
}

static void send_many(struct bed *b, const char *to, uint16_t port, uint32_t count, uint32_t first)
{
	send_as(b, 17, to, port, count, first);
}

static void receive_all(struct bed *b)
{
	while (bed_waiting(b, 0))
		fastpath_core_step(b->fp, 0, b->now);
}

/* Replies and what needs a closer look still find room in a ring that is closed to clients. */
static void last_eighth(void)
{
	struct bed b;
	struct bed_packet p, to, back;

	start(&b, WEIR_MODE_NAT, 1);
	p = bed_client("198.51.100.7", 999, NOISY, 80);
	p.protocol = 17;
	CU_ASSERT_TRUE_FATAL(bed_exchange(&b, 0, &p, &to));
	send_many(&b, NOISY, 80, 2000, 0);
	receive_all(&b);
	const uint64_t early = bed_dropped(&b, 0, WEIR_DROP_WORKER_BEHIND);

	CU_ASSERT_EQUAL(early, 2000 - 896);
	back = bed_reply(&to, 0, 8);
	bed_send(&b, 1, &back);
	fastpath_core_step(b.fp, 0, b.now);
	CU_ASSERT_EQUAL(bed_dropped_all(&b, 0), early);
	bed_run(&b);
	CU_ASSERT_EQUAL(bed_discard(&b, 0), 1);
	/* The ring is empty: clients have their turn again. */
	bed_discard(&b, 1);
	send_many(&b, NOISY, 80, 100, 0);
	bed_run(&b);
	CU_ASSERT_EQUAL(bed_discard(&b, 1), 100);
	CU_ASSERT_EQUAL(bed_dropped_all(&b, 0), early);
	bed_stop(&b);
}

/* Of a service with two workers, only flows of the one that is behind go; and no more than the flooded port's. */
static void one_of_two_workers(void)
{
	struct bed b;

	start(&b, WEIR_MODE_DSR, 2);
	CU_ASSERT_EQUAL(b.telemetry->service[1].worker_mask, 8);
	for (uint32_t i = 0; i < 100; i++) {
		send_many(&b, NOISY, 80, 64, 0);
		send_many(&b, NOISY, 81, 1, 0);
		fastpath_core_step(b.fp, 0, b.now);
		fastpath_core_step(b.fp, 2, b.now);
		fastpath_core_step(b.fp, 2, b.now);
	}
	const uint64_t passed = bed_core(&b, 2)->packets;
	const uint64_t lost = bed_dropped_all(&b, 0);

	CU_ASSERT_TRUE(bed_dropped(&b, 0, WEIR_DROP_WORKER_BEHIND) > 1000);
	CU_ASSERT_EQUAL(bed_dropped(&b, 0, WEIR_DROP_WORKER_RING_FULL), 0);
	CU_ASSERT_EQUAL(bed_sum(&b, 0, packets_received), 6400);
	CU_ASSERT_EQUAL(bed_core(&b, 0)->port[0].dropped[WEIR_DROP_NO_SERVICE], 100);
	/* All of the second one's passed: the others wait at the first one, or were too many for it. */
	bed_run(&b);
	CU_ASSERT_EQUAL(bed_core(&b, 2)->packets, passed);
	CU_ASSERT_TRUE(bed_core(&b, 1)->packets >= 896);
	CU_ASSERT_EQUAL(passed + lost + bed_core(&b, 1)->packets, 6400);
	bed_stop(&b);
}

/* Another family, and a service that comes and goes while its worker is behind. */
static void changes_meanwhile(void)
{
	struct bed b;

	bed_start(&b, 3, 3);
	bed_add_service(&b, "noisy", WEIR_MODE_DSR, 17, NOISY, 80);
	bed_add_backend(&b, 0, "10.0.0.11", 80);
	bed_add_service(&b, "six", WEIR_MODE_DSR, 17, QUIET6, 53);
	bed_add_backend(&b, 1, "fd00::12", 53);
	bed_apply(&b);
	for (uint32_t i = 0; i < 2000; i++) {
		struct bed_packet p = bed_client("2001:db8::7", (uint16_t)(1024 + i), QUIET6, 53);

		p.protocol = 17;
		bed_send(&b, 0, &p);
	}
	receive_all(&b);
	CU_ASSERT_EQUAL(bed_dropped(&b, 1, WEIR_DROP_WORKER_BEHIND), 2000 - 896);
	b.service_count = 1;
	bed_apply(&b);
	send_many(&b, NOISY, 80, 100, 0);
	bed_run(&b);
	CU_ASSERT_EQUAL(bed_sum(&b, 0, packets_transmitted), 100);
	b.service_count = 2;
	bed_apply(&b);
	bed_run(&b);
	bed_stop(&b);
}

/* The device drops what its queue has no room for. Returns how many of `count` that were. */
static uint32_t offer(struct bed *b, const char *to, uint16_t port, uint32_t count)
{
	uint32_t waiting = bed_waiting(b, 0);
	uint32_t room = waiting < DEVICE ? DEVICE - waiting : 0;
	uint32_t take = count < room ? count : room;

	send_many(b, to, port, take, 0);
	return count - take;
}

/* Packets in a quarter of a round, and how often the noisy one's worker comes round. */
struct load {
	uint32_t noisy;
	uint32_t quiet;
	uint32_t little; /* of a third service */
	uint32_t behind; /* in one round of so many; 1: it keeps up, as the others' do */
};

/* Returns how many of the one that sends least the device had no room for. */
static uint32_t load_run(struct bed *b, uint32_t rounds, const struct load *l)
{
	uint32_t missed[2] = { 0, 0 };

	for (uint32_t i = 0; i < rounds; i++) {
		/* In turn, so that the one is not always behind the other in the queue. */
		for (uint32_t k = 0; k < 4; k++) {
			(void)offer(b, NOISY, 80, l->noisy);
			missed[0] += l->quiet ? offer(b, QUIET, 53, l->quiet) : 0;
			missed[1] += l->little ? offer(b, LITTLE, 53, l->little) : 0;
		}
		fastpath_core_step(b->fp, 0, b->now);
		for (uint32_t k = 0; k < 9; k++)
			for (uint32_t core = 1; core < b->core_count; core++)
				if (core != 1 || i % l->behind == 0)
					fastpath_core_step(b->fp, core, b->now);
		bed_discard(b, 1);
	}
	return missed[l->little != 0];
}

/* Twice what a round takes comes in each round, and the workers keep up: the dispatcher is what is short. */
static uint32_t overload(struct bed *b, uint32_t rounds, uint32_t quiet)
{
	return load_run(b, rounds, &(struct load){ .noisy = 128, .quiet = quiet, .behind = 1 });
}

static void shares(void)
{
	struct bed b;

	start(&b, WEIR_MODE_DSR, 1);
	/* Nobody is there to be protected. */
	(void)overload(&b, 100, 0);
	CU_ASSERT_EQUAL(bed_dropped_all(&b, 0), 0);
	/* Until the share has found its size, the device drops what comes, also of the quiet one. */
	(void)overload(&b, 100, 2);
	CU_ASSERT_TRUE(bed_dropped(&b, 0, WEIR_DROP_OVER_SHARE) > 0);
	CU_ASSERT_EQUAL(overload(&b, 1000, 2), 0);
	CU_ASSERT_EQUAL(bed_dropped_all(&b, 1), 0);
	CU_ASSERT_EQUAL(bed_dropped(&b, 0, WEIR_DROP_OVER_SHARE), bed_dropped_all(&b, 0));
	/* It is over: nothing is kept back any more. */
	bed_run(&b);
	for (uint32_t i = 0; i < 200; i++)
		fastpath_core_step(b.fp, 0, b.now);
	const uint64_t before = bed_dropped_all(&b, 0);

	for (uint32_t i = 0; i < 10; i++) {
		send_many(&b, NOISY, 80, 200, 0);
		bed_run(&b);
	}
	CU_ASSERT_EQUAL(bed_dropped_all(&b, 0), before);
	bed_stop(&b);
}

/* The flood makes the share smaller than what the quiet one sends, which is still the smaller part of all. */
static void smaller_part(void)
{
	struct bed b;

	start(&b, WEIR_MODE_DSR, 1);
	(void)overload(&b, 100, 2);
	const uint64_t before = bed_dropped(&b, 0, WEIR_DROP_OVER_SHARE);

	(void)overload(&b, 1000, 24);
	CU_ASSERT_TRUE(bed_dropped(&b, 0, WEIR_DROP_OVER_SHARE) > before + 10000);
	CU_ASSERT_EQUAL(bed_dropped_all(&b, 1), 0);
	bed_run(&b);
	bed_discard(&b, 1);
	bed_stop(&b);
}

/* Who sends more than a flooded one, but whose worker takes it all, is not who has to go. */
static void flooded_first(void)
{
	const struct load load = { .noisy = 128, .quiet = 140, .behind = 30 };
	struct bed b;

	start(&b, WEIR_MODE_DSR, 1);
	(void)load_run(&b, 1000, &load);
	CU_ASSERT_TRUE(bed_dropped(&b, 0, WEIR_DROP_WORKER_BEHIND) > 0);
	CU_ASSERT_TRUE(bed_dropped(&b, 0, WEIR_DROP_OVER_SHARE) > 10000);
	CU_ASSERT_EQUAL(bed_dropped_all(&b, 1), 0);
	bed_run(&b);
	bed_discard(&b, 1);
	bed_stop(&b);
}

/* Unless that is not enough for one that sends little: then it has an equal part of a round. */
static void then_who_sends_much(void)
{
	const struct load load = { .noisy = 32, .quiet = 40, .little = 2, .behind = 30 };
	struct bed b;

	bed_start(&b, 4, 4);
	bed_add_service(&b, "noisy", WEIR_MODE_DSR, 17, NOISY, 80);
	bed_add_backend(&b, 0, "10.0.0.11", 80);
	bed_add_service(&b, "quiet", WEIR_MODE_DSR, 17, QUIET, 53);
	bed_add_backend(&b, 1, "10.0.0.12", 53);
	bed_add_service(&b, "little", WEIR_MODE_DSR, 17, LITTLE, 53);
	bed_add_backend(&b, 2, "10.0.0.13", 53);
	bed_apply(&b);
	(void)load_run(&b, 400, &load);
	const uint64_t before = bed_sum(&b, 1, packets_transmitted);

	CU_ASSERT_EQUAL(load_run(&b, 1000, &load), 0);
	CU_ASSERT_TRUE(bed_dropped(&b, 1, WEIR_DROP_OVER_SHARE) > 0);
	CU_ASSERT_TRUE(bed_sum(&b, 1, packets_transmitted) - before >= 1000 * 256 / 3);
	CU_ASSERT_EQUAL(bed_dropped_all(&b, 2), 0);
	bed_run(&b);
	bed_discard(&b, 1);
	bed_stop(&b);
}

/* floods */

struct flood {
	const char *name;
	uint8_t mode;
	uint8_t protocol;
	bool new_flows;
	uint32_t capacity; /* of the noisy one's flow table, that is full; 0: enough */
	uint32_t behind; /* its worker runs in one tick of so many */
	enum weir_drop_reason reason; /* it loses packets for this; DROP_COUNT: for nothing */
};

struct price {
	uint64_t least[2]; /* cycles of a window on the quiet one's core: alone, beside the flood */
	uint64_t receive[2]; /* the same on the core that receives */
	uint64_t packets;
};

static void tick(
	struct bed *b, const struct flood *f, uint32_t number, bool noisy, uint64_t ret_cycles[2])
{
	static uint32_t flow;
	uint64_t at;

	send_many(b, QUIET, 53, STEADY / 2, 0);
	if (noisy)
		send_as(b, f->protocol, NOISY, 80, FLOOD, f->new_flows ? flow : 0);
	flow += FLOOD;
	send_many(b, QUIET, 53, STEADY / 2, STEADY / 2);
	at = rte_rdtsc();
	receive_all(b);
	ret_cycles[0] += rte_rdtsc() - at;
	at = rte_rdtsc();
	while (fastpath_core_step(b->fp, quiet_core(b), b->now))
		;
	ret_cycles[1] += rte_rdtsc() - at;
	if (number % f->behind == 0)
		fastpath_core_step(b->fp, 1, b->now);
	fastpath_core_step(b->fp, 0, b->now);
	bed_discard(b, 1);
	b->now += BED_MS / 10;
}

/* Established flows, which none that is new may push out. */
static void table_fill(struct bed *b, uint32_t flows)
{
	struct bed_packet p, to, back;

	for (uint32_t i = 0; i < 2 * flows; i++) {
		p = bed_client("198.51.100.8", (uint16_t)(1024 + i), NOISY, 80);
		if (!bed_exchange(b, 0, &p, &to))
			continue;
		back = bed_reply(&to, BED_SYN | BED_ACK, 0);
		CU_ASSERT_TRUE(bed_exchange(b, 1, &back, &to));
		p.tcp_flags = BED_ACK;
		CU_ASSERT_TRUE(bed_exchange(b, 0, &p, &to));
	}
}

static void flood_run(const struct flood *f)
{
	struct price price = { .least = { UINT64_MAX, UINT64_MAX },
		.receive = { UINT64_MAX, UINT64_MAX } };
	struct bed b;

	bed_start_with(&b, 3, 3, UINT64_C(64) << 20, false);
	bed_add_service(&b, "noisy", f->mode, f->protocol, NOISY, 80)->flow_capacity = f->capacity;
	bed_add_backend(&b, 0, "10.0.0.11", 80);
	bed_add_service(&b, "quiet", WEIR_MODE_DSR, 17, QUIET, 53);
	bed_add_backend(&b, 1, "10.0.0.12", 53);
	bed_apply(&b);
	if (f->capacity)
		table_fill(&b, f->capacity);
	for (uint32_t i = 0; i < TICKS / WINDOW; i++) {
		const bool noisy = i % 2;
		uint64_t cycles[2] = { 0, 0 };

		for (uint32_t k = 0; k < WINDOW; k++)
			tick(&b, f, i * WINDOW + k, noisy, cycles);
		price.packets += WINDOW * STEADY;
		price.receive[noisy] = RTE_MIN(price.receive[noisy], cycles[0]);
		price.least[noisy] = RTE_MIN(price.least[noisy], cycles[1]);
	}
	CU_ASSERT_EQUAL(bed_dropped_all(&b, 1), 0);
	CU_ASSERT_EQUAL(bed_sum(&b, 1, packets_transmitted), price.packets);
	if (f->reason != WEIR_DROP_COUNT) {
		CU_ASSERT_TRUE(bed_dropped(&b, 0, f->reason) > 0);
		CU_ASSERT_TRUE(bed_dropped(&b, 0, WEIR_DROP_WORKER_BEHIND) > 0);
	}
	CU_ASSERT_EQUAL(bed_dropped(&b, 0, WEIR_DROP_WORKER_RING_FULL), 0);
	printf("# %s: cycles a packet on the quiet one's core: alone %.0f, beside %.0f: %.2f times; "
	       "the receiver's for a packet of the flood: %.0f\n",
		f->name, (double)price.least[0] / (WINDOW * STEADY),
		(double)price.least[1] / (WINDOW * STEADY),
		(double)price.least[1] / (double)price.least[0],
		((double)price.receive[1] - (double)price.receive[0]) / (WINDOW * FLOOD));
	/*
	 * On one CPU in turn they share its caches, and with whatever else runs on the machine; cores of their
	 * own do not. So this finds only what is badly wrong.
	 */
	CU_ASSERT_TRUE(price.least[1] < 5 * price.least[0]);
	bed_stop(&b);
}

/* What the others are compared with: as many packets, and the worker takes them all. */
static void flood_taken(void)
{
	flood_run(&(struct flood){ .name = "no flood, but as much traffic",
		.mode = WEIR_MODE_DSR,
		.protocol = 17,
		.behind = 1,
		.reason = WEIR_DROP_COUNT });
}

static void flood_packets(void)
{
	flood_run(&(struct flood){ .name = "small packets",
		.mode = WEIR_MODE_DSR,
		.protocol = 17,
		.behind = BEHIND,
		.reason = WEIR_DROP_WORKER_BEHIND });
}

static void flood_flows(void)
{
	flood_run(&(struct flood){ .name = "new flows",
		.mode = WEIR_MODE_DSR,
		.protocol = 17,
		.new_flows = true,
		.behind = BEHIND,
		.reason = WEIR_DROP_WORKER_BEHIND });
}

/* To the others a policy that takes its time is a worker that comes round seldom. */
static void flood_slow(void)
{
	flood_run(&(struct flood){ .name = "a slow policy",
		.mode = WEIR_MODE_DSR,
		.protocol = 17,
		.behind = 10 * BEHIND,
		.reason = WEIR_DROP_WORKER_BEHIND });
}

static void flood_table(void)
{
	flood_run(&(struct flood){ .name = "a full flow table",
		.mode = WEIR_MODE_NAT,
		.protocol = 6,
		.new_flows = true,
		.capacity = 1024,
		.behind = BEHIND / 2,
		.reason = WEIR_DROP_FLOW_TABLE_FULL });
}

static void flood_ports(void)
{
	flood_run(&(struct flood){ .name = "no translation port",
		.mode = WEIR_MODE_NAT,
		.protocol = 17,
		.new_flows = true,
		.behind = BEHIND / 2,
		.reason = WEIR_DROP_NO_TRANSLATION_PORT });
}

static const struct tap_case cases[] = {
	{ "a ring that is closed to clients has room for replies", last_eighth },
	{ "of two workers only the one that is behind loses packets early", one_of_two_workers },
	{ "a service may go while its worker is behind", changes_meanwhile },
	{ "a dispatcher that is behind gives each service its share", shares },
	{ "who sends the smaller part of all loses nothing by a share", smaller_part },
	{ "who sends more than a flooded one and keeps up loses nothing by a share",
		flooded_first },
	{ "unless somebody who sends little needs it: then it has an equal part",
		then_who_sends_much },
	{ "as much traffic as in a flood, and its worker keeps up", flood_taken },
	{ "a flood of small packets", flood_packets },
	{ "a flood of new flows", flood_flows },
	{ "a flood that a slow policy judges", flood_slow },
	{ "a flood into a full flow table", flood_table },
	{ "a flood that finds no translation port", flood_ports },
};

TAP_MAIN("isolation", cases)
