/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The guard, against backends that serve a bounded number of requests at a time: what it does when nobody
 * directs, with a made-up clock.
 */

#include "dataplane/core/core.h"
#include "dataplane/service/directive.h"
#include "tests/unit/fastpath/pipeline_direct.h"
#include "tests/unit/tap.h"

#include <string.h>

#define GUARD_NS (50 * BED_MS)
#define WAITING	 4096

/* A backend: one request after another, `service_ms` each. */
struct server {
	uint32_t service_ms;
	uint32_t at; /* of the request it serves: ms done */
	uint32_t head, tail;
	struct bed_packet queue[WAITING]; /* as they reached it */
	uint64_t since[WAITING];
	uint64_t answered, late;
};

static struct server server;

static void start(struct bed *b, struct direct *d, uint32_t service_ms)
{
	memset(&server, 0, sizeof(server));
	server.service_ms = service_ms;
	bed_start(b, 1, 1);
	bed_add_service(b, "web", WEIR_MODE_NAT, 6, DIRECT_SERVICE, 80);
	bed_add_backend(b, 0, "10.0.0.11", 80);
	memset(b->source[0].blocks, 0xfe, sizeof(b->source[0].blocks));
	bed_apply(b);
	direct_begin(d, b);
	d->header.guard_ns = GUARD_NS;
}

/* A new client with a request; it may be refused. */
static void ask(struct bed *b, uint16_t port)
{
	struct bed_packet p = bed_client("198.51.100.7", port, DIRECT_SERVICE, 80), to, back, out;

	bed_send(b, 0, &p);
	bed_run(b);
	if (!bed_receive(b, 1, &to)) {
		bed_discard(b, 0);
		return;
	}
	back = bed_reply(&to, BED_SYN | BED_ACK, 0);
	bed_exchange(b, 1, &back, &out);
	p.tcp_flags = BED_ACK | BED_PSH;
	p.payload = 10;
	if (!bed_exchange(b, 0, &p, &to) || server.tail - server.head == WAITING)
		return;
	server.since[server.tail % WAITING] = b->now;
	server.queue[server.tail++ % WAITING] = to;
}

static void serve(struct bed *b)
{
	struct bed_packet back, out;
	uint32_t at = server.head % WAITING;

	if (server.head == server.tail || ++server.at < server.service_ms)
		return;
	server.at = 0;
	back = bed_reply(&server.queue[at], BED_ACK | BED_PSH, 100);
	bed_exchange(b, 1, &back, &out);
	server.answered++;
	server.late += b->now - server.since[at] > 2 * GUARD_NS;
	server.head++;
}

/* A client every so many milliseconds; the main thread's tick comes every ten. */
static void run(
	struct bed *b, uint32_t ms, uint32_t every_ms, bool directed, const struct direct *d)
{
	static uint16_t port = 1024;

	for (uint32_t i = 0; i < ms; i++, b->now += BED_MS) {
		if (i % every_ms == 0)
			ask(b, port++);
		serve(b);
		if (directed && i % 100 == 0)
			CU_ASSERT_EQUAL(direct_send(d, b), 0);
		if (i % 10 == 0)
			fastpath_direct_tick(b->fp, b->now);
	}
}

/* Four times what it can serve, and nobody directs: latency stays, and so does what it serves. */
static void overload(void)
{
	struct direct d;
	uint64_t answered, late;
	struct bed b;

	start(&b, &d, 4);
	CU_ASSERT_EQUAL(direct_send(&d, &b), 0);
	run(&b, 2500, 1, false, &d); /* stale after the first second */
	CU_ASSERT_EQUAL(b.telemetry->service[0].directed, WEIR_DIRECTED_STALE);
	CU_ASSERT_TRUE(bed_backend_entry(&b, 0, 0)->cap < 40);
	answered = server.answered;
	run(&b, 2500, 1, false, &d); /* works off what queued up before */
	late = server.late;
	answered = server.answered;
	run(&b, 5000, 1, false, &d);
	CU_ASSERT_TRUE(server.answered - answered > 1100); /* of 1250 that it can */
	CU_ASSERT_TRUE(server.late - late < 50);
	CU_ASSERT_TRUE(bed_dropped(&b, 0, WEIR_DROP_SHED) > 5000);
	/* Enough for everybody: the cap opens again. */
	run(&b, 10000, 8, false, &d);
	answered = bed_dropped(&b, 0, WEIR_DROP_SHED);
	run(&b, 2000, 8, false, &d);
	CU_ASSERT_TRUE(bed_dropped(&b, 0, WEIR_DROP_SHED) - answered < 20);
	/* As configured after 30 s: no cap at all. */
	run(&b, 10000, 8, false, &d);
	CU_ASSERT_EQUAL(bed_backend_entry(&b, 0, 0)->cap, WEIR_NO_CAP);
	CU_ASSERT_EQUAL(b.telemetry->service[0].directed, WEIR_DIRECTED_NO);
	bed_stop(&b);
}

/* A backend that stands still; and one that comes back. */
static void stall(void)
{
	struct direct d;
	struct bed b;

	start(&b, &d, 100000);
	CU_ASSERT_EQUAL(direct_send(&d, &b), 0);
	run(&b, 3000, 5, false, &d);
	CU_ASSERT_TRUE(bed_backend_entry(&b, 0, 0)->cap < 200);
	server.service_ms = 1;
	server.at = 0;
	run(&b, 3000, 5, false, &d);
	server.late = 0;
	run(&b, 5000, 5, false, &d);
	CU_ASSERT_EQUAL(server.late, 0);
	CU_ASSERT_TRUE(server.answered > 900);
	bed_stop(&b);
}

