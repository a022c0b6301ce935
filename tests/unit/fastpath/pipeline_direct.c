/* SPDX-License-Identifier: BSD-3-Clause */

/* Directives: weights and limits in force, and how they end. */

#include "tests/unit/fastpath/pipeline_direct.h"

#include "tests/unit/tap.h"

#include <errno.h>
#include <string.h>

static void start(struct bed *b, uint32_t backends)
{
	static const char *const address[] = { "10.0.0.11", "10.0.0.12", "10.0.0.13", "10.0.0.14" };

	bed_start(b, 1, 1);
	bed_add_service(b, "web", WEIR_MODE_NAT, 6, DIRECT_SERVICE, 80);
	for (uint32_t i = 0; i < backends; i++)
		bed_add_backend(b, 0, address[i], 80);
	bed_apply(b);
}

/* Which backend a new flow from a port gets, or -1. */
static int placed(struct bed *b, uint16_t port)
{
	struct bed_packet p = bed_client("198.51.100.7", port, DIRECT_SERVICE, 80);
	struct bed_packet to;

	return bed_exchange(b, 0, &p, &to) ? to.dst[15] - 11 : -1;
}

/* How many of 1000 new flows each backend gets. */
static void shares(struct bed *b, uint32_t ret_share[4], uint16_t from)
{
	memset(ret_share, 0, 4 * sizeof(ret_share[0]));
	for (uint16_t i = 0; i < 1000; i++) {
		int at = placed(b, (uint16_t)(from + i));

		CU_ASSERT_TRUE_FATAL(at >= 0 && at < 4);
		ret_share[at]++;
	}
}

static void weights(void)
{
	uint32_t share[4];
	struct direct d;
	struct bed b;

	start(&b, 4);
	CU_ASSERT_EQUAL(bed_backend_entry(&b, 0, 0)->weight_in_force, 100000);
	CU_ASSERT_EQUAL(bed_backend_entry(&b, 0, 0)->cap, WEIR_NO_CAP);
	CU_ASSERT_EQUAL(b.telemetry->service[0].directed, WEIR_DIRECTED_NO);
	direct_begin(&d, &b);
	d.backend[0].weight = 500; /* 0.005 of what is configured */
	d.backend[1].weight = UINT32_C(1000000); /* over twice that: clamped */
	d.backend[2].ejected = 1;
	CU_ASSERT_EQUAL(direct_send(&d, &b), 0);
	CU_ASSERT_EQUAL(b.telemetry->service[0].directed, WEIR_DIRECTED_YES);
	CU_ASSERT_EQUAL(bed_backend_entry(&b, 0, 0)->weight_in_force, 500);
	CU_ASSERT_EQUAL(bed_backend_entry(&b, 0, 1)->weight_in_force, 200000);
	CU_ASSERT_EQUAL(bed_backend_entry(&b, 0, 2)->weight_in_force, 0);
	CU_ASSERT_EQUAL(bed_backend_entry(&b, 0, 2)->weight, 100);
	shares(&b, share, 20000);
	CU_ASSERT_TRUE(share[0] < 15);
	CU_ASSERT_TRUE(share[1] > 600 && share[1] < 733);
	CU_ASSERT_EQUAL(share[2], 0);
	bed_stop(&b);
}

/* Known flows stay, and of the others' places few move. */
static void little_moves(void)
{
	int before[500];
	uint32_t moved = 0;
	struct direct d;
	struct bed b;

	start(&b, 4);
	for (uint16_t i = 0; i < 500; i++)
		before[i] = placed(&b, (uint16_t)(20000 + i));
	direct_begin(&d, &b);
	d.backend[0].weight = 80000;
	CU_ASSERT_EQUAL(direct_send(&d, &b), 0);
	for (uint16_t i = 0; i < 500; i++)
		CU_ASSERT_EQUAL(placed(&b, (uint16_t)(20000 + i)), before[i]);
	b.now += 20 * BED_SECOND; /* the half open ones end */
	for (uint32_t i = 0; i < 300; i++, b.now += BED_MS)
		bed_run(&b);
	CU_ASSERT_EQUAL(bed_sum(&b, 0, closed_flows), 500);
	for (uint16_t i = 0; i < 500; i++)
		moved += placed(&b, (uint16_t)(20000 + i)) != before[i];
	CU_ASSERT_TRUE(
		moved > 10 && moved < 75); /* a twentieth must, as the share falls by so much */
	bed_stop(&b);
}

