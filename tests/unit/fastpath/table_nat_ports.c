/* SPDX-License-Identifier: BSD-3-Clause */

/* Translated ports against a plain table of who has which. */

#include "dataplane/table/nat_ports.h"
#include "tests/unit/fastpath/random.h"
#include "tests/unit/fastpath/scarce.h"
#include "tests/unit/tap.h"

#include <errno.h>
#include <string.h>

#define BACKENDS 3
#define SOURCES	 3
#define BUCKETS	 4 /* of the 256, the model uses these first ones */

static void source_make(struct nat_source_config *s, uint8_t last)
{
	memset(s, 0, sizeof(*s));
	s->address[10] = s->address[11] = 0xff;
	s->address[12] = 192;
	s->address[15] = last;
}

static void block_add(struct nat_source_config *s, uint32_t block)
{
	s->blocks[block / 8] |= (uint8_t)(1u << (block % 8));
}

static void blocks_random(struct nat_source_config *s, struct random *r, uint32_t in_256)
{
	for (uint32_t b = 4; b < 256; b++)
		if (random_below(r, 256) < in_256)
			block_add(s, b);
	block_add(s, 255);
}

static struct nat_view *configure(struct nat_ports *np, uint32_t backends,
	const struct nat_source_config *sources, uint32_t source_count)
{
	bool used[8] = { true, true, true, true, true, true, true, true };
	struct nat_view *view = NULL;

	CU_ASSERT_EQUAL_FATAL(
		nat_ports_configure(np, used, backends, sources, source_count, &view), 0);
	return view;
}

/* held[backend][source][bucket][block] */
static bool held[BACKENDS][SOURCES][BUCKETS][256];

static uint32_t free_ports(
	const struct nat_source_config *sources, uint32_t backend, uint32_t bucket)
{
	uint32_t n = 0;

	for (uint32_t s = 0; s < SOURCES; s++)
		for (uint32_t b = 0; b < 256; b++)
			n += (sources[s].blocks[b / 8] >> (b % 8) & 1) &&
				!held[backend][s][bucket][b];
	return n;
}

static void give_random(struct nat_view *view, struct random *r, uint32_t tries)
{
	while (tries-- != 0) {
		uint32_t be = random_below(r, BACKENDS), s = random_below(r, SOURCES);
		uint32_t bu = random_below(r, BUCKETS), bl = random_below(r, 256);

		if (!held[be][s][bu][bl])
			continue;
		held[be][s][bu][bl] = false;
		nat_ports_give(
			view, (uint8_t)bu, (uint16_t)be, (uint16_t)s, (uint16_t)(bl << 8 | bu));
	}
}

static void does_what_a_table_does(void)
{
	struct random r = random_start("nat ports");
	struct nat_source_config sources[SOURCES];
	struct nat_ports *np;
	uint32_t taken = 0, refused = 0;

	memset(held, 0, sizeof(held));
	for (uint32_t s = 0; s < SOURCES; s++) {
		source_make(&sources[s], (uint8_t)(s + 1));
		blocks_random(&sources[s], &r, 60);
	}
	CU_ASSERT_EQUAL_FATAL(nat_ports_create(&table_memory_libc, -1, 0, &np), 0);
	struct nat_view *view = configure(np, BACKENDS, sources, SOURCES);

	for (uint32_t step = 0; step < 60000; step++) {
		uint16_t be = (uint16_t)random_below(&r, BACKENDS), source = 99, port = 0;
		uint8_t bu = (uint8_t)random_below(&r, BUCKETS);
		uint32_t free = free_ports(sources, be, bu);

		if (!nat_ports_take(view, bu, be, &source, &port)) {
			CU_ASSERT_EQUAL(free, 0);
			refused++;
			/* Mostly full from here on: a few come free at a time. */
			give_random(view, &r, step % 5000 == 0 ? 10000 : 3);
			continue;
		}
		uint32_t block = port >> 8;

		CU_ASSERT_NOT_EQUAL(free, 0);
		CU_ASSERT_EQUAL(port & 255, bu);
		CU_ASSERT_FATAL(source < SOURCES);
		CU_ASSERT(sources[source].blocks[block / 8] >> (block % 8) & 1);
		CU_ASSERT_FALSE(held[be][source][bu][block]);
		held[be][source][bu][block] = true;
		taken++;
	}
	CU_ASSERT(taken > 1000 && refused > 1000);
	uint32_t now = 0;

	for (size_t i = 0; i < sizeof(held); i++)
		now += ((bool *)held)[i];
	CU_ASSERT_EQUAL(nat_ports_taken(view), now);
	nat_view_destroy(np, view);
	nat_ports_destroy(np);
}

