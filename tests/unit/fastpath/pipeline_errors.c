/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What the fast path says itself (too big, time exceeded), and what it does with fragments and errors on
 * several cores and while ports and queues come and go. What comes out byte for byte of fragments and
 * of errors about flows is in tests/replay.
 */

#include "dataplane/net/checksum.h"
#include "dataplane/stage/stage.h"
#include "dataplane/table/fragment_table.h"
#include "tests/unit/fastpath/net_frames.h"
#include "tests/unit/fastpath/pipeline_bed.h"
#include "tests/unit/tap.h"

#define SMALL_MTU 1300u

static const char *const client[2] = { "198.51.100.7", "2001:db8:1::7" };
static const char *const service[2] = { "203.0.113.10", "2001:db8::10" };
static const char *const backend[2] = { "10.0.0.11", "fd00::11" };

static void start(struct bed *b, uint32_t cores, uint8_t mode, uint8_t protocol)
{
	bed_start(b, cores, 4);
	for (uint32_t ipv6 = 0; ipv6 < 2; ipv6++) {
		bed_add_service(b, ipv6 ? "six" : "four", mode, protocol, service[ipv6], 80);
		bed_add_backend(b, ipv6, backend[ipv6], mode == WEIR_MODE_NAT ? 8080 : 80);
	}
	bed_apply(b);
}

static uint64_t port_sum(const struct bed *b, size_t word)
{
	uint64_t sum = 0;

	for (uint32_t core = 0; core < b->core_count; core++)
		for (uint32_t port = 0; port < BED_PORTS; port++)
			sum += ((const uint64_t *)&bed_core(b, core)->port[port])[word];
	return sum;
}

#define PORT_SUM(b, field) port_sum(b, offsetof(struct weir_port_cell, field) / sizeof(uint64_t))

/*
 * The error in `port`'s queue is about `about` (a whole frame as it was sent), goes to where that came
 * from, and has right checksums. mtu 0: time exceeded.
 */
static void expect_error(
	struct bed *b, uint8_t port, const uint8_t *about, uint32_t length, uint32_t mtu, bool ipv6)
{
	uint8_t frame[2048];
	uint32_t got = bed_receive_bytes(b, port, frame);
	uint32_t header = ipv6 ? 40 : 20;
	const uint8_t *l3 = frame + 14, *icmp = l3 + header;
	uint32_t message = got - 14 - header;
	uint32_t sum = 0;

	CU_ASSERT_FATAL(got > 14 + header + 8);
	CU_ASSERT(got - 14 <= (ipv6 ? 1280 : 576));
	CU_ASSERT_EQUAL(memcmp(frame, about + 6, 6), 0);
	CU_ASSERT_EQUAL(memcmp(frame + 6, b->port[port].port.mac, 6), 0);
	/* From the address that the packet went to, to that which it came from. */
	const uint32_t at = ipv6 ? 8 : 12, size = ipv6 ? 16 : 4;
	CU_ASSERT_EQUAL(memcmp(l3 + at, about + 14 + at + size, size), 0);
	CU_ASSERT_EQUAL(memcmp(l3 + at + size, about + 14 + at, size), 0);
	if (ipv6)
		sum = plain_sum(58 + message, l3 + 8, 32);
	else
		CU_ASSERT_EQUAL(plain_sum(0, l3, 20), 0xffff);
	CU_ASSERT_EQUAL(plain_sum(sum, icmp, message), 0xffff);
	if (mtu) {
		CU_ASSERT_EQUAL(icmp[0], ipv6 ? 2 : 3);
		CU_ASSERT_EQUAL(icmp[1], ipv6 ? 0 : 4);
	} else {
		CU_ASSERT_EQUAL(icmp[0], ipv6 ? 3 : 11);
	}
	CU_ASSERT_EQUAL(get16(icmp + 4), 0);
	CU_ASSERT_EQUAL(get16(icmp + 6), mtu);
	CU_ASSERT_FATAL(message - 8 <= length - 14);
	CU_ASSERT_EQUAL(memcmp(icmp + 8, about + 14, message - 8), 0);
}

