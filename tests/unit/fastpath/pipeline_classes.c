/* SPDX-License-Identifier: BSD-3-Clause */

/* Directives about classes: how many new flows pass, over two workers, and until when. */

#include "tests/unit/fastpath/pipeline_direct.h"
#include "tests/unit/fastpath/policy_bed.h"

#include <errno.h>

#define SOURCE "198.51.100.7"

/* Odd ports are of the class "north", then there is "south" with 1000 a second, which nobody is put into. */
static void start(struct bed *b, struct direct *d, uint64_t connections)
{
	bed_start(b, 2, 1);
	bed_add_service(b, "web", WEIR_MODE_DSR, 17, DIRECT_SERVICE, 80);
	b->service[0].cores = 2;
	bed_add_backend(b, 0, "10.0.0.11", 80);
	class_add(b, "north")->connections = connections;
	class_add(b, "south")->connections = 1000;
	policy_stage(b, say, 1, SETS("odd=1", "verdict=0x103"));
	policy_add(b, 1);
	bed_apply(b);
	direct_begin(d, b);
}

static void class_told(struct direct *d, const char *name, uint64_t connections)
{
	struct weir_directive_class *c = &d->class[d->header.class_count++];

	snprintf(c->name, sizeof(c->name), "%s", name);
	c->connections = connections;
}

static uint64_t in_force(const struct bed *b, uint32_t class)
{
	const struct weir_class_entry *e =
		(const void *)((const char *)b->telemetry + b->telemetry->service[0].class_offset);

	return e[class].connections_in_force;
}

static uint64_t configured(const struct bed *b, uint32_t class)
{
	const struct weir_class_entry *e =
		(const void *)((const char *)b->telemetry + b->telemetry->service[0].class_offset);

	return e[class].limit_connections;
}

/* In a second 8000 flows begin, each from a port of its own, half of them in the class. What of it passed. */
static uint32_t second(struct bed *b, uint16_t first)
{
	uint32_t passed = 0, others = 0;

	for (uint32_t k = 0; k < 8000; k++) {
		struct bed_packet p = bed_client(SOURCE, (uint16_t)(first + k), DIRECT_SERVICE, 80);
		struct bed_packet to;

		p.protocol = 17;
		b->now += BED_SECOND / 8000;
		if (!bed_exchange(b, 0, &p, &to))
			continue;
		passed += p.sport & 1;
		others += !(p.sport & 1);
	}
	CU_ASSERT_EQUAL(others, 4000);
	return passed;
}

static void a_rate_in_force(void)
{
	struct direct d;
	struct bed b;

	start(&b, &d, WEIR_UNLIMITED);
	CU_ASSERT_EQUAL(in_force(&b, 0), WEIR_UNLIMITED);
	CU_ASSERT_EQUAL(in_force(&b, 1), 1000);
	CU_ASSERT_EQUAL(second(&b, 1000), 4000);
	class_told(&d, "north", 500);
	class_told(&d, "gone", 1); /* it is not there any more: passed over */
	CU_ASSERT_EQUAL(direct_send(&d, &b), 0);
	CU_ASSERT_EQUAL(in_force(&b, 0), 500);
	CU_ASSERT_EQUAL(configured(&b, 0), WEIR_UNLIMITED);
	CU_ASSERT_EQUAL(in_force(&b, 1), 1000);
	uint32_t passed = second(&b, 9000);
	CU_ASSERT_TRUE(passed >= 490 && passed <= 515);
	CU_ASSERT_EQUAL(class_sum(&b, 0, offsetof(struct weir_class_cell, new_flows) / 8), 8000);
	CU_ASSERT_EQUAL(class_sum(&b, 0, offsetof(struct weir_class_cell, dropped_connections) / 8),
		4000 - passed);
	CU_ASSERT_EQUAL(bed_dropped(&b, 0, WEIR_DROP_LIMIT_CLASS), 4000 - passed);
	/* A configuration that comes meanwhile takes nothing back, and a class keeps its state. */
	bed_apply(&b);
	CU_ASSERT_EQUAL(in_force(&b, 0), 500);
	/* No news of it: as configured. */
	d.header.class_count = 0;
	d.header.issued_ns++;
	CU_ASSERT_EQUAL(direct_send(&d, &b), 0);
	CU_ASSERT_EQUAL(in_force(&b, 0), WEIR_UNLIMITED);
	CU_ASSERT_EQUAL(second(&b, 17000), 4000);
	bed_stop(&b);
}

static void no_more_than_configured(void)
{
	struct direct d;
	struct bed b;

	start(&b, &d, 1000);
	class_told(&d, "north", 100000);
	CU_ASSERT_EQUAL(direct_send(&d, &b), 0);
	CU_ASSERT_EQUAL(in_force(&b, 0), 1000);
	uint32_t passed = second(&b, 1000);
	CU_ASSERT_TRUE(passed >= 990 && passed <= 1020);
	/* A little less makes no new generation, as for weights; a lot does. */
	d.class[0].connections = 990;
	CU_ASSERT_EQUAL(direct_send(&d, &b), 0);
	CU_ASSERT_EQUAL(in_force(&b, 0), 1000);
	d.class[0].connections = 900;
	CU_ASSERT_EQUAL(direct_send(&d, &b), 0);
	CU_ASSERT_EQUAL(in_force(&b, 0), 900);
	d.class[0].connections = 1000;
	CU_ASSERT_EQUAL(direct_send(&d, &b), 0);
	CU_ASSERT_EQUAL(in_force(&b, 0), 1000);
	bed_stop(&b);
}

static void not_renewed(void)
{
	struct direct d;
	struct bed b;

	start(&b, &d, WEIR_UNLIMITED);
	class_told(&d, "north", 500);
	CU_ASSERT_EQUAL(direct_send(&d, &b), 0);
	direct_time(&b, 29000);
	CU_ASSERT_EQUAL(in_force(&b, 0), 500);
	direct_time(&b, 1100);
	CU_ASSERT_EQUAL(in_force(&b, 0), WEIR_UNLIMITED);
	CU_ASSERT_EQUAL(b.telemetry->service[0].directed, WEIR_DIRECTED_NO);
	CU_ASSERT_EQUAL(second(&b, 1000), 4000);
	bed_stop(&b);
}

static void refused(void)
{
	struct direct d;
	struct bed b;

	start(&b, &d, WEIR_UNLIMITED);
	class_told(&d, "north", 500);
	CU_ASSERT_EQUAL(direct_send(&d, &b), 0);
	class_told(&d, "north", 100);
	CU_ASSERT_EQUAL(direct_send(&d, &b), -EINVAL);
	d.class[1].name[0] = '\0';
	CU_ASSERT_EQUAL(direct_send(&d, &b), -EINVAL);
	d.header.class_count = 1;
	d.class[0].connections = 0;
	CU_ASSERT_EQUAL(direct_send(&d, &b), -EINVAL);
	CU_ASSERT_EQUAL(in_force(&b, 0), 500);
	uint32_t passed = second(&b, 1000);
	CU_ASSERT_TRUE(passed >= 490 && passed <= 515);
	bed_stop(&b);
}

static const struct tap_case cases[] = {
	{ "a policy's object is read", say_read },
	{ "a class has the rate that is told, over two workers", a_rate_in_force },
	{ "but never more than is configured", no_more_than_configured },
	{ "and not for longer than it is told", not_renewed },
	{ "what is wrong about a class changes nothing", refused },
	{ "and its image is let go", say_free },
};

TAP_MAIN("classes", cases)
