/* SPDX-License-Identifier: BSD-3-Clause */

/* Idle flows of a backend are closed as directives say, with the numbers that the backend itself tells. */

#include "tests/unit/fastpath/pipeline_direct.h"
#include "tests/unit/tap.h"

#include <rte_byteorder.h>

#include <string.h>

#define FLOWS	 200u
#define BACKEND	 UINT32_C(0xfffffff0) /* what a backend will send next */
#define CLIENT	 UINT32_C(0x12345678) /* what it expects */
#define L4	 34u
#define CHECKSUM 16u

static struct bed_packet at_backend[FLOWS]; /* each flow as its backend has it */

static void start(struct bed *b, struct direct *d)
{
	bed_start(b, 1, 1);
	bed_add_service(b, "web", WEIR_MODE_NAT, 6, DIRECT_SERVICE, 80);
	bed_add_backend(b, 0, "10.0.0.11", 80);
	bed_add_backend(b, 0, "10.0.0.12", 80);
	bed_apply(b);
	direct_begin(d, b);
}

static struct bed_packet client(uint32_t i)
{
	struct bed_packet p = bed_client("198.51.100.7", (uint16_t)(1000 + i), DIRECT_SERVICE, 80);

	p.tcp_flags = BED_ACK;
	return p;
}

/* Established, with a request that was answered; then silence. */
static void flows_open(struct bed *b)
{
	struct bed_packet p, back, out;

	for (uint32_t i = 0; i < FLOWS; i++) {
		p = client(i);
		p.tcp_flags = BED_SYN;
		CU_ASSERT_TRUE_FATAL(bed_exchange(b, 0, &p, &at_backend[i]));
		back = bed_reply(&at_backend[i], BED_SYN | BED_ACK, 0);
		bed_exchange(b, 1, &back, &out);
		p.tcp_flags = BED_ACK | BED_PSH;
		p.payload = 10;
		bed_exchange(b, 0, &p, &out);
		back = bed_reply(&at_backend[i], BED_ACK | BED_PSH, 100);
		bed_exchange(b, 1, &back, &out);
	}
	b->now += BED_SECOND;
}

/* Packets of the service pass, and time. */
static void traffic(struct bed *b, uint32_t ms)
{
	struct bed_packet p = bed_client("198.51.100.8", 7, DIRECT_SERVICE, 80);

	for (uint32_t i = 0; i < ms; i++, b->now += BED_MS) {
		bed_send(b, 0, &p);
		bed_run(b);
	}
}

static uint32_t flow_of(const struct bed_packet *p)
{
	for (uint32_t i = 0; i < FLOWS; i++)
		if (p->sport == at_backend[i].sport && p->dst[15] == at_backend[i].dst[15])
			return i;
	return UINT32_MAX;
}

/* Take what went to backends: which flows' backends were asked. The rest is traffic(). */
static uint32_t probed(struct bed *b, bool ret_flow[FLOWS])
{
	struct bed_packet p;
	uint32_t count = 0;

	memset(ret_flow, 0, FLOWS * sizeof(ret_flow[0]));
	while (bed_receive(b, 1, &p)) {
		uint32_t i = flow_of(&p);

		if (i == UINT32_MAX)
			continue;
		CU_ASSERT_EQUAL(p.tcp_flags, BED_ACK);
		CU_ASSERT_EQUAL(p.payload, 0);
		CU_ASSERT_EQUAL(p.dmac[5], b->backend[0][p.dst[15] - 11].neighbour);
		CU_ASSERT_FALSE(ret_flow[i]);
		ret_flow[i] = true;
		count++;
	}
	return count;
}

static uint16_t sum_of(const uint8_t *data, uint32_t length, uint32_t sum)
{
	for (uint32_t i = 0; i + 1 < length; i += 2)
		sum += (uint32_t)data[i] << 8 | data[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* The backend says where it stands. */
static void answer(struct bed *b, uint32_t i)
{
	struct bed_packet back = bed_reply(&at_backend[i], BED_ACK, 0);
	uint32_t seq = rte_cpu_to_be_32(BACKEND + i), ack = rte_cpu_to_be_32(CLIENT + i);
	uint8_t frame[2048];
	uint32_t length = bed_frame(b, 1, &back, frame);
	uint16_t check;

	memcpy(frame + L4 + 4, &seq, 4);
	memcpy(frame + L4 + 8, &ack, 4);
	memset(frame + L4 + CHECKSUM, 0, 2);
	check = rte_cpu_to_be_16(sum_of(frame + 26, 8 + length - L4, 6 + length - L4));
	memcpy(frame + L4 + CHECKSUM, &check, 2);
	bed_send_bytes(b, 1, frame, length);
	bed_run(b);
}

static uint32_t number(const uint8_t *frame, uint32_t at)
{
	uint32_t be;

	memcpy(&be, frame + L4 + at, 4);
	return rte_be_to_cpu_32(be);
}

/* Both ends get a reset with the number that each expects. */
static void check_closed(struct bed *b, uint32_t i)
{
	uint8_t frame[2048];
	uint32_t length;

	bed_discard(b, 0);
	bed_discard(b, 1);
	answer(b, i);
	length = bed_receive_bytes(b, 0, frame);
	CU_ASSERT_TRUE_FATAL(length >= 54);
	CU_ASSERT_EQUAL(frame[L4 + 13], BED_RST | BED_ACK);
	CU_ASSERT_EQUAL(number(frame, 4), BACKEND + i);
	CU_ASSERT_EQUAL(frame[29], 10); /* from the service */
	CU_ASSERT_EQUAL(frame[33], 7); /* to the client */
	CU_ASSERT_EQUAL(sum_of(frame + 26, 8 + 20, 6 + 20), 0);
	length = bed_receive_bytes(b, 1, frame);
	CU_ASSERT_TRUE_FATAL(length >= 54);
	CU_ASSERT_EQUAL(frame[L4 + 13], BED_RST);
	CU_ASSERT_EQUAL(number(frame, 4), CLIENT + i);
	CU_ASSERT_EQUAL(frame[33], at_backend[i].dst[15]);
	CU_ASSERT_EQUAL(sum_of(frame + 26, 8 + 20, 6 + 20), 0);
	CU_ASSERT_EQUAL(bed_waiting(b, 0) + bed_waiting(b, 1), 0);
}

static uint32_t of_backend(uint8_t last)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < FLOWS; i++)
		count += at_backend[i].dst[15] == last;
	return count;
}

