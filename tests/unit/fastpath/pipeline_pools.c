/* SPDX-License-Identifier: BSD-3-Clause */

/* What happens when backends cannot serve: the fallback pool. */

#include "tests/unit/fastpath/pipeline_bed.h"
#include "tests/unit/tap.h"

#include <string.h>

#define CLIENT	"198.51.100.7"
#define SERVICE "203.0.113.10"

enum {
	WEB_1,
	WEB_2,
	SORRY
};

/* Two backends and one to fall back on. */
static void sorry_server(struct bed *b, uint8_t mode, uint8_t protocol)
{
	bed_start(b, 1, 1);
	bed_add_service(b, "web", mode, protocol, SERVICE, 80);
	bed_add_backend(b, 0, "10.0.0.11", 80);
	bed_add_backend(b, 0, "10.0.0.12", 80);
	bed_add_backend(b, 0, "10.0.0.99", 80)->fallback = 1;
	bed_apply(b);
}

static void set(struct bed *b, uint32_t backend, uint8_t state, uint16_t weight)
{
	CU_ASSERT_EQUAL(bed_backend_state(b, 0, backend, state, weight), 0);
}

/* Bit i: backend i got some of 32 new flows. */
static uint32_t who_serves(struct bed *b, uint8_t protocol)
{
	static uint16_t sport = 20000;
	uint32_t found = 0;

	for (uint32_t i = 0; i < 32; i++) {
		struct bed_packet p = bed_client(CLIENT, sport++, SERVICE, 80);
		struct bed_packet to;

		p.protocol = protocol;
		if (bed_exchange(b, 0, &p, &to))
			found |= 1u << to.dmac[5];
	}
	return found;
}

static void only_when_needed(void)
{
	static const struct {
		uint8_t state;
		uint16_t weight;
	} cannot[] = {
		{ WEIR_BACKEND_DOWN, 100 },
		{ WEIR_BACKEND_DRAINING, 100 },
		{ WEIR_BACKEND_UP, 0 },
	};

	for (uint32_t i = 0; i < 4; i++) {
		const uint8_t mode = i & 1 ? WEIR_MODE_NAT : WEIR_MODE_DSR;
		const uint8_t protocol = i & 2 ? 6 : 17;
		struct bed b;

		sorry_server(&b, mode, protocol);
		CU_ASSERT_EQUAL(who_serves(&b, protocol), 1u << WEB_1 | 1u << WEB_2);
		for (uint32_t k = 0; k < 3; k++) {
			set(&b, WEB_1, cannot[k].state, cannot[k].weight);
			CU_ASSERT_EQUAL(who_serves(&b, protocol), 1u << WEB_2);
			set(&b, WEB_2, cannot[k].state, cannot[k].weight);
			CU_ASSERT_EQUAL(who_serves(&b, protocol), 1u << SORRY);
			set(&b, WEB_1, WEIR_BACKEND_UP, 1);
			CU_ASSERT_EQUAL(who_serves(&b, protocol), 1u << WEB_1);
			set(&b, WEB_2, WEIR_BACKEND_UP, 1);
		}
		CU_ASSERT_EQUAL(bed_dropped_all(&b, 0), 0);
		bed_stop(&b);
	}
}

static void neither_can(void)
{
	struct bed b;

	sorry_server(&b, WEIR_MODE_NAT, 17);
	set(&b, WEB_1, WEIR_BACKEND_DOWN, 1);
	set(&b, WEB_2, WEIR_BACKEND_DOWN, 1);
	set(&b, SORRY, WEIR_BACKEND_DOWN, 1);
	CU_ASSERT_EQUAL(who_serves(&b, 17), 0);
	CU_ASSERT_EQUAL(bed_dropped(&b, 0, WEIR_DROP_NO_BACKEND), 32);
	set(&b, SORRY, WEIR_BACKEND_UP, 1);
	CU_ASSERT_EQUAL(who_serves(&b, 17), 1u << SORRY);
	bed_stop(&b);
}

/* A flow that began on the fallback ends there; one that loses its backend moves to the fallback. */
static void flows_stay(void)
{
	struct bed b;
	struct bed_packet early = bed_client(CLIENT, 40000, SERVICE, 80);
	struct bed_packet late = bed_client(CLIENT, 40001, SERVICE, 80);
	struct bed_packet to, again;

	sorry_server(&b, WEIR_MODE_NAT, 6);
	CU_ASSERT_TRUE_FATAL(bed_exchange(&b, 0, &early, &to));
	CU_ASSERT_NOT_EQUAL(to.dmac[5], SORRY);
	set(&b, WEB_1, WEIR_BACKEND_DOWN, 1);
	set(&b, WEB_2, WEIR_BACKEND_DOWN, 1);
	CU_ASSERT_TRUE_FATAL(bed_exchange(&b, 0, &early, &to));
	CU_ASSERT_EQUAL(to.dmac[5], SORRY);
	CU_ASSERT_TRUE_FATAL(bed_exchange(&b, 0, &late, &to));
	set(&b, WEB_1, WEIR_BACKEND_UP, 1);
	set(&b, WEB_2, WEIR_BACKEND_UP, 1);
	late.tcp_flags = BED_ACK;
	CU_ASSERT_TRUE_FATAL(bed_exchange(&b, 0, &late, &again));
	CU_ASSERT_EQUAL(again.dmac[5], SORRY);
	CU_ASSERT_EQUAL(again.sport, to.sport);
	to = bed_reply(&again, BED_ACK, 10);
	CU_ASSERT_TRUE(bed_exchange(&b, 1, &to, &again));
	CU_ASSERT_EQUAL(who_serves(&b, 6), 1u << WEB_1 | 1u << WEB_2);
	bed_stop(&b);
}

static void between_the_pools(void)
{
	struct bed b;
	struct bed_packet p = bed_client(CLIENT, 40000, SERVICE, 80);
	struct bed_packet to, again;

	sorry_server(&b, WEIR_MODE_NAT, 6);
	set(&b, WEB_1, WEIR_BACKEND_DOWN, 1);
	set(&b, WEB_2, WEIR_BACKEND_DOWN, 1);
	CU_ASSERT_TRUE_FATAL(bed_exchange(&b, 0, &p, &to));
	/* Promoted by a configuration: it keeps its flows, and is alone. */
	b.backend[0][SORRY].fallback = 0;
	b.backend[0][WEB_1].fallback = 1;
	b.backend[0][WEB_1].state = WEIR_BACKEND_UP;
	bed_apply(&b);
	p.tcp_flags = BED_ACK;
	CU_ASSERT_TRUE_FATAL(bed_exchange(&b, 0, &p, &again));
	CU_ASSERT_EQUAL(again.dmac[5], SORRY);
	CU_ASSERT_EQUAL(again.sport, to.sport);
	CU_ASSERT_EQUAL(who_serves(&b, 6), 1u << SORRY);
	CU_ASSERT_EQUAL(bed_backend_entry(&b, 0, WEB_1)->fallback, 1);
	CU_ASSERT_EQUAL(bed_backend_entry(&b, 0, SORRY)->fallback, 0);
	bed_stop(&b);
}

static const struct tap_case cases[] = {
	{ "the fallback pool serves only while no backend takes new flows", only_when_needed },
	{ "without a usable fallback new flows are dropped as no_backend", neither_can },
	{ "flows stay on the fallback when backends are back", flows_stay },
	{ "a backend moves between the pools with its flows", between_the_pools },
};

TAP_MAIN("pools", cases)
