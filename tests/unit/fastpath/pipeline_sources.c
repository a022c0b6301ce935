/* SPDX-License-Identifier: BSD-3-Clause */

/* Limits per source through the whole fast path: one source's excess is nobody else's loss. */

#include "dataplane/table/source_table.h"
#include "tests/unit/fastpath/pipeline_bed.h"
#include "tests/unit/fastpath/random.h"
#include "tests/unit/tap.h"

#include <errno.h>
#include <string.h>

#define SERVICE "203.0.113.10"

static struct weir_config_service *limited_start(
	struct bed *b, uint32_t core_count, uint16_t workers, uint8_t mode, uint8_t protocol)
{
	struct weir_config_service *s;

	bed_start(b, core_count, (uint16_t)(core_count > 1 ? 4 : 1));
	s = bed_add_service(b, "web", mode, protocol, SERVICE, 80);
	bed_add_backend(b, 0, "10.0.0.11", 80);
	s->cores = workers;
	s->per_source_prefix = 32;
	s->per_source_burst_ns = 10 * BED_MS;
	return s;
}

static struct bed_packet from(uint32_t address, uint16_t port, uint8_t protocol)
{
	struct bed_packet p = bed_client("10.1.2.3", port, SERVICE, 80);

	p.src[12] = (uint8_t)(address >> 24);
	p.src[13] = (uint8_t)(address >> 16);
	p.src[14] = (uint8_t)(address >> 8);
	p.src[15] = (uint8_t)address;
	p.protocol = protocol;
	return p;
}

/* Send, and see whether it came out. */
static bool passes(struct bed *b, const struct bed_packet *p)
{
	bed_send(b, 0, p);
	bed_run(b);
	return bed_discard(b, 1) > 0;
}

static void check_within_2_percent(uint64_t value, uint64_t wanted)
{
	CU_ASSERT_TRUE(value * 100 >= wanted * 98 && value * 100 <= wanted * 102 + 200);
	if (value * 100 < wanted * 98 || value * 100 > wanted * 102 + 200)
		printf("# %lu instead of %lu\n", (unsigned long)value, (unsigned long)wanted);
}

/* Four sources that send 400, 800, 2000 and 4000 a second over many flows, to a limit of 1000. */
static void packets(uint32_t cores, uint16_t workers)
{
	static const uint32_t every[] = { 10, 5, 2, 1 };
	uint64_t out[4] = { 0 };
	struct bed b;

	limited_start(&b, cores, workers, WEIR_MODE_DSR, 17)->per_source_packets = 1000;
	bed_apply(&b);
	for (uint32_t tick = 0; tick < 20000; tick++, b.now += BED_SECOND / 4000) {
		for (uint32_t i = 0; i < 4; i++) {
			struct bed_packet p =
				from(0xc6336400 + i, (uint16_t)(1024 + tick % 500), 17);

			if (tick % every[i] == 0)
				out[i] += passes(&b, &p);
		}
	}
	CU_ASSERT_EQUAL(out[0], 2000);
	CU_ASSERT_EQUAL(out[1], 4000);
	check_within_2_percent(out[2], 5000 + 10);
	check_within_2_percent(out[3], 5000 + 10);
	CU_ASSERT_EQUAL(bed_dropped(&b, 0, WEIR_DROP_SOURCE_PACKETS),
		2000 + 4000 + 10000 + 20000 - out[0] - out[1] - out[2] - out[3]);
	CU_ASSERT_EQUAL(bed_sum(&b, 0, sources_tracked), 4);
	bed_stop(&b);
}

static void packets_one_worker(void)
{
	packets(1, 1);
}

static void packets_four_workers(void)
{
	packets(5, 4);
}

/* Two sources open 50 and 1000 flows a second, to a limit of 100; retransmissions are no new flows. */
static void connections(uint32_t cores, uint16_t workers)
{
	uint64_t calm = 0, greedy = 0;
	struct bed b;

	limited_start(&b, cores, workers, WEIR_MODE_DSR, 6)->per_source_connections = 100;
	bed_apply(&b);
	for (uint32_t tick = 0; tick < 5000; tick++, b.now += BED_MS) {
		struct bed_packet p = from(2, (uint16_t)(1024 + tick), 6);

		bed_send(&b, 0, &p);
		greedy += passes(&b, &p);
		if (tick % 20)
			continue;
		p = from(1, (uint16_t)(1024 + tick), 6);
		calm += passes(&b, &p);
		CU_ASSERT_TRUE(passes(&b, &p));
	}
	CU_ASSERT_EQUAL(calm, 250);
	check_within_2_percent(greedy, 500 + 2);
	CU_ASSERT_EQUAL(bed_sum(&b, 0, new_flows), calm + greedy);
	CU_ASSERT_EQUAL(bed_dropped(&b, 0, WEIR_DROP_SOURCE_CONNECTIONS), 2 * (5000 - greedy));
	bed_stop(&b);
}

