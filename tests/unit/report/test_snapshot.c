/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/telemetry/snapshot.h"
#include "tests/unit/report/region.h"
#include "tests/unit/tap.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static int take(const struct region *r, struct snapshot **ret)
{
	*ret = NULL;
	return snapshot_take(&r->t, sizeof(*r), 5000, ret);
}

static struct snapshot *taken(const struct region *r)
{
	struct snapshot *s = NULL;
	CU_ASSERT_EQUAL_FATAL(take(r, &s), 0);
	CU_ASSERT_PTR_NOT_NULL_FATAL(s);
	return s;
}

static void cells_are_summed_over_cores(void)
{
	struct region *r = region_create();
	r->web[0].packets_received = 3;
	r->web[1].packets_received = 4;
	r->web[1].dropped[WEIR_DROP_SHUTDOWN] = 5;
	region_measure(&r->web[0].residence, 5000, 2);
	region_measure(&r->web[1].residence, 5000, 1);
	r->web_backend_cell[0][2].packets = 10;
	r->web_backend_cell[1][2].packets = 20;
	r->web_backend_cell[0][0].packets = 1;
	r->core[0].port[1].packets_received = 100;
	r->core[1].port[1].packets_received = 11;
	r->core[1].port[0].packets_received = 7777;

	struct snapshot *s = taken(r);
	CU_ASSERT_EQUAL(s->generation, 7);
	CU_ASSERT_EQUAL(s->taken_ns, 5000);
	CU_ASSERT_EQUAL(s->service_count, 2);
	const struct snapshot_service *web = snapshot_find_service(s, "web");
	CU_ASSERT_PTR_NOT_NULL_FATAL(web);
	CU_ASSERT_EQUAL(web->sum.packets_received, 7);
	CU_ASSERT_EQUAL(web->sum.dropped[WEIR_DROP_SHUTDOWN], 5);
	CU_ASSERT_EQUAL(web->sum.residence.count, 3);
	CU_ASSERT_EQUAL_FATAL(web->backend_count, 2);
	CU_ASSERT_EQUAL(web->backends[0].sum.packets, 1);
	CU_ASSERT_EQUAL(web->backends[1].slot, 2);
	CU_ASSERT_EQUAL(web->backends[1].sum.packets, 30);
	CU_ASSERT_EQUAL_FATAL(s->port_count, 1);
	CU_ASSERT_EQUAL(s->ports[0].sum.packets_received, 111);
	CU_ASSERT_PTR_NOT_NULL(snapshot_find_service(s, "dns"));
	CU_ASSERT_PTR_NULL(snapshot_find_service(s, "nobody"));
	uint8_t address[16];
	region_address(address, 12);
	CU_ASSERT_PTR_EQUAL(snapshot_find_backend(web, address, 8080), &web->backends[1]);
	CU_ASSERT_PTR_NULL(snapshot_find_backend(web, address, 8081));
	snapshot_destroy(s);
	free(r);
}

static void a_wrong_magic_version_or_size_is_refused(void)
{
	struct snapshot *s;
	struct region *r = region_create();
	r->t.magic++;
	CU_ASSERT_EQUAL(take(r, &s), -EPROTO);
	r->t.magic--;
	r->t.version++;
	CU_ASSERT_EQUAL(take(r, &s), -EPROTO);
	r->t.version--;
	r->t.size = sizeof(r->t) - 1;
	CU_ASSERT_EQUAL(take(r, &s), -EPROTO);
	r->t.size = sizeof(*r) + 1; /* claims more than is mapped */
	CU_ASSERT_EQUAL(take(r, &s), -EPROTO);
	r->t.size = sizeof(*r);
	CU_ASSERT_EQUAL(snapshot_take(&r->t, sizeof(r->t) - 8, 0, &s), -EPROTO);
	CU_ASSERT_EQUAL(snapshot_take(NULL, 0, 0, &s), -EPROTO);
	CU_ASSERT_PTR_NULL(s);
	free(r);
}

