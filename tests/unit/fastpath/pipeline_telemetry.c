/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/api/histogram.h"
#include "tests/unit/fastpath/pipeline_bed.h"
#include "tests/unit/tap.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define CLIENT	"198.51.100.7"
#define SERVICE "203.0.113.10"

static void nat_start(struct bed *b, uint8_t protocol)
{
	bed_start(b, 1, 1);
	bed_add_service(b, "web", WEIR_MODE_NAT, protocol, SERVICE, 80);
	bed_add_backend(b, 0, "10.0.0.11", 8080);
	bed_apply(b);
}

static void check_value(const struct weir_histogram *h, double share, double seconds)
{
	double value = weir_histogram_quantile(h, share);

	CU_ASSERT_TRUE(fabs(value - seconds) <= 0.03 * seconds);
	if (fabs(value - seconds) > 0.03 * seconds)
		printf("# %g s instead of %g s\n", value, seconds);
}

static const struct weir_histogram *residence(const struct bed *b)
{
	const struct weir_service_entry *e = &b->telemetry->service[0];
	const struct weir_service_cell *c =
		(const struct weir_service_cell *)((const uint8_t *)b->telemetry +
			e->cell_offset[0]);

	return &c->residence;
}

/* An exchange on a connection: the request, and after a while the first bytes of the response. */
static void exchange(
	struct bed *b, struct bed_packet *p, const struct bed_packet *to, uint64_t after)
{
	struct bed_packet back, out;

	p->tcp_flags = BED_ACK | BED_PSH;
	p->payload = 100;
	CU_ASSERT_TRUE_FATAL(bed_exchange(b, 0, p, &out));
	b->now += after / 2;
	CU_ASSERT_TRUE_FATAL(bed_exchange(b, 0, p, &out)); /* sent again, or its second half */
	b->now += after - after / 2;
	back = bed_reply(to, BED_ACK, 0);
	CU_ASSERT_TRUE_FATAL(bed_exchange(b, 1, &back, &out)); /* no payload: no response yet */
	back.payload = 1400;
	for (uint32_t i = 0; i < 3; i++) {
		CU_ASSERT_TRUE_FATAL(bed_exchange(b, 1, &back, &out));
		b->now += 7 * BED_MS;
	}
}

static void backend_times(void)
{
	struct bed b;
	struct bed_packet p = bed_client(CLIENT, 40000, SERVICE, 80);
	struct bed_packet to, back, out;
	const struct weir_backend_cell *cell;

	nat_start(&b, 6);
	cell = bed_backend_cell(&b, 0, 0, 0);
	CU_ASSERT_TRUE_FATAL(bed_exchange(&b, 0, &p, &to));
	b.now += 3 * BED_MS;
	CU_ASSERT_TRUE(
		bed_exchange(&b, 0, &p, &out)); /* sent again: the time counts from the first */
	b.now += 5 * BED_MS;
	back = bed_reply(&to, BED_SYN | BED_ACK, 0);
	CU_ASSERT_TRUE(bed_exchange(&b, 1, &back, &out));
	CU_ASSERT_TRUE(bed_exchange(&b, 1, &back, &out)); /* sent again: counts once */
	CU_ASSERT_EQUAL(cell->connect.count, 1);
	check_value(&cell->connect, 0.5, 0.008);
	p.tcp_flags = BED_ACK;
	CU_ASSERT_TRUE(bed_exchange(&b, 0, &p, &out));
	CU_ASSERT_EQUAL(cell->first_byte.count, 0);
	exchange(&b, &p, &to, 20 * BED_MS);
	CU_ASSERT_EQUAL(cell->first_byte.count, 1);
	check_value(&cell->first_byte, 0.5, 0.020);
	exchange(&b, &p, &to, 400 * BED_MS);
	CU_ASSERT_EQUAL(cell->first_byte.count, 2);
	check_value(&cell->first_byte, 0.99, 0.400);
	CU_ASSERT_EQUAL(cell->connect.count, 1);
	CU_ASSERT_EQUAL(cell->packets, 7);
	CU_ASSERT_EQUAL(cell->packets_from, 10);
	CU_ASSERT_EQUAL(cell->bytes_from, 2 * 54 + 2 * (54 + 3 * 1454));
	bed_stop(&b);
}

