/* SPDX-License-Identifier: BSD-3-Clause */

#include "tests/unit/fastpath/pipeline_bed.h"
#include "tests/unit/tap.h"

#include <string.h>

#define CLIENT	"198.51.100.7"
#define SERVICE "203.0.113.10"

/* One core, one nat service on TCP port 80 with the given number of backends 10.0.0.11, .12 ... */
static void nat_start(struct bed *b, uint32_t backends)
{
	bed_start(b, 1, 1);
	bed_add_service(b, "web", WEIR_MODE_NAT, 6, SERVICE, 80);
	for (uint32_t i = 0; i < backends; i++) {
		char address[32];

		snprintf(address, sizeof(address), "10.0.0.%u", 11 + i);
		bed_add_backend(b, 0, address, 8080);
	}
	bed_apply(b);
}

/* Open a connection up to the client's first ACK; to is the SYN as the backend got it. */
static void connect_client(struct bed *b, struct bed_packet *p, struct bed_packet *ret_to)
{
	struct bed_packet back, out;

	p->tcp_flags = BED_SYN;
	CU_ASSERT_TRUE_FATAL(bed_exchange(b, 0, p, ret_to));
	back = bed_reply(ret_to, BED_SYN | BED_ACK, 0);
	CU_ASSERT_TRUE_FATAL(bed_exchange(b, 1, &back, &out));
	p->tcp_flags = BED_ACK;
	CU_ASSERT_TRUE_FATAL(bed_exchange(b, 0, p, &out));
}

static bool same_end(const struct bed_packet *a, const struct bed_packet *b)
{
	return memcmp(a->dst, b->dst, 16) == 0 && memcmp(a->src, b->src, 16) == 0 &&
		a->sport == b->sport && a->dport == b->dport;
}

static void round_trip(uint8_t protocol, const char *from, const char *service, const char *backend,
	const char *source)
{
	static const uint8_t client_mac[6] = { 2, 0xcc, 0, 0, 0, 1 };
	static const uint8_t backend_mac[6] = { 2, 0xbb, 0, 0, 0, 0 };
	struct bed b;
	struct bed_packet p = bed_client(from, 40000, service, 80);
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
	round_trip(6, CLIENT, SERVICE, "10.0.0.11", "10.9.0.1");
}

static void tcp6(void)
{
	round_trip(6, "2001:db8:1::7", "2001:db8::10", "fd00::11", "fd09::1");
}

static void udp4(void)
{
	round_trip(17, CLIENT, SERVICE, "10.0.0.11", "10.9.0.1");
}

static void udp6(void)
{
	round_trip(17, "2001:db8:1::7", "2001:db8::10", "fd00::11", "fd09::1");
}

static void udp_without_checksum(void)
{
	struct bed b;
	struct bed_packet p = bed_client(CLIENT, 40000, SERVICE, 53);
	struct bed_packet to;

	bed_start(&b, 1, 1);
	bed_add_service(&b, "dns", WEIR_MODE_NAT, 17, SERVICE, 53);
	bed_add_backend(&b, 0, "10.0.0.11", 53);
	bed_apply(&b);
	p.protocol = 17;
	p.no_udp_checksum = true;
	CU_ASSERT_TRUE_FATAL(bed_exchange(&b, 0, &p, &to));
	CU_ASSERT_TRUE(to.no_udp_checksum);
	bed_stop(&b);
}

static void reply_path_follows_client(void)
{
	struct bed b;
	struct bed_packet p = bed_client(CLIENT, 40000, SERVICE, 80);
	struct bed_packet to, back, reply;

	nat_start(&b, 1);
	connect_client(&b, &p, &to);
	memcpy(p.smac, (uint8_t[]){ 2, 0xdd, 0, 0, 0, 9 }, 6);
	CU_ASSERT_TRUE(
		bed_exchange(&b, 1, &p, &reply)); /* the route changed: in by the other port */
	back = bed_reply(&to, BED_ACK, 5);
	CU_ASSERT_TRUE_FATAL(bed_exchange(&b, 1, &back, &reply));
	CU_ASSERT_EQUAL(reply.port, 1);
	CU_ASSERT_EQUAL(memcmp(reply.dmac, p.smac, 6), 0);
	bed_stop(&b);
}

