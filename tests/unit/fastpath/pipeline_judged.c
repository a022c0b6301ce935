/* SPDX-License-Identifier: BSD-3-Clause */

/* What the kernel has judged in front of a port: verdicts that come with packets, drops that are counted. */

#include "dataplane/core/core.h"
#include "dataplane/stage/policy/judged.h"
#include "dataplane/stage/policy/policy_stage.h"
#include "tests/unit/fastpath/policy_bed.h"

#define CLIENT	"198.51.100.7"
#define SERVICE "203.0.113.10"
#define ID	UINT64_C(0x0123456789abcdef)

static struct steering_judge kernel[STEERING_MAX_JUDGES];
static struct port_judges judges;

/* A policy that drops everything for reason 3, in front of which the kernel may have judged. */
static struct weir_config_policy *offloaded_start(struct bed *b, uint32_t cores, bool ipv6)
{
	memset(kernel, 0, sizeof(kernel));
	kernel[0].next = 64;
	judges = (struct port_judges){ .judge = kernel };
	bed_start(b, cores, 2);
	b->port[0].port.judges = &judges;
	bed_add_service(b, "web", WEIR_MODE_DSR, 17, ipv6 ? "2001:db8::10" : SERVICE, 80);
	bed_add_backend(b, 0, ipv6 ? "fd00::11" : "10.0.0.11", 80);
	bed_add_backend(b, 0, ipv6 ? "fd00::21" : "10.0.0.21", 80)->pool = 1;
	b->service[0].pool_count = 1;
	class_add(b, "none")->packets = 0;
	policy_stage(b, say, ID, SETS("verdict=0x301"));
	struct weir_config_policy *p = policy_add(b, ID);

	p->offload = WEIR_POLICY_OFFLOAD_AUTO;
	return p;
}

static struct bed_packet datagram(bool ipv6)
{
	struct bed_packet p = bed_client(
		ipv6 ? "2001:db8::7" : CLIENT, 5000, ipv6 ? "2001:db8::10" : SERVICE, 80);

	p.protocol = 17;
	p.payload = 8;
	return p;
}

/* The seal as the kernel makes it, from the frame's bytes. */
static struct steering_meta meta_of(const uint8_t *frame, uint32_t length, uint32_t verdict)
{
	const bool ipv6 = frame[12] == 0x86;
	struct steering_meta m = { .magic = STEERING_META_MAGIC, .verdict = verdict, .judged = 1 };
	uint64_t l4;
	uint32_t saddr;

	memcpy(&l4, frame + (ipv6 ? 54 : 34), sizeof(l4));
	memcpy(&saddr, frame + (ipv6 ? 34 : 26), sizeof(saddr));
	m.seal = steering_seal(ID, l4, saddr, length);
	return m;
}

/* Send a packet with something in front of it. Returns whether it got through. */
static bool goes(struct bed *b, const struct bed_packet *p, const struct steering_meta *m,
	struct bed_packet *ret_to)
{
	struct bed_queue *q = &b->port[0].in[0];

	bed_send(b, 0, p);
	struct rte_mbuf *last = q->pkts[(q->tail - 1) % 65536];

	memcpy(rte_pktmbuf_mtod(last, uint8_t *) - sizeof(*m), m, sizeof(*m));
	bed_run(b);
	return bed_receive(b, 1, ret_to);
}

static struct steering_meta meta_for(
	const struct bed *b, const struct bed_packet *p, uint32_t verdict)
{
	uint8_t frame[2048];
	uint32_t length = bed_frame(b, 0, p, frame);

	return meta_of(frame, length, verdict);
}

static void verdicts_are_taken(void)
{
	for (uint32_t kind = 0; kind < 4; kind++) {
		const bool ipv6 = kind & 1;
		struct bed b;
		struct bed_packet p = datagram(ipv6), to;
		struct steering_meta m;
		struct weir_config_policy *policy = offloaded_start(&b, kind & 2 ? 2 : 1, ipv6);

		bed_apply(&b);
		m = meta_for(&b, &p, WEIR_PASS);
		CU_ASSERT_TRUE(goes(&b, &p, &m, &to));
		CU_ASSERT_EQUAL(verdicts(&b, 0, WEIR_ACTION_PASS), 1);
		m = meta_for(&b, &p, WEIR_LIMIT(1));
		CU_ASSERT_FALSE(goes(&b, &p, &m, &to));
		CU_ASSERT_EQUAL(bed_dropped(&b, 0, WEIR_DROP_LIMIT_CLASS), 1);
		p.sport = 6000;
		m = meta_for(&b, &p, WEIR_ROUTE(1));
		CU_ASSERT_TRUE(goes(&b, &p, &m, &to));
		CU_ASSERT_EQUAL(to.dmac[5], 1);
		CU_ASSERT_EQUAL(judged(&b, 0), 3);
		/* What a policy makes of an error is the data plane's to decide. */
		policy->on_error = WEIR_POLICY_ERROR_DROP;
		bed_apply(&b);
		m = meta_for(&b, &p, 0);
		CU_ASSERT_FALSE(goes(&b, &p, &m, &to));
		CU_ASSERT_EQUAL(bed_dropped(&b, 0, WEIR_DROP_POLICY_ERROR), 1);
		m = meta_for(&b, &p, 99);
		CU_ASSERT_FALSE(goes(&b, &p, &m, &to));
		CU_ASSERT_EQUAL(verdicts(&b, 0, WEIR_ACTION_ABORTED), 2);
		bed_stop(&b);
	}
}

