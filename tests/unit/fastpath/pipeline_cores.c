/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/core/buckets/core_plan.h"
#include "tests/unit/fastpath/pipeline_bed.h"
#include "tests/unit/tap.h"
#include "tests/unit/tsan.h"

#include <rte_cycles.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define CLIENT	"198.51.100.7"
#define SERVICE "203.0.113.10"

static void plan(void)
{
	uint32_t load[WEIR_MAX_CORES] = { 0 };
	uint8_t core[WEIR_MAX_CORES];

	CU_ASSERT_EQUAL(core_plan_place(load, 0, 1, 3, core), 1);
	CU_ASSERT_EQUAL(core[0], 0);
	memset(load, 0, sizeof(load));
	CU_ASSERT_EQUAL(core_plan_place(load, 0, 4, 2, core), 2);
	CU_ASSERT_EQUAL(core[0], 1);
	CU_ASSERT_EQUAL(core[1], 2);
	CU_ASSERT_EQUAL(core_plan_place(load, 0, 4, 2, core), 2);
	CU_ASSERT_EQUAL(core[0], 3);
	CU_ASSERT_EQUAL(core[1], 1);
	CU_ASSERT_EQUAL(core_plan_place(load, 0, 4, 64, core), 3);
	CU_ASSERT_EQUAL(load[0], 0);
}

/* A core of its own comes first, then one on a port's node. */
static void plan_by_node(void)
{
	const int node[4] = { 0, 0, 1, 1 };
	struct port there = { .node = 1 }, unknown = { .node = -1 };
	struct port *ports[3] = { &there, NULL, &unknown };
	uint32_t load[WEIR_MAX_CORES] = { 0 };
	uint8_t core[WEIR_MAX_CORES];
	uint64_t near = core_plan_near(node, 4, ports, 3);

	CU_ASSERT_EQUAL(near, 0xc);
	CU_ASSERT_EQUAL(core_plan_near(node, 4, ports + 1, 2), 0);
	CU_ASSERT_EQUAL(core_plan_place(load, near, 4, 1, core), 1);
	CU_ASSERT_EQUAL(core[0], 2);
	CU_ASSERT_EQUAL(core_plan_place(load, near, 4, 2, core), 2);
	CU_ASSERT_EQUAL(core[0], 3);
	CU_ASSERT_EQUAL(core[1], 1);
	CU_ASSERT_EQUAL(core_plan_place(load, near, 4, 1, core), 1);
	CU_ASSERT_EQUAL(core[0], 2);
}

/* Four cores, a nat service on three workers, and ports with so many queues to send by. */
static void spread(uint16_t tx_queues)
{
	struct bed b;
	struct bed_packet to;
	uint32_t there = 0;
	uint32_t back = 0;

	bed_start(&b, 4, tx_queues);
	bed_add_service(&b, "web", WEIR_MODE_NAT, 6, SERVICE, 80)->cores = 3;
	bed_add_backend(&b, 0, "10.0.0.11", 8080);
	bed_add_backend(&b, 0, "10.0.0.12", 8080);
	bed_apply(&b);
	CU_ASSERT_EQUAL(b.telemetry->service[0].worker_mask, 0xe);
	for (uint16_t i = 0; i < 300; i++) {
		struct bed_packet p = bed_client(CLIENT, 40000 + i, SERVICE, 80);

		bed_send_on(&b, 0, i % BED_QUEUES, &p); /* any of the receive queues */
		bed_run(&b);
		while (bed_receive(&b, 1, &to)) {
			struct bed_packet r = bed_reply(&to, BED_SYN | BED_ACK, 0);

			there++;
			bed_send_on(&b, 1, (i + 1) % BED_QUEUES, &r);
			bed_run(&b);
			back += bed_discard(&b, 0);
		}
	}
	CU_ASSERT_EQUAL(there, 300);
	CU_ASSERT_EQUAL(back, 300);
	CU_ASSERT_EQUAL(bed_dropped_all(&b, 0), 0);
	for (uint32_t core = 1; core < 4; core++) {
		CU_ASSERT_TRUE(bed_backend_cell(&b, core, 0, 0)->new_flows > 20);
		CU_ASSERT_EQUAL(bed_core(&b, core)->packets,
			bed_backend_cell(&b, core, 0, 0)->packets +
				bed_backend_cell(&b, core, 0, 0)->packets_from +
				bed_backend_cell(&b, core, 0, 1)->packets +
				bed_backend_cell(&b, core, 0, 1)->packets_from);
		CU_ASSERT_EQUAL(
			bed_core(&b, core)->port[1].packets_transmitted > 0, tx_queues >= 3);
	}
	CU_ASSERT_EQUAL(bed_core(&b, 0)->port[1].packets_transmitted > 0, tx_queues < 3);
	bed_stop(&b);
}

static void enough_queues(void)
{
	spread(4);
}

static void too_few_queues(void)
{
	spread(2);
}

