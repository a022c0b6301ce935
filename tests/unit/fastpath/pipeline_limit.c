/* SPDX-License-Identifier: BSD-3-Clause */

#include "tests/unit/fastpath/pipeline_bed.h"
#include "tests/unit/tap.h"

#define CLIENT	"198.51.100.7"
#define SERVICE "203.0.113.10"

/*
 * Offer packets of `flows` flows evenly over some seconds, to a dsr service on several workers; every
 * packet opens a flow where fresh is set. Returns how many came out.
 */
static uint64_t offer(struct bed *b, uint32_t per_second, uint32_t seconds, uint16_t flows)
{
	uint64_t gap = BED_SECOND / per_second;
	uint64_t out = 0;

	for (uint32_t i = 0; i < per_second * seconds; i++) {
		struct bed_packet p = bed_client(CLIENT, (uint16_t)(1024 + i % flows), SERVICE, 80);

		p.protocol = 17;
		p.payload = 83; /* a frame of 125 bytes, 1000 bits */
		bed_send(b, 0, &p);
		b->now += gap;
		if (i % 8 == 7)
			bed_run(b);
		out += bed_discard(b, 1);
	}
	bed_run(b);
	return out + bed_discard(b, 1);
}

static struct weir_config_service *limited_start(
	struct bed *b, uint32_t core_count, uint16_t workers)
{
	struct weir_config_service *s;

	bed_start(b, core_count, (uint16_t)(core_count > 1 ? 4 : 1));
	s = bed_add_service(b, "web", WEIR_MODE_DSR, 17, SERVICE, 80);
	bed_add_backend(b, 0, "10.0.0.11", 80);
	s->cores = workers;
	return s;
}

static void check_within_2_percent(uint64_t value, uint64_t wanted)
{
	CU_ASSERT_TRUE(value * 100 >= wanted * 98 && value * 100 <= wanted * 102 + 100);
	if (value * 100 < wanted * 98 || value * 100 > wanted * 102 + 100)
		printf("# %lu instead of %lu\n", (unsigned long)value, (unsigned long)wanted);
}

static void packets(uint32_t cores, uint16_t workers, uint16_t flows)
{
	struct bed b;
	uint64_t out;

	limited_start(&b, cores, workers)->limit_packets = 1000;
	bed_apply(&b);
	out = offer(&b, 4000, 5, flows);
	check_within_2_percent(out, 5000 + 10);
	CU_ASSERT_EQUAL(bed_dropped(&b, 0, WEIR_DROP_LIMIT_PACKETS), 20000 - out);
	bed_stop(&b);
}

static void packets_one_worker(void)
{
	packets(1, 1, 100);
}

static void packets_four_workers(void)
{
	packets(5, 4, 1000);
}

static void packets_skewed(void)
{
	packets(5, 4, 1); /* one flow, so one of four workers has it all */
}

static void bits(void)
{
	struct bed b;

	limited_start(&b, 5, 4)->limit_bits = 1000000;
	bed_apply(&b);
	check_within_2_percent(offer(&b, 4000, 5, 1000), 5000 + 10);
	CU_ASSERT_TRUE(bed_dropped(&b, 0, WEIR_DROP_LIMIT_BITS) > 14000);
	bed_stop(&b);
}

static void connections(void)
{
	struct bed b;
	uint64_t out;

	limited_start(&b, 5, 4)->limit_connections = 500;
	bed_apply(&b);
	out = offer(&b, 2000, 5, 20000);
	check_within_2_percent(out, 2500 + 5);
	CU_ASSERT_EQUAL(bed_sum(&b, 0, new_flows), out);
	CU_ASSERT_EQUAL(bed_dropped(&b, 0, WEIR_DROP_LIMIT_CONNECTIONS), 10000 - out);
	bed_stop(&b);
}

static void fewer_than_workers(void)
{
	struct bed b;
	uint64_t out;

	limited_start(&b, 5, 4)->limit_packets = 2;
	bed_apply(&b);
	out = offer(&b, 1000, 10, 1000);
	CU_ASSERT_TRUE(out >= 20 && out <= 21);
	bed_stop(&b);
}

static void zero_is_nothing(void)
{
	struct bed b;

	limited_start(&b, 5, 4)->limit_packets = 0;
	bed_apply(&b);
	CU_ASSERT_EQUAL(offer(&b, 1000, 2, 100), 0);
	CU_ASSERT_EQUAL(bed_dropped(&b, 0, WEIR_DROP_LIMIT_PACKETS), 2000);
	b.service[0].limit_packets = WEIR_UNLIMITED;
	b.service[0].limit_connections = 0;
	bed_apply(&b);
	CU_ASSERT_EQUAL(offer(&b, 1000, 2, 100), 0);
	CU_ASSERT_EQUAL(bed_dropped(&b, 0, WEIR_DROP_LIMIT_CONNECTIONS), 2000);
	bed_stop(&b);
}

static void change_keeps_state(void)
{
	struct bed b;
	uint64_t out = 0;

	limited_start(&b, 1, 1)->limit_packets = 100;
	b.service[0].burst_ns = 100 * BED_MS;
	bed_apply(&b);
	for (uint32_t i = 0; i < 50; i++) {
		out += offer(&b, 1000, 1, 100);
		b.service[0].limit_bits = WEIR_UNLIMITED - 1 - i; /* some change, many times */
		bed_apply(&b);
	}
	check_within_2_percent(out, 5000);
	bed_stop(&b);
}

static void known_flows_pass(void)
{
	struct bed b;

	limited_start(&b, 1, 1)->limit_connections = 10;
	bed_apply(&b);
	CU_ASSERT_EQUAL(offer(&b, 1000, 1, 1), 1000);
	bed_stop(&b);
}

static void replies_pass(void)
{
	struct bed b;
	struct bed_packet p = bed_client(CLIENT, 40000, SERVICE, 80);
	struct bed_packet to, back, out;

	bed_start(&b, 1, 1);
	bed_add_service(&b, "web", WEIR_MODE_NAT, 6, SERVICE, 80)->limit_packets = 1;
	bed_add_backend(&b, 0, "10.0.0.11", 80);
	bed_apply(&b);
	CU_ASSERT_TRUE_FATAL(bed_exchange(&b, 0, &p, &to));
	back = bed_reply(&to, BED_SYN | BED_ACK, 0);
	for (uint32_t i = 0; i < 100; i++)
		CU_ASSERT_TRUE(bed_exchange(&b, 1, &back, &out));
	CU_ASSERT_TRUE(bed_exchange(&b, 0, &p, &to)); /* a bucket is two packets deep at least */
	CU_ASSERT_FALSE(bed_exchange(&b, 0, &p, &to));
	bed_stop(&b);
}

static const struct tap_case cases[] = {
	{ "a limit of packets is exact on one worker", packets_one_worker },
	{ "a limit of packets is exact over four workers", packets_four_workers },
	{ "a limit of packets is exact when one worker of four has all flows", packets_skewed },
	{ "a limit of bits is exact over four workers", bits },
	{ "a limit of connections is exact over four workers", connections },
	{ "a limit smaller than the number of workers is exact", fewer_than_workers },
	{ "a limit of 0 lets nothing pass", zero_is_nothing },
	{ "configurations do not fill the buckets again", change_keeps_state },
	{ "packets of known flows do not count as connections", known_flows_pass },
	{ "limits do not hold for replies", replies_pass },
};

TAP_MAIN("limit", cases)