static void detached_policies_are_listed(void)
{
	struct region *r = region_create();
	struct weir_service_entry *dns = &r->t.service[2];
	uint64_t *ids;
	size_t count;
	CU_ASSERT_EQUAL_FATAL(snapshot_detached(&r->t, sizeof(*r), &ids, &count), 0);
	CU_ASSERT_EQUAL(count, 0);
	free(ids);
	dns->policy_offset = offsetof(struct region, policy);
	dns->policy_count = 2;
	r->policy[0] = (struct weir_policy_entry){ .id = 11, .state = WEIR_POLICY_DETACHED };
	r->policy[1] = (struct weir_policy_entry){ .id = 12 };
	CU_ASSERT_EQUAL_FATAL(snapshot_detached(&r->t, sizeof(*r), &ids, &count), 0);
	CU_ASSERT_EQUAL_FATAL(count, 1);
	CU_ASSERT_EQUAL(ids[0], 11);
	free(ids);
	dns->policy_count = WEIR_MAX_POLICIES_PER_SERVICE + 1;
	CU_ASSERT_EQUAL(snapshot_detached(&r->t, sizeof(*r), &ids, &count), -EPROTO);
	dns->policy_count = 2;
	dns->policy_offset = sizeof(*r) - 8;
	CU_ASSERT_EQUAL(snapshot_detached(&r->t, sizeof(*r), &ids, &count), -EPROTO);
	dns->used = 0;
	CU_ASSERT_EQUAL_FATAL(snapshot_detached(&r->t, sizeof(*r), &ids, &count), 0);
	CU_ASSERT_EQUAL(count, 0);
	free(ids);
	free(r);
}

static void counts_beyond_the_arrays_are_refused(void)
{
	struct region *r = region_create();
	uint32_t *const counts[] = { &r->t.core_count, &r->t.port_count, &r->t.service_count,
		&r->t.node_count };
	static const uint32_t most[] = { WEIR_MAX_CORES, WEIR_MAX_PORTS, WEIR_MAX_SERVICES,
		WEIR_MAX_NODES };
	for (size_t i = 0; i < 4; i++) {
		struct snapshot *s;
		uint32_t saved = *counts[i];
		*counts[i] = most[i];
		CU_ASSERT_EQUAL(take(r, &s), 0);
		snapshot_destroy(s);
		*counts[i] = most[i] + 1;
		CU_ASSERT_EQUAL(take(r, &s), -EPROTO);
		*counts[i] = UINT32_MAX;
		CU_ASSERT_EQUAL(take(r, &s), -EPROTO);
		*counts[i] = saved;
	}
	free(r);
}

static void offsets_outside_the_region_are_refused(void)
{
	struct region *r = region_create();
	uint64_t *const offsets[] = { &r->t.core[1].cell_offset, &r->t.service[0].cell_offset[1],
		&r->t.service[0].backend_offset, &r->t.service[0].backend_cell_offset[1] };
	/* In the directory itself, not aligned, at and behind the end, and where sums wrap around. */
	const uint64_t bad[] = { 8, offsetof(struct region, core) + 4, sizeof(*r) - 8, sizeof(*r),
		sizeof(*r) + 8, UINT64_MAX - 7, UINT64_MAX, UINT64_C(1) << 63 };
	for (size_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
		uint64_t saved = *offsets[i];
		for (size_t j = 0; j < sizeof(bad) / sizeof(bad[0]); j++) {
			struct snapshot *s;
			*offsets[i] = bad[j];
			CU_ASSERT_EQUAL(take(r, &s), -EPROTO);
			CU_ASSERT_PTR_NULL(s);
		}
		*offsets[i] = saved;
	}
	snapshot_destroy(taken(r));
	free(r);
}

static void more_backends_than_fit_are_refused(void)
{
	static const uint32_t bad[] = { 1000000, UINT32_MAX, UINT32_MAX / 24 + 1 };
	struct region *r = region_create();
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct snapshot *s;
		r->t.service[0].backend_count = bad[i];
		CU_ASSERT_EQUAL(take(r, &s), -EPROTO);
	}
	/* The entries fit, but the counters of so many would not. */
	struct snapshot *s;
	r->t.service[0].backend_count = REGION_CORES * REGION_SLOTS + 1;
	CU_ASSERT_EQUAL(take(r, &s), -EPROTO);
	free(r);
}