static void unknown_packets(void)
{
	struct bed b;
	struct bed_packet p = bed_client(CLIENT, 40000, SERVICE, 80);
	struct bed_packet out;

	nat_start(&b, 1);
	p.tcp_flags = BED_ACK;
	p.payload = 10;
	CU_ASSERT_FALSE(bed_exchange(&b, 0, &p, &out));
	CU_ASSERT_EQUAL(bed_dropped(&b, 0, WEIR_DROP_NO_FLOW), 1);
	p = bed_client("10.0.0.11", 8080, "10.9.0.1", 4 * 256 + 17);
	p.tcp_flags = BED_SYN | BED_ACK;
	CU_ASSERT_FALSE(bed_exchange(&b, 1, &p, &out));
	CU_ASSERT_EQUAL(bed_dropped(&b, 0, WEIR_DROP_NO_FLOW), 2);
	CU_ASSERT_EQUAL(bed_sum(&b, 0, packets_from_backends), 1);
	CU_ASSERT_EQUAL(bed_sum(&b, 0, new_flows), 0);
	bed_stop(&b);
}

static void not_ours(void)
{
	struct bed b;
	struct bed_packet p = bed_client(CLIENT, 40000, SERVICE, 81);
	struct bed_packet out;

	nat_start(&b, 1);
	CU_ASSERT_FALSE(bed_exchange(&b, 0, &p, &out));
	b.port[0].port.kind = WEIR_PORT_CAPTURE;
	CU_ASSERT_FALSE(bed_exchange(&b, 0, &p, &out));
	CU_ASSERT_EQUAL(bed_sum(&b, 0, packets_received), 0);
	CU_ASSERT_EQUAL(bed_core(&b, 0)->port[0].dropped[WEIR_DROP_NO_SERVICE], 1);
	CU_ASSERT_EQUAL(bed_core(&b, 0)->port[0].packets_to_kernel, 1);
	bed_stop(&b);
}

static void refused_packets(void)
{
	struct bed b;
	struct bed_packet p = bed_client(CLIENT, 40000, SERVICE, 80);
	struct bed_packet out;

	nat_start(&b, 1);
	p.ttl = 1;
	bed_send(&b, 0, &p);
	bed_run(&b);
	CU_ASSERT_EQUAL(bed_discard(&b, 0), 1); /* the answer: see pipeline_errors.c */
	CU_ASSERT_EQUAL(bed_dropped(&b, 0, WEIR_DROP_TTL_EXPIRED), 1);
	p.ttl = 0;
	p.broken = true;
	CU_ASSERT_FALSE(bed_exchange(&b, 0, &p, &out));
	CU_ASSERT_EQUAL(bed_dropped(&b, 0, WEIR_DROP_MALFORMED), 1);
	p.broken = false;
	p.payload = 1400;
	b.port[1].port.mtu = 1400;
	bed_send(&b, 0, &p);
	bed_run(&b);
	CU_ASSERT_EQUAL(bed_discard(&b, 0), 1);
	CU_ASSERT_EQUAL(bed_dropped(&b, 0, WEIR_DROP_TOO_BIG), 1);
	CU_ASSERT_EQUAL(bed_sum(&b, 0, packets_received), 3);
	bed_stop(&b);
}

static void drain(void)
{
	struct bed b;
	struct bed_packet p[64];
	struct bed_packet to[64];
	struct bed_packet out;
	uint32_t at_first = 0;

	nat_start(&b, 2);
	for (uint16_t i = 0; i < 64; i++) {
		p[i] = bed_client(CLIENT, 40000 + i, SERVICE, 80);
		connect_client(&b, &p[i], &to[i]);
		at_first += to[i].dst[15] == 11;
	}
	CU_ASSERT_TRUE(at_first > 10 && at_first < 54);
	CU_ASSERT_EQUAL(bed_backend_state(&b, 0, 0, WEIR_BACKEND_DRAINING, 100), 0);
	for (uint16_t i = 0; i < 64; i++) {
		CU_ASSERT_TRUE_FATAL(bed_exchange(&b, 0, &p[i], &out));
		CU_ASSERT_TRUE(same_end(&out, &to[i]));
		p[i] = bed_client(CLIENT, 50000 + i, SERVICE, 80);
		CU_ASSERT_TRUE_FATAL(bed_exchange(&b, 0, &p[i], &out));
		CU_ASSERT_EQUAL(out.dst[15], 12);
	}
	CU_ASSERT_EQUAL(bed_dropped_all(&b, 0), 0);
	bed_stop(&b);
}

