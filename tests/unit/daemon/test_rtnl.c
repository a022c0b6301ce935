/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/kernel/kernel_tables.h"
#include "control/kernel/rtnl_parse.h"
#include "tests/unit/daemon/rtnl_recorded.h"
#include "tests/unit/tap.h"

#include <errno.h>
#include <linux/neighbour.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

#define PARSE(recorded, ret) rtnl_parse((const struct nlmsghdr *)(const void *)(recorded), ret)

static bool address_is(const struct address *a, const char *text)
{
	struct address wanted;

	return address_parse(text, &wanted) && !memcmp(a, &wanted, sizeof(wanted));
}

static void test_link(void)
{
	struct rtnl_change c;

	CU_ASSERT_EQUAL_FATAL(PARSE(recorded_link, &c), 0);
	CU_ASSERT_EQUAL(c.kind, RTNL_LINK);
	CU_ASSERT_FALSE(c.removed);
	CU_ASSERT_EQUAL(c.link.ifindex, 3);
	CU_ASSERT_STRING_EQUAL(c.link.name, "rec0");
	CU_ASSERT_EQUAL(c.link.mtu, 1300);
	CU_ASSERT(c.link.up);
	CU_ASSERT(c.link.running);
	CU_ASSERT_FALSE(c.link.loopback);
	CU_ASSERT(c.link.has_mac);
	CU_ASSERT_EQUAL(memcmp(c.link.mac, "\x02\0\0\0\0\x01", 6), 0);
	CU_ASSERT_EQUAL_FATAL(PARSE(recorded_dellink, &c), 0);
	CU_ASSERT_EQUAL(c.kind, RTNL_LINK);
	CU_ASSERT(c.removed);
	CU_ASSERT_FALSE(c.link.up);
}

static void test_addresses(void)
{
	struct rtnl_change c;

	CU_ASSERT_EQUAL_FATAL(PARSE(recorded_addr4, &c), 0);
	CU_ASSERT_EQUAL(c.kind, RTNL_ADDRESS);
	CU_ASSERT_EQUAL(c.address.ifindex, 3);
	CU_ASSERT(address_is(&c.address.address, "192.0.2.1"));
	CU_ASSERT_EQUAL(c.address.prefix_length, 120);
	CU_ASSERT_EQUAL_FATAL(PARSE(recorded_addr6, &c), 0);
	CU_ASSERT(address_is(&c.address.address, "2001:db8::1"));
	CU_ASSERT_EQUAL(c.address.prefix_length, 64);
}

static void test_neighbours(void)
{
	struct rtnl_change c;

	CU_ASSERT_EQUAL_FATAL(PARSE(recorded_neigh4, &c), 0);
	CU_ASSERT_EQUAL(c.kind, RTNL_NEIGHBOUR);
	CU_ASSERT(address_is(&c.neighbour.address, "192.0.2.9"));
	CU_ASSERT_EQUAL(c.neighbour.state, NUD_REACHABLE);
	CU_ASSERT(c.neighbour.has_mac);
	CU_ASSERT_EQUAL(c.neighbour.mac[5], 0x09);
	CU_ASSERT_EQUAL_FATAL(PARSE(recorded_neigh6, &c), 0);
	CU_ASSERT(address_is(&c.neighbour.address, "2001:db8::9"));
	CU_ASSERT_EQUAL(c.neighbour.state, NUD_STALE);
	CU_ASSERT_EQUAL(c.neighbour.mac[5], 0x99);
	CU_ASSERT_EQUAL_FATAL(PARSE(recorded_delneigh, &c), 0);
	CU_ASSERT(c.removed);
	CU_ASSERT(address_is(&c.neighbour.address, "192.0.2.9"));
}

static void test_routes(void)
{
	struct rtnl_change c;

	CU_ASSERT_EQUAL_FATAL(PARSE(recorded_route4, &c), 0);
	CU_ASSERT_EQUAL(c.kind, RTNL_ROUTE);
	CU_ASSERT_EQUAL(c.route.type, RTN_UNICAST);
	CU_ASSERT_EQUAL_FATAL(c.route.hop_count, 1);
	CU_ASSERT_EQUAL(c.route.hops[0].ifindex, 3);
	CU_ASSERT(c.route.hops[0].has_via);
	CU_ASSERT(address_is(&c.route.hops[0].via, "192.0.2.9"));
	CU_ASSERT_EQUAL_FATAL(PARSE(recorded_routevia, &c), 0);
	CU_ASSERT_EQUAL_FATAL(c.route.hop_count, 1);
	CU_ASSERT(c.route.hops[0].has_via);
	CU_ASSERT(address_is(&c.route.hops[0].via, "2001:db8::9"));
}