static void too_big(uint8_t mode, bool ipv6, bool may_fragment)
{
	struct bed b;
	struct bed_packet p = bed_client(client[ipv6], 40000, service[ipv6], 80), to, back;
	uint8_t frame[2048];
	uint32_t length;

	start(&b, 1, mode, 6);
	CU_ASSERT_TRUE_FATAL(bed_exchange(&b, 0, &p, &to));
	b.port[0].port.mtu = SMALL_MTU;
	b.port[1].port.mtu = SMALL_MTU;
	p.tcp_flags = BED_ACK;
	/* As large as it may be, and one more. */
	p.payload = (uint16_t)(SMALL_MTU - 20 - (ipv6 ? 40 : 20));
	CU_ASSERT_TRUE_FATAL(bed_exchange(&b, 0, &p, &back));
	p.payload++;
	length = bed_frame(&b, 0, &p, frame);
	if (may_fragment) {
		frame[14 + 6] = 0;
		put16(frame + 14 + 10, 0);
		put16(frame + 14 + 10, ~plain_sum(0, frame + 14, 20) & 0xffff);
	}
	bed_send_bytes(&b, 0, frame, length);
	bed_run(&b);
	expect_error(&b, 0, frame, length, SMALL_MTU, ipv6);
	CU_ASSERT_EQUAL(bed_dropped(&b, ipv6, WEIR_DROP_TOO_BIG), 1);
	if (mode == WEIR_MODE_NAT) {
		back = bed_reply(&to, BED_ACK, p.payload);
		length = bed_frame(&b, 1, &back, frame);
		bed_send_bytes(&b, 1, frame, length);
		bed_run(&b);
		expect_error(&b, 1, frame, length, SMALL_MTU, ipv6);
		CU_ASSERT_EQUAL(bed_dropped(&b, ipv6, WEIR_DROP_TOO_BIG), 2);
	}
	CU_ASSERT_EQUAL(PORT_SUM(&b, originated), mode == WEIR_MODE_NAT ? 2 : 1);
	bed_stop(&b);
}

static void too_big_nat(void)
{
	too_big(WEIR_MODE_NAT, false, false);
	too_big(WEIR_MODE_NAT, true, false);
}

static void too_big_dsr(void)
{
	too_big(WEIR_MODE_DSR, false, false);
	too_big(WEIR_MODE_DSR, true, false);
}

static void too_big_without_df(void)
{
	too_big(WEIR_MODE_NAT, false, true);
	too_big(WEIR_MODE_DSR, false, true);
}

/* The outer headers count: the sender is told what goes inside, and gets its own packet quoted. */
static void too_big_tunnel(uint8_t mode, uint32_t overhead, bool ipv6)
{
	struct bed b;
	struct bed_packet p = bed_client(client[ipv6], 40000, service[ipv6], 80);
	const uint32_t most = SMALL_MTU - overhead;
	uint8_t frame[2048], outer[2048];
	uint32_t length;

	start(&b, 1, mode, 6);
	b.port[0].port.mtu = SMALL_MTU;
	b.port[1].port.mtu = SMALL_MTU;
	p.tcp_flags = BED_ACK;
	p.payload = (uint16_t)(most - 20 - (ipv6 ? 40 : 20));
	length = bed_frame(&b, 0, &p, frame);
	bed_send_bytes(&b, 0, frame, length);
	bed_run(&b);
	CU_ASSERT_EQUAL(bed_receive_bytes(&b, 1, outer), 14 + SMALL_MTU);
	CU_ASSERT_EQUAL(memcmp(outer + length + overhead - p.payload, frame + length - p.payload,
				p.payload),
		0);
	p.payload++;
	length = bed_frame(&b, 0, &p, frame);
	bed_send_bytes(&b, 0, frame, length);
	bed_run(&b);
	expect_error(&b, 0, frame, length, most, ipv6);
	CU_ASSERT_EQUAL(bed_dropped(&b, ipv6, WEIR_DROP_TOO_BIG), 1);
	bed_stop(&b);
}

