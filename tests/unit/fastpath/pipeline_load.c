/* SPDX-License-Identifier: BSD-3-Clause */

/* What is in flight at backends, and caps, spilling and shedding by it. */

#include "dataplane/core/core.h"
#include "dataplane/service/directive.h"
#include "tests/unit/fastpath/pipeline_direct.h"
#include "tests/unit/tap.h"

#include <string.h>

static void start_mode(struct bed *b, uint32_t cores, uint16_t workers, uint32_t backends,
	uint8_t mode, uint8_t protocol)
{
	char address[16];

	bed_start(b, cores, (uint16_t)(cores > 1 ? 4 : 1));
	bed_add_service(b, "web", mode, protocol, DIRECT_SERVICE, 80)->cores = workers;
	for (uint32_t i = 0; i < backends; i++) {
		snprintf(address, sizeof(address), "10.0.0.%u", 11 + i);
		bed_add_backend(b, 0, address, 80);
	}
	bed_apply(b);
}

static void start(struct bed *b, uint32_t cores, uint16_t workers, uint32_t backends)
{
	start_mode(b, cores, workers, backends, WEIR_MODE_NAT, 6);
}

#define SUM(b, backend, field) \
	sum_of(b, backend, offsetof(struct weir_backend_cell, field) / sizeof(uint64_t))

static uint64_t sum_of(const struct bed *b, uint32_t backend, size_t word)
{
	uint64_t sum = 0;

	for (uint32_t core = b->core_count > 1; core < b->core_count; core++)
		if (b->telemetry->service[0].backend_cell_offset[core])
			sum += ((const uint64_t *)(const void *)bed_backend_cell(
				b, core, 0, backend))[word];
	return sum;
}

static uint64_t flying(const struct bed *b, uint32_t backends)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < backends; i++)
		sum += SUM(b, i, in_flight);
	return sum;
}

static struct bed_packet client(uint16_t port)
{
	return bed_client("198.51.100.7", port, DIRECT_SERVICE, 80);
}

/* Send, and see whether it reached a backend; to: as it did. */
static bool reaches(struct bed *b, const struct bed_packet *p, struct bed_packet *ret_to)
{
	bed_send(b, 0, p);
	bed_run(b);
	return bed_receive(b, 1, ret_to);
}

static void tcp_in_nat(void)
{
	struct bed_packet p = client(1000), to, back, out;
	struct bed b;

	start(&b, 1, 1, 1);
	CU_ASSERT_TRUE_FATAL(bed_exchange(&b, 0, &p, &to));
	CU_ASSERT_EQUAL(SUM(&b, 0, in_flight), 1); /* the SYN */
	CU_ASSERT_EQUAL(SUM(&b, 0, syn_sent), 1);
	CU_ASSERT_TRUE(bed_exchange(&b, 0, &p, &out)); /* again: the same flow */
	CU_ASSERT_EQUAL(SUM(&b, 0, in_flight), 1);
	back = bed_reply(&to, BED_SYN | BED_ACK, 0);
	CU_ASSERT_TRUE(bed_exchange(&b, 1, &back, &out));
	CU_ASSERT_EQUAL(SUM(&b, 0, in_flight), 0);
	p.tcp_flags = BED_ACK;
	CU_ASSERT_TRUE(bed_exchange(&b, 0, &p, &out));
	CU_ASSERT_EQUAL(SUM(&b, 0, in_flight), 0);
	for (uint32_t request = 1; request <= 3; request++) {
		p.tcp_flags = BED_ACK | BED_PSH;
		p.payload = 10;
		for (uint32_t i = 0; i < 3; i++) {
			CU_ASSERT_TRUE(bed_exchange(&b, 0, &p, &out));
			CU_ASSERT_EQUAL(SUM(&b, 0, in_flight), 1);
		}
		CU_ASSERT_EQUAL(SUM(&b, 0, requests), request);
		back = bed_reply(&to, BED_ACK, 0); /* it has them, and has not answered */
		CU_ASSERT_TRUE(bed_exchange(&b, 1, &back, &out));
		CU_ASSERT_EQUAL(SUM(&b, 0, in_flight), 1);
		back = bed_reply(&to, BED_ACK | BED_PSH, 100);
		for (uint32_t i = 0; i < 3; i++)
			CU_ASSERT_TRUE(bed_exchange(&b, 1, &back, &out));
		CU_ASSERT_EQUAL(SUM(&b, 0, in_flight), 0);
		CU_ASSERT_EQUAL(SUM(&b, 0, first_byte.count), request);
	}
	CU_ASSERT_EQUAL(SUM(&b, 0, in_flight_peak), 1);
	CU_ASSERT_EQUAL(bed_sum(&b, 0, offered), 1);
	bed_stop(&b);
}