static void full_rings(void)
{
	struct bed b;
	struct bed_packet p = bed_client(CLIENT, 40000, SERVICE, 80);
	struct bed_packet q = bed_client(CLIENT, 40000, SERVICE, 53);

	bed_start(&b, 3, 1);
	bed_add_service(&b, "web", WEIR_MODE_DSR, 6, SERVICE, 80);
	bed_add_backend(&b, 0, "10.0.0.11", 80);
	bed_add_service(&b, "dns", WEIR_MODE_DSR, 17, SERVICE, 53);
	bed_add_backend(&b, 1, "10.0.0.12", 53);
	bed_apply(&b);
	CU_ASSERT_EQUAL(b.telemetry->service[0].worker_mask, 2);
	CU_ASSERT_EQUAL(b.telemetry->service[1].worker_mask, 4);
	q.protocol = 17;
	for (uint32_t i = 0; i < 3000; i++)
		bed_send(&b, 0, &p); /* a flood, and its worker does not come round to it */
	for (uint32_t i = 0; i < 10; i++)
		bed_send(&b, 0, &q);
	for (uint32_t i = 0; i < 100; i++) {
		fastpath_core_step(b.fp, 0, b.now);
		fastpath_core_step(b.fp, 2, b.now);
	}
	/* Most are not even parsed, and the last eighth of the ring is not for clients. */
	CU_ASSERT_EQUAL(bed_dropped(&b, 0, WEIR_DROP_WORKER_BEHIND), 3000 - 896);
	CU_ASSERT_EQUAL(bed_dropped(&b, 0, WEIR_DROP_WORKER_RING_FULL), 0);
	CU_ASSERT_EQUAL(bed_dropped_all(&b, 1), 0);
	CU_ASSERT_EQUAL(bed_sum(&b, 1, packets_transmitted), 10);
	bed_run(&b);
	CU_ASSERT_EQUAL(bed_sum(&b, 0, packets_transmitted), 896);
	bed_stop(&b);
}

static void full_handover(void)
{
	struct bed b;
	struct bed_packet p = bed_client(CLIENT, 40000, SERVICE, 80);

	bed_start(&b, 3, 1);
	bed_add_service(&b, "web", WEIR_MODE_DSR, 6, SERVICE, 80);
	bed_add_backend(&b, 0, "10.0.0.11", 80);
	bed_apply(&b);
	b.port[1].out[0].room = 0;
	for (uint32_t i = 0; i < 2000; i++) {
		bed_send(&b, 0, &p);
		if (i % 50 == 49)
			fastpath_core_step(b.fp, 0, b.now);
		fastpath_core_step(b.fp, 1, b.now);
	}
	CU_ASSERT_TRUE(bed_dropped(&b, 0, WEIR_DROP_TRANSMIT_FULL) > 0);
	bed_stop(&b); /* with packets queued everywhere: the sums still balance */
}

static void shared_cores(void)
{
	struct bed b;
	struct bed_packet p, out;

	bed_start(&b, 2, 1);
	for (uint16_t i = 0; i < 4; i++) {
		char name[8];

		snprintf(name, sizeof(name), "s%u", i);
		bed_add_service(&b, name, WEIR_MODE_DSR, 6, SERVICE, 80 + i);
		bed_add_backend(&b, i, "10.0.0.11", 80 + i);
	}
	bed_apply(&b);
	for (uint16_t i = 0; i < 4; i++) {
		CU_ASSERT_EQUAL(b.telemetry->service[i].worker_mask, 2);
		p = bed_client(CLIENT, 40000, SERVICE, 80 + i);
		CU_ASSERT_TRUE(bed_exchange(&b, 0, &p, &out));
	}
	bed_stop(&b);
}

/* threads */

#define THREAD_PACKETS (TSAN_LESS(15625u) * 64)
#define THREAD_FLOWS   512u

static uint64_t seconds_now(void)
{
	return bed_clock_ns() / 1000000000;
}

/* One change after another: weights, states, whole configurations with a service that comes and goes. */
static void change_something(struct bed *b, uint32_t round)
{
	switch (round % 4) {
	case 0:
		CU_ASSERT_EQUAL(bed_backend_state(b, 0, 1, WEIR_BACKEND_DOWN, 100), 0);
		break;
	case 1:
		CU_ASSERT_EQUAL(bed_backend_state(b, 0, 1, WEIR_BACKEND_UP, 1 + round % 200), 0);
		break;
	case 2:
		b->service_count = 1;
		bed_apply(b);
		break;
	default:
		b->service_count = 2;
		bed_apply(b);
	}
}

