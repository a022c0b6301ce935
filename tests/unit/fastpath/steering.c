/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/core/steering/steering_plan.h"
#include "dataplane/core/steering/steering_trust.h"
#include "tests/unit/tap.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#define SERVICES 40u
#define SOURCES	 (SERVICES * 32u)

static struct steering_rule rules[STEERING_RULES_MAX];
static struct steering_left left;
static char why[512];

static struct {
	struct weir_config header;
	struct weir_config_service services[SERVICES];
	struct weir_config_source sources[SOURCES];
	struct steering_workers workers[SERVICES];
} world;

static void address(const char *text, uint8_t ret[16])
{
	memset(ret, 0, 16);
	if (strchr(text, ':')) {
		inet_pton(AF_INET6, text, ret);
		return;
	}
	ret[10] = ret[11] = 0xff;
	inet_pton(AF_INET, text, ret + 12);
}

/* nat when it has a source; blocks [first, end) of it. */
static void service_add(const char *name, const char *at, uint16_t port, const char *source,
	uint32_t first, uint32_t end)
{
	uint32_t i = world.header.service_count++;
	struct weir_config_service *s = &world.services[i];

	snprintf(s->name, sizeof(s->name), "%s", name);
	address(at, s->address);
	s->prefix_length = 128;
	s->protocol = 6;
	s->port = port;
	s->mode = source ? WEIR_MODE_NAT : WEIR_MODE_DSR;
	s->first_source = i;
	s->source_count = source != NULL;
	if (source)
		address(source, world.sources[i].address);
	for (uint32_t b = first; b < end; b++)
		world.sources[i].blocks[b / 8] |= (uint8_t)(1u << (b % 8));
}

static void workers_set(uint32_t service, uint8_t count, uint8_t first_core)
{
	world.workers[service].count = count;
	for (uint8_t i = 0; i < count; i++)
		world.workers[service].core[i] = (uint8_t)(first_core + i);
}

static uint32_t plan(void)
{
	const struct weir_config_view view = {
		.header = &world.header,
		.services = world.services,
		.sources = world.sources,
	};

	memset(rules, 0, sizeof(rules));
	return steering_plan(&view, world.workers, rules, &left, why, sizeof(why));
}

static void clear(void)
{
	memset(&world, 0, sizeof(world));
}

static void one_worker(void)
{
	uint8_t at[16];

	clear();
	service_add("web", "203.0.113.10", 80, "10.0.0.1", 4, 256);
	service_add("dns", "2001:db8::1", 0, NULL, 0, 0);
	workers_set(0, 1, 1);
	workers_set(1, 1, 2);
	CU_ASSERT_EQUAL_FATAL(plan(), 3);
	CU_ASSERT_STRING_EQUAL(why, "");
	address("203.0.113.10", at);
	CU_ASSERT_EQUAL(memcmp(rules[0].address, at, 16), 0);
	CU_ASSERT_EQUAL(rules[0].core, 1);
	CU_ASSERT_EQUAL(rules[0].port, 80);
	CU_ASSERT_EQUAL(rules[0].port_mask, 0xffff);
	CU_ASSERT_FALSE(rules[0].replies);
	CU_ASSERT_EQUAL(rules[1].core, 2);
	CU_ASSERT_EQUAL(rules[1].port_mask, 0);
	/* The source is this core's alone. */
	address("10.0.0.1", at);
	CU_ASSERT_EQUAL(memcmp(rules[2].address, at, 16), 0);
	CU_ASSERT(rules[2].replies);
	CU_ASSERT_EQUAL(rules[2].port_mask, 0);
	CU_ASSERT_EQUAL(rules[2].core, 1);
}

/* Does some rule for replies lead a port to this core, and none to another? */
static bool replies_go(uint32_t count, const char *source, uint16_t port, uint8_t core)
{
	bool found = false;
	uint8_t at[16];

	address(source, at);
	for (uint32_t i = 0; i < count; i++) {
		if (!rules[i].replies || memcmp(rules[i].address, at, 16) != 0 ||
			(port & rules[i].port_mask) != rules[i].port)
			continue;
		if (rules[i].core != core)
			return false;
		found = true;
	}
	return found;
}

