/* SPDX-License-Identifier: BSD-3-Clause */

#include "tests/unit/fastpath/pipeline_bed.h"
#include "tests/unit/tap.h"

#include <stdio.h>
#include <string.h>

#define CLIENT	"198.51.100.7"
#define SERVICE "203.0.113.10"

static void two_services(struct bed *b, uint32_t cores)
{
	bed_start(b, cores, 1);
	bed_add_service(b, "web", WEIR_MODE_NAT, 6, SERVICE, 80);
	bed_add_backend(b, 0, "10.0.0.11", 8080);
	bed_add_backend(b, 0, "10.0.0.12", 8080);
	bed_add_service(b, "dns", WEIR_MODE_DSR, 17, SERVICE, 53);
	bed_add_backend(b, 1, "10.0.0.21", 53);
	bed_apply(b);
}

/* Nobody serves: the SYN comes back as a reset, by the port it came in by. */
static void refused(struct bed *b, const struct bed_packet *p)
{
	struct bed_packet out;

	CU_ASSERT_TRUE_FATAL(bed_exchange(b, 0, p, &out));
	CU_ASSERT_EQUAL(out.port, 0);
	CU_ASSERT_EQUAL(out.tcp_flags, BED_RST | BED_ACK);
	CU_ASSERT_EQUAL(memcmp(out.dst, p->src, 16), 0);
	CU_ASSERT_EQUAL(out.dport, p->sport);
}

static void last_backend(void)
{
	struct bed b;
	struct bed_packet p = bed_client(CLIENT, 40000, SERVICE, 80);
	struct bed_packet to, out;
	uint32_t kept;

	two_services(&b, 1);
	CU_ASSERT_TRUE_FATAL(bed_exchange(&b, 0, &p, &to));
	kept = b.backend_count[0];
	b.backend_count[0] = 0;
	bed_apply(&b);
	refused(&b, &p); /* a known flow */
	p.sport++;
	refused(&b, &p); /* a new one */
	CU_ASSERT_EQUAL(bed_dropped(&b, 0, WEIR_DROP_NO_BACKEND), 2);
	b.backend_count[0] = kept;
	bed_apply(&b);
	CU_ASSERT_TRUE(bed_exchange(&b, 0, &p, &out));
	p.sport--;
	CU_ASSERT_TRUE(bed_exchange(&b, 0, &p, &out));
	CU_ASSERT_EQUAL(bed_sum(&b, 0, new_flows), 3); /* the first had ended with its refusal */
	CU_ASSERT_EQUAL(bed_backend_state(&b, 0, 0, WEIR_BACKEND_DOWN, 100), 0);
	CU_ASSERT_EQUAL(bed_backend_state(&b, 0, 1, WEIR_BACKEND_DOWN, 100), 0);
	refused(&b, &p);
	b.service[0].silent = 1;
	bed_apply(&b);
	CU_ASSERT_FALSE(bed_exchange(&b, 0, &p, &out));
	CU_ASSERT_EQUAL(bed_backend_state(&b, 0, 0, WEIR_BACKEND_UP, 100), 0);
	CU_ASSERT_TRUE(bed_exchange(&b, 0, &p, &out));
	bed_stop(&b);
}

static void refused_changes_nothing(void)
{
	struct bed b;
	struct bed_packet p = bed_client(CLIENT, 40000, SERVICE, 80);
	struct bed_packet to;
	struct weir_backend_update update = { .port = 1, .weight = 1, .state = WEIR_BACKEND_UP };

	two_services(&b, 2);
	CU_ASSERT_EQUAL(b.telemetry->generation, 1);
	b.service[0].cores = 2;
	b.service[0].per_source_packets = 1000;
	b.service[0].per_source_burst_ns = BED_SECOND;
	b.service[0].per_source_prefix = 32;
	b.service[0].per_source_entries = 1u << 24;
	b.backend_count[0] = 0;
	bed_add_service(&b, "new", WEIR_MODE_NAT, 6, "203.0.113.11", 80);
	CU_ASSERT_TRUE(bed_try_apply(&b) < 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(b.err, "web"));
	CU_ASSERT_PTR_NOT_NULL(strstr(b.err, "sources"));
	CU_ASSERT_EQUAL(b.telemetry->generation, 1);
	CU_ASSERT_TRUE(bed_exchange(&b, 0, &p, &to));
	memcpy(update.service, "web", 4);
	CU_ASSERT_TRUE(fastpath_update_backends(b.fp, &update, 1, b.err, sizeof(b.err)) < 0);
	memcpy(update.service, "nix", 4);
	CU_ASSERT_TRUE(fastpath_update_backends(b.fp, &update, 1, b.err, sizeof(b.err)) < 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(b.err, "nix"));
	CU_ASSERT_TRUE(bed_exchange(&b, 0, &p, &to));
	bed_stop(&b);
}