static void two_threads(void)
{
	struct bed b;
	struct bed_runner runner[2] = { { &b, 0 }, { &b, 1 } };
	pthread_t thread[2];
	struct bed_packet p[2];
	uint64_t deadline = seconds_now() + 100;
	uint64_t came_out = 0;
	uint32_t sent = 0;
	uint32_t rounds = 0;

	bed_start_with(&b, 2, 1, UINT64_C(16) << 20, true);
	bed_add_service(&b, "web", WEIR_MODE_NAT, 17, SERVICE, 80);
	bed_add_backend(&b, 0, "10.0.0.11", 8080);
	bed_add_backend(&b, 0, "10.0.0.12", 8080);
	bed_add_service(&b, "dns", WEIR_MODE_DSR, 17, SERVICE, 53);
	bed_add_backend(&b, 1, "10.0.0.21", 53);
	bed_apply(&b);
	for (uint32_t i = 0; i < 2; i++)
		CU_ASSERT_EQUAL_FATAL(
			pthread_create(&thread[i], NULL, bed_run_core, &runner[i]), 0);
	while (sent < THREAD_PACKETS && seconds_now() < deadline) {
		if (bed_waiting(&b, 0) > 512) {
			bed_nap();
		} else {
			for (uint32_t i = 0; i < 64; i++, sent++) {
				p[0] = bed_client(CLIENT, (uint16_t)(1024 + sent % THREAD_FLOWS),
					SERVICE, sent % 8 ? 80 : 53);
				p[0].protocol = 17;
				bed_send(&b, 0, &p[0]);
			}
		}
		came_out += bed_discard(&b, 1);
		if (sent / (THREAD_PACKETS / 50) > rounds)
			change_something(&b, rounds++);
	}
	CU_ASSERT_EQUAL(sent, THREAD_PACKETS);
	CU_ASSERT_TRUE(rounds >= 49);
	while (bed_waiting(&b, 0) && seconds_now() < deadline)
		bed_nap();
	for (uint32_t i = 0; i < 100; i++)
		bed_nap(); /* what is still in rings; what is not done by then stays queued */
	fastpath_stop(b.fp);
	for (uint32_t i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	came_out += bed_discard(&b, 1);
	CU_ASSERT_TRUE(came_out > THREAD_PACKETS / 2);
	CU_ASSERT_EQUAL(bed_core(&b, 0)->port[0].packets_received, THREAD_PACKETS);
	CU_ASSERT_EQUAL(bed_core(&b, 1)->port[1].packets_transmitted, came_out);
	CU_ASSERT_TRUE(bed_core(&b, 1)->sleeps > 0);
	/* The last one may have been the end. */
	CU_ASSERT_TRUE(bed_core(&b, 1)->wakeup.count >= bed_core(&b, 1)->sleeps - 1);
	CU_ASSERT_TRUE(bed_core(&b, 1)->wakeup.count <= bed_core(&b, 1)->sleeps);
	CU_ASSERT_EQUAL(bed_dropped(&b, 0, WEIR_DROP_NO_BACKEND), 0);
	bed_stop(&b);
}

/* A clock that goes as it likes, on a core that believes it. */
static void late_rounds(void)
{
	const uint64_t ms = rte_get_tsc_hz() / 1000, start = 1000 * ms;
	const uint64_t start_ns = UINT64_C(77000000000000);
	struct bed b;

	bed_start_with(&b, 1, 1, UINT64_C(16) << 20, true);
	const struct weir_core_gaps *gaps = &bed_core(&b, 0)->gaps;

	fastpath_clock_tick(b.fp, start, start_ns);
	fastpath_core_step(b.fp, 0, start);
	fastpath_core_step(b.fp, 0, start + ms / 20);
	CU_ASSERT_EQUAL(gaps->count, 0);
	fastpath_core_step(b.fp, 0, start + ms / 20 + 30 * ms);
	CU_ASSERT_EQUAL(gaps->count, 1);
	CU_ASSERT_EQUAL(gaps->longest[0].during, WEIR_GAP_IDLE);
	CU_ASSERT_DOUBLE_EQUAL((double)gaps->longest[0].length_ns, 30e6, 1e3);
	CU_ASSERT_DOUBLE_EQUAL((double)gaps->longest[0].end_ns, (double)start_ns + 30.05e6, 1e5);
	CU_ASSERT_EQUAL(bed_core(&b, 0)->wakeup.count, 0);
	bed_stop(&b);
	/* A made-up clock leaves no gaps. */
	bed_start(&b, 1, 1);
	fastpath_core_step(b.fp, 0, b.now);
	b.now += 500 * BED_MS;
	fastpath_core_step(b.fp, 0, b.now);
	CU_ASSERT_EQUAL(bed_core(&b, 0)->gaps.count, 0);
	bed_stop(&b);
}

static const struct tap_case cases[] = {
	{ "services go to the least loaded cores", plan },
	{ "cores: a service gets one on a port's node, when it can choose", plan_by_node },
	{ "three workers send by queues of their own", enough_queues },
	{ "three workers send through core 0 where queues are few", too_few_queues },
	{ "a flooded service loses its own packets and nobody else's", full_rings },
	{ "a full way to the port is a reason to drop", full_handover },
	{ "services share a core when there are more of them", shared_cores },
	{ "a core that was away says when and for how long", late_rounds },
	{ "two threads carry a million packets through fifty changes", two_threads },
};

TAP_MAIN("cores", cases)
