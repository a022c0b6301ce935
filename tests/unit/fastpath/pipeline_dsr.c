/* SPDX-License-Identifier: BSD-3-Clause */

#include "tests/unit/fastpath/pipeline_bed.h"
#include "tests/unit/tap.h"

#include <stdio.h>
#include <string.h>

#define CLIENT	"198.51.100.7"
#define SERVICE "203.0.113.10"

static void dsr_start(struct bed *b, uint32_t backends, uint8_t protocol)
{
	bed_start(b, 1, 1);
	bed_add_service(b, "web", WEIR_MODE_DSR, protocol, SERVICE, 80);
	for (uint32_t i = 0; i < backends; i++) {
		char address[32];

		snprintf(address, sizeof(address), "10.0.0.%u", 11 + i);
		bed_add_backend(b, 0, address, 80);
	}
	bed_apply(b);
}

static void only_the_link_changes(const char *from, const char *service, const char *backend)
{
	static const uint8_t backend_mac[6] = { 2, 0xbb, 0, 0, 0, 0 };
	struct bed b;
	struct bed_packet p = bed_client(from, 40000, service, 80);
	struct bed_packet to;

	for (uint8_t i = 0; i < 2; i++) {
		p.protocol = i ? 17 : 6;
		p.payload = 99;
		bed_start(&b, 1, 1);
		bed_add_service(&b, "web", WEIR_MODE_DSR, p.protocol, service, 80);
		bed_add_backend(&b, 0, backend, 80);
		bed_apply(&b);
		CU_ASSERT_TRUE_FATAL(bed_exchange(&b, 0, &p, &to));
		CU_ASSERT_EQUAL(to.port, 1);
		CU_ASSERT_EQUAL(memcmp(to.src, p.src, 16), 0);
		CU_ASSERT_EQUAL(memcmp(to.dst, p.dst, 16), 0);
		CU_ASSERT_EQUAL(to.sport, 40000);
		CU_ASSERT_EQUAL(to.dport, 80);
		CU_ASSERT_EQUAL(to.ttl, 63);
		CU_ASSERT_EQUAL(to.payload, 99);
		CU_ASSERT_EQUAL(memcmp(to.dmac, backend_mac, 6), 0);
		CU_ASSERT_EQUAL(memcmp(to.smac, b.port[1].port.mac, 6), 0);
		bed_stop(&b);
	}
}

static void link4(void)
{
	only_the_link_changes(CLIENT, SERVICE, "10.0.0.11");
}

static void link6(void)
{
	only_the_link_changes("2001:db8:1::7", "2001:db8::10", "fd00::11");
}

/* Which backend a packet went to, by its link address; -1: it did not come out. */
static int backend_of(struct bed *b, const struct bed_packet *p)
{
	struct bed_packet to;

	return bed_exchange(b, 0, p, &to) ? to.dmac[5] : -1;
}

static void any_port(void)
{
	struct bed b;
	struct bed_packet p = bed_client(CLIENT, 40000, "203.0.113.99", 12345);

	bed_start(&b, 1, 1);
	bed_add_service(&b, "all", WEIR_MODE_DSR, 6, "203.0.113.0", 0)->prefix_length = 120;
	bed_add_backend(&b, 0, "10.0.0.11", 0);
	bed_apply(&b);
	CU_ASSERT_EQUAL(backend_of(&b, &p), 0);
	CU_ASSERT_EQUAL(bed_sum(&b, 0, new_flows), 1);
	p.dport = 54321;
	CU_ASSERT_EQUAL(backend_of(&b, &p), 0);
	CU_ASSERT_EQUAL(bed_sum(&b, 0, new_flows), 2);
	bed_stop(&b);
}

static void middle_goes_on(void)
{
	struct bed b;
	struct bed_packet p[64];
	int before[64];

	dsr_start(&b, 3, 6);
	for (uint16_t i = 0; i < 64; i++) {
		p[i] = bed_client(CLIENT, 40000 + i, SERVICE, 80);
		before[i] = backend_of(&b, &p[i]);
	}
	bed_stop(&b);
	dsr_start(&b, 3, 6); /* all state is lost */
	for (uint16_t i = 0; i < 64; i++) {
		p[i].tcp_flags = BED_ACK;
		CU_ASSERT_EQUAL(backend_of(&b, &p[i]), before[i]);
	}
	CU_ASSERT_EQUAL(bed_sum(&b, 0, new_flows), 64);
	p[0].sport++;
	p[0] = bed_client(CLIENT, 50000, SERVICE, 80);
	p[0].tcp_flags = BED_RST;
	CU_ASSERT_TRUE(backend_of(&b, &p[0]) >= 0);
	CU_ASSERT_EQUAL(bed_sum(&b, 0, stateless), 1);
	CU_ASSERT_EQUAL(bed_sum(&b, 0, new_flows), 64);
	bed_stop(&b);
}