static void a_missing_cell_counts_nothing(void)
{
	struct region *r = region_create();
	r->web[0].packets_received = 3;
	r->web[1].packets_received = 4;
	r->t.service[0].cell_offset[1] = 0;
	r->t.service[0].backend_offset = 0;
	r->t.core[1].cell_offset = 0;
	struct snapshot *s = taken(r);
	CU_ASSERT_EQUAL(s->services[0].sum.packets_received, 3);
	CU_ASSERT_EQUAL(s->services[0].backend_count, 0);
	snapshot_destroy(s);
	free(r);
}

static void names_always_end(void)
{
	struct region *r = region_create();
	memset(r->t.service[0].name, 'x', sizeof(r->t.service[0].name));
	memset(r->t.port[1].driver, 'y', sizeof(r->t.port[1].driver));
	struct snapshot *s = taken(r);
	CU_ASSERT_EQUAL(strlen(s->services[0].entry.name), WEIR_NAME_SIZE - 1);
	CU_ASSERT_EQUAL(strlen(s->ports[0].entry.driver), sizeof(r->t.port[1].driver) - 1);
	snapshot_destroy(s);
	free(r);
}

static void a_directory_that_never_settles_is_given_up(void)
{
	struct snapshot *s;
	struct region *r = region_create();
	r->t.directory_seq = 5;
	CU_ASSERT_EQUAL(take(r, &s), -EAGAIN);
	CU_ASSERT_PTR_NULL(s);
	free(r);
}

static void *settle(void *arg)
{
	struct region *r = arg;
	struct timespec t = { .tv_nsec = 1500000 };
	nanosleep(&t, NULL);
	__atomic_store_n(&r->t.service[0].backend_offset, offsetof(struct region, web_backend),
		__ATOMIC_RELAXED);
	__atomic_store_n(&r->t.directory_seq, 6, __ATOMIC_RELEASE);
	return NULL;
}

static void a_directory_in_change_is_waited_for(void)
{
	struct region *r = region_create();
	r->t.directory_seq = 5;
	r->t.service[0].backend_offset = 3; /* nonsense while it changes */
	pthread_t thread;
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, settle, r), 0);
	struct snapshot *s;
	CU_ASSERT_EQUAL(take(r, &s), 0);
	pthread_join(thread, NULL);
	snapshot_destroy(s);
	free(r);
}

static void random_damage_never_leads_outside(void)
{
	/* Proven by the sanitizer build: any wild read there is an error. */
	struct region *r = region_create();
	struct region *damaged = malloc(sizeof(*r));
	uint64_t seed = 12345;
	int refused = 0, taken_count = 0;
	for (int round = 0; round < 1000; round++) {
		memcpy(damaged, r, sizeof(*r));
		for (int i = 0; i < 6; i++) {
			seed = seed * 6364136223846793005u + 1442695040888963407u;
			uint64_t value = (seed >> 7) % (2 * sizeof(*r));
			size_t used = offsetof(struct weir_telemetry, service) +
				3 * sizeof(struct weir_service_entry);
			size_t at = 8 + (seed >> 33) % (used - 16);
			memcpy((char *)damaged + at, &value, round % 2 ? 8 : 2);
		}
		struct snapshot *s;
		int err = take(damaged, &s);
		refused += err != 0;
		taken_count += err == 0;
		CU_ASSERT(err == 0 || err == -EPROTO || err == -EAGAIN);
		snapshot_destroy(s);
	}
	CU_ASSERT(refused > 10);
	CU_ASSERT(taken_count > 10);
	free(damaged);
	free(r);
}

static const struct tap_case cases[] = {
	{ "cells are summed over cores", cells_are_summed_over_cores },
	{ "a wrong magic, version or size is refused", a_wrong_magic_version_or_size_is_refused },
	{ "counts beyond the arrays are refused", counts_beyond_the_arrays_are_refused },
	{ "offsets outside the region are refused", offsets_outside_the_region_are_refused },
	{ "more backends than fit are refused", more_backends_than_fit_are_refused },
	{ "a missing cell counts nothing", a_missing_cell_counts_nothing },
	{ "names always end", names_always_end },
	{ "a directory that never settles is given up",
		a_directory_that_never_settles_is_given_up },
	{ "a directory in change is waited for", a_directory_in_change_is_waited_for },
	{ "random damage never leads outside", random_damage_never_leads_outside },
	{ "detached policies are listed by themselves", detached_policies_are_listed },
};

TAP_MAIN("telemetry snapshot", cases)
