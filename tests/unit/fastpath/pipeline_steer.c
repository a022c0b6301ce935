/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Devices that steer services to queues of their workers' cores, rightly, wrongly or not at all: what comes out
 * is the same.
 */

#include "tests/unit/fastpath/pipeline_bed.h"
#include "tests/unit/tap.h"

#include <rte_mbuf.h>
#include <rte_ring.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLIENT "198.51.100.7"
#define WEB    "203.0.113.10"
#define DNS    "203.0.113.11"
#define CORES  3u
#define FLOWS  400u

/* `web` (nat) is worked on by core 1, `dns` (dsr) by core 2; queue i of each port is core i's. */
static void start(struct bed *b)
{
	bed_start(b, CORES, CORES);
	for (uint32_t port = 0; port < BED_PORTS; port++)
		for (uint8_t i = 0; i < CORES; i++)
			b->port[port].rx_queue[i].core = i;
	bed_add_service(b, "web", WEIR_MODE_NAT, 6, WEB, 80);
	bed_add_backend(b, 0, "10.0.0.11", 8080);
	bed_add_backend(b, 0, "10.0.0.12", 8080);
	bed_add_service(b, "dns", WEIR_MODE_DSR, 17, DNS, 53);
	bed_add_backend(b, 1, "10.0.0.13", 53);
	bed_apply(b);
	CU_ASSERT_EQUAL_FATAL(b->telemetry->service[0].worker_mask, 2);
	CU_ASSERT_EQUAL_FATAL(b->telemetry->service[1].worker_mask, 4);
}

static uint64_t astray(const struct bed *b)
{
	uint64_t sum = 0;

	for (uint32_t core = 0; core < CORES; core++)
		for (uint32_t port = 0; port < BED_PORTS; port++)
			sum += bed_core(b, core)->port[port].astray;
	return sum;
}

static void owner_receives(void)
{
	struct bed b;
	struct bed_packet p = bed_client(CLIENT, 40000, WEB, 80), to, back;

	start(&b);
	CU_ASSERT(b.telemetry->core[1].roles & WEIR_CORE_F_RECEIVE);
	bed_send_on(&b, 0, 1, &p);
	/* Nobody else is needed. */
	fastpath_core_step(b.fp, 1, b.now);
	CU_ASSERT_FATAL(bed_receive(&b, 1, &to));
	p = bed_reply(&to, BED_SYN | BED_ACK, 0);
	bed_send_on(&b, 1, 1, &p);
	fastpath_core_step(b.fp, 1, b.now);
	CU_ASSERT_FATAL(bed_receive(&b, 0, &back));
	CU_ASSERT_EQUAL(back.dport, 40000);
	CU_ASSERT_EQUAL(back.sport, 80);
	CU_ASSERT_EQUAL(astray(&b), 0);
	CU_ASSERT_EQUAL(bed_sum(&b, 0, packets_received), 2);
	CU_ASSERT_EQUAL(bed_core(&b, 0)->packets, 0);
	bed_stop(&b);
}

static void others_hand_on(void)
{
	struct bed b;
	struct bed_packet p = bed_client(CLIENT, 40000, WEB, 80), to, back;

	start(&b);
	bed_send_on(&b, 0, 2, &p);
	bed_run(&b);
	CU_ASSERT_FATAL(bed_receive(&b, 1, &to));
	p = bed_reply(&to, BED_SYN | BED_ACK, 0);
	bed_send_on(&b, 1, 2, &p);
	bed_run(&b);
	CU_ASSERT_FATAL(bed_receive(&b, 0, &back));
	CU_ASSERT_EQUAL(back.dport, 40000);
	CU_ASSERT_EQUAL(bed_core(&b, 2)->port[0].astray, 1);
	CU_ASSERT_EQUAL(bed_core(&b, 2)->port[1].astray, 1);
	CU_ASSERT_EQUAL(bed_sum(&b, 0, packets_received), 2);
	CU_ASSERT_EQUAL(bed_sum(&b, 0, packets_from_backends), 1);
	bed_stop(&b);
}