static void hysteresis(void)
{
	struct direct d;
	struct bed b;
	uint64_t generation;

	start(&b, 2);
	direct_begin(&d, &b);
	d.backend[0].weight = 98000;
	CU_ASSERT_EQUAL(direct_send(&d, &b), 0);
	CU_ASSERT_EQUAL(bed_backend_entry(&b, 0, 0)->weight_in_force, 100000);
	d.backend[0].weight = 95000;
	CU_ASSERT_EQUAL(direct_send(&d, &b), 0);
	CU_ASSERT_EQUAL(bed_backend_entry(&b, 0, 0)->weight_in_force, 95000);
	d.backend[0].weight = 97000;
	CU_ASSERT_EQUAL(direct_send(&d, &b), 0);
	CU_ASSERT_EQUAL(bed_backend_entry(&b, 0, 0)->weight_in_force, 95000);
	d.backend[0].weight = 98500;
	CU_ASSERT_EQUAL(direct_send(&d, &b), 0);
	CU_ASSERT_EQUAL(bed_backend_entry(&b, 0, 0)->weight_in_force, 98500);
	d.backend[0].weight = 100000; /* as configured: exactly, however near */
	CU_ASSERT_EQUAL(direct_send(&d, &b), 0);
	CU_ASSERT_EQUAL(bed_backend_entry(&b, 0, 0)->weight_in_force, 100000);
	generation = b.telemetry->generation;
	CU_ASSERT_EQUAL(direct_send(&d, &b), 0);
	CU_ASSERT_EQUAL(b.telemetry->generation, generation); /* they are no configuration */
	bed_stop(&b);
}

/* Who would be left with nobody is not ejected. */
static void everybody_ejected(void)
{
	struct direct d;
	struct bed b;

	start(&b, 2);
	bed_add_backend(&b, 0, "10.0.0.13", 80)->fallback = 1;
	bed_apply(&b);
	direct_begin(&d, &b);
	d.backend[0].ejected = d.backend[1].ejected = d.backend[2].ejected = 1;
	CU_ASSERT_EQUAL(direct_send(&d, &b), 0);
	for (uint16_t i = 0; i < 20; i++)
		CU_ASSERT_TRUE(placed(&b, (uint16_t)(20000 + i)) < 2);
	/* But state and weight of the configuration go before. */
	CU_ASSERT_EQUAL(bed_backend_state(&b, 0, 0, WEIR_BACKEND_DRAINING, 100), 0);
	for (uint16_t i = 0; i < 20; i++)
		CU_ASSERT_EQUAL(placed(&b, (uint16_t)(21000 + i)), 1);
	CU_ASSERT_EQUAL(bed_backend_state(&b, 0, 1, WEIR_BACKEND_UP, 0), 0);
	for (uint16_t i = 0; i < 20; i++)
		CU_ASSERT_EQUAL(placed(&b, (uint16_t)(22000 + i)), 2);
	bed_stop(&b);
}

/* Each of them is the whole of what is told: who is in no one any more is as configured. */
static void unnamed(void)
{
	struct direct d;
	struct bed b;

	start(&b, 2);
	direct_begin(&d, &b);
	d.backend[1].weight = 50000;
	d.backend[1].cap = d.backend[1].cap_yellow = 7;
	CU_ASSERT_EQUAL(direct_send(&d, &b), 0);
	CU_ASSERT_EQUAL(bed_backend_entry(&b, 0, 1)->weight_in_force, 50000);
	CU_ASSERT_EQUAL(bed_backend_entry(&b, 0, 1)->cap, 7);
	d.header.backend_count = 1;
	CU_ASSERT_EQUAL(direct_send(&d, &b), 0);
	CU_ASSERT_EQUAL(bed_backend_entry(&b, 0, 1)->weight_in_force, 100000);
	CU_ASSERT_EQUAL(bed_backend_entry(&b, 0, 1)->cap, WEIR_NO_CAP);
	bed_stop(&b);
}