static void weight_zero(void)
{
	struct bed b;
	struct bed_packet p[32];
	struct bed_packet to[32];
	struct bed_packet out;

	nat_start(&b, 2);
	for (uint16_t i = 0; i < 32; i++) {
		p[i] = bed_client(CLIENT, 40000 + i, SERVICE, 80);
		connect_client(&b, &p[i], &to[i]);
	}
	CU_ASSERT_EQUAL(bed_backend_state(&b, 0, 1, WEIR_BACKEND_UP, 0), 0);
	for (uint16_t i = 0; i < 32; i++) {
		CU_ASSERT_TRUE_FATAL(bed_exchange(&b, 0, &p[i], &out));
		CU_ASSERT_TRUE(same_end(&out, &to[i]));
		p[i] = bed_client(CLIENT, 50000 + i, SERVICE, 80);
		CU_ASSERT_TRUE_FATAL(bed_exchange(&b, 0, &p[i], &out));
		CU_ASSERT_EQUAL(out.dst[15], 11);
	}
	bed_stop(&b);
}

static void dead_backend(void)
{
	struct bed b;
	struct bed_packet p[64];
	struct bed_packet to[64];
	struct bed_packet back, out;
	uint32_t moved = 0;

	nat_start(&b, 2);
	for (uint16_t i = 0; i < 64; i++) {
		p[i] = bed_client(CLIENT, 40000 + i, SERVICE, 80);
		connect_client(&b, &p[i], &to[i]);
	}
	CU_ASSERT_EQUAL(bed_backend_state(&b, 0, 0, WEIR_BACKEND_DOWN, 100), 0);
	for (uint16_t i = 0; i < 64; i++) {
		CU_ASSERT_TRUE_FATAL(bed_exchange(&b, 0, &p[i], &out));
		CU_ASSERT_EQUAL(out.dst[15], 12);
		if (to[i].dst[15] == 12) {
			CU_ASSERT_TRUE(same_end(&out, &to[i]));
			continue;
		}
		moved++;
		back = bed_reply(&out, BED_RST, 0);
		CU_ASSERT_TRUE_FATAL(bed_exchange(&b, 1, &back, &out));
		CU_ASSERT_EQUAL(out.dport, p[i].sport);
	}
	CU_ASSERT_TRUE(moved > 10);
	CU_ASSERT_EQUAL(bed_sum(&b, 0, new_flows), 64);
	CU_ASSERT_EQUAL(bed_sum(&b, 0, closed_flows), 0);
	CU_ASSERT_EQUAL(bed_backend_cell(&b, 0, 0, 0)->new_flows, moved);
	CU_ASSERT_EQUAL(bed_backend_cell(&b, 0, 0, 0)->closed_flows, moved);
	CU_ASSERT_EQUAL(bed_backend_cell(&b, 0, 0, 1)->new_flows, 64);
	bed_stop(&b);
}