static void test_multipath(void)
{
	struct rtnl_change c;

	CU_ASSERT_EQUAL_FATAL(PARSE(recorded_multipath4, &c), 0);
	CU_ASSERT_EQUAL(c.kind, RTNL_ROUTE);
	CU_ASSERT(address_is(&c.route.destination, "203.0.113.0"));
	CU_ASSERT_EQUAL(c.route.prefix_length, 120);
	CU_ASSERT_EQUAL_FATAL(c.route.hop_count, 2);
	CU_ASSERT(address_is(&c.route.hops[0].via, "192.0.2.9"));
	CU_ASSERT_EQUAL(c.route.hops[0].weight, 3);
	CU_ASSERT_FALSE(c.route.hops[0].dead);
	CU_ASSERT(address_is(&c.route.hops[1].via, "198.18.0.9"));
	CU_ASSERT_EQUAL(c.route.hops[1].weight, 1);
	CU_ASSERT_NOT_EQUAL(c.route.hops[0].ifindex, c.route.hops[1].ifindex);
	CU_ASSERT_EQUAL_FATAL(PARSE(recorded_multipath6, &c), 0);
	CU_ASSERT(address_is(&c.route.destination, "2001:db8:1::"));
	CU_ASSERT_EQUAL(c.route.prefix_length, 48);
	CU_ASSERT_EQUAL_FATAL(c.route.hop_count, 2);
	CU_ASSERT_EQUAL(c.route.hops[0].weight + c.route.hops[1].weight, 3);
}

static void test_nexthops(void)
{
	struct rtnl_change c;

	CU_ASSERT_EQUAL_FATAL(PARSE(recorded_nexthop, &c), 0);
	CU_ASSERT_EQUAL(c.kind, RTNL_NEXTHOP);
	CU_ASSERT_EQUAL(c.nexthop.id, 7);
	CU_ASSERT_EQUAL(c.nexthop.member_count, 0);
	CU_ASSERT(address_is(&c.nexthop.hop.via, "192.0.2.9"));
	CU_ASSERT_NOT_EQUAL(c.nexthop.hop.ifindex, 0);
	CU_ASSERT_EQUAL_FATAL(PARSE(recorded_nexthop_group, &c), 0);
	CU_ASSERT_EQUAL_FATAL(c.nexthop.member_count, 2);
	CU_ASSERT_EQUAL(c.nexthop.members[0].id, 7);
	CU_ASSERT_EQUAL(c.nexthop.members[0].weight, 5);
	CU_ASSERT_EQUAL(c.nexthop.members[1].id, 8);
	CU_ASSERT_EQUAL_FATAL(PARSE(recorded_route_nhid, &c), 0);
	CU_ASSERT_EQUAL(c.route.nexthop_id, 9);
	CU_ASSERT_EQUAL(c.route.hop_count, 0);
	CU_ASSERT_EQUAL_FATAL(PARSE(recorded_rule, &c), 0);
	CU_ASSERT_EQUAL(c.kind, RTNL_RULE);
}

static const struct {
	const uint8_t *bytes;
	size_t size;
} all[] = {
	{ recorded_link, sizeof(recorded_link) },
	{ recorded_addr4, sizeof(recorded_addr4) },
	{ recorded_addr6, sizeof(recorded_addr6) },
	{ recorded_neigh4, sizeof(recorded_neigh4) },
	{ recorded_neigh6, sizeof(recorded_neigh6) },
	{ recorded_delneigh, sizeof(recorded_delneigh) },
	{ recorded_route4, sizeof(recorded_route4) },
	{ recorded_routevia, sizeof(recorded_routevia) },
	{ recorded_dellink, sizeof(recorded_dellink) },
	{ recorded_multipath4, sizeof(recorded_multipath4) },
	{ recorded_multipath6, sizeof(recorded_multipath6) },
	{ recorded_nexthop, sizeof(recorded_nexthop) },
	{ recorded_nexthop_group, sizeof(recorded_nexthop_group) },
	{ recorded_route_nhid, sizeof(recorded_route_nhid) },
};

/* In memory of exactly its length, so that a sanitizer sees what reads on. */
static struct nlmsghdr *copy_cut(const uint8_t *bytes, size_t size)
{
	struct nlmsghdr *m = malloc(size);

	memcpy(m, bytes, size);
	m->nlmsg_len = (uint32_t)size;
	return m;
}

