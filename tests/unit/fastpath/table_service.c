/* SPDX-License-Identifier: BSD-3-Clause */

/* The service table against a search of the whole list. */

#include "dataplane/table/service_table.h"
#include "tests/unit/fastpath/random.h"
#include "tests/unit/fastpath/scarce.h"
#include "tests/unit/tap.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define SERVICES 60
#define SOURCES	 12

static struct service_table_service services[SERVICES];
static struct service_table_source sources[SOURCES];

static bool under_prefix(const uint8_t *address, const uint8_t *prefix, uint32_t length)
{
	for (uint32_t i = 0; i < length; i++)
		if ((address[i / 8] ^ prefix[i / 8]) & (0x80 >> (i % 8)))
			return false;
	return true;
}

/* The most specific service by the list; with_port false: by address and protocol only. */
static uint32_t best_of_list(
	const uint8_t address[16], uint8_t protocol, uint16_t port, bool with_port, bool is_mapped)
{
	uint32_t best = UINT32_MAX;
	int best_rank = -1;

	for (uint32_t i = 0; i < SERVICES; i++) {
		const struct service_table_service *s = &services[i];
		bool mapped = s->address[10] == 0xff;
		int rank = s->prefix_length * 2 + (with_port && s->port != 0);

		if (s->protocol != protocol || mapped != is_mapped ||
			!under_prefix(address, s->address, s->prefix_length))
			continue;
		if (with_port && s->port != 0 && s->port != port)
			continue;
		if (rank > best_rank) {
			best = i;
			best_rank = rank;
		}
	}
	return best;
}

/* Few addresses, so that prefixes cover each other and ports compete. */
static void address_random(struct random *r, uint8_t address[16], bool ipv4)
{
	memset(address, 0, 16);
	if (ipv4) {
		address[10] = address[11] = 0xff;
		address[12] = 10;
		address[14] = (uint8_t)random_below(r, 3);
		address[15] = (uint8_t)(random_below(r, 4) * 64 + random_below(r, 2));
		return;
	}
	address[0] = 0x20;
	address[1] = 0x01;
	address[7] = (uint8_t)random_below(r, 3);
	address[15] = (uint8_t)random_below(r, 4);
}

static void services_random(struct random *r)
{
	static const uint8_t lengths4[] = { 128, 128, 128, 122, 120, 112, 104, 96 };
	static const uint8_t lengths6[] = { 128, 128, 128, 126, 64, 62, 1 };

	for (uint32_t i = 0; i < SERVICES; i++) {
		struct service_table_service *s = &services[i];
		bool ipv4 = random_below(r, 2) == 0;

		address_random(r, s->address, ipv4);
		s->prefix_length =
			ipv4 ? lengths4[random_below(r, 8)] : lengths6[random_below(r, 7)];
		s->protocol = random_below(r, 2) == 0 ? 6 : 17;
		s->port = (uint16_t)(random_below(r, 4) == 0 ? 0 : 80 + random_below(r, 3));
		s->index = (uint16_t)i;
	}
}

static uint16_t expected(uint32_t best)
{
	return best == UINT32_MAX ? SERVICE_NONE : (uint16_t)best;
}

/* Equal services may come twice: the first is the one that counts, in the list as well. */
static void compare_with_list(const struct service_table *t, struct random *r, uint32_t *hits)
{
	uint8_t address[16];
	bool ipv4 = random_below(r, 2) == 0;
	uint8_t protocol = random_below(r, 2) == 0 ? 6 : 17;
	uint16_t port = (uint16_t)(79 + random_below(r, 5));
	uint16_t found, any;

	address_random(r, address, ipv4);
	if (ipv4) {
		uint32_t dst;

		memcpy(&dst, address + 12, 4);
		found = service_table_find4(t, dst, protocol, htons(port));
		any = service_table_find_address4(t, dst, protocol);
	} else {
		found = service_table_find6(t, address, protocol, htons(port));
		any = service_table_find_address6(t, address, protocol);
	}
	CU_ASSERT_EQUAL(found, expected(best_of_list(address, protocol, port, true, ipv4)));
	CU_ASSERT_EQUAL(any, expected(best_of_list(address, protocol, port, false, ipv4)));
	*hits += found != SERVICE_NONE;
}

static void most_specific_wins(void)
{
	struct random r = random_start("service table");
	uint32_t hits = 0;

	for (uint32_t round = 0; round < 30; round++) {
		struct hash_seed seed = hash_seed_make(round);
		struct service_table *t;

		services_random(&r);
		CU_ASSERT_EQUAL_FATAL(service_table_create(services, SERVICES, NULL, 0, &seed,
					      &table_memory_libc, -1, &t),
			0);
		for (uint32_t i = 0; i < 1000; i++)
			compare_with_list(t, &r, &hits);
		service_table_destroy(t);
	}
	CU_ASSERT(hits > 10000 && hits < 29000);
}

