/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/config/model.h"
#include "control/daemon/adaptation/probes.h"
#include "control/probe/key.h"
#include "control/probe/message.h"
#include "tests/unit/tap.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NS_S UINT64_C(1000000000)
#define REAL (1700000000 * NS_S)
#define ADDR(n)                                             \
	{                                                   \
		.bytes = { [10] = 0xff, 0xff, 10, 1, 0, n } \
	}

static const struct probe_key key = { .bytes = "0123456789abcdef", .length = 16 };
static struct model_backend pool[] = { { .address = ADDR(11), .port = 80, .weight = 100 },
	{ .address = ADDR(12), .port = 80, .weight = 100 } };
static struct model_service services[] = {
	{ .name = "web",
		.address = ADDR(110),
		.prefix_length = 128,
		.port = 80,
		.protocol = MODEL_TCP,
		.mode = MODEL_DSR,
		.backends = pool,
		.backend_count = 2 },
	{ .name = "inside",
		.address = ADDR(111),
		.prefix_length = 128,
		.port = 80,
		.protocol = MODEL_TCP,
		.mode = MODEL_NAT,
		.backends = pool,
		.backend_count = 2 },
};
static const struct model model = { .services = services, .service_count = 2 };

/* A report of host n about 10.1.0.SERVICE:80, from the address 10.1.0.SOURCE. */
struct report {
	uint8_t host, service, source;
	uint64_t boot, sequence, real_ns, now_ns;
	uint16_t answers; /* of 16 ms */
	uint32_t waiting;
};

static void take(struct probes *p, struct report r)
{
	struct probe_message head = { .boot = r.boot,
		.sequence = r.sequence,
		.time_ns = r.real_ns ? r.real_ns : REAL,
		.interval_ms = 100,
		.sender = { [10] = 0xff, 0xff, 10, 1, 0, r.host } };
	struct probe_service s = { .address = { [10] = 0xff, 0xff, 10, 1, 0, r.service },
		.port = 80,
		.protocol = 6,
		.waiting = r.waiting,
		.requests = r.answers,
		.first_byte_ns = r.answers * UINT64_C(16000000) };
	struct address from = ADDR(r.source ? r.source : r.host);
	struct probe_writer w;

	probe_writer_begin(&w, &head);
	CU_ASSERT(probe_writer_service(&w, &s));
	if (r.answers)
		CU_ASSERT(probe_writer_pair(&w, false,
			(struct probe_pair){
				(uint16_t)weir_histogram_index(16000000), r.answers }));
	CU_ASSERT_EQUAL(probe_writer_end(&w, &key), 0);
	probes_take(p, &model, w.data, w.length, &from, r.now_ns ? r.now_ns : NS_S, REAL);
}

static struct probes *begin(void)
{
	struct probes *p = probes_create(&key);

	CU_ASSERT_FATAL(p != NULL);
	probes_follow(p, &model);
	return p;
}

static uint64_t refused(const struct probes *p, enum probes_refusal r)
{
	return probes_figures(p)->refused[r];
}

static void sequences_only_grow(void)
{
	struct probes *p = begin();

	take(p, (struct report){ .host = 11, .service = 110, .boot = 5, .sequence = 3 });
	take(p, (struct report){ .host = 11, .service = 110, .boot = 5, .sequence = 3 });
	take(p, (struct report){ .host = 11, .service = 110, .boot = 5, .sequence = 2 });
	take(p, (struct report){ .host = 11, .service = 110, .boot = 4, .sequence = 9 });
	CU_ASSERT_EQUAL(refused(p, PROBES_SEQUENCE), 3);
	take(p, (struct report){ .host = 11, .service = 110, .boot = 6, .sequence = 1 });
	take(p, (struct report){ .host = 12, .service = 110, .boot = 1, .sequence = 1 });
	CU_ASSERT_EQUAL(probes_figures(p)->received, 3);
	/* Nor after the configuration has changed. */
	probes_follow(p, &model);
	take(p, (struct report){ .host = 11, .service = 110, .boot = 6, .sequence = 1 });
	CU_ASSERT_EQUAL(refused(p, PROBES_SEQUENCE), 4);
	probes_stop(p);
}