/* Nobody else, one other, two: each request is counted by what it found, with its own time. */
static void found_by_requests(void)
{
	struct bed_packet to[3], p, back, out;
	struct direct d;
	struct bed b;

	start(&b, 1, 1, 1);
	direct_begin(&d, &b);
	d.header.flags = WEIR_DIRECTIVE_F_SPILL;
	CU_ASSERT_EQUAL(direct_send(&d, &b), 0);
	for (uint16_t i = 0; i < 3; i++) {
		p = client((uint16_t)(1000 + i));
		CU_ASSERT_TRUE_FATAL(bed_exchange(&b, 0, &p, &to[i]));
		back = bed_reply(&to[i], BED_SYN | BED_ACK, 0);
		CU_ASSERT_TRUE(bed_exchange(&b, 1, &back, &out));
	}
	for (uint16_t i = 0; i < 3; i++, b.now += 10 * BED_MS) {
		p = client((uint16_t)(1000 + i));
		p.tcp_flags = BED_ACK | BED_PSH;
		p.payload = 10;
		CU_ASSERT_TRUE(bed_exchange(&b, 0, &p, &out));
	}
	for (uint16_t i = 0; i < 3; i++) {
		back = bed_reply(&to[i], BED_ACK | BED_PSH, 100);
		CU_ASSERT_TRUE(bed_exchange(&b, 1, &back, &out));
	}
	const struct weir_backend_cell *cell = bed_backend_cell(&b, 0, 0, 0);
	uint64_t used = 0;

	for (uint64_t i = cell->first_byte_from; i < cell->first_byte_to; i++)
		used += cell->first_byte.bucket[i];
	CU_ASSERT_EQUAL(used, 3);
	CU_ASSERT_NOT_EQUAL(cell->first_byte.bucket[cell->first_byte_from], 0);
	CU_ASSERT_NOT_EQUAL(cell->first_byte.bucket[cell->first_byte_to - 1], 0);
	for (uint32_t i = 0; i < 3; i++) {
		const struct weir_found *found = &cell->found;

		CU_ASSERT_EQUAL(found->count[i], 1);
		CU_ASSERT_DOUBLE_EQUAL((double)found->sum_ns[i] / 1e6, 30.0 - 10 * i, 0.1);
	}
	bed_stop(&b);
}

/* A flow with a request that is not answered; to: as the backend has it. */
static void ask(struct bed *b, uint16_t port, struct bed_packet *ret_to)
{
	struct bed_packet p = client(port), back, out;

	CU_ASSERT_TRUE_FATAL(bed_exchange(b, 0, &p, ret_to));
	back = bed_reply(ret_to, BED_SYN | BED_ACK, 0);
	CU_ASSERT_TRUE(bed_exchange(b, 1, &back, &out));
	p.tcp_flags = BED_ACK | BED_PSH;
	p.payload = 10;
	CU_ASSERT_TRUE(bed_exchange(b, 0, &p, &out));
}

