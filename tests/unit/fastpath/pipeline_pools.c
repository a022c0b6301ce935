/* SPDX-License-Identifier: BSD-3-Clause */

/* What happens when backends cannot serve, the fallback pool; and who goes where with affinity. */

#include "tests/unit/fastpath/pipeline_bed.h"
#include "tests/unit/tap.h"

#include <stdio.h>
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
	b.service[0].silent = 1;
	bed_apply(&b);
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

/* ---- affinity ---- */

#define SOURCES 64u

static void sticky(struct bed *b, uint8_t mode, bool ipv6)
{
	bed_start(b, 1, 1);
	bed_add_service(b, "web", mode, 6, ipv6 ? "2001:db8::10" : SERVICE, 80);
	for (uint32_t i = 0; i < 4; i++) {
		char address[32];

		snprintf(address, sizeof(address), ipv6 ? "fd00::1%u" : "10.0.0.1%u", i);
		bed_add_backend(b, 0, address, 80);
	}
	b->service[0].affinity_places = WEIR_AFFINITY_MIN_PLACES;
	b->service[0].affinity_prefix = ipv6 ? 64 : 32;
	b->service[0].affinity_timeout_ns = 600 * BED_SECOND;
	bed_apply(b);
}

/* The backend of a new flow of source i; -1: none. */
static int place_of(struct bed *b, uint32_t source, bool ipv6)
{
	static uint16_t sport = 10000;
	struct bed_packet p, to;
	char from[64];

	if (ipv6) /* hosts of one /64 are one source */
		snprintf(from, sizeof(from), "2001:db8:1:%x::%x", source, sport);
	else
		snprintf(from, sizeof(from), "198.51.100.%u", source);
	p = bed_client(from, sport++, ipv6 ? "2001:db8::10" : SERVICE, 80);
	return bed_exchange(b, 0, &p, &to) ? to.dmac[5] : -1;
}

/* How many of the sources are where they were; notes where they are. */
static uint32_t same_places(struct bed *b, int places[SOURCES], bool ipv6)
{
	uint32_t same = 0;

	for (uint32_t i = 0; i < SOURCES; i++) {
		int place = place_of(b, i, ipv6);

		same += place == places[i];
		places[i] = place;
	}
	return same;
}

static void sources_stay(void)
{
	for (uint32_t i = 0; i < 4; i++) {
		const uint8_t mode = i & 1 ? WEIR_MODE_NAT : WEIR_MODE_DSR;
		const bool ipv6 = i & 2;
		int places[SOURCES];
		uint32_t used = 0;
		struct bed b;

		sticky(&b, mode, ipv6);
		same_places(&b, places, ipv6);
		for (uint32_t k = 0; k < SOURCES; k++)
			used |= 1u << places[k];
		CU_ASSERT_EQUAL(used, 15); /* spread over all */
		CU_ASSERT_EQUAL(same_places(&b, places, ipv6), SOURCES);
		/* Weights, by health and by configuration, and another backend. */
		set(&b, 0, WEIR_BACKEND_UP, 1);
		set(&b, 1, WEIR_BACKEND_UP, 60000);
		CU_ASSERT_EQUAL(same_places(&b, places, ipv6), SOURCES);
		bed_add_backend(&b, 0, ipv6 ? "fd00::99" : "10.0.0.99", 80);
		b.backend[0][2].weight = 7;
		b.service[0].affinity_timeout_ns *= 2;
		bed_apply(&b);
		CU_ASSERT_EQUAL(same_places(&b, places, ipv6), SOURCES);
		bed_stop(&b);
	}
}