static void no_memory_left(void)
{
	struct bed b;

	bed_start_with(&b, 1, 1, 1 << 20, false);
	bed_add_service(&b, "web", WEIR_MODE_DSR, 6, SERVICE, 80);
	bed_apply(&b);
	for (uint16_t i = 0; i < 4; i++) {
		char name[8];

		snprintf(name, sizeof(name), "s%u", i);
		bed_add_service(&b, name, WEIR_MODE_DSR, 6, SERVICE, 81 + i);
		if (bed_try_apply(&b) < 0)
			break;
	}
	CU_ASSERT_TRUE(b.service_count < 5);
	CU_ASSERT_PTR_NOT_NULL(strstr(b.err, "memory"));
	b.service_count--;
	bed_apply(&b);
	bed_stop(&b);
}

static void flows_survive(void)
{
	struct bed b;
	struct bed_packet p[32];
	struct bed_packet to[32];
	struct bed_packet out;

	two_services(&b, 1);
	for (uint16_t i = 0; i < 32; i++) {
		p[i] = bed_client(CLIENT, 40000 + i, SERVICE, 80);
		CU_ASSERT_TRUE_FATAL(bed_exchange(&b, 0, &p[i], &to[i]));
	}
	for (uint32_t round = 0; round < 20; round++) {
		char address[32];

		snprintf(address, sizeof(address), "10.0.1.%u", round);
		bed_add_backend(&b, 0, address, 8080);
		b.service[0].limit_packets = 1000000 + round;
		bed_apply(&b);
		for (uint16_t i = 0; i < 32; i++) {
			CU_ASSERT_TRUE_FATAL(bed_exchange(&b, 0, &p[i], &out));
			CU_ASSERT_EQUAL(memcmp(out.dst, to[i].dst, 16), 0);
			CU_ASSERT_EQUAL(out.sport, to[i].sport);
		}
	}
	CU_ASSERT_EQUAL(bed_sum(&b, 0, new_flows), 32);
	CU_ASSERT_EQUAL(bed_sum(&b, 0, packets_transmitted), 32 * 21);
	CU_ASSERT_EQUAL(b.telemetry->generation, 21);
	bed_stop(&b);
}

static void too_many_backends(void)
{
	struct bed b;
	struct bed_packet p = bed_client(CLIENT, 40000, SERVICE, 80);
	struct bed_packet out;

	two_services(&b, 1);
	for (uint32_t i = 2; i < 70; i++) {
		char address[32];

		snprintf(address, sizeof(address), "10.0.1.%u", i);
		bed_add_backend(&b, 0, address, 8080);
	}
	CU_ASSERT_TRUE(bed_try_apply(&b) < 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(b.err, "room for 64"));
	CU_ASSERT_TRUE(bed_exchange(&b, 0, &p, &out));
	b.service_count = 0;
	b.backend_count[0] = 0;
	bed_apply(&b);
	b.service_count = 2;
	b.backend_count[0] = 70;
	bed_apply(&b);
	CU_ASSERT_TRUE(bed_exchange(&b, 0, &p, &out));
	bed_stop(&b);
}

/* A backend leaves, and another one gets its slot: flows of the first must not go to the second. */
static void slots_are_told_apart(void)
{
	struct bed b;
	struct bed_packet p = bed_client(CLIENT, 40000, SERVICE, 80);
	struct bed_packet to, out;
	uint16_t epoch;

	bed_start(&b, 1, 1);
	bed_add_service(&b, "web", WEIR_MODE_NAT, 6, SERVICE, 80);
	bed_add_backend(&b, 0, "10.0.0.11", 8080);
	bed_apply(&b);
	CU_ASSERT_TRUE_FATAL(bed_exchange(&b, 0, &p, &to));
	epoch = bed_backend_entry(&b, 0, 0)->epoch;
	/* all slots have to be used once until the first one is used again */
	for (uint32_t i = 0; i < 300; i++) {
		char address[32];

		b.backend_count[0] = 0;
		b.neighbour_count = 0;
		snprintf(address, sizeof(address), "10.0.%u.%u", 1 + i / 250, 1 + i % 250);
		bed_add_backend(&b, 0, address, 8080);
		bed_apply(&b);
	}
	CU_ASSERT_TRUE_FATAL(bed_exchange(&b, 0, &p, &out));
	CU_ASSERT_EQUAL(memcmp(out.dst, b.backend[0][0].address, 16), 0);
	CU_ASSERT_EQUAL(bed_sum(&b, 0, new_flows), 1);
	CU_ASSERT_EQUAL(bed_backend_cell(&b, 0, 0, 0)->new_flows, 1);
	CU_ASSERT_EQUAL(bed_backend_cell(&b, 0, 0, 0)->closed_flows, 0);
	CU_ASSERT_TRUE(bed_backend_entry(&b, 0, 0)->epoch > epoch);
	bed_stop(&b);
}