/* Whatever lies there that is not this packet's and this policy's: the policy judges here, and drops. */
static void nothing_else_is_believed(void)
{
	struct bed b;
	struct bed_packet p = datagram(false), other, to;
	struct steering_meta good, m;

	offloaded_start(&b, 1, false);
	bed_apply(&b);
	good = meta_for(&b, &p, WEIR_PASS);
	m = good;
	m.magic++;
	CU_ASSERT_FALSE(goes(&b, &p, &m, &to));
	m = good;
	m.seal ^= 1; /* another policy's id */
	CU_ASSERT_FALSE(goes(&b, &p, &m, &to));
	other = p;
	other.sport++;
	CU_ASSERT_FALSE(goes(&b, &other, &good, &to));
	other = p;
	other.payload++;
	CU_ASSERT_FALSE(goes(&b, &other, &good, &to));
	other = p;
	bed_address("198.51.100.8", other.src);
	CU_ASSERT_FALSE(goes(&b, &other, &good, &to));
	CU_ASSERT_EQUAL(reasons(&b, 0, 3), 5);
	/* A port that nobody judges in front of, and a policy that is not to be judged elsewhere. */
	b.port[0].port.judges = NULL;
	CU_ASSERT_FALSE(goes(&b, &p, &good, &to));
	b.port[0].port.judges = &judges;
	CU_ASSERT_TRUE(goes(&b, &p, &good, &to));
	b.policy[0].offload = WEIR_POLICY_OFFLOAD_NEVER;
	bed_apply(&b);
	CU_ASSERT_FALSE(goes(&b, &p, &good, &to));
	CU_ASSERT_EQUAL(reasons(&b, 0, 3), 7);
	bed_stop(&b);
}

static void drop(uint32_t index, uint32_t reason, uint32_t packets, uint32_t bytes)
{
	kernel[index].reasons[reason] += packets;
	kernel[index].bytes += bytes;
	kernel[index].packets += packets;
}

static void a_moment(struct bed *b)
{
	b->now += 2 * BED_MS;
	bed_run(b);
}

static void drops_are_counted_as_here(void)
{
	struct bed b;
	struct bed_packet p = datagram(false), to;
	struct steering_meta none = { 0 };

	offloaded_start(&b, 2, false);
	kernel[7].id = ID;
	bed_apply(&b);
	a_moment(&b);
	drop(7, 3, 5, 500);
	drop(7, 15, 2, 300);
	a_moment(&b);
	a_moment(&b);
	CU_ASSERT_EQUAL(verdicts(&b, 0, WEIR_ACTION_DROP), 7);
	CU_ASSERT_EQUAL(reasons(&b, 0, 3), 5);
	CU_ASSERT_EQUAL(reasons(&b, 0, 15), 2);
	CU_ASSERT_EQUAL(bed_dropped(&b, 0, WEIR_DROP_POLICY), 7);
	CU_ASSERT_EQUAL(bed_sum(&b, 0, packets_received), 7);
	CU_ASSERT_EQUAL(bed_sum(&b, 0, bytes_received), 800);
	CU_ASSERT_EQUAL(bed_core(&b, 0)->port[0].packets_received, 7);
	CU_ASSERT_FALSE(goes(&b, &p, &none, &to)); /* beside what is dropped here */
	CU_ASSERT_EQUAL(reasons(&b, 0, 3), 6);
	/* The judge goes, and what it dropped last is still counted; then the index is another's. */
	drop(7, 3, 1, 100);
	kernel[7].id = 0;
	a_moment(&b);
	CU_ASSERT_EQUAL(reasons(&b, 0, 3), 7);
	kernel[7].id = ID + 1;
	drop(7, 3, 1, 100);
	a_moment(&b);
	CU_ASSERT_EQUAL(reasons(&b, 0, 3), 7);
	CU_ASSERT_EQUAL(bed_dropped(&b, 0, WEIR_DROP_POLICY), 9);
	bed_stop(&b);
}

