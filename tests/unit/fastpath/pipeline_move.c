/* SPDX-License-Identifier: BSD-3-Clause */

/* Buckets that move between workers: step by step with a made-up clock. */

#include "dataplane/core/buckets/spread.h"
#include "dataplane/stage/early/early.h"
#include "tests/unit/fastpath/pipeline_bed.h"
#include "tests/unit/tap.h"

#include <rte_common.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLIENT	"198.51.100.7"
#define SERVICE "203.0.113.10"
#define FLOWS	200u

static char told[256];

static void tell(void *ctx, const char *service, const char *text)
{
	snprintf(told, sizeof(told), "%s: %s", service, text);
}

static int move(struct bed *b, const char *service, uint32_t from, uint32_t to, const char *buckets)
{
	struct weir_core_move m = { .from_cpu = from, .to_cpu = to };
	uint32_t count;

	snprintf(m.service, sizeof(m.service), "%s", service);
	if (!buckets)
		m.flags = WEIR_CORE_MOVE_F_ALL;
	else
		for (char *end; *buckets; buckets = end + (*end == ',')) {
			unsigned long bucket = strtoul(buckets, &end, 10);

			m.buckets[bucket / 8] |= (uint8_t)(1u << (bucket % 8));
		}
	told[0] = '\0';
	return fastpath_move(b->fp, &m, b->now, &count, b->err, sizeof(b->err));
}

static bool ends(struct bed *b)
{
	for (uint32_t i = 0; i < 8; i++) {
		bed_run(b);
		if (!fastpath_move_tick(b->fp, b->now, tell, NULL))
			return true;
	}
	return false;
}

static uint32_t buckets_on(const struct bed *b, uint32_t service, uint32_t core)
{
	return b->telemetry->service[service].bucket_count[core];
}

/* A nat service on so many of three working cores. */
static void start(struct bed *b, uint16_t cores, uint8_t protocol)
{
	bed_start(b, 4, 1); /* one queue to send by: what comes out is in the order it was sent */
	bed_add_service(b, "web", WEIR_MODE_NAT, protocol, SERVICE, 80)->cores = cores;
	bed_add_backend(b, 0, "10.0.0.11", 8080);
	bed_add_backend(b, 0, "10.0.0.12", 8080);
	bed_apply(b);
}

static struct bed_packet client(uint32_t flow, uint32_t tag)
{
	struct bed_packet p = bed_client(CLIENT, (uint16_t)(2000 + flow), SERVICE, 80);

	p.protocol = 17;
	p.payload = 8;
	p.tag = flow << 16 | tag;
	return p;
}

/* Flows that are known to a worker go on at another, with their backends, ports and replies. */
static void flows_go_on(void)
{
	struct bed b;
	struct bed_packet first[FLOWS], p, out;

	start(&b, 2, 17);
	CU_ASSERT_EQUAL(buckets_on(&b, 0, 1), 128);
	for (uint32_t i = 0; i < FLOWS; i++) {
		p = client(i, 0);
		CU_ASSERT_TRUE_FATAL(bed_exchange(&b, 0, &p, &first[i]));
	}
	CU_ASSERT_EQUAL(move(&b, "web", 1, 2, NULL), 0);
	CU_ASSERT_TRUE(ends(&b));
	CU_ASSERT_PTR_NOT_NULL(strstr(told, "web: 128 buckets moved from CPU 1 to CPU 2"));
	CU_ASSERT_EQUAL(buckets_on(&b, 0, 1), 0);
	CU_ASSERT_EQUAL(buckets_on(&b, 0, 2), 256);
	CU_ASSERT_EQUAL(b.telemetry->service[0].worker_mask, 4);

	const uint64_t before = bed_core(&b, 1)->packets;

	for (uint32_t i = 0; i < FLOWS; i++) {
		p = client(i, 1);
		CU_ASSERT_TRUE(bed_exchange(&b, 0, &p, &out));
		CU_ASSERT_EQUAL(out.sport, first[i].sport);
		CU_ASSERT_EQUAL(out.dmac[5], first[i].dmac[5]);
		p = bed_reply(&out, 0, 4);
		CU_ASSERT_TRUE(bed_exchange(&b, 1, &p, &out));
		CU_ASSERT_EQUAL(out.dport, 2000 + i);
	}
	CU_ASSERT_EQUAL(bed_core(&b, 1)->packets, before);
	CU_ASSERT_EQUAL(bed_sum(&b, 0, new_flows), FLOWS);
	/* They end there, and their ports are free again. */
	b.now += 400 * BED_SECOND;
	fastpath_age(b.fp, b.now);
	CU_ASSERT_EQUAL(bed_sum(&b, 0, closed_flows), FLOWS);
	CU_ASSERT_EQUAL(bed_dropped_all(&b, 0), 0);
	bed_stop(&b);
}

