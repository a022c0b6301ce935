/* SPDX-License-Identifier: BSD-3-Clause */

/* Sources as directives have them: colours, the penalty box, weights, and who is heavy. */

#include "tests/unit/fastpath/pipeline_direct.h"
#include "tests/unit/tap.h"

#include <string.h>

static void start_mode(
	struct bed *b, struct direct *d, uint32_t cores, uint16_t workers, uint8_t mode)
{
	bed_start(b, cores, (uint16_t)(cores > 1 ? 4 : 1));
	bed_add_service(b, "web", mode, 6, DIRECT_SERVICE, 80)->cores = workers;
	bed_add_backend(b, 0, "10.0.0.11", 80);
	bed_add_backend(b, 0, "10.0.0.12", 80);
	bed_apply(b);
	direct_begin(d, b);
	d->header.flags = WEIR_DIRECTIVE_F_POLICE;
	d->header.source_burst_ns = 100 * BED_MS;
	bed_run(b); /* the cores have seen the time */
}

static void start(struct bed *b, struct direct *d, uint32_t cores, uint16_t workers)
{
	start_mode(b, d, cores, workers, WEIR_MODE_DSR);
}

static struct bed_packet from(uint32_t source, uint16_t port)
{
	struct bed_packet p = bed_client("10.1.2.3", port, DIRECT_SERVICE, 80);

	p.src[14] = (uint8_t)(source >> 8);
	p.src[15] = (uint8_t)source;
	return p;
}

static bool passes(struct bed *b, const struct bed_packet *p)
{
	bed_send(b, 0, p);
	bed_run(b);
	return bed_discard(b, 1) > 0;
}

static bool near(uint64_t value, uint64_t wanted)
{
	bool ok = value * 100 >= wanted * 95 && value * 100 <= wanted * 105;

	if (!ok)
		printf("# %lu instead of %lu\n", (unsigned long)value, (unsigned long)wanted);
	return ok;
}

/* New flows of sources that ask for 50, 200 and 1000 a second, at a fair rate of 100: ten seconds. */
static void flows(struct bed *b, uint64_t ret_passed[3])
{
	static const uint32_t every[3] = { 20, 5, 1 };

	memset(ret_passed, 0, 3 * sizeof(ret_passed[0]));
	for (uint32_t tick = 0; tick < 10000; tick++, b->now += BED_MS)
		for (uint32_t i = 0; i < 3; i++) {
			struct bed_packet p = from(i + 1, (uint16_t)(1024 + tick));

			if (tick % every[i] == 0)
				ret_passed[i] += passes(b, &p);
		}
}

static void colours(uint32_t cores, uint16_t workers)
{
	uint64_t passed[3];
	struct direct d;
	struct bed b;

	start(&b, &d, cores, workers);
	d.header.source_flows = 100;
	/* A view of the service's settings is made anew with each directive, and has not always the same size. */
	const struct weir_service_entry *e = &b.telemetry->service[0];
	const uint64_t used = b.telemetry->memory_used - e->memory_pools;

	CU_ASSERT_TRUE(used > e->memory_flows);
	CU_ASSERT_EQUAL(direct_send(&d, &b), 0);
	CU_ASSERT_TRUE(e->memory_police > 0);
	CU_ASSERT_TRUE(e->memory_police <= used / 8);
	CU_ASSERT_EQUAL(b.telemetry->memory_used, used + e->memory_pools + e->memory_police);
	flows(&b, passed);
	CU_ASSERT_EQUAL(passed[0], 500);
	CU_ASSERT_EQUAL(passed[1], 2000); /* yellow, and there is room */
	CU_ASSERT_TRUE(near(passed[2], 4000)); /* red above four times the rate */
	CU_ASSERT_EQUAL(bed_dropped(&b, 0, WEIR_DROP_SOURCE_POLICED), 10000 - passed[2]);
	CU_ASSERT_EQUAL(bed_sum(&b, 0, offered), 12500);
	/* No room but for green ones: yellow ones are refused. Nobody is cut below the fair rate. */
	for (uint32_t i = 0; i < 2; i++)
		d.backend[i].cap_yellow = 0;
	CU_ASSERT_EQUAL(direct_send(&d, &b), 0);
	b.now += 60 * BED_SECOND;
	fastpath_age(b.fp, b.now);
	flows(&b, passed);
	CU_ASSERT_EQUAL(passed[0], 500);
	CU_ASSERT_TRUE(near(passed[1], 1010));
	CU_ASSERT_TRUE(near(passed[2], 1010));
	CU_ASSERT_EQUAL(bed_dropped(&b, 0, WEIR_DROP_SHED), 0);
	CU_ASSERT_TRUE(bed_dropped(&b, 0, WEIR_DROP_SOURCE_POLICED) > 14000);
	/* Off: everything as it was. */
	d.header.flags = 0;
	for (uint32_t i = 0; i < 2; i++)
		d.backend[i].cap_yellow = WEIR_NO_CAP;
	CU_ASSERT_EQUAL(direct_send(&d, &b), 0);
	CU_ASSERT_EQUAL(e->memory_police, 0);
	CU_ASSERT_EQUAL(b.telemetry->memory_used, used + e->memory_pools);
	b.now += 60 * BED_SECOND;
	fastpath_age(b.fp, b.now);
	flows(&b, passed);
	CU_ASSERT_EQUAL(passed[2], 10000);
	bed_stop(&b);
}