/* A driver that leaves no room in front: nothing else to do with the packet, but it is counted. */
static void no_headroom(void)
{
	struct bed b;
	struct bed_packet p = bed_client(client[0], 40000, service[0], 80);
	struct rte_mbuf *m;

	start(&b, 1, WEIR_MODE_IPIP, 6);
	bed_send(&b, 0, &p);
	m = b.port[0].in[0].pkts[b.port[0].in[0].head];
	memmove(m->buf_addr, rte_pktmbuf_mtod(m, void *), m->data_len);
	m->data_off = 0;
	bed_run(&b);
	CU_ASSERT_EQUAL(bed_discard(&b, 1), 0);
	CU_ASSERT_EQUAL(bed_dropped(&b, 0, WEIR_DROP_NO_HEADROOM), 1);
	bed_stop(&b);
}

static void too_big_ipip(void)
{
	too_big_tunnel(WEIR_MODE_IPIP, 20, false);
	too_big_tunnel(WEIR_MODE_IPIP, 40, true);
}

static void too_big_gue(void)
{
	too_big_tunnel(WEIR_MODE_GUE, 32, false);
	too_big_tunnel(WEIR_MODE_GUE, 52, true);
}

/* Core 0 only dispatches and has no queue to send by: the answers come from the workers. */
static void answers_of_several_cores(void)
{
	struct bed b;
	uint8_t frame[2048];

	start(&b, 3, WEIR_MODE_NAT, 6);
	for (uint16_t i = 0; i < 40; i++) {
		bool ipv6 = i & 1;
		struct bed_packet p =
			bed_client(client[ipv6], (uint16_t)(2000 + i), service[ipv6], 80);

		p.ttl = 1;
		p.payload = i;
		uint32_t length = bed_frame(&b, 0, &p, frame);

		bed_send_bytes(&b, 0, frame, length);
		bed_run(&b);
		expect_error(&b, 0, frame, length, 0, ipv6);
	}
	CU_ASSERT_EQUAL(PORT_SUM(&b, originated), 40);
	bed_stop(&b);
}

static void answers_are_limited(void)
{
	struct bed b;
	struct bed_packet p = bed_client(client[0], 40000, service[0], 80), to;

	start(&b, 1, WEIR_MODE_NAT, 6);
	for (uint32_t i = 0; i < 1000; i++) {
		p.ttl = 1;
		bed_send(&b, 0, &p);
		if (i % 32 == 31)
			bed_run(&b);
	}
	bed_run(&b);
	CU_ASSERT_EQUAL(bed_dropped(&b, 0, WEIR_DROP_TTL_EXPIRED), 1000);
	CU_ASSERT_EQUAL(bed_discard(&b, 0), STAGE_MADE_PER_SECOND / 10);
	/* Another kind has a limit of its own. */
	p.ttl = 64;
	CU_ASSERT_TRUE(bed_exchange(&b, 0, &p, &to));
	b.port[1].port.mtu = 100;
	p.payload = 200;
	bed_send(&b, 0, &p);
	bed_run(&b);
	CU_ASSERT_EQUAL(bed_discard(&b, 0), 1);
	b.now += BED_SECOND / 100;
	p.ttl = 1;
	for (uint32_t i = 0; i < 100; i++)
		bed_send(&b, 0, &p);
	bed_run(&b);
	CU_ASSERT_EQUAL(bed_discard(&b, 0), STAGE_MADE_PER_SECOND / 100);
	bed_stop(&b);
}

/* An answer that the device does not take was never received: it is in no drop counter. */
static void answers_may_be_lost(void)
{
	struct bed b;
	struct bed_packet p = bed_client(client[0], 40000, service[0], 80);

	start(&b, 1, WEIR_MODE_NAT, 6);
	b.port[0].port.up = false;
	p.ttl = 1;
	bed_send(&b, 0, &p);
	bed_run(&b);
	CU_ASSERT_EQUAL(bed_discard(&b, 0), 0);
	CU_ASSERT_EQUAL(PORT_SUM(&b, originated), 0);
	CU_ASSERT_EQUAL(PORT_SUM(&b, originated_dropped), 1);
	CU_ASSERT_EQUAL(bed_dropped_all(&b, 0), 1);
	bed_stop(&b);
}