/* A connection to the first of two backends: its SYN, as that one has it, and when asked for, all of a first answer. */
static struct bed_packet connect_first(
	struct bed *b, uint16_t port, bool answered, struct bed_packet *ret_at_backend)
{
	struct bed_packet p, back, out;

	do
		p = bed_client("198.51.100.7", port++, DIRECT_SERVICE, 80);
	while (!bed_exchange(b, 0, &p, ret_at_backend) || ret_at_backend->dst[15] != 11);
	if (!answered)
		return p;
	back = bed_reply(ret_at_backend, BED_SYN | BED_ACK, 0);
	CU_ASSERT_TRUE_FATAL(bed_exchange(b, 1, &back, &out));
	p.tcp_flags = BED_ACK | BED_PSH;
	p.payload = 10;
	CU_ASSERT_TRUE_FATAL(bed_exchange(b, 0, &p, &out));
	back = bed_reply(ret_at_backend, BED_ACK | BED_PSH, 100);
	CU_ASSERT_TRUE_FATAL(bed_exchange(b, 1, &back, &out));
	return p;
}

/* Where a packet goes; its answer with these flags must come back to the client. */
static int answered_by(struct bed *b, const struct bed_packet *p, uint8_t flags)
{
	struct bed_packet to, back, out;

	CU_ASSERT_TRUE_FATAL(bed_exchange(b, 0, p, &to));
	CU_ASSERT_EQUAL(to.tcp_flags, p->tcp_flags);
	CU_ASSERT_EQUAL(to.payload, p->payload);
	back = bed_reply(&to, flags, 0);
	CU_ASSERT_TRUE_FATAL(bed_exchange(b, 1, &back, &out));
	CU_ASSERT_EQUAL(out.tcp_flags, flags);
	CU_ASSERT_EQUAL(out.dport, p->sport);
	CU_ASSERT_EQUAL(memcmp(out.dst, p->src, 16), 0);
	return to.dst[15] - 11;
}

/* What is under way at an ejected backend stays, what only begins does not. */
static void ejected_leaves(void)
{
	struct bed_packet fresh, kept, busy, first, at;
	struct direct d;
	struct bed b;

	start(&b, 2);
	fresh = connect_first(&b, 1000, false, &at);
	kept = connect_first(&b, 2000, true, &at);
	busy = connect_first(&b, 3000, true, &at);
	first = connect_first(&b, 4000, true, &at);
	CU_ASSERT_TRUE_FATAL(bed_exchange(&b, 0, &busy, &at)); /* it waits for an answer now */
	b.now += BED_SECOND;
	direct_begin(&d, &b);
	d.backend[0].ejected = 1;
	CU_ASSERT_EQUAL(direct_send(&d, &b), 0);
	CU_ASSERT_EQUAL(answered_by(&b, &fresh, BED_SYN | BED_ACK), 1);
	CU_ASSERT_EQUAL(answered_by(&b, &busy, BED_ACK), 0);
	kept.payload = 0;
	kept.tcp_flags = BED_ACK;
	CU_ASSERT_EQUAL(answered_by(&b, &kept, BED_ACK), 0);
	kept.payload = 10;
	kept.tcp_flags = BED_ACK | BED_PSH;
	CU_ASSERT_EQUAL(answered_by(&b, &kept, BED_RST), 1);
	/* Nobody is left to go to. */
	d.backend[1].ejected = 1;
	CU_ASSERT_EQUAL(direct_send(&d, &b), 0);
	CU_ASSERT_EQUAL(answered_by(&b, &first, BED_ACK), 0);
	bed_stop(&b);
}