/* What was there before stays in front of what waited. */
static void packets_wait(void)
{
	struct bed b;
	struct bed_packet p, out;
	uint32_t next[FLOWS] = { 0 }, came = 0;

	start(&b, 2, 17);
	for (uint32_t round = 0; round < 6; round++) {
		for (uint32_t i = 0; i < FLOWS; i++) {
			p = client(i, round);
			bed_send(&b, 0, &p);
		}
		if (round == 4)
			CU_ASSERT_EQUAL(move(&b, "web", 1, 2, NULL), 0);
		for (uint32_t k = 0; k < 8; k++)
			fastpath_core_step(b.fp, 0, b.now);
		/* The old worker does not come round to it; the new one goes on with its own. */
		fastpath_core_step(b.fp, 2, b.now);
	}
	CU_ASSERT_TRUE(fastpath_move_tick(b.fp, b.now, tell, NULL));
	/* The new worker would be much faster. */
	for (uint32_t i = 0; i < 20; i++) {
		fastpath_core_step(b.fp, 1, b.now);
		for (uint32_t k = 0; k < 8; k++) {
			fastpath_core_step(b.fp, 0, b.now);
			fastpath_core_step(b.fp, 2, b.now);
		}
	}
	CU_ASSERT_TRUE(ends(&b));
	CU_ASSERT_PTR_NOT_NULL(strstr(told, "packets waited"));
	CU_ASSERT_PTR_NULL(strstr(told, " 0 packets waited"));
	while (bed_receive(&b, 1, &out)) {
		CU_ASSERT_EQUAL(out.tag & 0xffff, next[out.tag >> 16]);
		next[out.tag >> 16]++;
		came++;
	}
	CU_ASSERT_EQUAL(came, 6 * FLOWS);
	bed_stop(&b);
}

/* To a core that had nothing of the service, by and by, and all of it back. */
static void a_core_more(void)
{
	struct bed b;
	struct bed_packet p, out;

	start(&b, 1, 17);
	CU_ASSERT_EQUAL(b.telemetry->service[0].worker_mask, 2);
	for (uint32_t i = 0; i < 4; i++) {
		const char *some[] = { "0,1,2,3,254", "7", "100,200", "8,9" };
		const uint32_t to = 2 + i % 2;

		CU_ASSERT_EQUAL(move(&b, "web", 1, to, some[i]), 0);
		CU_ASSERT_TRUE(ends(&b));
	}
	CU_ASSERT_EQUAL(buckets_on(&b, 0, 1), 256 - 10);
	CU_ASSERT_EQUAL(buckets_on(&b, 0, 2), 7);
	CU_ASSERT_EQUAL(buckets_on(&b, 0, 3), 3);
	CU_ASSERT_EQUAL(b.telemetry->service[0].worker_mask, 0xe);
	for (uint32_t i = 0; i < FLOWS; i++) {
		p = client(i, 0);
		CU_ASSERT_TRUE(bed_exchange(&b, 0, &p, &out));
	}
	CU_ASSERT_TRUE(bed_core(&b, 2)->packets > 0 && bed_core(&b, 3)->packets > 0);
	/* Whole configurations come and go meanwhile. */
	CU_ASSERT_EQUAL(move(&b, "web", 2, 1, NULL), 0);
	bed_apply(&b);
	CU_ASSERT_TRUE(ends(&b));
	CU_ASSERT_EQUAL(move(&b, "web", 3, 1, NULL), 0);
	CU_ASSERT_TRUE(ends(&b));
	CU_ASSERT_EQUAL(buckets_on(&b, 0, 1), 256);
	/* Cores without buckets are free for others. */
	bed_add_service(&b, "dns", WEIR_MODE_DSR, 17, SERVICE, 53);
	bed_add_backend(&b, 1, "10.0.0.21", 53);
	bed_apply(&b);
	CU_ASSERT_EQUAL(b.telemetry->service[1].worker_mask, 4);
	CU_ASSERT_EQUAL(bed_dropped_all(&b, 0), 0);
	bed_stop(&b);
}

