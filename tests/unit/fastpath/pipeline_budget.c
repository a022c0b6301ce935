/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What services have of the data plane's memory: all that the allocator gave for one is in its account, nobody gets
 * more than there is, and who is refused has changed nothing.
 */

#include "tests/unit/fastpath/pipeline_direct.h"
#include "tests/unit/tap.h"

#include <rte_malloc.h>

#include <stdio.h>
#include <string.h>

#define WEB    "203.0.113.10"
#define DNS    "203.0.113.11"
/* What the allocator writes around a piece; charged is what lies between. */
#define AROUND 128u
/* What lookups and neighbours of one service take, which are the configuration's. */
#define SHARED 8192u

/* Bytes, and pieces, that the allocator has given out. */
struct given {
	uint64_t bytes;
	uint64_t pieces;
};

static struct given given_now(void)
{
	struct rte_malloc_socket_stats stats = { 0 };

	rte_malloc_get_socket_stats(0, &stats);
	return (struct given){ stats.heap_allocsz_bytes, stats.alloc_count };
}

static uint64_t sum_of(const struct bed *b, uint32_t service)
{
	const struct weir_service_entry *e = &b->telemetry->service[service];

	return e->memory_flows + e->memory_sources + e->memory_police + e->memory_ports +
		e->memory_pools + e->memory_workers;
}

static uint64_t used(const struct bed *b)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < b->telemetry->service_count; i++)
		sum += b->telemetry->service[i].used ? sum_of(b, i) : 0;
	CU_ASSERT_EQUAL(sum, b->telemetry->memory_used);
	return sum;
}

static void services_add(struct bed *b)
{
	struct weir_config_service *s = bed_add_service(b, "web", WEIR_MODE_NAT, 6, WEB, 80);

	s->cores = 2;
	s->per_source_packets = 1000;
	s->per_source_burst_ns = BED_SECOND;
	s->per_source_prefix = 32;
	s->affinity_places = WEIR_AFFINITY_MIN_PLACES;
	s->affinity_prefix = 32;
	s->affinity_timeout_ns = BED_SECOND;
	for (uint32_t i = 0; i < 8; i++) {
		char address[32];

		snprintf(address, sizeof(address), "10.0.0.%u", 11 + i);
		bed_add_backend(b, 0, address, 8080);
	}
}

/* With everything that a service can have. What does not count is made for the generation, not for it. */
static void to_the_byte(void)
{
	struct given before, after;
	struct direct d;
	struct bed b;
	uint64_t account;

	bed_start_with(&b, 3, 3, UINT64_C(24) << 20, false);
	bed_apply(&b);
	before = given_now();
	services_add(&b);
	bed_apply(&b);
	direct_begin(&d, &b);
	d.header.flags = WEIR_DIRECTIVE_F_POLICE;
	d.header.source_flows = 100;
	CU_ASSERT_EQUAL(direct_send(&d, &b), 0);
	after = given_now();
	account = used(&b);
	const uint64_t bytes = after.bytes - before.bytes, pieces = after.pieces - before.pieces;

	printf("# %lu bytes charged, %lu given in %lu pieces\n", account, bytes, pieces);
	CU_ASSERT_TRUE(account <= bytes);
	CU_ASSERT_TRUE(account + pieces * AROUND + SHARED >= bytes);
	const struct weir_service_entry *e = &b.telemetry->service[0];

	CU_ASSERT_TRUE(e->memory_flows > 0 && e->memory_sources > 0 && e->memory_police > 0);
	/* Eight backends by one source address. */
	CU_ASSERT_TRUE(e->memory_ports > 8 * 256 * 64);
	/* A Maglev table. */
	CU_ASSERT_TRUE(e->memory_pools > 65537 * 2);
	/* Two rings. */
	CU_ASSERT_TRUE(e->memory_workers > 2 * 1024 * 8);
	bed_stop(&b);
}

/* Whatever comes and goes, nothing stays behind. */
static void nothing_stays(void)
{
	struct bed b;
	uint64_t first;

	bed_start_with(&b, 3, 3, UINT64_C(24) << 20, false);
	services_add(&b);
	bed_apply(&b);
	first = used(&b);
	for (uint32_t i = 0; i < 50; i++) {
		b.service[0].per_source_entries = i % 2 ? 4096 : 0;
		b.backend[0][0].weight = (uint16_t)(100 + i);
		b.service_count = 1;
		b.backend_count[1] = 0;
		if (i % 3 == 0) {
			bed_add_service(&b, "dns", WEIR_MODE_DSR, 17, DNS, 53);
			bed_add_backend(&b, 1, "10.0.0.11", 53);
		}
		bed_apply(&b);
		(void)used(&b);
	}
	b.service_count = 1;
	b.service[0].per_source_entries = 0;
	bed_apply(&b);
	CU_ASSERT_EQUAL(used(&b), first);
	b.service_count = 0;
	b.backend_count[0] = 0;
	bed_apply(&b);
	CU_ASSERT_EQUAL(b.telemetry->memory_used, 0);
	bed_stop(&b);
}