static void ends_of_tcp(void)
{
	struct bed_packet p, to, back, out;
	struct bed b;

	start(&b, 1, 1, 1);
	ask(&b, 1000, &to); /* the backend resets */
	back = bed_reply(&to, BED_RST, 0);
	CU_ASSERT_TRUE(bed_exchange(&b, 1, &back, &out));
	CU_ASSERT_EQUAL(SUM(&b, 0, in_flight), 0);
	CU_ASSERT_EQUAL(SUM(&b, 0, resets), 1);
	ask(&b, 1001, &to); /* the client does */
	p = client(1001);
	p.tcp_flags = BED_RST;
	CU_ASSERT_TRUE(bed_exchange(&b, 0, &p, &out));
	CU_ASSERT_EQUAL(SUM(&b, 0, in_flight), 0);
	CU_ASSERT_EQUAL(SUM(&b, 0, resets), 1);
	ask(&b, 1002, &to); /* the client has sent all, and waits */
	p = client(1002);
	p.tcp_flags = BED_FIN | BED_ACK;
	CU_ASSERT_TRUE(bed_exchange(&b, 0, &p, &out));
	CU_ASSERT_EQUAL(SUM(&b, 0, in_flight), 1);
	back = bed_reply(&to, BED_FIN | BED_ACK, 0); /* in vain */
	CU_ASSERT_TRUE(bed_exchange(&b, 1, &back, &out));
	CU_ASSERT_EQUAL(SUM(&b, 0, in_flight), 0);
	ask(&b, 1003, &to); /* the backend closes first, without an answer */
	back = bed_reply(&to, BED_FIN | BED_ACK, 0);
	CU_ASSERT_TRUE(bed_exchange(&b, 1, &back, &out));
	CU_ASSERT_EQUAL(SUM(&b, 0, in_flight), 0);
	/* Silence: until the flow is given up. */
	p = client(1004);
	CU_ASSERT_TRUE(bed_exchange(&b, 0, &p, &out));
	ask(&b, 1005, &to);
	CU_ASSERT_EQUAL(SUM(&b, 0, in_flight), 2);
	b.now += 20 * BED_SECOND;
	fastpath_age(b.fp, b.now);
	CU_ASSERT_EQUAL(SUM(&b, 0, in_flight), 1);
	b.now += 1000 * BED_SECOND;
	fastpath_age(b.fp, b.now);
	CU_ASSERT_EQUAL(SUM(&b, 0, in_flight), 0);
	bed_stop(&b);
}

/* What was in flight at a backend that goes down is in flight where its flows go. */
static void moves(void)
{
	struct bed_packet p = client(1000), to, out;
	uint32_t first;
	struct bed b;

	start(&b, 1, 1, 2);
	CU_ASSERT_TRUE_FATAL(bed_exchange(&b, 0, &p, &to));
	first = to.dst[15] - 11u;
	CU_ASSERT_EQUAL(SUM(&b, first, in_flight), 1);
	CU_ASSERT_EQUAL(bed_backend_state(&b, 0, first, WEIR_BACKEND_DOWN, 100), 0);
	CU_ASSERT_TRUE(bed_exchange(&b, 0, &p, &out));
	CU_ASSERT_EQUAL(SUM(&b, first, in_flight), 0);
	CU_ASSERT_EQUAL(SUM(&b, 1 - first, in_flight), 1);
	CU_ASSERT_EQUAL(SUM(&b, 1 - first, syn_sent), 1);
	bed_stop(&b);
}

static void udp_in_nat(void)
{
	struct bed_packet p = client(1000), to, back, out;
	struct bed b;

	start_mode(&b, 1, 1, 1, WEIR_MODE_NAT, 17);
	p.protocol = 17;
	p.payload = 10;
	CU_ASSERT_TRUE_FATAL(bed_exchange(&b, 0, &p, &to));
	CU_ASSERT_EQUAL(SUM(&b, 0, in_flight), 1);
	back = bed_reply(&to, 0, 100);
	CU_ASSERT_TRUE(bed_exchange(&b, 1, &back, &out));
	CU_ASSERT_EQUAL(SUM(&b, 0, in_flight), 0);
	CU_ASSERT_TRUE(bed_exchange(&b, 0, &p, &out));
	CU_ASSERT_TRUE(bed_exchange(&b, 0, &p, &out));
	CU_ASSERT_EQUAL(SUM(&b, 0, in_flight), 1);
	CU_ASSERT_EQUAL(SUM(&b, 0, requests), 2);
	/* Never answered: forgotten, and the next one counts again. */
	b.now += BED_SECOND;
	bed_run(&b);
	CU_ASSERT_EQUAL(SUM(&b, 0, in_flight), 1);
	b.now += BED_SECOND * 3 / 2;
	bed_run(&b);
	CU_ASSERT_EQUAL(SUM(&b, 0, in_flight), 0);
	CU_ASSERT_TRUE(bed_exchange(&b, 0, &p, &out));
	CU_ASSERT_EQUAL(SUM(&b, 0, in_flight), 1);
	CU_ASSERT_EQUAL(SUM(&b, 0, requests), 3);
	b.now += 10 * BED_SECOND;
	CU_ASSERT_TRUE(bed_exchange(&b, 1, &back, &out)); /* much too late */
	CU_ASSERT_EQUAL(SUM(&b, 0, in_flight), 0);
	/* Many at once, some answered, over more than all slices. */
	for (uint16_t i = 0; i < 400; i++, b.now += 10 * BED_MS) {
		p.sport = (uint16_t)(2000 + i);
		CU_ASSERT_TRUE(bed_exchange(&b, 0, &p, &to));
		back = bed_reply(&to, 0, 100);
		if (i % 4)
			CU_ASSERT_TRUE(bed_exchange(&b, 1, &back, &out));
	}
	CU_ASSERT_TRUE(flying(&b, 1) >= 47 && flying(&b, 1) <= 55); /* of the last 2.0 to 2.15 s */
	b.now += 300 * BED_SECOND;
	fastpath_age(b.fp, b.now);
	bed_run(&b);
	CU_ASSERT_EQUAL(SUM(&b, 0, in_flight), 0);
	bed_stop(&b);
}