static void a_returned_port_is_used_last(void)
{
	struct nat_source_config sources[SOURCES];
	struct nat_ports *np;
	bool used[SOURCES][256];
	uint16_t s, port, from = SOURCES;

	for (uint32_t i = 0; i < SOURCES; i++) {
		source_make(&sources[i], (uint8_t)(i + 1));
		for (uint32_t b = 100; b < 120; b++)
			block_add(&sources[i], b);
	}
	CU_ASSERT_EQUAL_FATAL(nat_ports_create(&table_memory_libc, -1, 0, &np), 0);
	struct nat_view *view = configure(np, 1, sources, SOURCES);

	for (uint32_t round = 0; round < 3; round++) {
		uint32_t turns = 0;

		memset(used, 0, sizeof(used));
		for (uint32_t i = 0; i < SOURCES * 20; i++) {
			CU_ASSERT_FATAL(nat_ports_take(view, 9, 0, &s, &port));
			CU_ASSERT_FALSE(used[s][port >> 8]);
			used[s][port >> 8] = true;
			turns += s != from;
			from = s;
			nat_ports_give(view, 9, 0, s, port);
		}
		/* And one address after the other, so that few sets are touched at a time. */
		CU_ASSERT_EQUAL(turns, SOURCES);
	}
	nat_view_destroy(np, view);
	nat_ports_destroy(np);
}

static void sources_share_the_load(void)
{
	struct nat_source_config sources[4];
	struct nat_ports *np;
	uint32_t by_source[4] = { 0 };

	for (uint32_t i = 0; i < 4; i++) {
		source_make(&sources[i], (uint8_t)i);
		for (uint32_t b = 4; b < 256; b++)
			block_add(&sources[i], b);
	}
	CU_ASSERT_EQUAL_FATAL(nat_ports_create(&table_memory_libc, -1, 0, &np), 0);
	struct nat_view *view = configure(np, 2, sources, 4);

	for (uint32_t i = 0; i < 4000; i++) {
		uint16_t s, port;

		CU_ASSERT(nat_ports_take(view, (uint8_t)i, 1, &s, &port));
		by_source[s]++;
	}
	for (uint32_t i = 0; i < 4; i++)
		CU_ASSERT_DOUBLE_EQUAL(by_source[i], 1000, 150);
	nat_view_destroy(np, view);
	nat_ports_destroy(np);
}

static void ports_outlive_configurations(void)
{
	struct nat_source_config a[2], b[2];
	struct nat_ports *np;
	uint16_t slot_a, slot_b, slot, port_a, port;

	source_make(&a[0], 1);
	source_make(&a[1], 2);
	source_make(&b[0], 3);
	block_add(&a[0], 10);
	block_add(&b[0], 20);
	CU_ASSERT_EQUAL_FATAL(nat_ports_create(&table_memory_libc, -1, 0, &np), 0);
	struct nat_view *one = configure(np, 1, a, 1);

	CU_ASSERT(nat_ports_take(one, 5, 0, &slot_a, &port_a));
	CU_ASSERT_EQUAL(port_a, 10 << 8 | 5);
	/* The source leaves while a flow has a port of it; more backends come. */
	struct nat_view *two = configure(np, 4, b, 1);

	nat_view_destroy(np, one);
	CU_ASSERT(nat_ports_take(two, 5, 3, &slot_b, &port));
	CU_ASSERT_EQUAL(port, 20 << 8 | 5);
	CU_ASSERT_NOT_EQUAL(slot_a, slot_b);
	CU_ASSERT_EQUAL(memcmp(two->source[slot_b].address, b[0].address, 16), 0);
	CU_ASSERT_EQUAL(nat_ports_taken(two), 2);
	/* It comes back: same slot, and the port is still taken. */
	struct nat_view *three = configure(np, 4, a, 1);

	nat_view_destroy(np, two);
	CU_ASSERT_FALSE(nat_ports_take(three, 5, 0, &slot, &port));
	nat_ports_give(three, 5, 0, slot_a, port_a);
	CU_ASSERT(nat_ports_take(three, 5, 0, &slot, &port));
	CU_ASSERT_EQUAL(slot, slot_a);
	nat_ports_give(three, 5, 0, slot, port);
	nat_ports_give(three, 5, 3, slot_b, 20 << 8 | 5);
	/* Idle slots of sources that left are used again: many more come and go than there are slots. */
	struct nat_view *last = three;

	for (uint32_t i = 0; i < 2 * NAT_MAX_SOURCES; i++) {
		struct nat_source_config c;

		source_make(&c, (uint8_t)i);
		c.address[14] = (uint8_t)(1 + i / 256);
		block_add(&c, 30);
		struct nat_view *next = configure(np, 4, &c, 1);

		nat_view_destroy(np, last);
		last = next;
	}
	CU_ASSERT(last->source_count < 8);
	nat_view_destroy(np, last);
	nat_ports_destroy(np);
}