/* A table of sources that there is no room for: an error that says so, and all as before. */
static void refused(void)
{
	struct bed b;
	struct bed_packet p = bed_client("198.51.100.7", 40000, WEB, 80), to;
	uint64_t before, generation;

	bed_start_with(&b, 3, 3, UINT64_C(24) << 20, false);
	services_add(&b);
	bed_apply(&b);
	before = used(&b);
	generation = b.telemetry->generation;
	b.service[0].per_source_entries = 1u << 20;
	CU_ASSERT_EQUAL(bed_try_apply(&b), -ENOMEM);
	CU_ASSERT_PTR_NOT_NULL(strstr(b.err, "service web"));
	CU_ASSERT_PTR_NOT_NULL(strstr(b.err, "of the services' budget of 24576 KiB"));
	CU_ASSERT_PTR_NOT_NULL(strstr(b.err, "(half of dataplane.memory) are left"));
	CU_ASSERT_EQUAL(used(&b), before);
	CU_ASSERT_EQUAL(b.telemetry->generation, generation);
	CU_ASSERT_TRUE(bed_exchange(&b, 0, &p, &to));
	b.service[0].per_source_entries = 0;
	bed_stop(&b);
}

/* So many backends that their ports alone are more than there is. */
static void refused_ports(void)
{
	struct bed b;

	bed_start_with(&b, 3, 3, UINT64_C(2) << 20, false);
	bed_add_service(&b, "dns", WEIR_MODE_DSR, 17, DNS, 53);
	bed_add_backend(&b, 0, "10.0.1.13", 53);
	bed_apply(&b);
	const uint64_t before = used(&b);

	bed_add_service(&b, "web", WEIR_MODE_NAT, 6, WEB, 80);
	for (uint32_t i = 0; i < 100; i++) {
		char address[32];

		snprintf(address, sizeof(address), "10.0.0.%u", 11 + i);
		bed_add_backend(&b, 1, address, 8080);
	}
	CU_ASSERT_EQUAL(bed_try_apply(&b), -ENOMEM);
	CU_ASSERT_PTR_NOT_NULL(strstr(b.err, "are left"));
	CU_ASSERT_EQUAL(used(&b), before);
	bed_stop(&b);
}

/* Policing is refused when what is left is too little for it; the service goes on without. */
static void refused_policing(void)
{
	struct direct d;
	struct bed b;
	uint64_t before;

	bed_start_with(&b, 3, 3, UINT64_C(4660) << 10, false);
	bed_add_service(&b, "web", WEIR_MODE_DSR, 6, WEB, 80);
	bed_add_backend(&b, 0, "10.0.0.11", 80);
	bed_apply(&b);
	/* The next one takes what is left but for a little. */
	bed_add_service(&b, "dns", WEIR_MODE_DSR, 17, DNS, 53)->per_source_packets = 1000;
	b.service[1].per_source_burst_ns = BED_SECOND;
	b.service[1].per_source_prefix = 32;
	b.service[1].per_source_entries = 32768;
	bed_add_backend(&b, 1, "10.0.0.12", 53);
	bed_apply(&b);
	before = used(&b);
	direct_begin(&d, &b);
	d.header.flags = WEIR_DIRECTIVE_F_POLICE;
	d.header.source_flows = 100;
	CU_ASSERT_EQUAL(direct_send(&d, &b), -ENOMEM);
	CU_ASSERT_PTR_NOT_NULL(strstr(b.err, "service web"));
	CU_ASSERT_PTR_NOT_NULL(strstr(b.err, "of the services' budget of 4660 KiB"));
	CU_ASSERT_EQUAL(used(&b), before);
	CU_ASSERT_EQUAL(b.telemetry->service[0].memory_police, 0);
	bed_stop(&b);
}

static const struct tap_case cases[] = {
	{ "what the allocator gave for a service is in its account", to_the_byte },
	{ "services and tables that come and go leave nothing behind", nothing_stays },
	{ "a table of sources beyond the budget is refused", refused },
	{ "translated ports beyond the budget are refused", refused_ports },
	{ "policing beyond the budget is refused", refused_policing },
};

TAP_MAIN("budget", cases)