/* Devices are judged by this: at which core, by which port, from which end. */
static void arrivals_are_by_port(void)
{
	struct bed b;
	struct bed_packet p = bed_client(CLIENT, 40000, WEB, 80), to;
	struct arrivals now[WEIR_MAX_PORTS];

	start(&b);
	bed_send_on(&b, 0, 1, &p);
	bed_send_on(&b, 0, 0, &p);
	bed_send_on(&b, 0, 2, &p); /* wrongly: as if it had come to core 0 */
	bed_run(&b);
	CU_ASSERT_FATAL(bed_receive(&b, 1, &to));
	p = bed_reply(&to, BED_SYN | BED_ACK, 0);
	bed_send_on(&b, 1, 0, &p);
	bed_run(&b);
	fastpath_arrivals(b.fp, "web", now);
	CU_ASSERT_EQUAL(now[0].clients[0], 2);
	CU_ASSERT_EQUAL(now[0].clients[1], 1);
	CU_ASSERT_EQUAL(now[0].replies[0], 0);
	CU_ASSERT_EQUAL(now[1].clients[0], 0);
	CU_ASSERT_EQUAL(now[1].replies[0], 1);
	CU_ASSERT_EQUAL(now[1].replies[1], 0);
	/* What no device could steer is no sign of anything. */
	p = bed_client(CLIENT, 40000, WEB, 80);
	p.broken = true;
	bed_send_on(&b, 0, 0, &p);
	bed_run(&b);
	fastpath_arrivals(b.fp, "web", now);
	CU_ASSERT_EQUAL(now[0].clients[0], 2);
	CU_ASSERT_EQUAL(bed_sum(&b, 0, packets_received), 5);
	fastpath_arrivals(b.fp, "nobody", now);
	CU_ASSERT_EQUAL(now[0].clients[0], 0);
	bed_stop(&b);
}

/* What is no service's is the kernel's, whose ring only core 0 may fill. */
static void foreign_goes_to_the_kernel(void)
{
	struct bed b;
	struct bed_packet p = bed_client(CLIENT, 40000, WEB, 81);
	const uint8_t arp[60] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 8, 6 };
	struct rte_ring *ring = bed_kernel_ring(8);
	void *m;

	start(&b);
	b.port[0].port.to_kernel = ring;
	bed_send_on(&b, 0, 1, &p);
	bed_send_bytes_on(&b, 0, 1, arp, sizeof(arp));
	bed_run(&b);
	CU_ASSERT_EQUAL(bed_core(&b, 0)->port[0].packets_to_kernel, 2);
	CU_ASSERT_EQUAL(bed_core(&b, 1)->port[0].packets_received, 2);
	CU_ASSERT_EQUAL(bed_core(&b, 1)->port[0].astray, 2);
	CU_ASSERT_EQUAL(rte_ring_count(ring), 2);
	while (rte_ring_dequeue(ring, &m) == 0)
		rte_pktmbuf_free(m);
	bed_stop(&b);
	free(ring);
}

static void a_full_way_is_a_reason(void)
{
	struct bed b;
	struct bed_packet p = bed_client(CLIENT, 40000, WEB, 80);

	start(&b);
	for (uint32_t i = 0; i < 1500; i++)
		bed_send_on(&b, 0, 2, &p);
	for (uint32_t i = 0; i < 100; i++)
		fastpath_core_step(b.fp, 2, b.now); /* core 0 does not come round to it */
	CU_ASSERT_EQUAL(bed_core(&b, 2)->port[0].dropped[WEIR_DROP_WORKER_RING_FULL], 1500 - 1023);
	bed_run(&b);
	CU_ASSERT_EQUAL(bed_sum(&b, 0, packets_transmitted), 1023);
	bed_stop(&b);
}

/* A queue that is taken away leaves nothing behind in its ring. */
static void queues_go(void)
{
	struct bed b;
	struct bed_packet p = bed_client(CLIENT, 40000, WEB, 80);

	start(&b);
	bed_send_on(&b, 0, 2, &p);
	fastpath_core_step(b.fp, 2, b.now);
	for (uint32_t port = 0; port < BED_PORTS; port++)
		for (uint32_t i = 0; i < CORES; i++)
			b.port[port].rx_queue[i].core = 0;
	bed_apply(&b);
	CU_ASSERT_EQUAL(b.telemetry->core[2].roles & WEIR_CORE_F_RECEIVE, 0);
	bed_run(&b);
	CU_ASSERT_EQUAL(bed_sum(&b, 0, packets_transmitted), 1);
	/* And what was meant for it waits for core 0. */
	bed_send_on(&b, 0, 2, &p);
	bed_run(&b);
	CU_ASSERT_EQUAL(bed_sum(&b, 0, packets_transmitted), 2);
	CU_ASSERT_EQUAL(astray(&b), 1);
	bed_stop(&b);
}