static uint64_t in_flight(const struct bed *b)
{
	uint64_t sum = 0;

	for (uint32_t core = 1; core < 4; core++)
		for (uint32_t i = 0; b->telemetry->service[0].backend_cell_offset[core] && i < 2;
			i++)
			sum += bed_backend_cell(b, core, 0, i)->in_flight;
	return sum;
}

/* What is in flight when its bucket moves is answered, or forgotten, at the other worker. */
static void loads_add_up(uint8_t protocol)
{
	struct bed b;
	struct bed_packet to[FLOWS], p, out;

	start(&b, 1, protocol);
	for (uint32_t i = 0; i < FLOWS; i++) {
		p = client(i, 0);
		p.protocol = protocol;
		p.tcp_flags = BED_SYN;
		p.payload = protocol == 17 ? 8 : 0;
		CU_ASSERT_TRUE_FATAL(bed_exchange(&b, 0, &p, &to[i]));
	}
	CU_ASSERT_EQUAL(in_flight(&b), FLOWS);
	CU_ASSERT_EQUAL(move(&b, "web", 1, 3, NULL), 0);
	CU_ASSERT_TRUE(ends(&b));
	CU_ASSERT_EQUAL(in_flight(&b), FLOWS);
	b.now += 2 * BED_MS; /* its clock of slices runs from the first millisecond on */
	bed_run(&b);
	for (uint32_t i = 0; i < FLOWS / 2; i++) {
		p = bed_reply(&to[i], BED_SYN | BED_ACK, protocol == 17 ? 4 : 0);
		CU_ASSERT_TRUE(bed_exchange(&b, 1, &p, &out));
	}
	CU_ASSERT_EQUAL(in_flight(&b), FLOWS / 2);
	if (protocol == 17) {
		for (uint32_t ms = 0; ms < 2600; ms += 20) {
			b.now += 20 * BED_MS;
			bed_run(&b);
		}
	} else {
		for (uint32_t i = FLOWS / 2; i < FLOWS; i++) {
			p = bed_reply(&to[i], BED_SYN | BED_ACK, 0);
			CU_ASSERT_TRUE(bed_exchange(&b, 1, &p, &out));
		}
	}
	CU_ASSERT_EQUAL(in_flight(&b), 0);
	bed_stop(&b);
}

static void requests_in_flight(void)
{
	loads_add_up(6);
	loads_add_up(17);
}

static void old_worker_hangs(void)
{
	struct bed b;
	struct bed_packet p, out;
	uint32_t next[FLOWS] = { 0 };

	start(&b, 2, 17);
	for (uint32_t round = 0; round < 3; round++) {
		for (uint32_t i = 0; i < FLOWS; i++) {
			p = client(i, round);
			bed_send(&b, 0, &p);
		}
		if (round == 1)
			CU_ASSERT_EQUAL(move(&b, "web", 1, 2, NULL), 0);
		for (uint32_t k = 0; k < 8; k++)
			fastpath_core_step(b.fp, 0, b.now);
	}
	b.now += 1100 * BED_MS;
	CU_ASSERT_TRUE(fastpath_move_tick(b.fp, b.now, tell, NULL));
	CU_ASSERT_TRUE(ends(&b));
	CU_ASSERT_PTR_NOT_NULL(strstr(told, "128 buckets stay on CPU 1"));
	CU_ASSERT_EQUAL(buckets_on(&b, 0, 1), 128);
	while (bed_receive(&b, 1, &out)) {
		CU_ASSERT_EQUAL(out.tag & 0xffff, next[out.tag >> 16]);
		next[out.tag >> 16]++;
	}
	for (uint32_t i = 0; i < FLOWS; i++)
		CU_ASSERT_EQUAL(next[i], 3);
	bed_stop(&b);
}