static void short_times(void)
{
	struct bed b;
	struct bed_packet p = bed_client(CLIENT, 40000, SERVICE, 80);
	struct bed_packet to, back, out;

	nat_start(&b, 6);
	CU_ASSERT_TRUE_FATAL(bed_exchange(&b, 0, &p, &to));
	b.now += 2345; /* nanoseconds */
	back = bed_reply(&to, BED_SYN | BED_ACK, 0);
	CU_ASSERT_TRUE(bed_exchange(&b, 1, &back, &out));
	check_value(&bed_backend_cell(&b, 0, 0, 0)->connect, 0.5, 2345e-9);
	bed_stop(&b);
}

static void udp_times(void)
{
	struct bed b;
	struct bed_packet p = bed_client(CLIENT, 40000, SERVICE, 80);
	struct bed_packet to, back, out;
	const struct weir_backend_cell *cell;

	nat_start(&b, 17);
	cell = bed_backend_cell(&b, 0, 0, 0);
	p.protocol = 17;
	p.payload = 40;
	CU_ASSERT_TRUE_FATAL(bed_exchange(&b, 0, &p, &to));
	b.now += 2 * BED_MS;
	back = bed_reply(&to, 0, 200);
	CU_ASSERT_TRUE(bed_exchange(&b, 1, &back, &out));
	CU_ASSERT_EQUAL(cell->connect.count, 0);
	CU_ASSERT_EQUAL(cell->first_byte.count, 1);
	check_value(&cell->first_byte, 0.5, 0.002);
	bed_stop(&b);
}

static void residence_waits(void)
{
	struct bed b;
	struct bed_packet p = bed_client(CLIENT, 40000, SERVICE, 80);

	nat_start(&b, 6);
	b.port[1].out[0].room = 0; /* the device takes nothing for a while */
	bed_send(&b, 0, &p);
	fastpath_core_step(b.fp, 0, b.now);
	b.now += 30 * BED_MS;
	b.port[1].out[0].room = UINT32_MAX;
	fastpath_core_step(b.fp, 0, b.now);
	CU_ASSERT_EQUAL(residence(&b)->count, 1);
	check_value(residence(&b), 0.5, 0.030);
	bed_stop(&b);
}

static void device_refuses(void)
{
	struct bed b;
	struct bed_packet p = bed_client(CLIENT, 40000, SERVICE, 80);

	nat_start(&b, 6);
	b.port[1].out[0].room = 3;
	for (uint32_t i = 0; i < 10; i++)
		bed_send(&b, 0, &p);
	fastpath_core_step(b.fp, 0, b.now);
	CU_ASSERT_EQUAL(bed_sum(&b, 0, packets_transmitted), 3);
	CU_ASSERT_EQUAL(bed_dropped_all(&b, 0), 0);
	b.port[1].out[0].room = 2;
	for (uint32_t i = 0; i < 100; i++)
		fastpath_core_step(b.fp, 0, b.now);
	CU_ASSERT_EQUAL(bed_sum(&b, 0, packets_transmitted), 5);
	CU_ASSERT_EQUAL(bed_dropped(&b, 0, WEIR_DROP_TRANSMIT_FULL), 5);
	for (uint32_t i = 0; i < 300; i++)
		bed_send(&b, 0, &p);
	for (uint32_t i = 0; i < 5; i++)
		fastpath_core_step(b.fp, 0, b.now);
	CU_ASSERT_EQUAL(bed_dropped(&b, 0, WEIR_DROP_TRANSMIT_FULL), 5 + 300 - 256);
	bed_stop(&b);
}