static void dsr(void)
{
	struct bed_packet p = client(1000), out;
	struct bed b;

	start_mode(&b, 1, 1, 1, WEIR_MODE_DSR, 6);
	CU_ASSERT_TRUE(bed_exchange(&b, 0, &p, &out));
	p.tcp_flags = BED_ACK;
	CU_ASSERT_TRUE(bed_exchange(&b, 0, &p, &out));
	CU_ASSERT_EQUAL(SUM(&b, 0, in_flight), 1);
	p.tcp_flags = BED_FIN | BED_ACK;
	CU_ASSERT_TRUE(bed_exchange(&b, 0, &p, &out));
	CU_ASSERT_EQUAL(SUM(&b, 0, in_flight), 0);
	p.sport++; /* of no known flow, and ending: by hashing, without an entry */
	CU_ASSERT_TRUE(bed_exchange(&b, 0, &p, &out));
	CU_ASSERT_EQUAL(SUM(&b, 0, in_flight), 0);
	CU_ASSERT_EQUAL(bed_sum(&b, 0, stateless), 1);
	bed_stop(&b);
}

/* Caps of one: smaller than the number of workers, and than a burst. */
static void caps(uint32_t cores, uint16_t workers)
{
	struct bed_packet p, to, out;
	struct direct d;
	uint32_t passed = 0;
	uint32_t refused = 0;
	struct bed b;

	start(&b, cores, workers, 3);
	direct_begin(&d, &b);
	for (uint32_t i = 0; i < 3; i++)
		d.backend[i].cap = d.backend[i].cap_yellow = 1;
	CU_ASSERT_EQUAL(direct_send(&d, &b), 0);
	for (uint16_t i = 0; i < 60; i++) {
		p = client((uint16_t)(1000 + i));
		bed_send(&b, 0, &p);
	}
	bed_run(&b);
	while (bed_receive(&b, 1, &to))
		passed++;
	while (bed_receive(&b, 0, &out)) {
		refused++;
		CU_ASSERT_EQUAL(out.tcp_flags, BED_RST | BED_ACK);
		CU_ASSERT_EQUAL(out.sport, 80);
	}
	/* Nobody is refused before eight choices: one of them finds the last that has room. */
	CU_ASSERT_TRUE(passed >= 3 && passed <= 3u * workers);
	if (workers == 1 ||
		b.core_count > 1) /* stepped one by one: nobody places at the same moment */
		CU_ASSERT_TRUE(passed <= 3);
	CU_ASSERT_EQUAL(passed + refused, 60);
	CU_ASSERT_EQUAL(bed_dropped(&b, 0, WEIR_DROP_SHED), refused);
	CU_ASSERT_EQUAL(bed_sum(&b, 0, offered), 60);
	CU_ASSERT_EQUAL(flying(&b, 3), passed);
	bed_stop(&b);
}

static void caps_one_worker(void)
{
	caps(1, 1);
}

static void caps_four_workers(void)
{
	caps(5, 4);
}