/* How many of 2000 packets of a second pass. */
static uint32_t second(struct bed *b)
{
	struct bed_packet p = bed_client("198.51.100.7", 1024, DIRECT_SERVICE, 80);
	uint32_t out = 0;

	for (uint32_t i = 0; i < 2000; i++, b->now += BED_MS / 2) {
		bed_send(b, 0, &p);
		bed_run(b);
		out += bed_discard(b, 1);
	}
	return out;
}

static void limits_only_fall(void)
{
	struct direct d;
	struct bed b;

	start(&b, 1);
	b.service[0].limit_packets = 1000;
	b.service[0].burst_ns = 10 * BED_MS;
	bed_apply(&b);
	direct_begin(&d, &b);
	d.header.limit_packets = 500;
	CU_ASSERT_EQUAL(direct_send(&d, &b), 0);
	CU_ASSERT_EQUAL(b.telemetry->service[0].limit_packets, 500);
	CU_ASSERT_TRUE(second(&b) < 520);
	d.header.limit_packets = 5000;
	CU_ASSERT_EQUAL(direct_send(&d, &b), 0);
	CU_ASSERT_EQUAL(b.telemetry->service[0].limit_packets, 1000);
	CU_ASSERT_TRUE(second(&b) < 1030);
	/* A configuration meanwhile keeps what is told inside its own bounds. */
	d.header.limit_packets = 700;
	CU_ASSERT_EQUAL(direct_send(&d, &b), 0);
	b.service[0].limit_packets = 600;
	bed_apply(&b);
	CU_ASSERT_EQUAL(b.telemetry->service[0].limit_packets, 600);
	b.service[0].limit_packets = WEIR_UNLIMITED;
	bed_apply(&b);
	CU_ASSERT_EQUAL(b.telemetry->service[0].limit_packets, 700);
	bed_stop(&b);
}

static void expiry(void)
{
	struct direct d;
	struct bed b;

	start(&b, 2);
	direct_begin(&d, &b);
	d.backend[0].weight = 10000;
	d.header.limit_packets = 500;
	CU_ASSERT_EQUAL(direct_send(&d, &b), 0);
	direct_time(&b, 900);
	CU_ASSERT_EQUAL(b.telemetry->service[0].directed, WEIR_DIRECTED_YES);
	direct_time(&b, 200);
	CU_ASSERT_EQUAL(b.telemetry->service[0].directed, WEIR_DIRECTED_STALE);
	CU_ASSERT_EQUAL(bed_backend_entry(&b, 0, 0)->weight_in_force, 10000);
	direct_time(&b, 28800);
	CU_ASSERT_EQUAL(b.telemetry->service[0].directed, WEIR_DIRECTED_STALE);
	direct_time(&b, 200);
	CU_ASSERT_EQUAL(b.telemetry->service[0].directed, WEIR_DIRECTED_NO);
	CU_ASSERT_EQUAL(bed_backend_entry(&b, 0, 0)->weight_in_force, 100000);
	CU_ASSERT_EQUAL(b.telemetry->service[0].limit_packets, WEIR_UNLIMITED);
	/* The next ones hold again, with times of their own. */
	d.header.stale_ns = 100 * BED_MS;
	d.header.expires_ns = 200 * BED_MS;
	CU_ASSERT_EQUAL(direct_send(&d, &b), 0);
	direct_time(&b, 110);
	CU_ASSERT_EQUAL(b.telemetry->service[0].directed, WEIR_DIRECTED_STALE);
	CU_ASSERT_EQUAL(direct_send(&d, &b), 0);
	direct_time(&b, 90);
	CU_ASSERT_EQUAL(b.telemetry->service[0].directed, WEIR_DIRECTED_YES);
	direct_time(&b, 120);
	CU_ASSERT_EQUAL(b.telemetry->service[0].directed, WEIR_DIRECTED_NO);
	bed_stop(&b);
}