static void core_figures(void)
{
	struct bed b;
	struct bed_packet p = bed_client(CLIENT, 40000, SERVICE, 80);
	const struct weir_core_cell *core;

	nat_start(&b, 6);
	core = bed_core(&b, 0);
	for (uint32_t i = 0; i < 640; i++) {
		bed_send(&b, 0, &p);
		fastpath_core_step(b.fp, 0, b.now);
		b.now += 100;
		fastpath_core_step(b.fp, 0, b.now);
		b.now += 50;
	}
	CU_ASSERT_EQUAL(core->loops, 1280);
	CU_ASSERT_EQUAL(core->bursts, 640);
	CU_ASSERT_EQUAL(core->packets, 640);
	CU_ASSERT_EQUAL(core->busy_cycles, 64000);
	CU_ASSERT_EQUAL(core->idle_cycles, 639 * 50);
	for (uint32_t i = 0; i < WEIR_STAGE_COUNT; i++) {
		if (i == WEIR_STAGE_POLICY) /* there are none */
			continue;
		CU_ASSERT_TRUE(core->stage_packets[i] > 0);
		CU_ASSERT_TRUE(core->stage_packets[i] < 100);
		CU_ASSERT_TRUE(core->stage_cycles[i] > 0);
	}
	CU_ASSERT_EQUAL(core->port[0].packets_received, 640);
	CU_ASSERT_EQUAL(core->port[0].bytes_received, 640 * 54);
	CU_ASSERT_EQUAL(core->port[1].packets_transmitted, 640);
	CU_ASSERT_EQUAL(core->port[1].bytes_transmitted, 640 * 54);
	bed_stop(&b);
}

static void directory(void)
{
	struct bed b;
	const struct weir_service_entry *e;
	uint16_t epoch;

	nat_start(&b, 6);
	e = &b.telemetry->service[0];
	CU_ASSERT_EQUAL(b.telemetry->service_count, 1);
	CU_ASSERT_EQUAL(b.telemetry->core_count, 1);
	CU_ASSERT_EQUAL(b.telemetry->config_digest, 7);
	CU_ASSERT_EQUAL(b.telemetry->directory_seq % 2, 0);
	CU_ASSERT_TRUE(b.telemetry->flags & WEIR_TELEMETRY_F_SHARED_CORE);
	CU_ASSERT_STRING_EQUAL(e->name, "web");
	CU_ASSERT_EQUAL(e->mode, WEIR_MODE_NAT);
	CU_ASSERT_EQUAL(e->protocol, 6);
	CU_ASSERT_EQUAL(e->port, 80);
	CU_ASSERT_EQUAL(e->prefix_length, 128);
	CU_ASSERT_EQUAL(e->worker_mask, 1);
	CU_ASSERT_TRUE(e->flow_capacity >= 1024);
	CU_ASSERT_EQUAL(bed_backend_entry(&b, 0, 0)->weight, 100);
	CU_ASSERT_EQUAL(bed_backend_entry(&b, 0, 0)->state, WEIR_BACKEND_UP);
	CU_ASSERT_EQUAL(bed_backend_state(&b, 0, 0, WEIR_BACKEND_DRAINING, 9), 0);
	CU_ASSERT_EQUAL(bed_backend_entry(&b, 0, 0)->weight, 9);
	CU_ASSERT_EQUAL(bed_backend_entry(&b, 0, 0)->state, WEIR_BACKEND_DRAINING);
	epoch = e->epoch;
	memcpy(b.service[0].name, "new", 4);
	bed_apply(&b); /* another name is another service */
	CU_ASSERT_EQUAL(e->used, 0);
	CU_ASSERT_STRING_EQUAL(b.telemetry->service[1].name, "new");
	b.service_count = 0;
	bed_apply(&b);
	b.service_count = 1;
	bed_apply(&b);
	CU_ASSERT_EQUAL(e->used, 1);
	CU_ASSERT_EQUAL(e->epoch, epoch + 1);
	bed_stop(&b);
}