static void shared_source(void)
{
	uint32_t count;

	clear();
	service_add("a", "203.0.113.10", 80, "10.0.0.1", 4, 131);
	service_add("b", "203.0.113.11", 80, "10.0.0.1", 131, 256);
	workers_set(0, 1, 1);
	workers_set(1, 1, 2);
	count = plan();
	for (uint32_t block = 0; block < 256; block++)
		for (uint32_t low = 0; low < 256; low += 85)
			CU_ASSERT_EQUAL(replies_go(count, "10.0.0.1", (uint16_t)(block << 8 | low),
						block < 131 ? 1 : 2),
				block >= 4);
	/* 127 and 125 blocks in aligned ranges: not a rule for each. */
	CU_ASSERT(count < 2 + 20);
	/* On the same core they need not be told apart. */
	workers_set(1, 1, 1);
	CU_ASSERT_EQUAL(plan(), 4);
	CU_ASSERT_EQUAL(rules[2].port_mask, 0);
	/* Other protocols have other rules. */
	workers_set(1, 1, 2);
	world.services[1].protocol = 17;
	CU_ASSERT_EQUAL(plan(), 4);
	CU_ASSERT_EQUAL(rules[3].port_mask, 0);
	CU_ASSERT_EQUAL(rules[3].protocol, 17);
}

static void scattered_blocks(void)
{
	uint32_t replies = 0, count;

	clear();
	service_add("a", "203.0.113.10", 80, "10.0.0.1", 0, 0);
	service_add("b", "203.0.113.11", 80, "10.0.0.1", 0, 0);
	for (uint32_t b = 0; b < 32; b++) {
		world.sources[0].blocks[b] = 0x55;
		world.sources[1].blocks[b] = 0xaa;
	}
	workers_set(0, 1, 1);
	workers_set(1, 1, 2);
	count = plan();
	for (uint32_t i = 0; i < count; i++)
		replies += rules[i].replies;
	CU_ASSERT_EQUAL(replies, 2 * STEERING_RANGES_MAX);
	/* What has no rule is said. */
	CU_ASSERT_EQUAL(left.rules, 2 * (128 - STEERING_RANGES_MAX));
	CU_ASSERT_EQUAL(left.of, 2 * 128);
	CU_ASSERT_EQUAL(left.services, 2);
	CU_ASSERT_STRING_EQUAL(why,
		"192 of 256 rules for replies of 2 services are left out (at most 32 for a source "
		"address, 1024 in all)");
	CU_ASSERT(rules[2].partial);
	CU_ASSERT(rules[count - 1].partial);
	CU_ASSERT_FALSE(rules[0].partial);
	/* A service that has all of its own is not part of it. */
	world.services[1].protocol = 17;
	count = plan();
	CU_ASSERT_EQUAL_FATAL(count, 4);
	CU_ASSERT_EQUAL(left.rules, 0);
	CU_ASSERT_EQUAL(left.of, 2);
	CU_ASSERT_STRING_EQUAL(why, "");
	CU_ASSERT_FALSE(rules[2].partial);
}

/* More sources than there are rules: 40 services that share 32 of them by single blocks. */
static void more_than_fit(void)
{
	const uint32_t services = 40, sources = 32;
	uint32_t count, clients = 0;

	clear();
	for (uint32_t i = 0; i < services; i++) {
		char at[32];

		snprintf(at, sizeof(at), "203.0.113.%u", i);
		service_add("web", at, 80, "10.0.0.1", 0, 0);
		workers_set(i, 1, (uint8_t)(1 + i % 2));
		world.services[i].first_source = i * sources;
		world.services[i].source_count = sources;
		for (uint32_t k = 0; k < sources; k++) {
			struct weir_config_source *source = &world.sources[i * sources + k];

			snprintf(at, sizeof(at), "10.0.1.%u", k);
			address(at, source->address);
			source->blocks[(4 + i) / 8] = (uint8_t)(1u << (4 + i) % 8);
		}
	}
	count = plan();
	CU_ASSERT_EQUAL(count, STEERING_RULES_MAX);
	for (uint32_t i = 0; i < count; i++)
		clients += !rules[i].replies;
	CU_ASSERT_EQUAL(clients, services);
	CU_ASSERT_EQUAL(left.of, services * sources);
	CU_ASSERT_EQUAL(left.rules, services * sources + services - STEERING_RULES_MAX);
	CU_ASSERT_EQUAL(left.services, 10);
	CU_ASSERT_FALSE(rules[count - sources].partial);
	CU_ASSERT(rules[count - 1].partial);
}