/* Cut a UDP frame in two; returns the length of the part. */
static uint32_t cut(const uint8_t *whole, uint32_t length, bool later, uint8_t *ret_frame)
{
	const uint32_t at = 14 + 20 + 64;
	uint32_t bytes = later ? length - at : 64;

	memcpy(ret_frame, whole, 34);
	memcpy(ret_frame + 34, whole + (later ? at : 34), bytes);
	put16(ret_frame + 14 + 2, 20 + bytes);
	put16(ret_frame + 14 + 6, later ? 8 : 0x2000);
	put16(ret_frame + 14 + 10, 0);
	put16(ret_frame + 14 + 10, ~plain_sum(0, ret_frame + 14, 20) & 0xffff);
	return 34 + bytes;
}

static void send_part(struct bed *b, uint16_t sport, uint16_t id, bool later)
{
	struct bed_packet p = bed_client(client[0], sport, service[0], 80);
	uint8_t whole[2048], part[2048];

	p.protocol = 17;
	p.payload = 200;
	uint32_t length = bed_frame(b, 0, &p, whole);

	put16(whole + 14 + 4, id);
	length = cut(whole, length, later, part);
	bed_send_bytes(b, 0, part, length);
}

/* Each first fragment is followed by its later one, however they came, on whatever core. */
static void fragments_over_cores(void)
{
	struct bed b;
	uint8_t frame[2048];
	uint32_t later_ones = 0;

	start(&b, 4, WEIR_MODE_NAT, 17);
	for (uint16_t i = 0; i < 60; i++) {
		send_part(&b, (uint16_t)(2000 + i), i, i & 1);
		send_part(&b, (uint16_t)(2000 + i), i, !(i & 1));
	}
	bed_run(&b);
	CU_ASSERT_EQUAL(bed_sum(&b, 0, packets_received), 120);
	CU_ASSERT_EQUAL(bed_sum(&b, 0, new_flows), 60);
	CU_ASSERT_EQUAL(bed_dropped_all(&b, 0), 0);
	while (bed_receive_bytes(&b, 1, frame)) {
		CU_ASSERT_EQUAL(plain_sum(0, frame + 14, 20), 0xffff);
		CU_ASSERT_EQUAL(memcmp(frame + 14 + 16, "\x0a\x00\x00\x0b", 4), 0);
		later_ones += get16(frame + 14 + 6) == 8;
	}
	CU_ASSERT_EQUAL(later_ones, 60);
	bed_stop(&b);
}

static void held_fragments_end(void)
{
	struct bed b;

	/* Their time is over: counted for the service, although nothing comes any more. */
	start(&b, 1, WEIR_MODE_NAT, 17);
	send_part(&b, 2000, 1, true);
	bed_run(&b);
	CU_ASSERT_EQUAL(bed_sum(&b, 0, packets_received), 0);
	b.now += BED_MS * FRAGMENT_HOLD_MS;
	bed_run(&b);
	CU_ASSERT_EQUAL(bed_sum(&b, 0, packets_received), 1);
	CU_ASSERT_EQUAL(bed_dropped(&b, 0, WEIR_DROP_FRAGMENT), 1);
	/* The port that they came by goes away. */
	send_part(&b, 2000, 2, true);
	bed_run(&b);
	b.absent = 1;
	bed_apply(&b);
	bed_run(&b);
	CU_ASSERT_EQUAL(bed_dropped(&b, 0, WEIR_DROP_FRAGMENT), 2);
	b.absent = 0;
	bed_apply(&b);
	/* The service goes away: nobody's any more. */
	send_part(&b, 2000, 3, true);
	bed_run(&b);
	b.service_count = 0;
	bed_apply(&b);
	send_part(&b, 2000, 3, false);
	b.now += BED_MS * FRAGMENT_HOLD_MS;
	bed_run(&b);
	CU_ASSERT_EQUAL(bed_core(&b, 0)->port[0].dropped[WEIR_DROP_FRAGMENT], 1);
	CU_ASSERT_EQUAL(bed_core(&b, 0)->port[0].dropped[WEIR_DROP_NO_SERVICE], 1);
	/* bed_stop(): what is still held is counted as queued, and given back. */
	bed_stop(&b);
	start(&b, 1, WEIR_MODE_NAT, 17);
	send_part(&b, 2000, 1, true);
	bed_run(&b);
	bed_stop(&b);
}