/* Room comes back with each answer; known flows are never shed. */
static void room_comes_back(void)
{
	struct bed_packet p, to, back, out;
	struct direct d;
	struct bed b;

	start(&b, 1, 1, 1);
	direct_begin(&d, &b);
	d.backend[0].cap = d.backend[0].cap_yellow = 2;
	CU_ASSERT_EQUAL(direct_send(&d, &b), 0);
	CU_ASSERT_EQUAL(bed_backend_entry(&b, 0, 0)->cap, 2);
	ask(&b, 1000, &to);
	ask(&b, 1001, &out);
	p = client(1002);
	CU_ASSERT_FALSE(reaches(&b, &p, &out));
	CU_ASSERT_EQUAL(bed_discard(&b, 0), 1);
	p = client(1001);
	p.tcp_flags = BED_ACK | BED_PSH;
	p.payload = 10;
	CU_ASSERT_TRUE(reaches(&b, &p, &out));
	back = bed_reply(&to, BED_ACK | BED_PSH, 100);
	CU_ASSERT_TRUE(bed_exchange(&b, 1, &back, &out));
	p = client(1002);
	CU_ASSERT_TRUE(reaches(&b, &p, &out));
	p = client(1003);
	CU_ASSERT_FALSE(reaches(&b, &p, &out));
	bed_discard(&b, 0);
	/* A backend that is shut altogether; and no caps any more. */
	d.backend[0].cap = d.backend[0].cap_yellow = 0;
	CU_ASSERT_EQUAL(direct_send(&d, &b), 0);
	b.now += 20 * BED_SECOND;
	fastpath_age(b.fp, b.now);
	p = client(1004);
	CU_ASSERT_FALSE(reaches(&b, &p, &out));
	d.backend[0].cap = d.backend[0].cap_yellow = WEIR_NO_CAP;
	CU_ASSERT_EQUAL(direct_send(&d, &b), 0);
	CU_ASSERT_TRUE(reaches(&b, &p, &out));
	bed_stop(&b);
}

static void udp_is_shed(void)
{
	struct bed_packet p = client(1000), out;
	uint8_t frame[2048];
	struct direct d;
	struct bed b;

	start_mode(&b, 1, 1, 1, WEIR_MODE_NAT, 17);
	direct_begin(&d, &b);
	d.backend[0].cap = d.backend[0].cap_yellow = 1;
	CU_ASSERT_EQUAL(direct_send(&d, &b), 0);
	p.protocol = 17;
	p.payload = 10;
	CU_ASSERT_TRUE(reaches(&b, &p, &out));
	p.sport++;
	CU_ASSERT_FALSE(reaches(&b, &p, &out));
	CU_ASSERT_TRUE_FATAL(bed_receive_bytes(&b, 0, frame) > 36);
	CU_ASSERT_EQUAL(frame[14 + 20], 3); /* ICMP: unreachable */
	CU_ASSERT_EQUAL(frame[14 + 21], 3); /* the port */
	b.service[0].silent = 1;
	bed_apply(&b);
	CU_ASSERT_FALSE(reaches(&b, &p, &out));
	CU_ASSERT_EQUAL(bed_waiting(&b, 0), 0);
	CU_ASSERT_EQUAL(bed_dropped(&b, 0, WEIR_DROP_SHED), 2);
	bed_stop(&b);
}

/* One backend stands still while the others answer at once: it gets ever fewer new flows. */
static uint64_t stalled(uint32_t flags)
{
	struct bed_packet p, to, back, out;
	struct direct d;
	uint64_t got;
	struct bed b;

	start(&b, 1, 1, 10);
	direct_begin(&d, &b);
	d.header.flags = flags;
	CU_ASSERT_EQUAL(direct_send(&d, &b), 0);
	for (uint16_t i = 0; i < 1000; i++, b.now += BED_MS) {
		p = client((uint16_t)(1000 + i));
		CU_ASSERT_TRUE(reaches(&b, &p, &to));
		back = bed_reply(&to, BED_SYN | BED_ACK, 0);
		if (to.dst[15] != 11)
			CU_ASSERT_TRUE(bed_exchange(&b, 1, &back, &out));
		if (i % 10 == 0)
			fastpath_direct_tick(b.fp, b.now);
	}
	got = SUM(&b, 0, new_flows);
	CU_ASSERT_EQUAL(bed_sum(&b, 0, spilled) > 0, flags != 0);
	CU_ASSERT_EQUAL(bed_sum(&b, 0, new_flows), 1000);
	bed_stop(&b);
	return got;
}

static void spilling(void)
{
	CU_ASSERT_TRUE(stalled(0) > 80);
	CU_ASSERT_TRUE(stalled(WEIR_DIRECTIVE_F_SPILL) < 20);
}