static void connections_one_worker(void)
{
	connections(1, 1);
}

static void connections_four_workers(void)
{
	connections(5, 4);
}

/* The service's own limit is not spent on what its source may not send. */
static void refused_before_the_service_pays(void)
{
	uint64_t calm = 0;
	struct bed b;
	struct weir_config_service *s = limited_start(&b, 1, 1, WEIR_MODE_DSR, 17);

	s->per_source_packets = s->per_source_connections = 100;
	s->limit_packets = s->limit_connections = 300;
	s->burst_ns = 100 * BED_MS;
	bed_apply(&b);
	for (uint32_t tick = 0; tick < 10000; tick++, b.now += BED_MS) {
		struct bed_packet p = from(1, (uint16_t)(1024 + tick), 17);

		passes(&b, &p);
		p = from(2, (uint16_t)(1024 + tick), 17);
		if (tick % 20 == 0)
			calm += passes(&b, &p);
	}
	CU_ASSERT_EQUAL(calm, 500);
	CU_ASSERT_EQUAL(bed_dropped(&b, 0, WEIR_DROP_LIMIT_PACKETS), 0);
	CU_ASSERT_EQUAL(bed_dropped(&b, 0, WEIR_DROP_LIMIT_CONNECTIONS), 0);
	bed_stop(&b);
}

/* A whole exchange of a client: handshake, request, response. */
static bool exchange(struct bed *b, uint32_t address, uint16_t port)
{
	struct bed_packet p = from(address, port, 6);
	struct bed_packet to, back, out;

	if (!bed_exchange(b, 0, &p, &to))
		return false;
	back = bed_reply(&to, BED_SYN | BED_ACK, 0);
	CU_ASSERT_TRUE(bed_exchange(b, 1, &back, &out));
	p.tcp_flags = BED_ACK | BED_PSH;
	p.payload = 10;
	if (!bed_exchange(b, 0, &p, &to))
		return false;
	back = bed_reply(&to, BED_ACK | BED_PSH, 100);
	return bed_exchange(b, 1, &back, &out);
}

/* SYNs of made-up sources fill the table; who had answers of a backend before does not feel it. */
static void flood_of_syns(void)
{
	struct random random = random_start("sources, SYNs");
	uint64_t before = 0, during = 0;
	struct bed b;
	struct weir_config_service *s = limited_start(&b, 1, 1, WEIR_MODE_NAT, 6);

	s->per_source_connections = 20;
	s->per_source_packets = 200;
	s->per_source_burst_ns = 100 * BED_MS;
	s->per_source_entries = 1024;
	memset(b.source[0].blocks, 0xfe, sizeof(b.source[0].blocks)); /* ports are another matter */
	bed_apply(&b);
	for (uint32_t i = 0; i < 100; i++, b.now += 5 * BED_MS)
		before += exchange(&b, 100 + i, 1000);
	CU_ASSERT_EQUAL(before, 100);
	CU_ASSERT_EQUAL(bed_sum(&b, 0, sources_known), 100);
	for (uint32_t tick = 0; tick < 6000; tick++, b.now += BED_MS) {
		for (uint32_t i = 0; i < 10; i++) {
			struct bed_packet p =
				from(0x80000000 | (uint32_t)random_next(&random), 7777, 6);

			bed_send(&b, 0, &p);
		}
		bed_run(&b);
		bed_discard(&b, 1);
		if (tick % 10 == 0)
			during += exchange(&b, 100 + tick / 10 % 100, (uint16_t)(2000 + tick));
	}
	CU_ASSERT_EQUAL(during, 600);
	CU_ASSERT_EQUAL(bed_sum(&b, 0, sources_known), 100);
	CU_ASSERT_EQUAL(bed_sum(&b, 0, sources_tracked), 1024);
	CU_ASSERT_TRUE(bed_dropped(&b, 0, WEIR_DROP_SOURCE_CONNECTIONS) +
			bed_dropped(&b, 0, WEIR_DROP_SOURCE_PACKETS) >
		50000);
	bed_stop(&b);
}