/* More come than the hold takes: they are the service's loss, and counted. */
static void the_hold_is_bounded(void)
{
	struct bed b;

	start(&b, 1, 17);
	CU_ASSERT_EQUAL(move(&b, "web", 1, 2, NULL), 0);
	for (uint32_t i = 0; i < 3000; i++) {
		struct bed_packet p = client(i % FLOWS, 0);

		bed_send(&b, 0, &p);
	}
	for (uint32_t i = 0; i < 100; i++)
		fastpath_core_step(b.fp, 0, b.now);
	uint64_t lost = bed_dropped(&b, 0, WEIR_DROP_WORKER_RING_FULL) +
		bed_dropped(&b, 0, WEIR_DROP_WORKER_BEHIND);

	/* Clients' packets go before it is full, as with every worker's ring. */
	CU_ASSERT(lost >= 3000 - 1023 && lost <= 3000 - 1023 + EARLY_PRESS);
	CU_ASSERT_TRUE(ends(&b));
	CU_ASSERT_EQUAL(bed_sum(&b, 0, packets_transmitted), 3000 - lost);
	bed_stop(&b);
}

static void service_leaves(void)
{
	for (uint32_t gone = 0; gone < 2; gone++) {
		struct bed b;

		start(&b, 2, 17);
		CU_ASSERT_EQUAL(move(&b, "web", 1, 2, NULL), 0);
		for (uint32_t i = 0; i < FLOWS; i++) {
			struct bed_packet p = client(i, 0);

			bed_send(&b, 0, &p);
		}
		for (uint32_t i = 0; i < 10; i++)
			fastpath_core_step(b.fp, 0, b.now);
		if (gone) {
			b.service_count = 0;
			bed_apply(&b);
			CU_ASSERT_FALSE(fastpath_move_tick(b.fp, b.now, tell, NULL));
			CU_ASSERT_EQUAL(told[0], '\0');
			b.service_count = 1;
			bed_apply(&b);
			CU_ASSERT_EQUAL(move(&b, "web", 1, 2, NULL), 0);
		}
		bed_stop(&b); /* in the middle: the sums balance */
	}
}

/* A device goes on to send to the core that had the buckets. */
static void steered_to_the_old_core(void)
{
	struct bed b;
	struct bed_packet p, out;
	uint32_t next[FLOWS] = { 0 };

	start(&b, 1, 17);
	b.port[0].rx_queue[1].core = 1;
	bed_apply(&b);
	for (uint32_t round = 0; round < 4; round++) {
		for (uint32_t i = 0; i < FLOWS; i++) {
			p = client(i, round);
			bed_send_on(&b, 0, 1, &p);
		}
		if (round % 2)
			CU_ASSERT_EQUAL(
				move(&b, "web", round == 1 ? 1 : 2, round == 1 ? 2 : 1, NULL), 0);
		CU_ASSERT_TRUE(ends(&b));
		while (bed_receive(&b, 1, &out)) {
			CU_ASSERT_EQUAL(out.tag & 0xffff, next[out.tag >> 16]);
			next[out.tag >> 16]++;
		}
	}
	for (uint32_t i = 0; i < FLOWS; i++)
		CU_ASSERT_EQUAL(next[i], 4);
	CU_ASSERT_TRUE(bed_core(&b, 2)->packets >= FLOWS);
	bed_stop(&b);
}

static void refused(const struct bed *b, const char *text)
{
	if (!strstr(b->err, text))
		printf("# %s\n", b->err);
	CU_ASSERT_PTR_NOT_NULL(strstr(b->err, text));
}

static void refusals(void)
{
	struct bed b;

	start(&b, 2, 17);
	CU_ASSERT_EQUAL(move(&b, "dns", 1, 2, NULL), -ENOENT);
	refused(&b, "no service dns");
	CU_ASSERT_EQUAL(move(&b, "web", 0, 2, NULL), -ENOENT);
	refused(&b, "CPU 0 works for no service");
	CU_ASSERT_EQUAL(move(&b, "web", 1, 9, NULL), -ENOENT);
	CU_ASSERT_EQUAL(move(&b, "web", 1, 1, NULL), -EINVAL);
	CU_ASSERT_EQUAL(move(&b, "web", 3, 1, NULL), -EINVAL);
	refused(&b, "no buckets on CPU 3");
	CU_ASSERT_EQUAL(move(&b, "web", 1, 2, "0,1"), -EINVAL);
	refused(&b, "bucket 1 is not on CPU 1");
	CU_ASSERT_EQUAL(move(&b, "web", 1, 2, "0,2"), 0);
	CU_ASSERT_EQUAL(move(&b, "web", 1, 2, "4"), -EBUSY);
	CU_ASSERT_TRUE(ends(&b));
	CU_ASSERT_EQUAL(buckets_on(&b, 0, 1), 126);
	bed_stop(&b);
	/* Where one core does all there is nowhere to go. */
	bed_start(&b, 1, 1);
	bed_add_service(&b, "web", WEIR_MODE_DSR, 17, SERVICE, 80);
	bed_add_backend(&b, 0, "10.0.0.11", 80);
	bed_apply(&b);
	CU_ASSERT_EQUAL(move(&b, "web", 0, 1, NULL), -ENOENT);
	bed_stop(&b);
}