static void syn_again(void)
{
	struct bed b;
	struct bed_packet p = bed_client(CLIENT, 40000, SERVICE, 80);
	struct bed_packet first, again, back, out;

	nat_start(&b, 3);
	CU_ASSERT_TRUE_FATAL(bed_exchange(&b, 0, &p, &first));
	CU_ASSERT_TRUE_FATAL(bed_exchange(&b, 0, &p, &again));
	CU_ASSERT_TRUE(same_end(&first, &again)); /* lost and sent again */
	CU_ASSERT_EQUAL(bed_sum(&b, 0, new_flows), 1);
	connect_client(&b, &p, &first);
	p.tcp_flags = BED_FIN | BED_ACK;
	CU_ASSERT_TRUE(bed_exchange(&b, 0, &p, &out));
	back = bed_reply(&first, BED_FIN | BED_ACK, 0);
	CU_ASSERT_TRUE(bed_exchange(&b, 1, &back, &out));
	p.tcp_flags = BED_ACK;
	CU_ASSERT_TRUE_FATAL(bed_exchange(&b, 0, &p, &out));
	CU_ASSERT_TRUE(same_end(&first, &out)); /* the last ACK still finds its flow */
	p.tcp_flags = BED_SYN;
	CU_ASSERT_TRUE_FATAL(bed_exchange(&b, 0, &p, &again));
	CU_ASSERT_NOT_EQUAL(again.sport, first.sport);
	CU_ASSERT_EQUAL(bed_sum(&b, 0, new_flows), 2);
	CU_ASSERT_EQUAL(bed_sum(&b, 0, closed_flows), 1);
	bed_stop(&b);
}

/* A connection ends and its ports are used again within one burst. */
static void syn_in_same_burst(void)
{
	struct bed b;
	struct bed_packet p = bed_client(CLIENT, 40000, SERVICE, 80);
	struct bed_packet first, again, out;

	nat_start(&b, 1);
	connect_client(&b, &p, &first);
	p.tcp_flags = BED_RST;
	bed_send(&b, 0, &p);
	p.tcp_flags = BED_SYN;
	CU_ASSERT_TRUE_FATAL(bed_exchange(&b, 0, &p, &again));
	CU_ASSERT_EQUAL(again.tcp_flags, BED_SYN);
	CU_ASSERT_NOT_EQUAL(again.sport, first.sport);
	CU_ASSERT_FALSE(bed_receive(&b, 1, &out));
	CU_ASSERT_EQUAL(bed_dropped(&b, 0, WEIR_DROP_NO_FLOW), 1);
	p.sport++;
	bed_send(&b, 0, &p); /* the same, from the first SYN on */
	p.tcp_flags = BED_RST;
	bed_send(&b, 0, &p);
	p.tcp_flags = BED_SYN;
	CU_ASSERT_TRUE_FATAL(bed_exchange(&b, 0, &p, &again));
	CU_ASSERT_EQUAL(again.tcp_flags, BED_SYN);
	CU_ASSERT_FALSE(bed_receive(&b, 1, &out));
	CU_ASSERT_EQUAL(bed_dropped(&b, 0, WEIR_DROP_NO_FLOW), 3);
	CU_ASSERT_EQUAL(bed_sum(&b, 0, new_flows) - bed_sum(&b, 0, closed_flows), 2);
	bed_stop(&b);
}

/* Two packets of a flow that is not known yet, in one burst. */
static void same_burst(void)
{
	struct bed b;
	struct bed_packet p = bed_client(CLIENT, 40000, SERVICE, 53);
	struct bed_packet first, second;

	bed_start(&b, 1, 1);
	bed_add_service(&b, "dns", WEIR_MODE_NAT, 17, SERVICE, 53)->limit_connections = 1;
	bed_add_backend(&b, 0, "10.0.0.11", 53);
	bed_apply(&b);
	p.protocol = 17;
	bed_send(&b, 0, &p);
	bed_send(&b, 0, &p);
	bed_run(&b);
	CU_ASSERT_TRUE_FATAL(bed_receive(&b, 1, &first));
	CU_ASSERT_TRUE_FATAL(bed_receive(&b, 1, &second));
	CU_ASSERT_TRUE(same_end(&first, &second));
	CU_ASSERT_EQUAL(bed_sum(&b, 0, new_flows), 1);
	bed_stop(&b);
}