static void strangers_are_refused(void)
{
	struct probes *p = begin();

	take(p,
		(struct report){
			.host = 11, .source = 12, .service = 110, .boot = 1, .sequence = 1 });
	take(p, (struct report){ .host = 13, .service = 110, .boot = 1, .sequence = 1 });
	take(p,
		(struct report){ .host = 11,
			.service = 110,
			.boot = 1,
			.sequence = 1,
			.real_ns = REAL - 61 * NS_S });
	take(p,
		(struct report){ .host = 11,
			.service = 110,
			.boot = 1,
			.sequence = 1,
			.real_ns = REAL + 61 * NS_S });
	CU_ASSERT_EQUAL(refused(p, PROBES_SENDER), 1);
	CU_ASSERT_EQUAL(refused(p, PROBES_BACKEND), 1);
	CU_ASSERT_EQUAL(refused(p, PROBES_CLOCK), 2);
	CU_ASSERT_EQUAL(probes_count_fresh(p, NS_S), 0);
	/* Of a service in nat, and of one that is not there. */
	take(p, (struct report){ .host = 11, .service = 111, .boot = 1, .sequence = 1 });
	take(p, (struct report){ .host = 11, .service = 112, .boot = 1, .sequence = 2 });
	CU_ASSERT_EQUAL(refused(p, PROBES_SERVICE), 2);
	CU_ASSERT_EQUAL(probes_count_fresh(p, NS_S), 0);
	probes_stop(p);
}

static void silence_makes_blind(void)
{
	struct probes *p = begin();
	struct adapt_backend_signals b[2] = { { .address = { [10] = 0xff, 0xff, 10, 1, 0, 11 },
						      .port = 80,
						      .in_flight = 7,
						      .syn_sent = 9 },
		{ .address = { [10] = 0xff, 0xff, 10, 1, 0, 12 },
			.port = 80,
			.in_flight = 7,
			.syn_sent = 9 } };
	struct adapt_signals s = { .backends = b, .backend_count = 2 };

	take(p, (struct report){ .host = 11, .service = 110, .boot = 1, .sequence = 1 });
	probes_fill_signals(p, &services[0], &s, NS_S + NS_S / 2);
	CU_ASSERT_FALSE(b[0].blind);
	CU_ASSERT_EQUAL(b[0].in_flight, 7);
	CU_ASSERT_TRUE(b[1].blind);
	CU_ASSERT_EQUAL(b[1].in_flight, 0);
	CU_ASSERT_EQUAL(b[1].syn_sent, 0);
	probes_fill_signals(p, &services[0], &s, 3 * NS_S);
	CU_ASSERT_TRUE(b[0].blind);
	b[0].blind = b[1].blind = false;
	probes_fill_signals(p, &services[1], &s, 3 * NS_S);
	CU_ASSERT_FALSE(b[0].blind);
	probes_stop(p);
}

/* Ticks between two reports have some of the answers too; none is lost and none counted twice. */
static void answers_are_passed_on_a_share_at_a_time(void)
{
	struct probes *p = begin();
	struct reading_backend b = { .entry = { .address = { [10] = 0xff, 0xff, 10, 1, 0, 11 },
					     .port = 80 },
		.in_flight = 3 };
	struct reading_service s = { .backends = &b, .backend_count = 1 };
	uint64_t before = 0, now = NS_S;

	take(p, (struct report){ .host = 11, .service = 110, .boot = 1, .sequence = 1 });
	probes_fill_reading(p, &services[0], &s, now);
	CU_ASSERT_EQUAL(b.answered, 0);
	take(p,
		(struct report){ .host = 11,
			.service = 110,
			.boot = 1,
			.sequence = 2,
			.answers = 100,
			.waiting = 4 });
	for (int i = 0; i < 12; i++) {
		now += NS_S / 10;
		probes_fill_reading(p, &services[0], &s, now);
		CU_ASSERT(b.answered >= before);
		CU_ASSERT(i != 0 || (b.answered > 30 && b.answered < 70));
		CU_ASSERT(b.answered == 0 ||
			fabs((double)b.answered_ns / (double)b.answered - 16e6) < 1e6);
		before = b.answered;
	}
	CU_ASSERT_EQUAL(b.answered, 100);
	CU_ASSERT_EQUAL(b.requests, 100);
	CU_ASSERT_EQUAL(b.answered_ns, 100 * UINT64_C(16000000));
	CU_ASSERT_EQUAL(b.in_flight, 4);
	b.answered = 1;
	probes_fill_reading(p, &services[1], &s, now);
	CU_ASSERT_EQUAL(b.answered, 1);
	probes_stop(p);
}

static const struct tap_case cases[] = {
	{ "sequences only grow", sequences_only_grow },
	{ "strangers are refused, and what they say of others", strangers_are_refused },
	{ "a backend that is not told of is blind", silence_makes_blind },
	{ "answers are passed on a share at a time", answers_are_passed_on_a_share_at_a_time },
};

TAP_MAIN("daemon probes", cases)