static void colours_one_worker(void)
{
	colours(1, 1);
}

static void colours_four_workers(void)
{
	colours(5, 4);
}

static void weights_and_box(void)
{
	uint64_t passed[3];
	struct direct d;
	struct bed b;

	start(&b, &d, 1, 1);
	d.header.source_flows = 100;
	for (uint32_t i = 0; i < 2; i++)
		d.backend[i].cap_yellow = 0;
	d.header.source_count = 3;
	for (uint32_t i = 0; i < 3; i++) {
		struct bed_packet p = from(i + 1, 1);

		memcpy(d.source[i].address, p.src, 16);
		d.source[i].weight = WEIR_SOURCE_WEIGHT_UNIT;
	}
	d.source[2].weight = 5 * WEIR_SOURCE_WEIGHT_UNIT; /* in quarters of powers of two: 4.76 */
	d.source[0].boxed_ms = 5000;
	CU_ASSERT_EQUAL(direct_send(&d, &b), 0);
	flows(&b, passed);
	CU_ASSERT_EQUAL(passed[0], 250); /* it came out */
	CU_ASSERT_EQUAL(bed_dropped(&b, 0, WEIR_DROP_SOURCE_BOXED), 250);
	CU_ASSERT_TRUE(near(passed[1], 1010));
	CU_ASSERT_TRUE(near(passed[2], 4804));
	bed_stop(&b);
}

/* Packets of known flows: red only above four times the rate, and replies never. */
static void packets(void)
{
	struct bed_packet p = from(1, 1000), to, back, out;
	uint64_t passed = 0;
	struct direct d;
	struct bed b;

	start_mode(&b, &d, 1, 1, WEIR_MODE_NAT);
	CU_ASSERT_TRUE_FATAL(bed_exchange(&b, 0, &p, &to));
	d.header.source_packets = 100;
	CU_ASSERT_EQUAL(direct_send(&d, &b), 0);
	back = bed_reply(&to, BED_SYN | BED_ACK, 0);
	p.tcp_flags = BED_ACK;
	for (uint32_t i = 0; i < 10000; i++, b.now += BED_MS) {
		passed += passes(&b, &p);
		CU_ASSERT_TRUE(bed_exchange(&b, 1, &back, &out));
	}
	CU_ASSERT_TRUE(near(passed, 4040));
	CU_ASSERT_EQUAL(bed_dropped(&b, 0, WEIR_DROP_SOURCE_POLICED), 10000 - passed);
	bed_stop(&b);
}

/* A thousand sources that share the overflow cannot take from one that has a place. */
static void bounded(void)
{
	uint64_t calm = 0;
	struct direct d;
	struct bed b;

	start(&b, &d, 1, 1);
	d.header.source_flows = 20;
	CU_ASSERT_EQUAL(direct_send(&d, &b), 0);
	for (uint32_t tick = 0; tick < 5000; tick++, b.now += BED_MS) {
		struct bed_packet p = from(1, (uint16_t)(1024 + tick));

		if (tick % 100 == 0)
			calm += passes(&b, &p);
		for (uint32_t k = 0; k < 5; k++) {
			p = from(1 + tick * 5 + k, 1024);
			p.src[13] = 200;
			bed_send(&b, 0, &p);
		}
		bed_run(&b);
		bed_discard(&b, 1);
		bed_discard(&b, 0);
	}
	CU_ASSERT_EQUAL(calm, 50);
	bed_stop(&b);
}

