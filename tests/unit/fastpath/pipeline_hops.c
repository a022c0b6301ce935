/* SPDX-License-Identifier: BSD-3-Clause */

/* Several next hops that are equally good: routers 0, 1, 2, ... with link addresses 02:cc:00:00:00:N. */

#include "tests/unit/fastpath/pipeline_bed.h"
#include "tests/unit/tap.h"

#include <string.h>

#define FLOWS 1024

/* How the flows are spread. */
struct spread {
	uint8_t hop[FLOWS];
	uint32_t count[BED_BACKENDS];
};

static void router_add(struct bed *b, const char *address, uint8_t number)
{
	struct weir_config_neighbour *n = &b->neighbour[b->neighbour_count++];

	*n = (struct weir_config_neighbour){
		.port = 1, .resolved = 1, .mac = { 2, 0xcc, 0, 0, 0, number }
	};
	bed_address(address, n->address);
}

static void group_set(struct bed *b, uint32_t count, const uint16_t *weights)
{
	b->group_count = 1;
	b->group[0] = (struct weir_config_hop_group){ .hop_count = count };
	for (uint32_t i = 0; i < count; i++) {
		b->group[0].neighbour[i] = i;
		b->group[0].weight[i] = weights[i];
	}
}

static void hops_start(struct bed *b, uint8_t mode, bool ipv6)
{
	static const uint16_t equal[] = { 1, 1 };

	bed_start(b, 1, 1);
	bed_add_service(b, "web", mode, 6, ipv6 ? "2001:db8::10" : "203.0.113.10", 80);
	for (uint32_t i = 0; i < 2; i++)
		bed_add_backend(b, 0,
			i ? (ipv6 ? "fd00::12" : "10.0.0.12") : (ipv6 ? "fd00::11" : "10.0.0.11"),
			80)
			->neighbour = WEIR_HOP_GROUP;
	b->neighbour_count = 0;
	router_add(b, ipv6 ? "fd01::1" : "10.1.0.1", 0);
	router_add(b, ipv6 ? "fd01::2" : "10.1.0.2", 1);
	router_add(b, ipv6 ? "fd01::3" : "10.1.0.3", 2);
	group_set(b, 2, equal);
	bed_apply(b);
}

/* One packet of each flow. */
static void flows_send(
	struct bed *b, bool ipv6, uint8_t flags, uint16_t first_port, struct spread *ret)
{
	memset(ret, 0, sizeof(*ret));
	for (uint32_t i = 0; i < FLOWS; i++) {
		struct bed_packet p = bed_client(ipv6 ? "2001:db8:1::7" : "198.51.100.7",
			(uint16_t)(first_port + i), ipv6 ? "2001:db8::10" : "203.0.113.10", 80);
		struct bed_packet to;

		p.tcp_flags = flags;
		CU_ASSERT_TRUE_FATAL(bed_exchange(b, 0, &p, &to));
		CU_ASSERT_EQUAL_FATAL(to.dmac[1], 0xcc);
		ret->hop[i] = to.dmac[5];
		ret->count[to.dmac[5]]++;
	}
}

static uint32_t moved(const struct spread *before, const struct spread *after)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < FLOWS; i++)
		count += before->hop[i] != after->hop[i];
	return count;
}

static void hop_set(struct bed *b, uint32_t hop, uint8_t resolved)
{
	struct weir_neighbour_update u = { .port = 1, .resolved = resolved };

	memcpy(u.address, b->neighbour[hop].address, 16);
	memcpy(u.mac, b->neighbour[hop].mac, 6);
	CU_ASSERT_EQUAL(fastpath_update_neighbours(b->fp, &u, 1, b->err, sizeof(b->err)), 0);
}

/* Half of the flows, give or take four standard deviations. */
static void expect_half(uint32_t count)
{
	CU_ASSERT(count > FLOWS / 2 - 64 && count < FLOWS / 2 + 64);
}

