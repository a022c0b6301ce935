/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Devices that say what they found of the sums of IPv4 headers: what is believed of it, and of whom.
 */

#include "tests/unit/fastpath/net_frames.h"
#include "tests/unit/fastpath/pipeline_bed.h"
#include "tests/unit/tap.h"

#include <rte_mbuf.h>

#define GOOD	  RTE_MBUF_F_RX_IP_CKSUM_GOOD
#define BAD	  RTE_MBUF_F_RX_IP_CKSUM_BAD
#define NONE	  RTE_MBUF_F_RX_IP_CKSUM_NONE
#define UNKNOWN	  RTE_MBUF_F_RX_IP_CKSUM_UNKNOWN
#define OUTER_BAD RTE_MBUF_F_RX_OUTER_IP_CKSUM_BAD
#define OTHERS	  (RTE_MBUF_F_RX_L4_CKSUM_BAD | RTE_MBUF_F_RX_RSS_HASH | RTE_MBUF_F_RX_VLAN)

enum form {
	PLAIN,
	TAGGED,
	WITH_OPTIONS
};

/* Two cores: the first dispatches, and the device may steer the service to the second, its worker. */
static void start(struct bed *b, bool checks_sums)
{
	bed_start(b, 2, 2);
	for (uint8_t i = 0; i < 2; i++)
		b->port[0].rx_queue[i].core = i;
	b->port[0].port.checks_sums = checks_sums;
	bed_add_service(b, "web", WEIR_MODE_NAT, 6, "203.0.113.10", 80);
	bed_add_backend(b, 0, "10.0.0.11", 8080);
	bed_apply(b);
	CU_ASSERT_EQUAL_FATAL(b->telemetry->service[0].worker_mask, 2);
}

static uint32_t frame_write(const struct bed *b, enum form form, bool right, uint8_t *ret_frame)
{
	struct bed_packet p = bed_client("198.51.100.7", 40000, "203.0.113.10", 80);
	uint32_t length = bed_frame(b, 0, &p, ret_frame);
	uint8_t *l3 = ret_frame + 14;

	if (form == WITH_OPTIONS) {
		memmove(l3 + 24, l3 + 20, length - 34);
		memset(l3 + 20, 1, 4); /* no operation */
		l3[0] = 0x46;
		length += 4;
		put16(l3 + 2, length - 14);
		put16(l3 + 10, 0);
		put16(l3 + 10, ~plain_sum(0, l3, 24) & 0xffff);
	}
	l3[10] ^= right ? 0 : 0x40;
	if (form == TAGGED) {
		memmove(ret_frame + 16, ret_frame + 12, length - 12);
		put16(ret_frame + 12, 0x8100);
		put16(ret_frame + 14, 7);
		length += 4;
	}
	return length;
}

/* By either queue. True when it was sent on; else it was counted as malformed. */
static bool passes(struct bed *b, uint16_t queue, enum form form, bool right, uint64_t ol_flags)
{
	uint64_t dropped = bed_dropped(b, 0, WEIR_DROP_MALFORMED);
	uint8_t frame[256];
	uint32_t length = frame_write(b, form, right, frame);

	b->port[0].ol_flags = ol_flags;
	bed_send_bytes_on(b, 0, queue, frame, length);
	bed_run(b);
	uint32_t sent = bed_discard(b, 1);
	CU_ASSERT_EQUAL(bed_dropped(b, 0, WEIR_DROP_MALFORMED) - dropped, 1 - sent);
	return sent == 1;
}

static void good_is_believed(void)
{
	struct bed b;

	start(&b, true);
	for (uint16_t queue = 0; queue < 2; queue++) {
		CU_ASSERT(passes(&b, queue, PLAIN, true, GOOD));
		/* Nobody has looked: that is what it spares. */
		CU_ASSERT(passes(&b, queue, PLAIN, false, GOOD));
		CU_ASSERT(passes(&b, queue, PLAIN, false, GOOD | OTHERS));
	}
	bed_stop(&b);
}

static void others_are_summed_up(void)
{
	static const uint64_t flags[] = { BAD, NONE, UNKNOWN, GOOD | OUTER_BAD, BAD | OUTER_BAD,
		OTHERS };
	struct bed b;

	start(&b, true);
	for (uint16_t queue = 0; queue < 2; queue++)
		for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
			CU_ASSERT_FALSE(passes(&b, queue, PLAIN, false, flags[i]));
			CU_ASSERT(passes(&b, queue, PLAIN, true, flags[i]));
		}
	bed_stop(&b);
}

static void odd_frames_are_summed_up(void)
{
	struct bed b;

	start(&b, true);
	for (uint16_t queue = 0; queue < 2; queue++)
		for (int form = TAGGED; form <= WITH_OPTIONS; form++) {
			CU_ASSERT_FALSE(passes(&b, queue, (enum form)form, false, GOOD));
			CU_ASSERT(passes(&b, queue, (enum form)form, true, GOOD));
		}
	bed_stop(&b);
}

static void ports_without_it_are_not_believed(void)
{
	static const uint64_t flags[] = { GOOD, BAD, NONE, UNKNOWN };
	struct bed b;

	start(&b, false);
	for (uint16_t queue = 0; queue < 2; queue++)
		for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
			CU_ASSERT_FALSE(passes(&b, queue, PLAIN, false, flags[i]));
			CU_ASSERT(passes(&b, queue, PLAIN, true, flags[i]));
		}
	bed_stop(&b);
}

static const struct tap_case cases[] = {
	{ "what the device found right is not summed up again", good_is_believed },
	{ "what it calls wrong, or says nothing of, is summed up and judged by that",
		others_are_summed_up },
	{ "so is what not every device looks at: tagged frames and headers with options",
		odd_frames_are_summed_up },
	{ "of a device that was not asked nothing is believed", ports_without_it_are_not_believed },
};

TAP_MAIN("checksums of devices", cases)