/* The kernel has judged by the first of two, or by both; what it says of a list is that list's alone. */
static void several_come_with_one_verdict(void)
{
	struct bed b;
	struct bed_packet p = datagram(false), to;
	struct steering_meta both, first;

	offloaded_start(&b, 1, false);
	policy_stage(&b, say, ID + 1, SETS("verdict=0x501"));
	policy_add(&b, ID + 1)->offload = WEIR_POLICY_OFFLOAD_AUTO;
	bed_apply(&b);
	both = meta_for(&b, &p, WEIR_PASS);
	first = both;
	both.judged = 2;
	both.seal ^= ID ^ steering_chain(steering_chain(0, ID), ID + 1);
	CU_ASSERT_TRUE(goes(&b, &p, &both, &to));
	for (uint32_t i = 0; i < 2; i++)
		CU_ASSERT_EQUAL(policy_sum(&b, policy_entry(&b, i),
					POLICY_WORD(verdicts) + WEIR_ACTION_PASS),
			1);
	/* By the first only: the second judges here, and drops. */
	CU_ASSERT_FALSE(goes(&b, &p, &first, &to));
	CU_ASSERT_EQUAL(
		policy_sum(&b, policy_entry(&b, 0), POLICY_WORD(verdicts) + WEIR_ACTION_PASS), 2);
	CU_ASSERT_EQUAL(policy_sum(&b, policy_entry(&b, 1), POLICY_WORD(reasons) + 5), 1);
	CU_ASSERT_EQUAL(policy_sum(&b, policy_entry(&b, 0), POLICY_WORD(kernel)), 2);
	CU_ASSERT_EQUAL(policy_sum(&b, policy_entry(&b, 1), POLICY_WORD(kernel)), 1);
	/* More than there are, and as many with another's seal: the first one judges here, and drops. */
	both.judged = 3;
	CU_ASSERT_FALSE(goes(&b, &p, &both, &to));
	both.judged = 2;
	both.seal = first.seal;
	CU_ASSERT_FALSE(goes(&b, &p, &both, &to));
	CU_ASSERT_EQUAL(policy_sum(&b, policy_entry(&b, 0), POLICY_WORD(reasons) + 3), 2);
	/* What the first passed and the second dropped in the kernel is a verdict of both. */
	kernel[7].id = ID;
	kernel[8].id = ID + 1;
	a_moment(&b);
	kernel[7].passed += 4;
	drop(8, 5, 4, 400);
	a_moment(&b);
	CU_ASSERT_EQUAL(
		policy_sum(&b, policy_entry(&b, 0), POLICY_WORD(verdicts) + WEIR_ACTION_PASS), 6);
	CU_ASSERT_EQUAL(policy_sum(&b, policy_entry(&b, 0), POLICY_WORD(kernel_dropped)), 4);
	CU_ASSERT_EQUAL(policy_sum(&b, policy_entry(&b, 1), POLICY_WORD(reasons) + 5), 5);
	CU_ASSERT_EQUAL(bed_core(&b, 0)->port[0].packets_received, 8);
	bed_stop(&b);
}

/* The cores' time is their own until somebody tells CLOCK_MONOTONIC; less than a microsecond is no difference. */
static void policies_have_the_kernels_time(void)
{
	struct bed b;

	offloaded_start(&b, 2, false);
	for (uint32_t i = 0; i < 2; i++)
		CU_ASSERT_EQUAL(policy_now_ns(b.fp->core[i]->stage.policy, 70), 70);
	fastpath_policy_clock(b.fp, 5 * BED_SECOND, 2 * BED_SECOND);
	fastpath_policy_clock(b.fp, 6 * BED_SECOND + 500, 3 * BED_SECOND);
	for (uint32_t i = 0; i < 2; i++)
		CU_ASSERT_EQUAL(
			policy_now_ns(b.fp->core[i]->stage.policy, 70), 3 * BED_SECOND + 70);
	/* It may be behind, and be set back. */
	fastpath_policy_clock(b.fp, BED_SECOND, 3 * BED_SECOND);
	CU_ASSERT_EQUAL(policy_now_ns(b.fp->core[1]->stage.policy, 3 * BED_SECOND), BED_SECOND);
	bed_stop(&b);
}

static const struct tap_case cases[] = {
	{ "a policy's object is read", say_read },
	{ "a verdict that came with a packet is taken", verdicts_are_taken },
	{ "nothing else in front of a packet is believed", nothing_else_is_believed },
	{ "what the kernel dropped is counted as if it had been here", drops_are_counted_as_here },
	{ "several policies come with one verdict", several_come_with_one_verdict },
	{ "policies have the kernel's time", policies_have_the_kernels_time },
	{ "and its image is let go", say_free },
};

TAP_MAIN("judged", cases)