/* A router says of what the service sent to a client's port that it does not get there. */
static void send_unreachable(struct bed *b, uint16_t client_port)
{
	struct bed_packet p = bed_client(service[0], 80, client[0], client_port);
	uint8_t quoted[2048], frame[14 + 20 + 8 + 28] = { 0 };
	uint8_t *ip = frame + 14;

	p.protocol = 17;
	bed_frame(b, 0, &p, quoted);
	memcpy(frame, quoted, 14);
	ip[0] = 0x45;
	put16(ip + 2, sizeof(frame) - 14);
	ip[8] = 64;
	ip[9] = 1;
	memcpy(ip + 12, "\xc0\x00\x02\x21", 4);
	memcpy(ip + 16, quoted + 14 + 12, 4);
	put16(ip + 10, ~plain_sum(0, ip, 20) & 0xffff);
	ip[20] = 3;
	memcpy(ip + 28, quoted + 14, 28);
	put16(ip + 22, ~plain_sum(0, ip + 20, 36) & 0xffff);
	bed_send_bytes(b, 0, frame, sizeof(frame));
}

/* dsr, where a flow has no entry: to the backend that its packets would go to. */
static void errors_keep_to_affinity(void)
{
	struct bed b;
	struct bed_packet p = bed_client(client[0], 40000, service[0], 80), to;
	uint8_t frame[2048];

	bed_start(&b, 1, 4);
	bed_add_service(&b, "four", WEIR_MODE_DSR, 17, service[0], 80);
	b.service[0].affinity_places = WEIR_AFFINITY_MIN_PLACES;
	b.service[0].affinity_prefix = 32;
	b.service[0].affinity_timeout_ns = 600 * BED_SECOND;
	bed_add_backend(&b, 0, "10.0.0.11", 80);
	bed_add_backend(&b, 0, "10.0.0.12", 80);
	bed_apply(&b);
	p.protocol = 17;
	CU_ASSERT_TRUE_FATAL(bed_exchange(&b, 0, &p, &to));
	for (uint16_t port = 1000; port < 1032; port++) {
		send_unreachable(&b, port);
		bed_run(&b);
		CU_ASSERT_FATAL(bed_receive_bytes(&b, 1, frame) != 0);
		CU_ASSERT_EQUAL(memcmp(frame, to.dmac, 6), 0);
	}
	bed_stop(&b);
}

static const struct tap_case cases[] = {
	{ "nat: what is too big is answered with the MTU, both ways", too_big_nat },
	{ "dsr: what is too big is answered with the MTU", too_big_dsr },
	{ "ipip: what fits is less by the outer header", too_big_ipip },
	{ "gue: what fits is less by the outer headers", too_big_gue },
	{ "ipip: a packet with no room in front is dropped and counted", no_headroom },
	{ "IPv4 without don't-fragment is answered too", too_big_without_df },
	{ "workers answer for a core that only dispatches", answers_of_several_cores },
	{ "answers are limited by kind", answers_are_limited },
	{ "answers that cannot be sent are no drops of packets", answers_may_be_lost },
	{ "dsr: errors about flows without an entry keep to affinity", errors_keep_to_affinity },
	{ "fragments find their datagram's worker, in any order", fragments_over_cores },
	{ "held fragments end with their time, their port, the data plane", held_fragments_end },
};

TAP_MAIN("errors", cases)
