/* SPDX-License-Identifier: BSD-3-Clause */

/* Flows that go on in another partition: what is kept of them, and when they end. */

#include "dataplane/table/flow_journal.h"
#include "dataplane/table/flow_spare.h"
#include "tests/unit/fastpath/scarce.h"
#include "tests/unit/tap.h"

#include <stdlib.h>
#include <string.h>

#define RECORDS 40u
#define PART	7u
#define NOW_MS	5000000u

static uint32_t released;

static void on_release(void *ctx, struct flow_partition *part, const struct flow *f)
{
	released += ctx == &released;
}

static void table_start(bool ipv6, struct flow_table **ret_table)
{
	const struct flow_table_params params = {
		.capacity = RECORDS * FLOW_PARTITIONS,
		.ipv6 = ipv6,
		.nat = true,
		.protocol = 6,
		.seed = hash_seed_make(3),
		.node = -1,
		.timeouts = flow_timeouts_default,
		.memory = table_memory_libc,
		.release = on_release,
	};

	CU_ASSERT_EQUAL_FATAL(flow_table_create(&params, ret_table), 0);
}

/* Flow i was seen 100 * i ms before now. */
static uint8_t state_of(uint32_t i)
{
	return i % 2 ? FLOW_ESTABLISHED : FLOW_SYN;
}

static void addrs_make(uint8_t addrs[32], uint32_t i, uint8_t side)
{
	memset(addrs, 0, 32);
	addrs[0] = (uint8_t)i;
	addrs[4] = side;
}

static uint64_t hash_of(const struct flow_partition *part, uint32_t i)
{
	uint8_t client[32];

	addrs_make(client, i, 1);
	return part->record_shift == 7 ?
		hash_tuple6(&part->seed, client, i, part->protocol) :
		hash_tuple4(&part->seed, hash_load(client, 0), i, part->protocol);
}

static void flow_add(struct flow_partition *part, uint32_t i)
{
	uint8_t client[32], backend[32];
	struct flow_new fresh = { .hash = hash_of(part, i),
		.client_addrs = client,
		.backend_addrs = backend,
		.client_ports = i,
		.backend_ports = 1000 + i,
		.state = state_of(i) };
	struct flow *f;

	addrs_make(client, i, 1);
	addrs_make(backend, i, 2);
	f = flow_insert(part, &fresh, NOW_MS - 100 * i);
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	f->backend_slot = (uint16_t)i;
	f->flags = FLOW_F_REPLIED;
	f->hop = (uint16_t)(i + 3);
	f->user[1] = (uint8_t)i;
	flow_journal_write(part, f);
}

static bool same(const struct flow *a, const struct flow *b)
{
	return memcmp(a->tuple, b->tuple, sizeof(a->tuple)) == 0 && a->state == b->state &&
		a->backend_slot == b->backend_slot && a->flags == b->flags && a->hop == b->hop &&
		memcmp(a->user, b->user, sizeof(a->user)) == 0;
}

static uint32_t journaled(const void *journal, size_t bytes, bool ipv6)
{
	struct flow_journal_reader reader;
	struct flow_saved saved;
	struct flow_tail tail;
	uint32_t count = 0;

	CU_ASSERT_EQUAL_FATAL(flow_journal_open(journal, bytes, ipv6, &reader), 0);
	while (flow_journal_next(&reader, &saved, &tail))
		count++;
	return count;
}

static void all_enter(struct flow_partition *from, struct flow_partition *to)
{
	for (uint32_t i = 0; i < flow_partition_extent(from); i++) {
		struct flow_copy copy;
		struct flow *f;

		CU_ASSERT_TRUE_FATAL(flow_copy_take(from, i, &copy));
		f = flow_enter(to, &copy, hash_of(from, i), NOW_MS);
		CU_ASSERT_PTR_NOT_NULL_FATAL(f);
		CU_ASSERT_TRUE(same(f, flow_at(from, i)));
		CU_ASSERT_EQUAL(
			f->last_seen_ms, state_of(i) == FLOW_SYN ? NOW_MS : NOW_MS - 100 * i);
	}
	flow_spare_journal(to, RECORDS);
}

static void go_on(bool ipv6)
{
	struct flow_table *t;
	struct flow_partition *spare;
	const size_t bytes = flow_journal_bytes(RECORDS * FLOW_PARTITIONS, ipv6);
	void *journal = aligned_alloc(64, (bytes + 63) / 64 * 64);

	memset(journal, 0, bytes);
	released = 0;
	table_start(ipv6, &t);
	flow_journal_attach(t, journal);
	for (uint32_t i = 0; i < 30; i++)
		flow_add(&t->part[PART], i);
	spare = flow_spare_create(&t->part[PART], RECORDS, &table_memory_libc, -1, &released);
	CU_ASSERT_PTR_NOT_NULL_FATAL(spare);
	all_enter(&t->part[PART], spare);
	CU_ASSERT_EQUAL(spare->count, 30);
	CU_ASSERT_EQUAL(journaled(journal, bytes, ipv6), 15);
	/* Whoever was idle for long ends when it would have: flow 29 was seen 2.9 s before. */
	const uint32_t timeout = flow_timeouts_default.ms[FLOW_ESTABLISHED];

	while (flow_partition_age(spare, NOW_MS + timeout - 3000, 100) >= 100)
		;
	CU_ASSERT_EQUAL(spare->count, 15);
	while (flow_partition_age(spare, NOW_MS + timeout - 2900 + 2100, 100) >= 100)
		;
	CU_ASSERT_TRUE(spare->count < 15 && spare->count > 0);
	while (flow_partition_age(spare, NOW_MS + timeout + 2100, 100) >= 100)
		;
	CU_ASSERT_EQUAL(spare->count, 0);
	CU_ASSERT_EQUAL(released, 30);
	CU_ASSERT_EQUAL(t->part[PART].count, 30);
	flow_spare_destroy(&table_memory_libc, spare);
	flow_table_destroy(t);
	free(journal);
}

static void flows_go_on(void)
{
	go_on(false);
	go_on(true);
}

static void no_memory_is_survived(void)
{
	struct flow_table *t;
	struct scarce scarce = { .left = 0 };
	const struct table_memory memory = scarce_memory(&scarce);
	struct flow_partition *spare = NULL;

	table_start(false, &t);
	for (int n = 0; n < 10 && !spare; n++) {
		scarce.left = n;
		spare = flow_spare_create(&t->part[PART], RECORDS, &memory, -1, NULL);
	}
	CU_ASSERT_PTR_NOT_NULL_FATAL(spare);
	flow_spare_destroy(&memory, spare);
	CU_ASSERT_EQUAL(scarce.held, 0);
	flow_table_destroy(t);
}

static const struct tap_case cases[] = {
	{ "flows go on as they were, and end when they would have", flows_go_on },
	{ "running out of memory is survived", no_memory_is_survived },
};

TAP_MAIN("spare partition", cases)