static void spread_and_sticky(uint8_t mode, bool ipv6)
{
	struct bed b;
	struct spread first;
	struct spread now;

	hops_start(&b, mode, ipv6);
	flows_send(&b, ipv6, BED_SYN, 20000, &first);
	expect_half(first.count[0]);
	CU_ASSERT_EQUAL(first.count[0] + first.count[1], FLOWS);
	flows_send(&b, ipv6, BED_ACK, 20000, &now);
	CU_ASSERT_EQUAL(moved(&first, &now), 0);
	/* A hop that is lost: its flows move, the others stay. */
	hop_set(&b, 1, 0);
	flows_send(&b, ipv6, BED_ACK, 20000, &now);
	CU_ASSERT_EQUAL(now.count[0], FLOWS);
	/* It is back: those that are on the other stay there, new ones are spread. */
	hop_set(&b, 1, 1);
	flows_send(&b, ipv6, BED_ACK, 20000, &now);
	CU_ASSERT_EQUAL(now.count[0], FLOWS);
	flows_send(&b, ipv6, BED_SYN, 30000, &now);
	expect_half(now.count[0]);
	bed_stop(&b);
}

static void nat4(void)
{
	spread_and_sticky(WEIR_MODE_NAT, false);
}

static void nat6(void)
{
	spread_and_sticky(WEIR_MODE_NAT, true);
}

static void dsr4(void)
{
	spread_and_sticky(WEIR_MODE_DSR, false);
}

static void dsr6(void)
{
	spread_and_sticky(WEIR_MODE_DSR, true);
}

static void weights(void)
{
	static const uint16_t uneven[] = { 300, 100 };
	struct bed b;
	struct spread s;

	hops_start(&b, WEIR_MODE_DSR, false);
	group_set(&b, 2, uneven);
	bed_apply(&b);
	flows_send(&b, false, BED_SYN, 20000, &s);
	CU_ASSERT(s.count[0] > FLOWS * 3 / 4 - 64 && s.count[0] < FLOWS * 3 / 4 + 64);
	bed_stop(&b);
}

/* The routing protocol adds a path in front of the others and then takes the one behind away. */
static void paths_come_and_go(void)
{
	static const uint16_t equal[] = { 1, 1, 1 };
	struct bed b;
	struct spread first;
	struct spread now;
	struct weir_config_neighbour third;

	hops_start(&b, WEIR_MODE_NAT, false);
	flows_send(&b, false, BED_SYN, 20000, &first);
	third = b.neighbour[2];
	memmove(b.neighbour + 1, b.neighbour, 2 * sizeof(third));
	b.neighbour[0] = third;
	group_set(&b, 3, equal);
	bed_apply(&b);
	flows_send(&b, false, BED_ACK, 20000, &now);
	CU_ASSERT_EQUAL(moved(&first, &now), 0);
	flows_send(&b, false, BED_SYN, 30000, &now);
	CU_ASSERT(now.count[2] > FLOWS / 3 - 64 && now.count[2] < FLOWS / 3 + 64);
	/* Only one is left: no group at all. */
	b.group_count = 0;
	b.backend[0][0].neighbour = b.backend[0][1].neighbour = 1;
	bed_apply(&b);
	flows_send(&b, false, BED_ACK, 20000, &now);
	CU_ASSERT_EQUAL(now.count[0], FLOWS);
	bed_stop(&b);
}

static void none_is_known(void)
{
	struct bed b;
	struct bed_packet p = bed_client("198.51.100.7", 40000, "203.0.113.10", 80);
	struct bed_packet to;

	hops_start(&b, WEIR_MODE_NAT, false);
	hop_set(&b, 0, 0);
	hop_set(&b, 1, 0);
	CU_ASSERT_FALSE(bed_exchange(&b, 0, &p, &to));
	CU_ASSERT_EQUAL(bed_dropped(&b, 0, WEIR_DROP_NEIGHBOUR_UNRESOLVED), 1);
	hop_set(&b, 1, 1);
	CU_ASSERT_TRUE_FATAL(bed_exchange(&b, 0, &p, &to));
	CU_ASSERT_EQUAL(to.dmac[5], 1);
	bed_stop(&b);
}

static const struct tap_case cases[] = {
	{ "nat over IPv4 spreads flows over the next hops, and each keeps its own", nat4 },
	{ "nat over IPv6 spreads flows over the next hops, and each keeps its own", nat6 },
	{ "dsr over IPv4 spreads flows over the next hops, and each keeps its own", dsr4 },
	{ "dsr over IPv6 spreads flows over the next hops, and each keeps its own", dsr6 },
	{ "weights say how many flows a next hop gets", weights },
	{ "a path that comes takes no flows, one that goes gives up only its own",
		paths_come_and_go },
	{ "without any resolved next hop packets are dropped and counted", none_is_known },
};

TAP_MAIN("next hops", cases)