static void silent_while_directed(void)
{
	struct direct d;
	struct bed b;

	start(&b, &d, 4);
	run(&b, 3000, 3, true, &d);
	CU_ASSERT_EQUAL(bed_backend_entry(&b, 0, 0)->cap, WEIR_NO_CAP);
	CU_ASSERT_EQUAL(bed_dropped(&b, 0, WEIR_DROP_SHED), 0);
	bed_stop(&b);
	/* And without a target. */
	start(&b, &d, 4);
	d.header.guard_ns = 0;
	CU_ASSERT_EQUAL(direct_send(&d, &b), 0);
	run(&b, 3000, 3, false, &d);
	CU_ASSERT_EQUAL(b.telemetry->service[0].directed, WEIR_DIRECTED_STALE);
	CU_ASSERT_EQUAL(bed_dropped(&b, 0, WEIR_DROP_SHED), 0);
	bed_stop(&b);
}

static uint32_t cap_after(struct bed *b, const struct direct *d, uint32_t ms, uint32_t every_ms)
{
	run(b, ms, every_ms, false, d);
	return bed_backend_entry(b, 0, 0)->cap;
}

/* Down by half at most, to two at least; up by a twentieth while it is used. A period is 100 ms. */
static void steps(void)
{
	struct direct d;
	struct bed b;
	uint32_t cap, next, fell = 0, grew = 0;

	start(&b, &d, 100000);
	CU_ASSERT_EQUAL(direct_send(&d, &b), 0);
	CU_ASSERT_EQUAL(cap_after(&b, &d, 1000, 10), WEIR_NO_CAP);
	cap = 100; /* so many wait, and nothing is answered */
	for (uint32_t i = 0; i < 20; i++, cap = next) {
		next = cap_after(&b, &d, 100, 10);
		if (next == WEIR_NO_CAP)
			next = cap;
		CU_ASSERT_TRUE(next >= cap / 2);
		fell += next < cap;
	}
	CU_ASSERT_TRUE(fell >= 6);
	CU_ASSERT_EQUAL(cap, 2);
	CU_ASSERT_TRUE(fastpath_service(b.fp, "web")->directives->allowance[0].cap_yellow <= 2);
	server.service_ms = 4; /* eleven keep it, less an eighth */
	server.at = 0;
	for (uint32_t i = 0; i < 100; i++, cap = next) {
		next = cap_after(&b, &d, 100, 1);
		CU_ASSERT_TRUE(next <= cap + (cap < 20 ? 1 : cap / 20));
		grew += next > cap;
	}
	CU_ASSERT_TRUE(grew >= 5);
	CU_ASSERT_TRUE(cap <= 13);
	/* Enough for everybody: what is not used does not grow. */
	cap_after(&b, &d, 1000, 20);
	cap = cap_after(&b, &d, 100, 20);
	CU_ASSERT_EQUAL(cap_after(&b, &d, 2000, 20), cap);
	bed_stop(&b);
}

/* What is answered is answered at once, but thirty are not: only what is in flight tells. */
static void hanging(void)
{
	struct direct d;
	struct bed b;

	start(&b, &d, 1);
	CU_ASSERT_EQUAL(direct_send(&d, &b), 0);
	CU_ASSERT_EQUAL(cap_after(&b, &d, 1500, 10), WEIR_NO_CAP);
	for (uint16_t i = 0; i < 30; i++) {
		uint32_t tail = server.tail;

		ask(&b, (uint16_t)(50000 + i));
		server.tail = tail;
	}
	CU_ASSERT_TRUE(cap_after(&b, &d, 300, 10) < 30);
	bed_stop(&b);
}

/* It never gives more than control did, and the next directives hold at once. */
static void never_above_what_was_told(void)
{
	struct direct d;
	struct bed b;

	start(&b, &d, 4);
	d.backend[0].cap = 20;
	d.backend[0].cap_yellow = 10;
	CU_ASSERT_EQUAL(direct_send(&d, &b), 0);
	run(&b, 4000, 1, false, &d);
	CU_ASSERT_TRUE(bed_backend_entry(&b, 0, 0)->cap < 20);
	server.service_ms = 1;
	run(&b, 10000, 1, false, &d);
	CU_ASSERT_TRUE(bed_backend_entry(&b, 0, 0)->cap <= 20);
	d.backend[0].cap = 500;
	CU_ASSERT_EQUAL(direct_send(&d, &b), 0);
	CU_ASSERT_EQUAL(bed_backend_entry(&b, 0, 0)->cap, 500);
	bed_stop(&b);
}

static const struct tap_case cases[] = {
	{ "an overload that nobody directs: latency is kept, and so is what is served", overload },
	{ "a backend that stands still gets few, and comes back", stall },
	{ "it is silent while control directs, and without a target", silent_while_directed },
	{ "its steps: down by half at most, up by a twentieth", steps },
	{ "requests that hang count, however fast others are answered", hanging },
	{ "it never gives more than control did", never_above_what_was_told },
};

TAP_MAIN("guard", cases)