static void rotation_begins_where_told(void)
{
	struct nat_source_config source;
	struct nat_ports *np;
	uint16_t s, port;

	source_make(&source, 1);
	for (uint32_t b = 100; b < 120; b++)
		block_add(&source, b);
	for (uint32_t start = 0; start < 50; start++) {
		CU_ASSERT_EQUAL_FATAL(nat_ports_create(&table_memory_libc, -1, start, &np), 0);
		struct nat_view *view = configure(np, 1, &source, 1);

		CU_ASSERT_FATAL(nat_ports_take(view, 7, 0, &s, &port));
		CU_ASSERT_EQUAL(port >> 8, 100 + start % 20);
		nat_view_destroy(np, view);
		nat_ports_destroy(np);
	}
}

static void nothing_configured_is_exhausted(void)
{
	struct nat_ports *np;
	uint16_t s, port;

	CU_ASSERT_EQUAL_FATAL(nat_ports_create(&table_memory_libc, -1, 0, &np), 0);
	struct nat_view *view = configure(np, 0, NULL, 0);

	CU_ASSERT_FALSE(nat_ports_take(view, 0, 0, &s, &port));
	CU_ASSERT_PTR_NULL(nat_ports_set(view, 0, 0, 0));
	nat_view_destroy(np, view);
	nat_ports_destroy(np);
}

/* A configuration that fails changes nothing: what is in force goes on, and the next one works. */
static void running_out_of_memory_changes_nothing(void)
{
	struct scarce scarce = { .left = 1000 };
	struct table_memory memory = scarce_memory(&scarce);
	struct nat_source_config sources[3];
	struct nat_ports *np = NULL;
	struct nat_view *view = NULL;
	bool used[4] = { true, true, true, true };
	uint16_t s, port, port_again;
	int rc = -1;

	for (uint32_t i = 0; i < 3; i++) {
		source_make(&sources[i], (uint8_t)i);
		block_add(&sources[i], 9);
	}
	CU_ASSERT_EQUAL_FATAL(nat_ports_create(&memory, -1, 0, &np), 0);
	struct nat_view *first = configure(np, 1, sources, 1);

	CU_ASSERT(nat_ports_take(first, 1, 0, &s, &port));
	for (int n = 0; n < 100 && rc != 0; n++) {
		scarce.left = n;
		rc = nat_ports_configure(np, used, 4, sources, 3, &view);
		CU_ASSERT(rc == 0 || (rc == -ENOMEM && view == NULL));
		CU_ASSERT_FALSE(nat_ports_take(first, 1, 0, &s, &port_again));
		nat_ports_give(first, 1, 0, s, port);
		CU_ASSERT(nat_ports_take(first, 1, 0, &s, &port));
	}
	CU_ASSERT_EQUAL(rc, 0);
	CU_ASSERT_EQUAL(nat_ports_taken(view), 1);
	nat_view_destroy(np, first);
	nat_view_destroy(np, view);
	nat_ports_destroy(np);
	CU_ASSERT_EQUAL(scarce.held, 0);
}

