/* SPDX-License-Identifier: BSD-3-Clause */

#include "tests/unit/fastpath/pipeline_bed.h"
#include "tests/unit/tap.h"

#include <string.h>

static struct bed_packet client(const char *from, uint16_t sport, const char *to, uint16_t dport)
{
	struct bed_packet p = { .sport = sport, .dport = dport, .tcp_flags = BED_SYN };

	bed_address(from, p.src);
	bed_address(to, p.dst);
	return p;
}

static void round_trip(uint8_t protocol, const char *from, const char *service, const char *backend,
	const char *source)
{
	static const uint8_t client_mac[6] = { 2, 0xcc, 0, 0, 0, 1 };
	static const uint8_t backend_mac[6] = { 2, 0xbb, 0, 0, 0, 0 };
	struct bed b;
	struct bed_packet p = client(from, 40000, service, 80);
	struct bed_packet to, back, reply;
	uint8_t address[16];

	bed_start(&b, 1, 1);
	bed_add_service(&b, "web", WEIR_MODE_NAT, protocol, service, 80);
	bed_add_backend(&b, 0, backend, 8080);
	bed_apply(&b);
	p.protocol = protocol;
	p.payload = protocol == 17 ? 33 : 0;
	CU_ASSERT_TRUE_FATAL(bed_exchange(&b, 0, &p, &to));
	CU_ASSERT_EQUAL(to.port, 1);
	bed_address(backend, address);
	CU_ASSERT_EQUAL(memcmp(to.dst, address, 16), 0);
	bed_address(source, address);
	CU_ASSERT_EQUAL(memcmp(to.src, address, 16), 0);
	CU_ASSERT_EQUAL(to.dport, 8080);
	CU_ASSERT_EQUAL(to.ttl, 63);
	CU_ASSERT_EQUAL(memcmp(to.dmac, backend_mac, 6), 0);
	CU_ASSERT_EQUAL(memcmp(to.smac, b.port[1].port.mac, 6), 0);

	back = bed_reply(&to, BED_SYN | BED_ACK, 21);
	CU_ASSERT_TRUE_FATAL(bed_exchange(&b, 1, &back, &reply));
	CU_ASSERT_EQUAL(reply.port, 0);
	CU_ASSERT_EQUAL(memcmp(reply.src, p.dst, 16), 0);
	CU_ASSERT_EQUAL(memcmp(reply.dst, p.src, 16), 0);
	CU_ASSERT_EQUAL(reply.sport, 80);
	CU_ASSERT_EQUAL(reply.dport, 40000);
	CU_ASSERT_EQUAL(reply.payload, 21);
	CU_ASSERT_EQUAL(memcmp(reply.dmac, client_mac, 6), 0);
	CU_ASSERT_EQUAL(bed_sum(&b, 0, packets_received), 2);
	CU_ASSERT_EQUAL(bed_sum(&b, 0, packets_from_backends), 1);
	CU_ASSERT_EQUAL(bed_sum(&b, 0, packets_transmitted), 2);
	CU_ASSERT_EQUAL(bed_sum(&b, 0, new_flows), 1);
	CU_ASSERT_EQUAL(bed_dropped_all(&b, 0), 0);
	bed_stop(&b);
}

static void tcp4(void)
{
	round_trip(6, "198.51.100.7", "203.0.113.10", "10.0.0.11", "10.9.0.1");
}

static void tcp6(void)
{
	round_trip(6, "2001:db8:1::7", "2001:db8::10", "fd00::11", "fd09::1");
}

static void udp4(void)
{
	round_trip(17, "198.51.100.7", "203.0.113.10", "10.0.0.11", "10.9.0.1");
}

static void udp6(void)
{
	round_trip(17, "2001:db8:1::7", "2001:db8::10", "fd00::11", "fd09::1");
}

static const struct tap_case cases[] = {
	{ "nat carries TCP over IPv4 to a backend and back", tcp4 },
	{ "nat carries TCP over IPv6 to a backend and back", tcp6 },
	{ "nat carries UDP over IPv4 to a backend and back", udp4 },
	{ "nat carries UDP over IPv6 to a backend and back", udp6 },
};

TAP_MAIN("nat", cases)