static void an_answer_of_a_backend_is_the_proof(void)
{
	struct bed b;
	struct bed_packet p, to, back, out;

	limited_start(&b, 1, 1, WEIR_MODE_NAT, 6)->per_source_connections = 100;
	bed_apply(&b);
	/* Half of a handshake, a guessed ACK, and a reset or a bare ACK in return prove nothing. */
	p = from(1, 1000, 6);
	CU_ASSERT_TRUE_FATAL(bed_exchange(&b, 0, &p, &to));
	back = bed_reply(&to, BED_SYN | BED_ACK, 0);
	CU_ASSERT_TRUE(bed_exchange(&b, 1, &back, &out));
	p.tcp_flags = BED_ACK;
	p.payload = 10;
	CU_ASSERT_TRUE_FATAL(bed_exchange(&b, 0, &p, &to));
	back = bed_reply(&to, BED_ACK, 0);
	CU_ASSERT_TRUE(bed_exchange(&b, 1, &back, &out));
	back = bed_reply(&to, BED_RST, 0);
	CU_ASSERT_TRUE(bed_exchange(&b, 1, &back, &out));
	CU_ASSERT_EQUAL(bed_sum(&b, 0, sources_known), 0);
	CU_ASSERT_TRUE(exchange(&b, 2, 1000));
	CU_ASSERT_EQUAL(bed_sum(&b, 0, sources_known), 1);
	bed_stop(&b);
}

static void ipv6_by_prefix(void)
{
	struct bed b;
	struct weir_config_service *s;
	uint64_t out = 0, other = 0;

	bed_start(&b, 1, 1);
	s = bed_add_service(&b, "web", WEIR_MODE_DSR, 17, "2001:db8::10", 80);
	bed_add_backend(&b, 0, "2001:db8:1::11", 80);
	s->per_source_prefix = 64;
	s->per_source_packets = 100;
	s->per_source_burst_ns = 10 * BED_MS;
	bed_apply(&b);
	for (uint32_t tick = 0; tick < 5000; tick++, b.now += BED_MS) {
		struct bed_packet p = bed_client("2001:db8:7::", 1024, "2001:db8::10", 80);

		p.protocol = 17;
		memcpy(p.src + 10, &tick, sizeof(tick)); /* a host with many addresses */
		out += passes(&b, &p);
		p.src[7] = 1;
		if (tick % 20 == 0)
			other += passes(&b, &p);
	}
	check_within_2_percent(out, 500 + 2);
	CU_ASSERT_EQUAL(other, 250);
	CU_ASSERT_EQUAL(bed_sum(&b, 0, sources_tracked), 2);
	bed_stop(&b);
}

static uint64_t second_of(struct bed *b, uint32_t address)
{
	uint64_t out = 0;

	for (uint32_t tick = 0; tick < 1000; tick++, b->now += BED_MS) {
		struct bed_packet p = from(address, 1024, 17);

		out += passes(b, &p);
	}
	return out;
}