/* As many steps as it takes; returns how many that were. */
static uint32_t spread(uint16_t *buckets, uint32_t core_count, uint32_t wanted)
{
	uint32_t load[WEIR_MAX_CORES] = { 0 };
	struct spread_step step;
	uint32_t steps = 0;

	while (steps < 100 && spread_next(buckets, load, 1, core_count, wanted, &step)) {
		CU_ASSERT_TRUE(step.count && step.count <= buckets[step.from]);
		CU_ASSERT_TRUE(step.to >= 1 && step.to < core_count && step.from != step.to);
		buckets[step.from] -= step.count;
		buckets[step.to] += step.count;
		steps++;
	}
	return steps;
}

static void shares_become_equal(void)
{
	for (uint32_t cores = 2; cores <= 9; cores++)
		for (uint32_t before = 1; before < cores; before++)
			for (uint32_t wanted = 1; wanted < 12; wanted++) {
				const uint32_t end = RTE_MIN(wanted, cores - 1);
				uint16_t buckets[WEIR_MAX_CORES] = { 0 };
				uint32_t have = 0;

				for (uint32_t i = 0; i < WEIR_BUCKETS; i++)
					buckets[1 + i % before]++;
				CU_ASSERT_TRUE(spread(buckets, cores, wanted) < 60);
				for (uint32_t i = 1; i < cores; i++) {
					have += buckets[i] != 0;
					CU_ASSERT_TRUE(!buckets[i] ||
						buckets[i] + 1u >= WEIR_BUCKETS / end);
				}
				CU_ASSERT_EQUAL(have, end);
			}
}

/* More cores by the configuration, then fewer: flows and packets stay. */
static void cores_are_changed(void)
{
	static const uint16_t wanted[] = { 3, 1, 2 };
	struct bed b;
	struct bed_packet p, out;
	uint32_t sport[FLOWS];

	start(&b, 1, 17);
	for (uint32_t i = 0; i < FLOWS; i++) {
		p = client(i, 0);
		CU_ASSERT_TRUE_FATAL(bed_exchange(&b, 0, &p, &out));
		sport[i] = out.sport;
	}
	for (uint32_t round = 0; round < 3; round++) {
		uint32_t cores = 0;

		b.service[0].cores = wanted[round];
		bed_apply(&b);
		for (uint32_t i = 0; i < 200; i++) {
			fastpath_move_tick(b.fp, b.now, tell, NULL);
			bed_run(&b);
		}
		for (uint32_t i = 1; i < 4; i++) {
			const uint32_t have = buckets_on(&b, 0, i);

			cores += have != 0;
			CU_ASSERT_TRUE(!have || have + 1 >= 256u / wanted[round]);
		}
		CU_ASSERT_EQUAL(cores, wanted[round]);
		for (uint32_t i = 0; i < FLOWS; i++) {
			p = client(i, 1);
			CU_ASSERT_TRUE(bed_exchange(&b, 0, &p, &out));
			CU_ASSERT_EQUAL(out.sport, sport[i]);
		}
	}
	CU_ASSERT_EQUAL(bed_sum(&b, 0, new_flows), FLOWS);
	CU_ASSERT_EQUAL(bed_dropped_all(&b, 0), 0);
	bed_stop(&b);
}

static const struct tap_case cases[] = {
	{ "flows go on at the worker that their buckets moved to", flows_go_on },
	{ "packets wait until those before them are gone", packets_wait },
	{ "buckets move to a core that is new to the service, and back", a_core_more },
	{ "what is in flight adds up over workers", requests_in_flight },
	{ "a worker that hangs keeps its buckets, and nothing is lost", old_worker_hangs },
	{ "what waits is bounded", the_hold_is_bounded },
	{ "a service leaves in the middle of a move", service_leaves },
	{ "packets that a device steers to the old core arrive", steered_to_the_old_core },
	{ "a move that cannot be is refused", refusals },
	{ "shares become equal in few steps", shares_become_equal },
	{ "a service gets more cores and fewer while it runs", cores_are_changed },
};

TAP_MAIN("move", cases)