static void test_truncated(void)
{
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		for (size_t size = sizeof(struct nlmsghdr); size < all[i].size; size++) {
			struct nlmsghdr *m = copy_cut(all[i].bytes, size);
			struct rtnl_change c;
			int rc = rtnl_parse(m, &c);

			CU_ASSERT(rc == 0 || rc == -EINVAL);
			/* The family header alone is 8 bytes or more everywhere. */
			if (size < sizeof(struct nlmsghdr) + 8)
				CU_ASSERT_EQUAL(rc, -EINVAL);
			free(m);
		}
	}
}

static void test_wrong_sizes(void)
{
	struct rtnl_change c;
	uint8_t copy[sizeof(recorded_neigh4)];

	/* An IPv4 neighbour whose family says IPv6: the address is too short for it. */
	memcpy(copy, recorded_neigh4, sizeof(copy));
	copy[16] = 10;
	CU_ASSERT_EQUAL(PARSE(copy, &c), -EINVAL);
	/* A family that we do not follow is no error. */
	copy[16] = 7;
	CU_ASSERT_EQUAL(PARSE(copy, &c), 0);
	CU_ASSERT_EQUAL(c.kind, RTNL_OTHER);
}

static void test_noise(void)
{
	uint32_t seed = 1;

	for (int round = 0; round < 20000; round++) {
		size_t which = (size_t)round % (sizeof(all) / sizeof(all[0]));
		struct nlmsghdr *m = copy_cut(all[which].bytes, all[which].size);
		struct rtnl_change c;

		for (int flips = 0; flips < 4; flips++) {
			seed = seed * 1664525u + 1013904223u;
			size_t at = sizeof(*m) + (seed >> 8) % (all[which].size - sizeof(*m));

			((uint8_t *)m)[at] = (uint8_t)(seed >> 24);
		}
		int rc = rtnl_parse(m, &c);

		CU_ASSERT(rc == 0 || rc == -EINVAL);
		free(m);
	}
}

static bool apply(struct kernel_tables *t, const uint8_t *recorded)
{
	struct rtnl_change c;

	return !PARSE(recorded, &c) && kernel_tables_apply(t, &c);
}

static void test_tables(void)
{
	struct kernel_tables t = { 0 };
	struct address a;

	CU_ASSERT(apply(&t, recorded_link));
	CU_ASSERT(apply(&t, recorded_addr4));
	CU_ASSERT(apply(&t, recorded_neigh4));
	CU_ASSERT(apply(&t, recorded_neigh6));
	CU_ASSERT_PTR_NOT_NULL_FATAL(kernel_tables_link(&t, 3));
	address_parse("192.0.2.1", &a);
	CU_ASSERT(kernel_tables_has_address(&t, &a, 3));
	CU_ASSERT(kernel_tables_has_address(&t, &a, 0));
	CU_ASSERT_FALSE(kernel_tables_has_address(&t, &a, 4));
	address_parse("192.0.2.9", &a);
	CU_ASSERT_PTR_NOT_NULL(kernel_tables_neighbour(&t, 3, &a));
	CU_ASSERT_PTR_NULL(kernel_tables_neighbour(&t, 4, &a));
	CU_ASSERT(apply(&t, recorded_delneigh));
	CU_ASSERT_PTR_NULL(kernel_tables_neighbour(&t, 3, &a));
	address_parse("2001:db8::9", &a);
	CU_ASSERT_PTR_NOT_NULL(kernel_tables_neighbour(&t, 3, &a));
	kernel_tables_clear(&t);
}

static void test_tables_repeat(void)
{
	struct kernel_tables t = { 0 };

	CU_ASSERT(apply(&t, recorded_link));
	CU_ASSERT_FALSE(apply(&t, recorded_link));
	CU_ASSERT(apply(&t, recorded_addr6));
	CU_ASSERT_FALSE(apply(&t, recorded_addr6));
	CU_ASSERT(apply(&t, recorded_neigh4));
	CU_ASSERT_FALSE(apply(&t, recorded_neigh4));
	CU_ASSERT_FALSE(apply(&t, recorded_dellink)); /* of an interface that is not there */
	kernel_tables_clear(&t);
}

static const struct tap_case cases[] = {
	{ "a link message gives name, state, MTU and link address", test_link },
	{ "address messages of both families are read", test_addresses },
	{ "neighbour messages of both families are read", test_neighbours },
	{ "routes are read, also with a gateway of the other family", test_routes },
	{ "all next hops of a route are read, with their weights", test_multipath },
	{ "nexthop objects and their groups are read", test_nexthops },
	{ "a truncated message is refused or read in part, never read beyond", test_truncated },
	{ "attributes of a wrong size are refused", test_wrong_sizes },
	{ "random bytes do no harm", test_noise },
	{ "tables follow what comes and goes", test_tables },
	{ "a message that repeats what is known changes nothing", test_tables_repeat },
};

TAP_MAIN("rtnetlink", cases)
