/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/kernel/route_cache.h"
#include "tests/unit/tap.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct address ipv4(uint32_t a)
{
	struct address address = { .bytes = { [10] = 0xff, [11] = 0xff } };

	for (int i = 0; i < 4; i++)
		address.bytes[12 + i] = (uint8_t)(a >> (24 - 8 * i));
	return address;
}

static void keep(struct route_cache *c, uint32_t to, uint32_t hops)
{
	struct address a = ipv4(to);
	struct kernel_route r = { .type = 1, .hop_count = hops };

	for (uint32_t i = 0; i < hops; i++)
		r.hops[i] = (struct kernel_hop){ .ifindex = to + i, .weight = 1 };
	route_cache_keep(c, &a, 0, &r);
}

static bool knows(struct route_cache *c, uint32_t to)
{
	struct address a = ipv4(to);
	struct kernel_route r;
	int rc;

	return route_cache_find(c, &a, &rc, &r);
}

static void answers_are_kept(void)
{
	struct route_cache c = { 0 };
	struct kernel_route r;
	struct address a = ipv4(0x0a000001);
	int rc;

	CU_ASSERT_FALSE(route_cache_find(&c, &a, &rc, &r));
	keep(&c, 0x0a000001, 3);
	CU_ASSERT_FATAL(route_cache_find(&c, &a, &rc, &r));
	CU_ASSERT_EQUAL(rc, 0);
	CU_ASSERT_EQUAL_FATAL(r.hop_count, 3);
	CU_ASSERT_EQUAL(r.hops[2].ifindex, 0x0a000003);
	/* "no route" is an answer too, and replaces the one before. */
	route_cache_keep(&c, &a, -ENETUNREACH, &r);
	CU_ASSERT_FATAL(route_cache_find(&c, &a, &rc, &r));
	CU_ASSERT_EQUAL(rc, -ENETUNREACH);
	CU_ASSERT_EQUAL(r.hop_count, 0);
	route_cache_forget_all(&c);
	CU_ASSERT_FALSE(route_cache_find(&c, &a, &rc, &r));
	route_cache_fini(&c);
}

static void only_the_prefix_is_forgotten(void)
{
	struct route_cache c = { 0 };
	struct address prefix = ipv4(0x0a000100);
	struct address all6 = { .bytes = { 0 } };

	for (uint32_t i = 0; i < 512; i++)
		keep(&c, 0x0a000000 + (i * 331 & 0x3ff), 1);
	CU_ASSERT(route_cache_forget(&c, &prefix, 120));
	for (uint32_t i = 0; i < 512; i++) {
		uint32_t to = 0x0a000000 + (i * 331 & 0x3ff);

		CU_ASSERT_EQUAL(knows(&c, to), (to >> 8 & 3) != 1);
	}
	/* Nobody asked for anything there. */
	prefix = ipv4(0x0b000000);
	CU_ASSERT_FALSE(route_cache_forget(&c, &prefix, 104));
	/* What is forgotten already still makes its change news. */
	prefix = ipv4(0x0a000100);
	CU_ASSERT(route_cache_forget(&c, &prefix, 121));
	/* One more in the middle is found as well. */
	keep(&c, 0x0b000007, 1);
	prefix = ipv4(0x0b000007);
	CU_ASSERT(route_cache_forget(&c, &prefix, 128));
	CU_ASSERT_FALSE(knows(&c, 0x0b000007));
	CU_ASSERT(route_cache_forget(&c, &all6, 0));
	CU_ASSERT_FALSE(knows(&c, 0x0a000000));
	route_cache_fini(&c);
}

static void what_nobody_asks_for_goes(void)
{
	struct route_cache c = { 0 };

	for (uint32_t i = 0; i < 300; i++)
		keep(&c, i, 2);
	route_cache_sweep(&c);
	CU_ASSERT_EQUAL(c.count, 300);
	for (uint32_t i = 0; i < 300; i += 3)
		CU_ASSERT(knows(&c, i));
	route_cache_sweep(&c);
	CU_ASSERT_EQUAL(c.count, 100);
	for (uint32_t i = 0; i < 300; i++)
		CU_ASSERT_EQUAL(knows(&c, i), i % 3 == 0);
	route_cache_fini(&c);
}

/* Against an array that is searched from one end to the other. */
static void random_changes(void)
{
	enum {
		COUNT = 256,
		ROUNDS = 20000
	};
	struct route_cache c = { 0 };
	bool known[COUNT] = { false };
	bool there[COUNT] = { false };
	uint32_t seed = 7;

	for (int round = 0; round < ROUNDS; round++) {
		seed = seed * 1664525u + 1013904223u;
		uint32_t at = seed >> 8 & (COUNT - 1);
		unsigned int bits = seed >> 20 & 7;

		if (seed >> 30) {
			keep(&c, at, 1 + bits);
			known[at] = there[at] = true;
			continue;
		}
		struct address prefix = ipv4(at & ~((1u << bits) - 1));
		bool any = false;

		for (uint32_t i = 0; i < COUNT; i++) {
			if (i >> bits != at >> bits)
				continue;
			any |= there[i];
			known[i] = false;
		}
		CU_ASSERT_EQUAL(route_cache_forget(&c, &prefix, 128 - bits), any);
	}
	for (uint32_t i = 0; i < COUNT; i++)
		CU_ASSERT_EQUAL(knows(&c, i), known[i]);
	route_cache_fini(&c);
}

static const struct tap_case cases[] = {
	{ "an answer is kept until it is replaced or forgotten", answers_are_kept },
	{ "a change of a route concerns the addresses in its prefix",
		only_the_prefix_is_forgotten },
	{ "addresses that nobody asks for any more are let go", what_nobody_asks_for_goes },
	{ "random changes agree with a naive list", random_changes },
};

TAP_MAIN("route cache", cases)