static void flow_lists(void)
{
	struct bed b;
	struct bed_packet p = bed_client(CLIENT, 40000, SERVICE, 80);
	struct bed_packet to, back, out;
	struct weir_flow_query q = { .limit = 8, .protocol = 6, .service_port = 80 };
	struct weir_flow_record r[8];
	uint32_t count = 99;

	nat_start(&b, 6);
	CU_ASSERT_TRUE_FATAL(bed_exchange(&b, 0, &p, &to));
	memcpy(q.service, "web", 4);
	CU_ASSERT_EQUAL(fastpath_flow_list(b.fp, &q, r, &count, b.err, sizeof(b.err)), 0);
	CU_ASSERT_EQUAL_FATAL(count, 1);
	CU_ASSERT_EQUAL(memcmp(r[0].client_address, p.src, 16), 0);
	CU_ASSERT_EQUAL(memcmp(r[0].service_address, p.dst, 16), 0);
	CU_ASSERT_EQUAL(memcmp(r[0].source_address, to.src, 16), 0);
	CU_ASSERT_EQUAL(memcmp(r[0].backend_address, to.dst, 16), 0);
	CU_ASSERT_EQUAL(r[0].client_port, 40000);
	CU_ASSERT_EQUAL(r[0].service_port, 80);
	CU_ASSERT_EQUAL(r[0].source_port, to.sport);
	CU_ASSERT_EQUAL(r[0].backend_port, 8080);
	CU_ASSERT_EQUAL(r[0].bucket, to.sport & 0xff);
	CU_ASSERT_EQUAL(r[0].state, WEIR_FLOW_NEW);
	back = bed_reply(&to, BED_SYN | BED_ACK, 0);
	CU_ASSERT_TRUE(bed_exchange(&b, 1, &back, &out));
	p.tcp_flags = BED_ACK;
	CU_ASSERT_TRUE(bed_exchange(&b, 0, &p, &out));
	b.now += 1700 * BED_MS;
	bed_run(&b);
	memcpy(q.client_address, p.src, 16);
	memcpy(q.service_address, p.dst, 16);
	q.client_port = 40000;
	CU_ASSERT_EQUAL(fastpath_flow_find(b.fp, &q, &r[1], b.err, sizeof(b.err)), 0);
	CU_ASSERT_EQUAL(r[1].state, WEIR_FLOW_ESTABLISHED);
	CU_ASSERT_TRUE(r[1].idle_ms >= 1700 && r[1].idle_ms <= 2200);
	q.client_port = 40001;
	CU_ASSERT_EQUAL(fastpath_flow_find(b.fp, &q, &r[1], b.err, sizeof(b.err)), 0);
	CU_ASSERT_EQUAL(r[1].state, WEIR_FLOW_NONE);
	CU_ASSERT_EQUAL(r[1].has_backend, 1);
	CU_ASSERT_EQUAL(memcmp(r[1].backend_address, to.dst, 16), 0);
	q.service_port = 81;
	CU_ASSERT_TRUE(fastpath_flow_find(b.fp, &q, &r[1], b.err, sizeof(b.err)) < 0);
	memcpy(q.service, "nix", 4);
	CU_ASSERT_TRUE(fastpath_flow_list(b.fp, &q, r, &count, b.err, sizeof(b.err)) < 0);
	bed_stop(&b);
}

static const struct tap_case cases[] = {
	{ "connect and first-byte times are those of the exchange", backend_times },
	{ "times of microseconds are within 3 %", short_times },
	{ "UDP requests are timed until their answer", udp_times },
	{ "residence lasts until the device takes the packet", residence_waits },
	{ "what the device does not take is offered again, then dropped", device_refuses },
	{ "cores count rounds, packets and time", core_figures },
	{ "the directory says what is configured", directory },
	{ "flows can be listed and found", flow_lists },
};

TAP_MAIN("telemetry", cases)
