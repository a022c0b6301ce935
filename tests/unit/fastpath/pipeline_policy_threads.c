/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Policies that are replaced, and maps that change, while two workers judge packets: none is lost, none is
 * judged by two halves, and all memory comes back.
 */

#include "tests/unit/fastpath/policy_bed.h"

#include <pthread.h>

#define CLIENT	     "198.51.100.7"
#define SERVICE	     "203.0.113.10"
#define REPLACEMENTS 200u /* about a hundred a second, where there is time for them */
#define BURST	     64u

static uint64_t now_ms(void)
{
	return bed_clock_ns() / 1000000;
}

/* All of them drop what comes from odd ports; the halves of each must agree. */
static void replace(struct bed *b, uint64_t id)
{
	char first[32], second[32];

	snprintf(first, sizeof(first), "twin_a=%u", (uint32_t)id);
	snprintf(second, sizeof(second), "twin_b=%u", (uint32_t)id);
	policy_stage(b, say, id, SETS("odd=1", "verdict=0x301", first, second));
	b->policy[0].id = id;
	bed_apply(b);
}

/* An entry comes and goes in the map that workers look into. */
static void map_change(struct bed *b, uint32_t round)
{
	const bool set = round % 2 == 0;
	struct {
		struct weir_policy_map head;
		uint32_t key;
		uint32_t value;
	} call = { .head = { .service = "web", .map = "blocked", .count = 1, .key_bytes = 4 },
		.key = 1,
		.value = 3 };
	void *body = NULL;
	size_t length;

	call.head.op = set ? WEIR_POLICY_MAP_SET : WEIR_POLICY_MAP_DELETE;
	call.head.value_bytes = set ? 4 : 0;
	CU_ASSERT_EQUAL(
		fastpath_policy_map(b->fp, &call.head, &body, &length, b->err, sizeof(b->err)), 0);
	free(body);
}

struct flood {
	uint64_t sent_even;
	uint64_t sent_odd;
	uint64_t came_out;
	uint64_t wrong; /* odd ones that came out */
};

static void packets_take(struct bed *b, struct flood *f)
{
	struct bed_packet p;

	for (uint32_t port = 0; port < BED_PORTS; port++)
		while (bed_receive(b, (uint8_t)port, &p)) {
			f->came_out++;
			f->wrong += p.sport & 1;
		}
}

static void packets_send(struct bed *b, struct flood *f)
{
	for (uint32_t i = 0; i < BURST; i++) {
		struct bed_packet p = bed_client(CLIENT, (uint16_t)(2000 + i * 7), SERVICE, 80);

		p.protocol = 17;
		f->sent_odd += p.sport & 1;
		f->sent_even += !(p.sport & 1);
		bed_send(b, 0, &p);
	}
}

static void sums_check(const struct bed *b, const struct flood *f)
{
	const uint64_t dropped = bed_dropped(b, 0, WEIR_DROP_POLICY);
	const uint64_t full = bed_dropped(b, 0, WEIR_DROP_WORKER_RING_FULL) +
		bed_dropped(b, 0, WEIR_DROP_WORKER_BEHIND);

	CU_ASSERT_EQUAL(f->wrong, 0);
	CU_ASSERT_EQUAL(bed_dropped_all(b, 0), dropped + full);
	CU_ASSERT_EQUAL(f->came_out + dropped + full, f->sent_even + f->sent_odd);
	CU_ASSERT_TRUE(f->came_out <= f->sent_even && f->came_out + full >= f->sent_even);
	CU_ASSERT_TRUE(dropped <= f->sent_odd);
}

static void replaced_under_traffic(void)
{
	struct bed b;
	struct bed_runner runner[3] = { { &b, 0 }, { &b, 1 }, { &b, 2 } };
	pthread_t thread[3];
	struct flood f = { 0 };
	uint32_t replacements = 0;

	bed_start_with(&b, 3, 2, UINT64_C(16) << 20, true);
	bed_add_service(&b, "web", WEIR_MODE_DSR, 17, SERVICE, 80)->cores = 2;
	bed_add_backend(&b, 0, "10.0.0.11", 80);
	policy_add(&b, 1);
	replace(&b, 1);
	for (uint32_t i = 0; i < 3; i++)
		CU_ASSERT_EQUAL_FATAL(
			pthread_create(&thread[i], NULL, bed_run_core, &runner[i]), 0);
	const uint64_t start = now_ms(), deadline = start + 20000;

	while (replacements < REPLACEMENTS && now_ms() < deadline) {
		if (bed_waiting(&b, 0) > 4 * BURST)
			bed_nap();
		else
			packets_send(&b, &f);
		packets_take(&b, &f);
		map_change(&b, 0);
		map_change(&b, 1);
		if (now_ms() - start < replacements * UINT64_C(10))
			continue;
		replace(&b, 2 + replacements++);
		CU_ASSERT_EQUAL(reasons(&b, 0, 9), 0);
	}
	CU_ASSERT_TRUE(replacements >= 20);
	while (bed_waiting(&b, 0) && now_ms() < deadline + 20000)
		bed_nap();
	for (uint64_t quiet = now_ms(); now_ms() < quiet + 50;) {
		packets_take(&b, &f);
		bed_nap();
	}
	fastpath_stop(b.fp);
	for (uint32_t i = 0; i < 3; i++)
		pthread_join(thread[i], NULL);
	packets_take(&b, &f);
	CU_ASSERT_EQUAL(reasons(&b, 0, 9), 0);
	CU_ASSERT_EQUAL(bed_sum(&b, 0, packets_received), f.sent_even + f.sent_odd);
	sums_check(&b, &f);
	printf("# %u replacements, %llu packets\n", replacements,
		(unsigned long long)(f.sent_even + f.sent_odd));
	bed_stop(&b);
}

static const struct tap_case cases[] = {
	{ "a policy's object is read", say_read },
	{ "policies are replaced while two workers judge", replaced_under_traffic },
	{ "and its image is let go", say_free },
};

TAP_MAIN("policy threads", cases)