static void service_leaves(void)
{
	struct bed b;
	struct bed_packet p = bed_client(CLIENT, 40000, SERVICE, 53);
	struct bed_packet out;
	uint64_t share;

	two_services(&b, 2);
	p.protocol = 17;
	for (uint32_t i = 0; i < 10; i++)
		bed_send(&b, 0, &p);
	fastpath_core_step(b.fp, 0, b.now); /* dispatched, and not worked on yet */
	CU_ASSERT_EQUAL(bed_sum(&b, 1, packets_received), 10);
	share = b.telemetry->service[1].flow_capacity;
	b.service_count = 1;
	bed_apply(&b);
	CU_ASSERT_EQUAL(b.telemetry->service[1].used, 0);
	CU_ASSERT_FALSE(bed_exchange(&b, 0, &p, &out));
	b.service_count = 2;
	bed_apply(&b);
	CU_ASSERT_TRUE(b.telemetry->service[1].flow_capacity >= share / 2);
	CU_ASSERT_EQUAL(bed_sum(&b, 1, packets_received), 0);
	CU_ASSERT_TRUE(bed_exchange(&b, 0, &p, &out));
	bed_stop(&b);
}

static void everything_leaves(void)
{
	struct bed b;
	struct bed_packet p = bed_client(CLIENT, 40000, SERVICE, 80);
	struct bed_packet out;

	two_services(&b, 1);
	CU_ASSERT_TRUE(bed_exchange(&b, 0, &p, &out));
	b.service_count = 0;
	b.neighbour_count = 0;
	b.port_count = 0;
	bed_apply(&b);
	bed_run(&b);
	CU_ASSERT_EQUAL(b.telemetry->service_count, 0);
	bed_stop(&b);
}

static void port_leaves(void)
{
	struct bed b;
	struct bed_packet p = bed_client(CLIENT, 40000, SERVICE, 80);

	two_services(&b, 1);
	b.port[1].out[0].room = 0;
	bed_send(&b, 0, &p);
	fastpath_core_step(b.fp, 0, b.now);
	CU_ASSERT_EQUAL(bed_dropped_all(&b, 0), 0); /* it waits */
	b.absent = 1u << 1;
	bed_apply(&b);
	CU_ASSERT_EQUAL(bed_dropped(&b, 0, WEIR_DROP_SHUTDOWN), 1);
	bed_send(&b, 0, &p);
	bed_run(&b);
	CU_ASSERT_EQUAL(bed_dropped(&b, 0, WEIR_DROP_PORT_DOWN), 1);
	b.absent = 0;
	b.port[1].out[0].room = UINT32_MAX;
	bed_apply(&b);
	bed_send(&b, 0, &p);
	bed_run(&b);
	CU_ASSERT_EQUAL(bed_discard(&b, 1), 1);
	b.port[1].port.up = false;
	bed_send(&b, 0, &p);
	bed_run(&b);
	CU_ASSERT_EQUAL(bed_dropped(&b, 0, WEIR_DROP_PORT_DOWN), 2);
	bed_stop(&b);
}

static void source_leaves(void)
{
	struct bed b;
	struct bed_packet p = bed_client(CLIENT, 40000, SERVICE, 80);
	struct bed_packet to, out;

	two_services(&b, 1);
	CU_ASSERT_TRUE_FATAL(bed_exchange(&b, 0, &p, &to));
	bed_address("10.9.0.2", b.source[0].address);
	bed_apply(&b);
	CU_ASSERT_TRUE_FATAL(bed_exchange(&b, 0, &p, &out));
	CU_ASSERT_EQUAL(memcmp(out.src, b.source[0].address, 16), 0);
	bed_stop(&b);
}

static const struct tap_case cases[] = {
	{ "the last backend may leave and come back", last_backend },
	{ "a refused change changes nothing", refused_changes_nothing },
	{ "a service without memory for its flows is refused", no_memory_left },
	{ "flows survive twenty configurations", flows_survive },
	{ "more backends than a running service has room for are refused", too_many_backends },
	{ "flows of a backend that left do not go to its slot's heir", slots_are_told_apart },
	{ "a service may leave with packets queued, and come back", service_leaves },
	{ "services, neighbours and ports may all leave", everything_leaves },
	{ "a port may leave with packets waiting, and come back", port_leaves },
	{ "flows of a source address that left are translated anew", source_leaves },
};

TAP_MAIN("change", cases)