static void several_workers(void)
{
	uint32_t count;

	clear();
	service_add("big", "203.0.113.10", 80, "10.0.0.1", 4, 256);
	service_add("odd", "203.0.113.11", 80, "10.0.0.2", 4, 256);
	service_add("web", "203.0.113.12", 80, "10.0.0.3", 4, 256);
	workers_set(0, 4, 1);
	workers_set(1, 3, 1);
	workers_set(2, 1, 5);
	count = plan();
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "big has several cores"));
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "1 more"));
	CU_ASSERT_EQUAL(count, 1 + 4 + 1);
	for (uint32_t port = 1024; port < 65536; port += 37)
		/* bucket: the low byte; its worker: bucket modulo four */
		CU_ASSERT(replies_go(count, "10.0.0.1", (uint16_t)port, (uint8_t)(1 + port % 4)));
	CU_ASSERT_FALSE(replies_go(count, "10.0.0.2", 5000, 1));
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "replies of 1 services have no rule"));
}

static void no_core_of_its_own(void)
{
	clear();
	service_add("web", "203.0.113.10", 80, "10.0.0.1", 4, 256);
	workers_set(0, 1, 0);
	CU_ASSERT_EQUAL(plan(), 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "the core that receives"));
}

/* ---- is it true? ---- */

static void trial(void)
{
	struct steering_trial t = { 0 };
	struct arrivals now = { .clients = { 1000, 0 }, .replies = { 50, 0 } };
	bool failed[2];

	steering_trial_expect(&t, false);
	steering_trial_expect(&t, true);
	steering_trial_begin(&t, &now);
	CU_ASSERT_FALSE(steering_trial_look(&t, &now, failed));
	/* Clients' packets arrive where they should, replies do not. */
	now.clients[1] = 1;
	now.replies[0] += STEERING_PROOF - 1;
	CU_ASSERT_FALSE(steering_trial_look(&t, &now, failed));
	now.replies[0]++;
	now.clients[0] += 10000; /* some of them astray: that proves nothing */
	CU_ASSERT(steering_trial_look(&t, &now, failed));
	CU_ASSERT_FALSE(failed[0]);
	CU_ASSERT(failed[1]);
	/* Said once. */
	now.replies[0] += 10000;
	CU_ASSERT_FALSE(steering_trial_look(&t, &now, failed));
}

static void no_rule_no_verdict(void)
{
	struct steering_trial t = { 0 };
	struct arrivals now = { .clients = { 0 } };
	bool failed[2];

	steering_trial_begin(&t, &now);
	now.clients[0] = now.replies[0] = 100000;
	CU_ASSERT_FALSE(steering_trial_look(&t, &now, failed));
}

static void refuted(void)
{
	static struct steering_refuted r;
	struct steering_rule clients = {
		.prefix_length = 128, .protocol = 6, .core = 1, .port = 80
	};
	struct steering_rule replies = clients, other;

	clients.port_mask = 0xffff;
	replies.replies = true;
	address("203.0.113.10", clients.address);
	address("10.0.0.1", replies.address);
	CU_ASSERT_FALSE(steering_is_refuted(&r, &clients));
	steering_refute(&r, &clients);
	steering_refute(&r, &replies);
	steering_refute(&r, &replies);
	CU_ASSERT_EQUAL(r.count, 2);
	/* Another core and another place in the configuration change nothing, another port does. */
	other = clients;
	other.core = 2;
	other.service = 7;
	CU_ASSERT(steering_is_refuted(&r, &other));
	other.port = 443;
	CU_ASSERT_FALSE(steering_is_refuted(&r, &other));
	/* Replies are known by their address. */
	other = replies;
	other.port = 0x8000;
	other.port_mask = 0x8000;
	CU_ASSERT(steering_is_refuted(&r, &other));
	other.protocol = 17;
	CU_ASSERT_FALSE(steering_is_refuted(&r, &other));
	/* The oldest make room. */
	for (uint32_t i = 0; i < STEERING_RULES_MAX - 1; i++) {
		other = clients;
		other.port = (uint16_t)(1000 + i);
		steering_refute(&r, &other);
	}
	CU_ASSERT_FALSE(steering_is_refuted(&r, &clients));
	CU_ASSERT(steering_is_refuted(&r, &replies));
	CU_ASSERT(steering_is_refuted(&r, &other));
}

static const struct tap_case cases[] = {
	{ "a service with a worker of its own", one_worker },
	{ "a source address of two services is told apart by ports", shared_source },
	{ "blocks that lie scattered get so many rules and no more", scattered_blocks },
	{ "rules for replies that do not fit are counted", more_than_fit },
	{ "of a service with several workers, replies can be steered", several_workers },
	{ "a core that receives needs no rule", no_core_of_its_own },
	{ "a device is judged by where packets arrive", trial },
	{ "without a rule there is nothing to judge", no_rule_no_verdict },
	{ "rules that were not followed are remembered", refuted },
};

TAP_MAIN("steering", cases)