/* ---- the same traffic by each way of steering ---- */

enum way {
	DISPATCHER,
	DEVICE,
	ANYHOW
};

static uint16_t queue_for(enum way way, uint32_t i, uint32_t service)
{
	if (way == DISPATCHER)
		return 0;
	return (uint16_t)(way == DEVICE ? 1 + service : (i * 7 + i / 5) % CORES);
}

struct outcome {
	uint32_t to_backend
		[FLOWS]; /* packets of each flow that arrived, in the order they were sent */
	uint8_t backend[FLOWS];
	uint32_t to_client[FLOWS];
	uint64_t dropped;
	uint64_t passed;
};

static void backends_look(struct bed *b, enum way way, struct outcome *out)
{
	struct bed_packet to;

	for (uint32_t i = 0; bed_receive(b, 1, &to); i++) {
		uint32_t flow = to.tag >> 8;
		struct bed_packet r;

		CU_ASSERT_FATAL(flow < FLOWS);
		/* Packets of a flow keep their order. */
		CU_ASSERT_EQUAL(to.tag & 0xff, out->to_backend[flow]);
		out->to_backend[flow]++;
		out->backend[flow] = to.dmac[5];
		if (to.protocol == 17)
			continue; /* dsr: the answer goes another way */
		r = bed_reply(&to, BED_ACK, 4);
		r.tag = to.tag;
		bed_send_on(b, 1, queue_for(way, i, 0), &r);
	}
}

static void clients_look(struct bed *b, struct outcome *out)
{
	struct bed_packet back;

	while (bed_receive(b, 0, &back)) {
		uint32_t flow = back.tag >> 8;

		CU_ASSERT_FATAL(flow < FLOWS);
		CU_ASSERT_EQUAL(back.tag & 0xff, out->to_client[flow]);
		CU_ASSERT_EQUAL(back.dport, 10000 + flow);
		out->to_client[flow]++;
	}
}

static void traffic(enum way way, struct outcome *out)
{
	struct bed b;

	memset(out, 0, sizeof(*out));
	start(&b);
	for (uint32_t round = 0; round < 5; round++) {
		for (uint32_t flow = 0; flow < FLOWS; flow++) {
			const uint32_t service = flow & 1;
			struct bed_packet p = bed_client(CLIENT, (uint16_t)(10000 + flow),
				service ? DNS : WEB, service ? 53 : 80);

			p.protocol = service ? 17 : 6;
			p.tcp_flags = round ? BED_ACK : BED_SYN;
			p.payload = 4;
			p.tag = flow << 8 | round;
			bed_send_on(&b, 0, queue_for(way, flow, service), &p);
		}
		bed_run(&b);
		backends_look(&b, way, out);
		bed_run(&b);
		clients_look(&b, out);
	}
	CU_ASSERT_EQUAL(astray(&b) > 0, way == ANYHOW);
	out->dropped = bed_dropped_all(&b, 0) + bed_dropped_all(&b, 1);
	bed_stop(&b);
}

static void ways_are_equal(void)
{
	static struct outcome by[3];

	for (int way = DISPATCHER; way <= ANYHOW; way++)
		traffic(way, &by[way]);
	for (uint32_t flow = 0; flow < FLOWS; flow++) {
		CU_ASSERT_EQUAL(by[DISPATCHER].to_backend[flow], 5);
		CU_ASSERT_EQUAL(by[DISPATCHER].to_client[flow], flow & 1 ? 0 : 5);
	}
	CU_ASSERT_EQUAL(memcmp(&by[DEVICE], &by[DISPATCHER], sizeof(by[0])), 0);
	CU_ASSERT_EQUAL(memcmp(&by[ANYHOW], &by[DISPATCHER], sizeof(by[0])), 0);
	CU_ASSERT_EQUAL(by[DISPATCHER].dropped, 0);
}

static const struct tap_case cases[] = {
	{ "a queue of the worker's core needs nobody else", owner_receives },
	{ "a packet that was steered wrongly is handed on, and counted", others_hand_on },
	{ "arrivals are counted by port, end and core", arrivals_are_by_port },
	{ "what is no service's goes to the kernel by core 0", foreign_goes_to_the_kernel },
	{ "a full way to core 0 is a reason to drop", a_full_way_is_a_reason },
	{ "queues can be taken away", queues_go },
	{ "dispatcher, device, and anyhow: the same comes out, in order", ways_are_equal },
};

TAP_MAIN("steer", cases)