static void refusals(void)
{
	struct direct d;
	struct bed b;

	start(&b, 2);
	direct_begin(&d, &b);
	d.header.issued_ns = 1000;
	d.backend[0].weight = 10000;
	memcpy(d.backend[1].address, "\1\2\3", 3); /* nobody's: passed over */
	CU_ASSERT_EQUAL(direct_send(&d, &b), 0);
	d.header.issued_ns = 999;
	d.backend[0].weight = 20000;
	CU_ASSERT_EQUAL(direct_send(&d, &b), -ESTALE);
	CU_ASSERT_EQUAL(bed_backend_entry(&b, 0, 0)->weight_in_force, 10000);
	d.header.issued_ns = 1001;
	d.header.flags = WEIR_DIRECTIVE_F_WATCH;
	d.header.source_prefix = 64;
	CU_ASSERT_EQUAL(direct_send(&d, &b), -EINVAL);
	CU_ASSERT_EQUAL(bed_backend_entry(&b, 0, 0)->weight_in_force, 10000);
	strcpy(d.header.service, "other");
	CU_ASSERT_EQUAL(direct_send(&d, &b), -ENOENT);
	bed_stop(&b);
}

/* A weight that is configured anew is in force with that very configuration, not with the next directives. */
static void configured_anew(void)
{
	struct direct d;
	struct bed b;

	start(&b, 4);
	direct_begin(&d, &b);
	d.backend[1].weight = 50000; /* half of what is configured */
	d.backend[2].ejected = 1;
	CU_ASSERT_EQUAL(direct_send(&d, &b), 0);
	for (uint32_t i = 0; i < 3; i++)
		b.backend[0][i].weight = 10;
	b.backend[0][3].weight = 0;
	bed_apply(&b);
	CU_ASSERT_EQUAL(bed_backend_entry(&b, 0, 0)->weight_in_force, 10000);
	CU_ASSERT_EQUAL(bed_backend_entry(&b, 0, 1)->weight_in_force, 5000);
	CU_ASSERT_EQUAL(bed_backend_entry(&b, 0, 2)->weight_in_force, 0);
	CU_ASSERT_EQUAL(bed_backend_entry(&b, 0, 3)->weight_in_force, 0);
	direct_begin(&d, &b);
	CU_ASSERT_EQUAL(direct_send(&d, &b), 0);
	for (uint32_t i = 0; i < 4; i++)
		b.backend[0][i].weight = 200;
	bed_apply(&b);
	for (uint32_t i = 0; i < 4; i++)
		CU_ASSERT_EQUAL(bed_backend_entry(&b, 0, i)->weight_in_force, 200000);
	bed_stop(&b);
}

/* A backend that takes another's slot is not held by what that was told. */
static void another_owner(void)
{
	struct direct d;
	struct bed b;

	start(&b, 2);
	direct_begin(&d, &b);
	d.backend[0].weight = 10000;
	d.backend[0].cap = d.backend[0].cap_yellow = 3;
	CU_ASSERT_EQUAL(direct_send(&d, &b), 0);
	CU_ASSERT_EQUAL(bed_backend_entry(&b, 0, 0)->cap, 3);
	for (uint32_t i = 0; i < 300; i++) { /* until its slot is taken again */
		b.backend[0][0].address[15] = (uint8_t)(50 + i % 200);
		b.backend[0][0].address[14] = (uint8_t)(1 + i / 200);
		bed_apply(&b);
	}
	for (uint32_t i = 0; i < 2; i++)
		CU_ASSERT_EQUAL(bed_backend_entry(&b, 0, i)->cap, WEIR_NO_CAP);
	bed_stop(&b);
}

static const struct tap_case cases[] = {
	{ "weights are followed, inside their bounds", weights },
	{ "known flows stay, and few others move", little_moves },
	{ "small changes of weights wait, the way back is exact", hysteresis },
	{ "who is no longer named is as configured", unnamed },
	{ "whoever is left takes flows", everybody_ejected },
	{ "what begins at an ejected backend goes to another, what is under way stays",
		ejected_leaves },
	{ "limits only fall below the configured ones", limits_only_fall },
	{ "directives that are not renewed go stale, then end", expiry },
	{ "old and impossible directives are refused", refusals },
	{ "a new backend is not held by what its slot was told", another_owner },
	{ "a weight that is configured anew is in force at once", configured_anew },
};

TAP_MAIN("direct", cases)