static void sources_random(struct random *r)
{
	memset(sources, 0, sizeof(sources));
	for (uint32_t i = 0; i < SOURCES; i++) {
		struct service_table_source *s = &sources[i];

		/*
		 * Three services share an address, each has every third block; some are IPv6. Of
		 * every other pair of addresses one service has all the blocks that anybody has.
		 */
		s->address[10] = s->address[11] = i / 3 % 2 == 0 ? 0xff : 0;
		s->address[15] = (uint8_t)(1 + i / 3);
		s->protocol = i / 6 == 0 ? 6 : 17;
		s->index = (uint16_t)(100 + i);
		for (uint32_t b = i % 3; b < 250; b += 3)
			if (random_below(r, 4) != 0 && (i / 6 % 2 == 0 || i % 3 == 0))
				s->blocks[b / 8] |= (uint8_t)(1u << (b % 8));
	}
}

static void replies_find_their_service(void)
{
	struct random r = random_start("service table, sources");
	struct hash_seed seed = hash_seed_make(5);
	struct service_table *t;
	uint32_t hits = 0;

	sources_random(&r);
	CU_ASSERT_EQUAL_FATAL(
		service_table_create(NULL, 0, sources, SOURCES, &seed, &table_memory_libc, -1, &t),
		0);
	for (uint32_t i = 0; i < 40000; i++) {
		uint8_t address[16] = { 0 };
		uint32_t group = random_below(&r, 5);
		uint8_t protocol = random_below(&r, 2) == 0 ? 6 : 17;
		uint16_t port = (uint16_t)random_next(&r), want = SERVICE_NONE, found;

		address[10] = address[11] = group % 2 == 0 ? 0xff : 0;
		address[15] = (uint8_t)(1 + group);
		for (uint32_t s = 0; s < SOURCES; s++)
			if (sources[s].protocol == protocol &&
				memcmp(sources[s].address, address, 16) == 0 &&
				(sources[s].blocks[port >> 11] >> (port >> 8 & 7) & 1))
				want = sources[s].index;
		if (group % 2 == 0) {
			uint32_t dst;

			memcpy(&dst, address + 12, 4);
			found = service_table_find_source4(t, dst, protocol, htons(port));
			CU_ASSERT_EQUAL(
				service_table_find4(t, dst, protocol, htons(port)), SERVICE_NONE);
		} else {
			found = service_table_find_source6(t, address, protocol, htons(port));
		}
		CU_ASSERT_EQUAL(found, want);
		hits += found != SERVICE_NONE;
	}
	CU_ASSERT(hits > 5000);
	service_table_destroy(t);
}

static void an_empty_table_has_nothing(void)
{
	struct hash_seed seed = hash_seed_make(5);
	struct service_table *t;
	uint8_t address[16] = { 0 };

	CU_ASSERT_EQUAL_FATAL(
		service_table_create(NULL, 0, NULL, 0, &seed, &table_memory_libc, -1, &t), 0);
	CU_ASSERT_EQUAL(service_table_find4(t, 1, 6, 80), SERVICE_NONE);
	CU_ASSERT_EQUAL(service_table_find6(t, address, 6, 80), SERVICE_NONE);
	CU_ASSERT_EQUAL(service_table_find_address4(t, 1, 6), SERVICE_NONE);
	CU_ASSERT_EQUAL(service_table_find_source4(t, 1, 6, 80), SERVICE_NONE);
	CU_ASSERT_EQUAL(service_table_find_source6(t, address, 6, 80), SERVICE_NONE);
	service_table_destroy(t);
}

static void running_out_of_memory_is_survived(void)
{
	struct scarce scarce = { 0 };
	struct table_memory memory = scarce_memory(&scarce);
	struct random r = random_start("service table, memory");
	struct hash_seed seed = hash_seed_make(5);
	struct service_table *t = NULL;
	int rc = -1;

	services_random(&r);
	sources_random(&r);
	for (int n = 0; n < 100 && rc != 0; n++) {
		scarce.left = n;
		rc = service_table_create(
			services, SERVICES, sources, SOURCES, &seed, &memory, -1, &t);
		CU_ASSERT(rc == 0 || (rc == -ENOMEM && t == NULL && scarce.held == 0));
	}
	CU_ASSERT_EQUAL(rc, 0);
	service_table_destroy(t);
	CU_ASSERT_EQUAL(scarce.held, 0);
}

static const struct tap_case cases[] = {
	{ "the most specific service wins, as by a search of the list", most_specific_wins },
	{ "a reply finds the service that owns its port", replies_find_their_service },
	{ "an empty table has nothing", an_empty_table_has_nothing },
	{ "running out of memory is survived at every step", running_out_of_memory_is_survived },
};

TAP_MAIN("service table", cases)