/* Who has an older view writes elsewhere, bucket by bucket; as long as it may, that is nobody else's. */
static void taken_over_buckets_have_ports_of_their_own(void)
{
	bool shifted[HASH_BUCKET_COUNT] = { [1] = true };
	uint8_t lane[NAT_LANES][HASH_BUCKET_COUNT], left[NAT_LANES][HASH_BUCKET_COUNT];
	struct nat_view *view[NAT_LANES + 1] = { NULL };
	struct nat_source_config source;
	struct nat_ports *np;
	uint16_t s, port, other;
	uint32_t i;

	source_make(&source, 1);
	block_add(&source, 9);
	block_add(&source, 11);
	CU_ASSERT_EQUAL_FATAL(nat_ports_create(&table_memory_libc, -1, 0, &np), 0);
	view[0] = configure(np, 1, &source, 1);
	CU_ASSERT(nat_ports_take(view[0], 1, 0, &s, &port));
	CU_ASSERT(nat_ports_take(view[0], 2, 0, &s, &other));
	/* Prepared and not done: nothing has changed. */
	CU_ASSERT_EQUAL(nat_ports_shift(np, shifted, lane[0], &view[1]), 0);
	nat_view_destroy(np, view[1]);
	for (i = 0; i + 1 < NAT_LANES; i++) {
		CU_ASSERT_EQUAL_FATAL(nat_ports_shift(np, shifted, lane[i], &view[i + 1]), 0);
		nat_ports_shifted(np, lane[i], left[i]);
		CU_ASSERT_EQUAL(left[i][1], i);
		/* All are free there, and the flows that go on take theirs. */
		CU_ASSERT(nat_ports_claim(view[i + 1], 0, 0, port));
		CU_ASSERT_FALSE(nat_ports_claim(view[i + 1], 0, 0, port));
		/* Another bucket's are as they were. */
		CU_ASSERT_FALSE(nat_ports_claim(view[i + 1], 0, 0, other));
		/* What is given back by an older view stays taken. */
		nat_ports_give(view[i], 1, 0, 0, port);
		CU_ASSERT_FALSE(nat_ports_claim(view[i + 1], 0, 0, port));
		CU_ASSERT_EQUAL(nat_ports_taken(view[i + 1]), 2);
	}
	CU_ASSERT_EQUAL(nat_ports_shift(np, shifted, lane[i], &view[NAT_LANES]), -EBUSY);
	nat_ports_left(np, 1, left[1][1]);
	CU_ASSERT_EQUAL(nat_ports_shift(np, shifted, lane[i], &view[NAT_LANES]), 0);
	CU_ASSERT_EQUAL(lane[i][1], left[1][1]);
	nat_ports_shifted(np, lane[i], left[i]);
	CU_ASSERT_EQUAL(nat_ports_taken(view[NAT_LANES]), 1);
	/* Configurations from now on have it so, also for backends that come later. */
	nat_view_destroy(np, view[0]);
	view[0] = configure(np, 2, &source, 1);
	CU_ASSERT(nat_ports_claim(view[0], 0, 0, port));
	CU_ASSERT_FALSE(nat_ports_claim(view[NAT_LANES], 0, 0, port));
	CU_ASSERT(nat_ports_claim(view[0], 1, 0, port));
	for (i = 0; i <= NAT_LANES; i++)
		nat_view_destroy(np, view[i]);
	nat_ports_destroy(np);
}

static const struct tap_case cases[] = {
	{ "ports are unique by backend, in the bucket, and found while one is free",
		does_what_a_table_does },
	{ "a port that was given back is used again last", a_returned_port_is_used_last },
	{ "the rotation begins where it is told", rotation_begins_where_told },
	{ "source addresses share the load", sources_share_the_load },
	{ "ports of flows outlive configurations, and slots are used again",
		ports_outlive_configurations },
	{ "a configuration that runs out of memory changes nothing",
		running_out_of_memory_changes_nothing },
	{ "without source addresses nothing can be taken", nothing_configured_is_exhausted },
	{ "buckets that are taken over have ports of their own",
		taken_over_buckets_have_ports_of_their_own },
};

TAP_MAIN("nat ports", cases)