static void sources_move(void)
{
	int before[SOURCES], places[SOURCES];
	struct bed b;

	sticky(&b, WEIR_MODE_NAT, false);
	same_places(&b, before, false);
	memcpy(places, before, sizeof(places));
	for (uint32_t how = 0; how < 3; how++) {
		set(&b, 2,
			how == 0	 ? WEIR_BACKEND_DOWN :
				how == 1 ? WEIR_BACKEND_DRAINING :
					   WEIR_BACKEND_UP,
			how == 2 ? 0 : 100);
		same_places(&b, places, false);
		for (uint32_t i = 0; i < SOURCES; i++)
			CU_ASSERT_TRUE(before[i] == 2 ? places[i] != 2 : places[i] == before[i]);
		/* They stay where they went. */
		set(&b, 2, WEIR_BACKEND_UP, 100);
		CU_ASSERT_EQUAL(same_places(&b, places, false), SOURCES);
	}
	bed_stop(&b);
}

/* Its slot's heir is another backend; a source that stays away is forgotten. */
static void sources_are_forgotten(void)
{
	int places[SOURCES];
	uint32_t same;
	struct bed b;

	sticky(&b, WEIR_MODE_DSR, false);
	same_places(&b, places, false);
	set(&b, 0, WEIR_BACKEND_UP, 1);
	b.now += 602 * BED_SECOND;
	same = same_places(&b, places, false);
	CU_ASSERT_TRUE(same < SOURCES); /* those of the light backend went by hashing */
	for (uint32_t i = 0; i < SOURCES; i++)
		CU_ASSERT_TRUE(places[i] >= 0);
	b.service[0].affinity_places = 0;
	bed_apply(&b);
	CU_ASSERT_TRUE(same_places(&b, places, false) < SOURCES);
	bed_stop(&b);
}

static void fallback_has_its_turn(void)
{
	struct bed b;
	int places[SOURCES];

	sticky(&b, WEIR_MODE_NAT, false);
	b.backend[0][3].fallback = 1;
	bed_apply(&b);
	for (uint32_t i = 0; i < 3; i++)
		set(&b, i, WEIR_BACKEND_DOWN, 100);
	same_places(&b, places, false);
	for (uint32_t i = 0; i < SOURCES; i++)
		CU_ASSERT_EQUAL(places[i], 3);
	set(&b, 1, WEIR_BACKEND_UP, 100);
	same_places(&b, places, false);
	for (uint32_t i = 0; i < SOURCES; i++)
		CU_ASSERT_EQUAL(places[i], 1);
	bed_stop(&b);
}

/* A flow that loses its backend goes where its source's other flows go. */
static void flows_move_together(void)
{
	struct bed_packet p[8], to;
	struct bed b;
	int place = -1;

	sticky(&b, WEIR_MODE_NAT, false);
	for (uint32_t i = 0; i < 8; i++) {
		p[i] = bed_client(CLIENT, (uint16_t)(30000 + i), SERVICE, 80);
		CU_ASSERT_TRUE_FATAL(bed_exchange(&b, 0, &p[i], &to));
		CU_ASSERT_TRUE(i == 0 || to.dmac[5] == place);
		place = to.dmac[5];
	}
	set(&b, (uint32_t)place, WEIR_BACKEND_DOWN, 100);
	for (uint32_t i = 0; i < 8; i++) {
		CU_ASSERT_TRUE_FATAL(bed_exchange(&b, 0, &p[i], &to));
		CU_ASSERT_NOT_EQUAL(to.dmac[5], i == 0 ? place : -1);
		CU_ASSERT_TRUE(i == 0 || to.dmac[5] == place);
		place = to.dmac[5];
	}
	bed_stop(&b);
}

static const struct tap_case cases[] = {
	{ "the fallback pool serves only while no backend takes new flows", only_when_needed },
	{ "without a usable fallback new flows are dropped as no_backend", neither_can },
	{ "flows stay on the fallback when backends are back", flows_stay },
	{ "a backend moves between the pools with its flows", between_the_pools },
	{ "affinity survives changes of weights and of the pool", sources_stay },
	{ "sources leave a backend that takes no flows, and stay where they went", sources_move },
	{ "sources are forgotten in time, and without affinity", sources_are_forgotten },
	{ "affinity does not hold anybody on the fallback pool", fallback_has_its_turn },
	{ "flows of one source move together", flows_move_together },
};

TAP_MAIN("pools", cases)