static const struct weir_heavy_entry *heavy_of(
	const struct bed *b, uint32_t core, const uint8_t a[16])
{
	const struct weir_service_entry *e = &b->telemetry->service[0];
	const struct weir_heavy *h =
		(const void *)((const char *)b->telemetry + e->heavy_offset[core]);

	if (!e->heavy_offset[core])
		return NULL;
	for (uint32_t i = 0; i < WEIR_HEAVY_SETS; i++)
		for (uint32_t k = 0; k < WEIR_HEAVY_WAYS; k++)
			if (h->set[i].tag[k] && memcmp(h->set[i].entry[k].address, a, 16) == 0)
				return &h->set[i].entry[k];
	return NULL;
}

static void watching(void)
{
	struct bed_packet p = from(1, 1000);
	uint64_t flows_seen = 0, packets_seen = 0;
	uint8_t prefix[16];
	struct direct d;
	struct bed b;

	start(&b, &d, 4, 3);
	for (uint16_t i = 0; i < 50; i++) {
		p.sport = (uint16_t)(1000 + i);
		passes(&b, &p);
	}
	memcpy(prefix, p.src, 16);
	prefix[15] = 0;
	for (uint32_t core = 0; core < 4; core++)
		CU_ASSERT_PTR_NULL(heavy_of(&b, core, prefix)); /* nobody asked */
	d.header.flags = WEIR_DIRECTIVE_F_WATCH;
	d.header.source_prefix = 24;
	CU_ASSERT_EQUAL(direct_send(&d, &b), 0);
	for (uint16_t i = 0; i < 300; i++) {
		p = from(1 + i % 200, (uint16_t)(2000 + i));
		CU_ASSERT_TRUE(passes(&b, &p));
		p.tcp_flags = BED_ACK;
		for (uint32_t k = 0; k < 40; k++)
			bed_send(&b, 0, &p);
		bed_run(&b);
		bed_discard(&b, 1);
	}
	for (uint32_t core = 1; core < 4; core++) {
		const struct weir_heavy_entry *e = heavy_of(&b, core, prefix);

		CU_ASSERT_PTR_NOT_NULL_FATAL(e);
		flows_seen += e->flows;
		packets_seen += e->packets;
	}
	CU_ASSERT_EQUAL(flows_seen, 300);
	CU_ASSERT_TRUE(packets_seen > 300 * 41 * 8 / 10 && packets_seen < 300 * 41 * 12 / 10);
	/* Off with the directives. */
	direct_time(&b, 31000);
	p.sport = 9000;
	CU_ASSERT_TRUE(passes(&b, &p));
	CU_ASSERT_EQUAL(b.telemetry->service[0].directive_flags, 0);
	bed_stop(&b);
}

/* A configuration meanwhile leaves policing as it is. */
static void stays_over_a_configuration(void)
{
	struct bed_packet p;
	uint32_t passed = 0;
	struct direct d;
	struct bed b;

	start(&b, &d, 1, 1);
	d.header.source_flows = 1;
	d.header.source_burst_ns = BED_MS;
	CU_ASSERT_EQUAL(direct_send(&d, &b), 0);
	for (uint16_t i = 0; i < 50; i++) {
		p = from(1, (uint16_t)(1000 + i));
		passed += passes(&b, &p);
		if (i == 20)
			bed_add_backend(&b, 0, "10.0.0.13", 80);
		bed_apply(&b);
	}
	CU_ASSERT_TRUE(passed < 12);
	bed_stop(&b);
}

static const struct tap_case cases[] = {
	{ "green, yellow and red, on one worker", colours_one_worker },
	{ "green, yellow and red, over four workers", colours_four_workers },
	{ "weights and the penalty box", weights_and_box },
	{ "packets are policed above four times the rate, replies never", packets },
	{ "a flood of sources does not cut one that is known", bounded },
	{ "heavy sources are counted by prefix while they are watched", watching },
	{ "policing stays over a configuration", stays_over_a_configuration },
};

TAP_MAIN("police", cases)