/* Two more than 1.25 times what its weight makes its share of all in flight. */
static void shares_to_spill_from(void)
{
	static const uint16_t weights[] = { 200, 100, 100, 100 };
	static const uint32_t expected[] = { 2 + 20, 2 + 10, 2 + 10, 2 + 10 };
	const struct service_allowance *a;
	struct bed_packet p, out;
	struct direct d;
	struct bed b;

	start(&b, 1, 1, 4);
	for (uint32_t i = 0; i < 4; i++)
		b.backend[0][i].weight = weights[i];
	bed_apply(&b);
	for (uint16_t i = 0; i < 40; i++) {
		p = client((uint16_t)(1000 + i));
		CU_ASSERT_TRUE(reaches(&b, &p, &out));
	}
	CU_ASSERT_EQUAL(flying(&b, 4), 40);
	direct_begin(&d, &b);
	d.header.flags = WEIR_DIRECTIVE_F_SPILL;
	CU_ASSERT_EQUAL(direct_send(&d, &b), 0);
	a = fastpath_service(b.fp, "web")->directives->allowance;
	for (uint32_t i = 0; i < 4; i++)
		CU_ASSERT_EQUAL(a[i].spill, expected[i]);
	d.header.flags = 0;
	CU_ASSERT_EQUAL(direct_send(&d, &b), 0);
	for (uint32_t i = 0; i < 4; i++)
		CU_ASSERT_EQUAL(a[i].spill, WEIR_NO_CAP);
	bed_stop(&b);
}

/* One of two is full: that makes no refusal, though choices of a pool of two coincide. */
static void one_full_of_two(void)
{
	struct bed_packet p, out;
	uint32_t refused = 0;
	struct direct d;
	struct bed b;

	start(&b, 1, 1, 2);
	direct_begin(&d, &b);
	d.backend[0].cap = d.backend[0].cap_yellow = 0;
	CU_ASSERT_EQUAL(direct_send(&d, &b), 0);
	for (uint16_t i = 0; i < 500; i++) {
		p = client((uint16_t)(1000 + i));
		refused += !reaches(&b, &p, &out);
		bed_discard(&b, 0);
	}
	CU_ASSERT_TRUE(refused <= 8); /* one in 256; of three choices it would be one in eight */
	CU_ASSERT_EQUAL(SUM(&b, 0, new_flows), 0);
	bed_stop(&b);
}

static void affinity_does_not_spill(void)
{
	struct bed_packet p = client(1000), to, out;
	struct direct d;
	struct bed b;

	start(&b, 1, 1, 4);
	b.service[0].affinity_places = 1024;
	b.service[0].affinity_prefix = 32;
	b.service[0].affinity_timeout_ns = 60 * BED_SECOND;
	bed_apply(&b);
	direct_begin(&d, &b);
	for (uint32_t i = 0; i < 4; i++)
		d.backend[i].cap = d.backend[i].cap_yellow = 2;
	CU_ASSERT_EQUAL(direct_send(&d, &b), 0);
	CU_ASSERT_TRUE(reaches(&b, &p, &to));
	p.sport++;
	CU_ASSERT_TRUE(reaches(&b, &p, &out));
	CU_ASSERT_EQUAL(out.dst[15], to.dst[15]);
	p.sport++;
	CU_ASSERT_FALSE(reaches(&b, &p, &out));
	CU_ASSERT_EQUAL(bed_dropped(&b, 0, WEIR_DROP_SHED), 1);
	bed_stop(&b);
}

static const struct tap_case cases[] = {
	{ "nat, TCP: SYNs and requests are in flight until they are answered", tcp_in_nat },
	{ "a request is counted by what it found in flight", found_by_requests },
	{ "nat, TCP: what ends a flow ends what it has in flight", ends_of_tcp },
	{ "what is in flight moves with its flow", moves },
	{ "nat, UDP: datagrams are in flight until one comes back, or for two seconds",
		udp_in_nat },
	{ "dsr: open flows are in flight", dsr },
	{ "a cap of one holds in a burst", caps_one_worker },
	{ "a cap of one holds over four workers", caps_four_workers },
	{ "room comes back, and known flows are never shed", room_comes_back },
	{ "UDP is shed with an ICMP error, or in silence", udp_is_shed },
	{ "new flows spill from a backend that stands still", spilling },
	{ "spilling begins two above 1.25 times the fair share", shares_to_spill_from },
	{ "one full backend of two makes hardly a refusal", one_full_of_two },
	{ "affinity has no second choice", affinity_does_not_spill },
};

TAP_MAIN("load", cases)