static void all_of_one(void)
{
	bool asked[FLOWS];
	uint32_t closed = 0;
	struct direct d;
	struct bed b;

	start(&b, &d);
	flows_open(&b);
	d.backend[0].close_idle = 1000;
	CU_ASSERT_EQUAL(direct_send(&d, &b), 0);
	traffic(&b, 400);
	CU_ASSERT_EQUAL(probed(&b, asked), of_backend(11));
	for (uint32_t i = 0; i < FLOWS; i++) {
		CU_ASSERT_EQUAL(asked[i], at_backend[i].dst[15] == 11);
		if (!asked[i])
			continue;
		check_closed(&b, i);
		closed++;
	}
	CU_ASSERT_EQUAL(bed_sum(&b, 0, closed_idle), closed);
	CU_ASSERT_EQUAL(bed_backend_cell(&b, 0, 0, 0)->resets, 0); /* that was us */
	/* Once: the next packets find nothing more to close. */
	traffic(&b, 400);
	CU_ASSERT_EQUAL(probed(&b, asked), 0);
	bed_stop(&b);
}

static void a_share(void)
{
	bool asked[FLOWS];
	uint32_t first, second;
	struct direct d;
	struct bed b;

	start(&b, &d);
	flows_open(&b);
	d.backend[0].close_idle = d.backend[1].close_idle = 200;
	CU_ASSERT_EQUAL(direct_send(&d, &b), 0);
	traffic(&b, 400);
	first = probed(&b, asked);
	CU_ASSERT_TRUE(first > FLOWS / 10 && first < FLOWS * 3 / 10);
	/* Who does not answer is not asked again; others are. */
	CU_ASSERT_EQUAL(direct_send(&d, &b), 0);
	traffic(&b, 400);
	second = probed(&b, asked);
	CU_ASSERT_TRUE(second > FLOWS / 20 && second < FLOWS * 3 / 10);
	bed_stop(&b);
}

/* Whatever moves on a flow after its backend was asked keeps it open. */
static void not_idle(void)
{
	struct bed_packet p, back, out;
	bool asked[FLOWS];
	uint32_t mine[3], found = 0;
	struct direct d;
	struct bed b;

	start(&b, &d);
	flows_open(&b);
	p = client(0); /* just now: not idle */
	bed_exchange(&b, 0, &p, &out);
	p = client(1); /* waits for an answer: not idle */
	p.payload = 10;
	bed_exchange(&b, 0, &p, &out);
	d.backend[0].close_idle = d.backend[1].close_idle = 1000;
	CU_ASSERT_EQUAL(direct_send(&d, &b), 0);
	traffic(&b, 400);
	CU_ASSERT_EQUAL(probed(&b, asked), FLOWS - 2);
	CU_ASSERT_FALSE(asked[0] || asked[1]);
	for (uint32_t i = 2; i < FLOWS && found < 3; i++)
		if (asked[i])
			mine[found++] = i;
	p = client(mine[0]); /* the client comes first */
	p.payload = 10;
	bed_exchange(&b, 0, &p, &out);
	back = bed_reply(
		&at_backend[mine[1]], BED_ACK | BED_PSH, 10); /* the backend had more to say */
	bed_exchange(&b, 1, &back, &out);
	back = bed_reply(&at_backend[mine[2]], BED_ACK | BED_FIN, 0); /* it closes by itself */
	bed_exchange(&b, 1, &back, &out);
	for (uint32_t i = 0; i < 3; i++) {
		bed_discard(&b, 0);
		bed_discard(&b, 1);
		answer(&b, mine[i]);
		CU_ASSERT_TRUE(bed_receive(&b, 0, &out)); /* goes to the client as it is */
		CU_ASSERT_EQUAL(out.tcp_flags, BED_ACK);
		CU_ASSERT_EQUAL(bed_waiting(&b, 1), 0);
	}
	CU_ASSERT_EQUAL(bed_sum(&b, 0, closed_idle), 0);
	bed_stop(&b);
}

static const struct tap_case cases[] = {
	{ "all idle flows of one backend are reset at both ends", all_of_one },
	{ "a share of them at a time", a_share },
	{ "a flow that is not idle stays, whatever was asked", not_idle },
};

TAP_MAIN("idle", cases)
