/* SPDX-License-Identifier: BSD-3-Clause */

/* Ports whose kernel traffic comes through Weir: two rings between core 0 and whoever serves the kernel. */

#include "dataplane/net/packet.h"
#include "tests/unit/fastpath/pipeline_bed.h"
#include "tests/unit/tap.h"

#include <rte_ring.h>

#include <stdlib.h>
#include <string.h>

#define RING_SIZE 8u

static const char *const client = "198.51.100.7";
static const char *const service = "203.0.113.10";

static void start(struct bed *b, uint32_t cores, uint16_t tx_queues)
{
	bed_start(b, cores, tx_queues);
	for (uint32_t i = 0; i < BED_PORTS; i++) {
		b->port[i].port.kind = WEIR_PORT_PCI;
		b->port[i].port.to_kernel = bed_kernel_ring(RING_SIZE);
		b->port[i].port.from_kernel = bed_kernel_ring(RING_SIZE);
	}
	bed_add_service(b, "web", WEIR_MODE_NAT, 6, service, 80);
	bed_add_backend(b, 0, "10.0.0.11", 8080);
	bed_apply(b);
}

static void stop(struct bed *b)
{
	struct rte_ring *rings[2 * BED_PORTS];

	for (uint32_t i = 0; i < BED_PORTS; i++) {
		rings[2 * i] = b->port[i].port.to_kernel;
		rings[2 * i + 1] = b->port[i].port.from_kernel;
	}
	for (uint32_t i = 0; i < 2 * BED_PORTS; i++) {
		void *m;

		while (rte_ring_dequeue(rings[i], &m) == 0)
			rte_pktmbuf_free(m);
	}
	bed_stop(b);
	for (uint32_t i = 0; i < 2 * BED_PORTS; i++)
		free(rings[i]);
}

static uint64_t to_kernel(const struct bed *b, uint8_t port)
{
	return bed_core(b, 0)->port[port].packets_to_kernel;
}

static void foreign_packets_reach_the_kernel(void)
{
	struct bed b;
	struct bed_packet p = bed_client(client, 1000, service, 81);
	struct bed_packet out;
	uint8_t arp[60] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 8, 6 };
	bool found = false;
	void *m;

	start(&b, 1, 1);
	bed_send(&b, 0, &p);
	bed_send_bytes(&b, 0, arp, sizeof(arp));
	p.dport = 80;
	CU_ASSERT(bed_exchange(&b, 0, &p, &out));
	CU_ASSERT_EQUAL(rte_ring_count(b.port[0].port.to_kernel), 2);
	CU_ASSERT_EQUAL(rte_ring_count(b.port[1].port.to_kernel), 0);
	CU_ASSERT_EQUAL(to_kernel(&b, 0), 2);
	while (rte_ring_dequeue(b.port[0].port.to_kernel, &m) == 0) {
		found |= rte_pktmbuf_pkt_len((struct rte_mbuf *)m) == sizeof(arp) &&
			memcmp(rte_pktmbuf_mtod((struct rte_mbuf *)m, void *), arp, sizeof(arp)) ==
				0;
		rte_pktmbuf_free(m);
	}
	CU_ASSERT(found);
	stop(&b);
}

static void kernel_that_is_behind_loses_its_own(void)
{
	struct bed b;
	struct bed_packet p = bed_client(client, 1000, service, 81);
	struct bed_packet out;

	start(&b, 1, 1);
	for (uint32_t i = 0; i < 3 * RING_SIZE; i++)
		bed_send(&b, 0, &p);
	bed_run(&b);
	CU_ASSERT_EQUAL(to_kernel(&b, 0), RING_SIZE - 1);
	CU_ASSERT_EQUAL(bed_core(&b, 0)->port[0].dropped[WEIR_DROP_KERNEL_FULL],
		3 * RING_SIZE - (RING_SIZE - 1));
	p.dport = 80;
	CU_ASSERT(bed_exchange(&b, 0, &p, &out));
	CU_ASSERT_EQUAL(bed_dropped_all(&b, 0), 0);
	stop(&b);
}

/* What the kernel got it gives back, to be sent by the port that it came by. */
static void kernel_answers(struct bed *b, uint8_t port)
{
	void *m;

	while (rte_ring_dequeue(b->port[port].port.to_kernel, &m) == 0) {
		struct packet *p = packet_of(m);

		packet_reset(p, b->now, port, rte_pktmbuf_pkt_len((struct rte_mbuf *)m));
		p->flags = PACKET_F_ORIGINATED;
		p->port_out = port;
		CU_ASSERT_EQUAL(rte_ring_enqueue(b->port[port].port.from_kernel, m), 0);
	}
	bed_run(b);
}

static void kernels_packets_are_sent(uint32_t cores, uint16_t tx_queues)
{
	struct bed b;
	struct bed_packet p = bed_client(client, 1000, service, 81);
	struct bed_packet out;

	start(&b, cores, tx_queues);
	for (uint8_t port = 0; port < BED_PORTS; port++) {
		for (uint32_t i = 0; i < 3; i++)
			bed_send(&b, port, &p);
		bed_run(&b);
		kernel_answers(&b, port);
		CU_ASSERT_EQUAL(bed_discard(&b, port), 3);
		CU_ASSERT_EQUAL(bed_core(&b, 0)->port[port].originated, 3);
	}
	/* And services go on beside. */
	p.dport = 80;
	CU_ASSERT(bed_exchange(&b, 0, &p, &out));
	CU_ASSERT_EQUAL(out.port, 1);
	stop(&b);
}

static void kernels_packets_are_sent_by_one_core(void)
{
	kernels_packets_are_sent(1, 1);
}

static void kernels_packets_are_sent_by_the_dispatcher(void)
{
	kernels_packets_are_sent(3, 4); /* a queue for it, too */
	kernels_packets_are_sent(3, 3);
	kernels_packets_are_sent(
		3, 2); /* a queue for each worker, but none for it: all by its own */
	kernels_packets_are_sent(3, 1);
}

static void port_without_link_drops_the_kernels(void)
{
	struct bed b;
	struct bed_packet p = bed_client(client, 1000, service, 81);

	start(&b, 1, 1);
	bed_send(&b, 0, &p);
	bed_run(&b);
	b.port[0].port.up = false;
	kernel_answers(&b, 0);
	CU_ASSERT_EQUAL(bed_discard(&b, 0), 0);
	CU_ASSERT_EQUAL(bed_core(&b, 0)->port[0].originated_dropped, 1);
	stop(&b);
}

static const struct tap_case cases[] = {
	{ "kernel: what is no service's reaches it, and what is does not",
		foreign_packets_reach_the_kernel },
	{ "kernel: one that is behind loses its own packets", kernel_that_is_behind_loses_its_own },
	{ "kernel: its packets are sent where one core does all",
		kernels_packets_are_sent_by_one_core },
	{ "kernel: its packets are sent by the dispatcher, however many queues there are",
		kernels_packets_are_sent_by_the_dispatcher },
	{ "kernel: its packets are dropped and counted while the link is down",
		port_without_link_drops_the_kernels },
};

TAP_MAIN("fast path: kernel", cases)