static void idle_flows_end(void)
{
	struct bed b;
	struct bed_packet p = bed_client(CLIENT, 40000, SERVICE, 80);
	struct bed_packet to, out;

	nat_start(&b, 1);
	connect_client(&b, &p, &to);
	p = bed_client(CLIENT, 40001, SERVICE, 80);
	CU_ASSERT_TRUE_FATAL(bed_exchange(&b, 0, &p, &out));
	for (uint32_t ms = 0; ms < 12000; ms++) {
		b.now += BED_MS;
		bed_run(&b);
	}
	CU_ASSERT_EQUAL(bed_sum(&b, 0, closed_flows), 1); /* the half-open one */
	b.now += 1000 * BED_SECOND;
	fastpath_age(b.fp, b.now);
	CU_ASSERT_EQUAL(bed_sum(&b, 0, closed_flows), 2);
	CU_ASSERT_EQUAL(bed_backend_cell(&b, 0, 0, 0)->closed_flows, 2);
	bed_stop(&b);
}

/* Sixteen blocks, so sixteen ports in each of the 256 buckets. */
static void ports_exhausted(void)
{
	struct bed b;
	struct bed_packet p, to, back;
	uint32_t sent = 0;

	bed_start_with(&b, 1, 1, UINT64_C(64) << 20, false);
	bed_add_service(&b, "web", WEIR_MODE_NAT, 6, SERVICE, 80);
	bed_add_backend(&b, 0, "10.0.0.11", 8080);
	bed_apply(&b);
	for (uint32_t i = 0; i < 8192; i++) {
		p = bed_client(CLIENT, (uint16_t)(1024 + i), SERVICE, 80);
		bed_send(&b, 0, &p);
		bed_run(&b);
		while (bed_receive(&b, 1, &to)) {
			sent++;
			back = bed_reply(&to, BED_SYN | BED_ACK, 0);
			bed_send(&b, 1, &back);
			bed_run(&b);
			bed_discard(&b, 0);
			p.tcp_flags = BED_ACK; /* established: not to be evicted */
			bed_send(&b, 0, &p);
			bed_run(&b);
			bed_discard(&b, 1);
		}
	}
	CU_ASSERT_TRUE(sent > 3600 && sent <= 4096);
	CU_ASSERT_EQUAL(bed_dropped(&b, 0, WEIR_DROP_NO_TRANSLATION_PORT), 8192 - sent);
	CU_ASSERT_EQUAL(bed_sum(&b, 0, new_flows), sent);
	bed_stop(&b);
}

static void table_full(void)
{
	struct bed b;
	struct bed_packet p, to, back;
	uint32_t opened = 0;

	bed_start(&b, 1, 1);
	bed_add_service(&b, "web", WEIR_MODE_NAT, 6, SERVICE, 80)->flow_capacity = 1024;
	bed_add_backend(&b, 0, "10.0.0.11", 8080);
	bed_apply(&b);
	for (uint32_t i = 0; i < 2048; i++) {
		p = bed_client(CLIENT, (uint16_t)(1024 + i), SERVICE, 80);
		if (!bed_exchange(&b, 0, &p, &to))
			continue;
		opened++;
		back = bed_reply(&to, BED_SYN | BED_ACK, 0);
		CU_ASSERT_TRUE(bed_exchange(&b, 1, &back, &to));
		p.tcp_flags = BED_ACK;
		CU_ASSERT_TRUE(bed_exchange(&b, 0, &p, &to));
	}
	CU_ASSERT_TRUE(opened > 900 && opened <= 1024);
	CU_ASSERT_EQUAL(bed_dropped(&b, 0, WEIR_DROP_FLOW_TABLE_FULL), 2048 - opened);
	bed_stop(&b);
}

static void flood_is_evicted(void)
{
	struct bed b;
	struct bed_packet p, to;
	uint32_t passed = 0;

	bed_start(&b, 1, 1);
	bed_add_service(&b, "web", WEIR_MODE_NAT, 6, SERVICE, 80)->flow_capacity = 1024;
	bed_add_backend(&b, 0, "10.0.0.11", 8080);
	bed_apply(&b);
	for (uint32_t i = 0; i < 8192; i++) {
		p = bed_client(CLIENT, (uint16_t)(1024 + i), SERVICE, 80);
		bed_send(&b, 0, &p);
		if (i % 64 == 63)
			bed_run(&b);
	}
	bed_run(&b);
	while (bed_receive(&b, 1, &to))
		passed++;
	CU_ASSERT_EQUAL(passed + bed_dropped(&b, 0, WEIR_DROP_FLOW_TABLE_FULL), 8192);
	CU_ASSERT_TRUE(passed > 8000);
	CU_ASSERT_EQUAL(bed_sum(&b, 0, new_flows) - bed_sum(&b, 0, closed_flows), 1024);
	bed_stop(&b);
}