/* On, another rate, another prefix, off and on again, while packets pass. */
static void changes_take_effect_at_once(void)
{
	struct bed b;
	struct weir_config_service *s = limited_start(&b, 3, 2, WEIR_MODE_DSR, 17);
	const struct weir_service_entry *entry = &b.telemetry->service[0];

	bed_apply(&b);
	CU_ASSERT_EQUAL(second_of(&b, 1), 1000);
	CU_ASSERT_EQUAL(entry->source_entries, 0);
	s->per_source_packets = 100;
	bed_apply(&b);
	CU_ASSERT_TRUE(entry->source_entries >= SOURCE_ENTRIES_MIN);
	check_within_2_percent(second_of(&b, 1), 101);
	s->per_source_packets = 200;
	bed_apply(&b);
	CU_ASSERT_EQUAL(bed_sum(&b, 0, sources_tracked), 1); /* the table stays */
	check_within_2_percent(second_of(&b, 1), 201);
	CU_ASSERT_EQUAL(bed_backend_state(&b, 0, 0, WEIR_BACKEND_UP, 50), 0);
	CU_ASSERT_EQUAL(bed_sum(&b, 0, sources_tracked), 1);
	check_within_2_percent(second_of(&b, 2), 201);
	CU_ASSERT_EQUAL(bed_sum(&b, 0, sources_tracked), 2);
	s->per_source_prefix = 24;
	bed_apply(&b);
	CU_ASSERT_EQUAL(bed_sum(&b, 0, sources_tracked), 0); /* another table */
	check_within_2_percent(second_of(&b, 3), 201);
	s->per_source_entries = 5000;
	bed_apply(&b);
	CU_ASSERT_EQUAL(entry->source_entries, 8192);
	s->per_source_packets = WEIR_UNLIMITED;
	bed_apply(&b);
	CU_ASSERT_EQUAL(second_of(&b, 1), 1000);
	CU_ASSERT_EQUAL(entry->source_entries, 0);
	CU_ASSERT_EQUAL(bed_sum(&b, 0, sources_tracked), 0);
	bed_stop(&b);
}

static void no_memory_changes_nothing(void)
{
	struct bed b;
	struct weir_config_service *s;

	bed_start_with(&b, 1, 1, UINT64_C(16) << 20, false);
	s = bed_add_service(&b, "web", WEIR_MODE_DSR, 17, SERVICE, 80);
	bed_add_backend(&b, 0, "10.0.0.11", 80);
	s->per_source_prefix = 32;
	bed_apply(&b);
	s->per_source_packets = 100;
	s->per_source_entries = 1 << 20;
	CU_ASSERT_EQUAL(bed_try_apply(&b), -ENOMEM);
	CU_ASSERT_PTR_NOT_NULL(strstr(b.err, "per-source.entries"));
	CU_ASSERT_EQUAL(second_of(&b, 1), 1000);
	/* What is given back can be had again, any number of times. */
	for (uint32_t i = 0; i < 100; i++) {
		s->per_source_entries = 32768 << (i & 1);
		bed_apply(&b);
	}
	bed_stop(&b);
}

static void zero_and_replies(void)
{
	struct bed b;
	struct weir_config_service *s = limited_start(&b, 1, 1, WEIR_MODE_NAT, 6);
	struct bed_packet p = from(1, 1000, 6);
	struct bed_packet to, back, out;

	s->per_source_packets = 1;
	bed_apply(&b);
	CU_ASSERT_TRUE_FATAL(bed_exchange(&b, 0, &p, &to));
	back = bed_reply(&to, BED_SYN | BED_ACK, 0);
	for (uint32_t i = 0; i < 100; i++)
		CU_ASSERT_TRUE(bed_exchange(&b, 1, &back, &out));
	s->per_source_packets = 0;
	bed_apply(&b);
	CU_ASSERT_FALSE(passes(&b, &p));
	s->per_source_packets = WEIR_UNLIMITED;
	s->per_source_connections = 0;
	bed_apply(&b);
	CU_ASSERT_TRUE(passes(&b, &p)); /* of a known flow */
	p.sport++;
	CU_ASSERT_FALSE(passes(&b, &p));
	CU_ASSERT_EQUAL(bed_dropped(&b, 0, WEIR_DROP_SOURCE_CONNECTIONS), 1);
	bed_stop(&b);
}

static const struct tap_case cases[] = {
	{ "a limit of packets per source is exact on one worker", packets_one_worker },
	{ "a limit of packets per source is exact over four workers", packets_four_workers },
	{ "a limit of new flows per source is exact on one worker", connections_one_worker },
	{ "a limit of new flows per source is exact over four workers", connections_four_workers },
	{ "what a source may not send does not use up the service's limit",
		refused_before_the_service_pays },
	{ "beside a flood of SYNs known clients are served as before", flood_of_syns },
	{ "data of a backend is the proof, and nothing less", an_answer_of_a_backend_is_the_proof },
	{ "addresses of one IPv6 prefix are one source", ipv6_by_prefix },
	{ "changes take effect at once and keep what they can", changes_take_effect_at_once },
	{ "a table that does not fit is refused, and nothing changes", no_memory_changes_nothing },
	{ "0 lets nothing pass, and replies are not limited", zero_and_replies },
};

TAP_MAIN("sources", cases)