static void known_flows_stay(void)
{
	struct bed b;
	struct bed_packet p[128];
	int before[128];
	uint32_t elsewhere = 0;

	dsr_start(&b, 2, 17);
	for (uint16_t i = 0; i < 128; i++) {
		p[i] = bed_client(CLIENT, 40000 + i, SERVICE, 80);
		p[i].protocol = 17;
		before[i] = backend_of(&b, &p[i]);
	}
	for (uint16_t i = 0; i < 4; i++) {
		char address[32];

		snprintf(address, sizeof(address), "10.0.0.%u", 111 + i);
		bed_add_backend(&b, 0, address, 80);
	}
	b.backend[0][0].weight = 1;
	bed_apply(&b);
	for (uint16_t i = 0; i < 128; i++) {
		CU_ASSERT_EQUAL(backend_of(&b, &p[i]), before[i]);
		p[i].sport += 1000;
		elsewhere += backend_of(&b, &p[i]) > 1;
	}
	CU_ASSERT_TRUE(elsewhere > 60); /* four in five */
	bed_stop(&b);
}

static void dead_backend(void)
{
	struct bed b;
	struct bed_packet p[64];
	int before[64];

	dsr_start(&b, 3, 6);
	for (uint16_t i = 0; i < 64; i++) {
		p[i] = bed_client(CLIENT, 40000 + i, SERVICE, 80);
		before[i] = backend_of(&b, &p[i]);
		p[i].tcp_flags = BED_ACK;
	}
	CU_ASSERT_EQUAL(bed_backend_state(&b, 0, 1, WEIR_BACKEND_DOWN, 100), 0);
	for (uint16_t i = 0; i < 64; i++) {
		int now = backend_of(&b, &p[i]);

		CU_ASSERT_NOT_EQUAL(now, 1);
		if (before[i] != 1)
			CU_ASSERT_EQUAL(now, before[i]);
		before[i] = now;
	}
	CU_ASSERT_EQUAL(bed_backend_state(&b, 0, 1, WEIR_BACKEND_UP, 100), 0);
	for (uint16_t i = 0; i < 64; i++)
		CU_ASSERT_EQUAL(backend_of(&b, &p[i]), before[i]); /* no way back */
	bed_stop(&b);
}

static void full_table_goes_by_hash(void)
{
	struct bed b;
	struct bed_packet p;
	uint32_t came_out = 0;
	int first;

	bed_start(&b, 1, 1);
	bed_add_service(&b, "web", WEIR_MODE_DSR, 6, SERVICE, 80)->flow_capacity = 1024;
	bed_add_backend(&b, 0, "10.0.0.11", 80);
	bed_add_backend(&b, 0, "10.0.0.12", 80);
	bed_apply(&b);
	for (uint32_t i = 0; i < 3000; i++) {
		p = bed_client(CLIENT, (uint16_t)(1024 + i), SERVICE, 80);
		first = backend_of(&b, &p);
		p.tcp_flags = BED_ACK;
		CU_ASSERT_EQUAL(backend_of(&b, &p), first);
		came_out += first >= 0;
	}
	CU_ASSERT_EQUAL(came_out, 3000);
	CU_ASSERT_EQUAL(bed_dropped_all(&b, 0), 0);
	CU_ASSERT_TRUE(bed_sum(&b, 0, stateless) > 3800);
	CU_ASSERT_TRUE(bed_sum(&b, 0, new_flows) <= 1024);
	bed_stop(&b);
}

static void syn_after_fin(void)
{
	struct bed b;
	struct bed_packet p = bed_client(CLIENT, 40000, SERVICE, 80);
	int first;

	dsr_start(&b, 2, 6);
	first = backend_of(&b, &p);
	p.tcp_flags = BED_ACK;
	CU_ASSERT_EQUAL(backend_of(&b, &p), first);
	p.tcp_flags = BED_FIN | BED_ACK;
	CU_ASSERT_EQUAL(backend_of(&b, &p), first);
	CU_ASSERT_EQUAL(bed_backend_state(&b, 0, (uint32_t)first, WEIR_BACKEND_DRAINING, 100), 0);
	p.tcp_flags = BED_ACK;
	CU_ASSERT_EQUAL(backend_of(&b, &p), first);
	p.tcp_flags = BED_SYN;
	CU_ASSERT_EQUAL(backend_of(&b, &p), 1 - first);
	CU_ASSERT_EQUAL(bed_sum(&b, 0, closed_flows), 1);
	bed_stop(&b);
}

static const struct tap_case cases[] = {
	{ "dsr over IPv4 changes link addresses and TTL, nothing else", link4 },
	{ "dsr over IPv6 changes link addresses and hop limit, nothing else", link6 },
	{ "a service on a prefix and any port takes them all", any_port },
	{ "connections go on by hashing when their state is lost", middle_goes_on },
	{ "known flows stay when weights and pool change", known_flows_stay },
	{ "flows of a dead backend are placed anew and stay there", dead_backend },
	{ "with a full table new flows go by hashing alone", full_table_goes_by_hash },
	{ "a SYN after the client's FIN is placed anew", syn_after_fin },
};

TAP_MAIN("dsr", cases)