static void completes_checksums(void)
{
	struct bed b;
	struct bed_packet p = bed_client(CLIENT, 40000, SERVICE, 80);
	struct bed_packet to;

	bed_start(&b, 1, 1);
	b.port[0].port.completes_checksums = true;
	bed_add_service(&b, "web", WEIR_MODE_NAT, 6, SERVICE, 80);
	bed_add_backend(&b, 0, "10.0.0.11", 8080);
	bed_apply(&b);
	p.partial_checksum = true;
	p.payload = 77;
	CU_ASSERT_TRUE(bed_exchange(&b, 0, &p, &to)); /* which checks the checksum */
	bed_stop(&b);
}

static void unresolved(void)
{
	struct bed b;
	struct bed_packet p = bed_client(CLIENT, 40000, SERVICE, 80);
	struct bed_packet to;
	struct weir_neighbour_update update = { .port = 1, .resolved = 1 };

	bed_start(&b, 1, 1);
	bed_add_service(&b, "web", WEIR_MODE_NAT, 6, SERVICE, 80);
	bed_add_backend(&b, 0, "10.0.0.11", 8080);
	b.neighbour[0].resolved = 0;
	bed_apply(&b);
	CU_ASSERT_FALSE(bed_exchange(&b, 0, &p, &to));
	CU_ASSERT_EQUAL(bed_dropped(&b, 0, WEIR_DROP_NEIGHBOUR_UNRESOLVED), 1);
	bed_address("10.0.0.11", update.address);
	memcpy(update.mac, (uint8_t[]){ 2, 0xaa, 0, 0, 0, 5 }, 6);
	CU_ASSERT_EQUAL(fastpath_update_neighbours(b.fp, &update, 1, b.err, sizeof(b.err)), 0);
	CU_ASSERT_TRUE_FATAL(bed_exchange(&b, 0, &p, &to));
	CU_ASSERT_EQUAL(memcmp(to.dmac, update.mac, 6), 0);
	update.resolved = 0;
	CU_ASSERT_EQUAL(fastpath_update_neighbours(b.fp, &update, 1, b.err, sizeof(b.err)), 0);
	CU_ASSERT_FALSE(bed_exchange(&b, 0, &p, &to));
	bed_stop(&b);
}

static const struct tap_case cases[] = {
	{ "nat carries TCP over IPv4 to a backend and back", tcp4 },
	{ "nat carries TCP over IPv6 to a backend and back", tcp6 },
	{ "nat carries UDP over IPv4 to a backend and back", udp4 },
	{ "nat carries UDP over IPv6 to a backend and back", udp6 },
	{ "a UDP packet without a checksum stays without", udp_without_checksum },
	{ "an unfinished checksum of a veth is completed", completes_checksums },
	{ "replies go to where the client's last packet came from", reply_path_follows_client },
	{ "packets of no known flow are dropped and counted", unknown_packets },
	{ "packets to no service are not the service's", not_ours },
	{ "expired, broken and too big packets have reasons", refused_packets },
	{ "a draining backend keeps its flows and gets no new ones", drain },
	{ "weight 0 keeps flows and gets no new ones", weight_zero },
	{ "flows of a dead backend are placed anew, others stay", dead_backend },
	{ "a SYN stays on a new flow and opens a closed one anew", syn_again },
	{ "a SYN may follow the end of its ports' last flow at once", syn_in_same_burst },
	{ "two packets of a new flow in one burst open it once", same_burst },
	{ "idle flows end and are counted", idle_flows_end },
	{ "a new flow without a free port is refused", ports_exhausted },
	{ "a new flow is refused when the table is full of others", table_full },
	{ "a flood of SYNs pushes out its own flows only", flood_is_evicted },
	{ "a next hop may become known and unknown again", unresolved },
};

TAP_MAIN("nat", cases)
