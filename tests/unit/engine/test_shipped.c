/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The policies that come with Weir, on packets that show what each is for. Compiled objects in, verdicts out;
 * the interpreter runs them, so no rights are needed (tests/bpf compares it with the kernel).
 *
 *	test_shipped FOLDER
 */

#include "ebpf/engine/object.h"
#include "ebpf/engine/program.h"
#include "ebpf/engine/trial.h"
#include "tests/unit/tap.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MS  UINT64_C(1000000)
#define SYN 0x02
#define RST 0x04
#define ACK 0x10
#define TCP 6
#define UDP 17

static const char *folder;
static struct policy_image *image;
static struct policy_program *program;
static struct policy_worker worker;
static uint64_t now;

static struct {
	uint8_t bytes[2048];
	uint32_t length;
} p;

static void load(const char *name, const char *const *sets)
{
	struct policy_program_options options = { .workers = 1, .node = -1, .seed = 3 };
	char path[4096], err[512] = "";

	snprintf(path, sizeof(path), "%s/%s.o", folder, name);
	int rc = policy_object_read(path, &image, err, sizeof(err));

	if (rc < 0)
		printf("# %s: %s\n", path, err);
	CU_ASSERT_EQUAL_FATAL(rc, 0);
	for (; sets && *sets; sets++)
		CU_ASSERT_EQUAL_FATAL(policy_image_set(image, *sets, err, sizeof(err)), 0);
	rc = policy_program_create(image, image->size, &options, &program, err, sizeof(err));
	if (rc < 0)
		printf("# %s: %s\n", path, err);
	CU_ASSERT_EQUAL_FATAL(rc, 0);
	worker = (struct policy_worker){ .random = 1 };
	now = UINT64_C(1000000000);
}

#define SETS(...) ((const char *const[]){ __VA_ARGS__, NULL })

static void unload(void)
{
	CU_ASSERT_EQUAL(worker.fault, POLICY_FAULT_NONE);
	policy_program_destroy(program);
	free(image);
}

static void be16(uint8_t *at, uint32_t v)
{
	at[0] = (uint8_t)(v >> 8);
	at[1] = (uint8_t)v;
}

static void ipv4(const char *from, uint8_t protocol)
{
	memset(&p, 0, sizeof(p));
	be16(p.bytes + 12, 0x0800);
	p.bytes[14] = 0x45;
	p.bytes[22] = 64;
	p.bytes[23] = protocol;
	inet_pton(AF_INET, from, p.bytes + 26);
	inet_pton(AF_INET, "203.0.113.10", p.bytes + 30);
	p.length = 34;
}

static void ipv6(const char *from, uint8_t next)
{
	memset(&p, 0, sizeof(p));
	be16(p.bytes + 12, 0x86dd);
	p.bytes[14] = 0x60;
	p.bytes[20] = next;
	p.bytes[21] = 64;
	inet_pton(AF_INET6, from, p.bytes + 22);
	inet_pton(AF_INET6, "2001:db8::10", p.bytes + 38);
	p.length = 54;
}

static void add(const void *bytes, uint32_t n)
{
	memcpy(p.bytes + p.length, bytes, n);
	p.length += n;
}

static void extension(uint8_t next, uint8_t units, uint8_t third, uint8_t fourth)
{
	const uint8_t x[8] = { next, units, third, fourth };

	add(x, 8);
	p.length += 8u * units;
}

static void tcp(uint16_t sport, uint16_t dport, uint8_t flags)
{
	uint8_t *l4 = p.bytes + p.length;

	be16(l4, sport);
	be16(l4 + 2, dport);
	l4[12] = 0x50;
	l4[13] = flags;
	p.length += 20;
}

static void udp(uint16_t sport, uint16_t dport, uint32_t payload)
{
	uint8_t *l4 = p.bytes + p.length;

	be16(l4, sport);
	be16(l4 + 2, dport);
	be16(l4 + 4, 8 + payload);
	p.length += 8;
}

static uint32_t judge(void)
{
	static struct policy_frame frame;

	policy_context_parse(&frame.ctx, p.bytes, p.length, p.length);
	frame.ctx.data = (uint64_t)(uintptr_t)p.bytes;
	frame.ctx.data_end = frame.ctx.data + p.length;
	frame.ctx.now_ns = worker.now_ns = now;
	return policy_program_run(program, &frame, &worker);
}

static void prefix_put(const char *map, const char *address, uint32_t bits, uint32_t value)
{
	struct {
		uint32_t bits;
		uint8_t address[16];
	} key = { bits, { 0 } };

	if (inet_pton(AF_INET6, address, key.address) != 1) {
		key.bits += 96;
		key.address[10] = key.address[11] = 0xff;
		inet_pton(AF_INET, address, key.address + 12);
	}
	CU_ASSERT_EQUAL(
		policy_map_update(policy_program_map(program, map), &key, &value, BPF_ANY, 0), 0);
}

static uint32_t syn_from(const char *from)
{
	if (strchr(from, ':'))
		ipv6(from, TCP);
	else
		ipv4(from, TCP);
	tcp(1234, 80, SYN);
	return judge();
}

static void source_limit_limits_each_source(void)
{
	load("source_limit", SETS("rate=10", "burst=3"));
	for (unsigned int i = 0; i < 3; i++)
		CU_ASSERT_EQUAL(syn_from("198.51.100.1"), WEIR_PASS);
	CU_ASSERT_EQUAL(syn_from("198.51.100.1"), WEIR_DROP_AS(1));
	/* Another source has its own limit, and what is no SYN is not looked at. */
	CU_ASSERT_EQUAL(syn_from("198.51.100.2"), WEIR_PASS);
	ipv4("198.51.100.1", TCP);
	tcp(1234, 80, ACK);
	CU_ASSERT_EQUAL(judge(), WEIR_PASS);
	/* A tenth of a second pays for one. */
	now += 100 * MS;
	CU_ASSERT_EQUAL(syn_from("198.51.100.1"), WEIR_PASS);
	CU_ASSERT_EQUAL(syn_from("198.51.100.1"), WEIR_DROP_AS(1));
	unload();
}

static void source_limit_takes_prefixes_for_sources(void)
{
	load("source_limit", SETS("rate=1", "burst=1", "prefix4=24", "class=9"));
	CU_ASSERT_EQUAL(syn_from("198.51.100.1"), WEIR_PASS);
	CU_ASSERT_EQUAL(syn_from("198.51.100.200"), WEIR_LIMIT(9));
	CU_ASSERT_EQUAL(syn_from("198.51.101.1"), WEIR_PASS);
	CU_ASSERT_EQUAL(syn_from("2001:db8:1:2::1"), WEIR_PASS);
	CU_ASSERT_EQUAL(syn_from("2001:db8:1:2:ffff::9"), WEIR_LIMIT(9));
	CU_ASSERT_EQUAL(syn_from("2001:db8:1:3::1"), WEIR_PASS);
	unload();
}

static uint32_t ack_from(const char *from)
{
	ipv4(from, TCP);
	tcp(1234, 80, ACK);
	return judge();
}

static void syn_guard_prefers_who_completed_a_handshake(void)
{
	uint32_t passed = 0, dropped = 0;

	load("syn_guard", SETS("calm=100", "strangers=10"));
	CU_ASSERT_EQUAL(syn_from("198.51.100.1"), WEIR_PASS);
	CU_ASSERT_EQUAL(ack_from("198.51.100.1"), WEIR_PASS);
	/* An ACK without a SYN before it proves nothing. */
	CU_ASSERT_EQUAL(ack_from("198.51.100.2"), WEIR_PASS);
	now += 3000 * MS;
	for (unsigned int i = 0; i < 5000; i++) {
		char from[32];

		snprintf(from, sizeof(from), "10.0.%u.%u", i >> 8, i & 255);
		uint32_t verdict = syn_from(from);

		passed += verdict == WEIR_PASS;
		dropped += verdict == WEIR_DROP_AS(1);
	}
	CU_ASSERT_EQUAL(passed, 110);
	CU_ASSERT_EQUAL(dropped, 4890);
	CU_ASSERT_EQUAL(syn_from("198.51.100.1"), WEIR_PASS);
	CU_ASSERT_EQUAL(syn_from("198.51.100.2"), WEIR_DROP_AS(1));
	/* The second after a flood is not calm; the one after that is. */
	now += 1000 * MS;
	for (unsigned int i = 0; i < 10; i++)
		CU_ASSERT_EQUAL(syn_from("198.51.100.2"), WEIR_PASS);
	CU_ASSERT_EQUAL(syn_from("198.51.100.2"), WEIR_DROP_AS(1));
	now += 1000 * MS;
	for (unsigned int i = 0; i < 50; i++)
		CU_ASSERT_EQUAL(syn_from("198.51.100.2"), WEIR_PASS);
	unload();
}

static void block_list_takes_the_longest_prefix(void)
{
	load("block_list", NULL);
	CU_ASSERT_EQUAL(syn_from("192.0.2.1"), WEIR_PASS);
	prefix_put("blocked", "192.0.2.0", 24, 5);
	prefix_put("blocked", "192.0.2.128", 25, 6);
	prefix_put("blocked", "2001:db8:bad::", 48, 7);
	prefix_put("allowed", "192.0.2.130", 32, 0);
	CU_ASSERT_EQUAL(syn_from("192.0.2.1"), WEIR_DROP_AS(5));
	CU_ASSERT_EQUAL(syn_from("192.0.2.129"), WEIR_DROP_AS(6));
	CU_ASSERT_EQUAL(syn_from("192.0.2.130"), WEIR_PASS);
	CU_ASSERT_EQUAL(syn_from("192.0.3.1"), WEIR_PASS);
	CU_ASSERT_EQUAL(syn_from("2001:db8:bad::1"), WEIR_DROP_AS(7));
	CU_ASSERT_EQUAL(syn_from("2001:db8:bae::1"), WEIR_PASS);
	unload();
	load("block_list", SETS("only_allowed=1"));
	prefix_put("allowed", "192.0.2.0", 24, 0);
	CU_ASSERT_EQUAL(syn_from("192.0.2.1"), WEIR_PASS);
	CU_ASSERT_EQUAL(syn_from("192.0.3.1"), WEIR_DROP);
	unload();
}

static void region_classes_sort_sources(void)
{
	load("region_classes", SETS("others=3"));
	prefix_put("classes", "198.51.100.0", 24, 1);
	prefix_put("classes", "198.51.100.64", 26, 0);
	CU_ASSERT_EQUAL(syn_from("198.51.100.1"), WEIR_LIMIT(1));
	CU_ASSERT_EQUAL(syn_from("198.51.100.65"), WEIR_PASS);
	CU_ASSERT_EQUAL(syn_from("203.0.113.1"), WEIR_LIMIT(3));
	unload();
}

static uint32_t udp_with(uint16_t sport, uint16_t dport, const void *payload, uint32_t n)
{
	ipv4("198.51.100.1", UDP);
	udp(sport, dport, n);
	add(payload, n);
	return judge();
}

static void amplification_drops_answers_nobody_asked_for(void)
{
	load("amplification", NULL);
	/* A resolver's answer; a question from port 53; a client's question. */
	CU_ASSERT_EQUAL(udp_with(53, 443, "\x12\x34\x81\x80\0\1\0\1", 8), WEIR_DROP_AS(1));
	CU_ASSERT_EQUAL(udp_with(53, 53, "\x12\x34\x01\x00\0\1\0\0", 8), WEIR_PASS);
	CU_ASSERT_EQUAL(udp_with(40000, 53, "\x12\x34\x01\x00\0\1\0\0", 8), WEIR_PASS);
	/* Answers of a time server, of monlist; a client that uses port 123. */
	CU_ASSERT_EQUAL(udp_with(123, 443, "\x24\x01\0\0", 4), WEIR_DROP_AS(2));
	CU_ASSERT_EQUAL(udp_with(123, 443, "\xd7\x00\x03\x2a", 4), WEIR_DROP_AS(2));
	CU_ASSERT_EQUAL(udp_with(123, 123, "\x23\x00\0\0", 4), WEIR_PASS);
	CU_ASSERT_EQUAL(udp_with(11211, 443, "STAT", 4), WEIR_DROP_AS(3));
	CU_ASSERT_EQUAL(udp_with(1900, 443, "HTTP", 4), WEIR_DROP_AS(3));
	CU_ASSERT_EQUAL(udp_with(443, 443, "HTTP", 4), WEIR_PASS);
	ipv4("198.51.100.1", TCP);
	tcp(53, 443, SYN);
	CU_ASSERT_EQUAL(judge(), WEIR_PASS);
	unload();
	load("amplification", SETS("strict=1"));
	CU_ASSERT_EQUAL(udp_with(53, 53, "\x12\x34\x01\x00\0\1\0\0", 8), WEIR_DROP_AS(1));
	unload();
}

static void ipv6_headers_knows_chains_that_nobody_sends(void)
{
	load("ipv6_headers", SETS("most=3", "bytes=64"));
	ipv6("2001:db8::1", TCP);
	tcp(1, 2, SYN);
	CU_ASSERT_EQUAL(judge(), WEIR_PASS);
	/* Hop-by-hop and destination options; the same, the other way round. */
	ipv6("2001:db8::1", 0);
	extension(60, 0, 0, 0);
	extension(TCP, 0, 0, 0);
	tcp(1, 2, SYN);
	CU_ASSERT_EQUAL(judge(), WEIR_PASS);
	ipv6("2001:db8::1", 60);
	extension(0, 0, 0, 0);
	extension(TCP, 0, 0, 0);
	tcp(1, 2, SYN);
	CU_ASSERT_EQUAL(judge(), WEIR_DROP_AS(2));
	/* Routing headers of type 0 and of type 4. */
	ipv6("2001:db8::1", 43);
	extension(TCP, 0, 0, 0);
	tcp(1, 2, SYN);
	CU_ASSERT_EQUAL(judge(), WEIR_DROP_AS(3));
	ipv6("2001:db8::1", 43);
	extension(TCP, 0, 4, 0);
	tcp(1, 2, SYN);
	CU_ASSERT_EQUAL(judge(), WEIR_PASS);
	/* Twice, too many, too long, cut off. */
	ipv6("2001:db8::1", 43);
	extension(43, 0, 4, 0);
	extension(TCP, 0, 4, 0);
	tcp(1, 2, SYN);
	CU_ASSERT_EQUAL(judge(), WEIR_DROP_AS(4));
	ipv6("2001:db8::1", 60);
	extension(60, 0, 0, 0);
	extension(60, 0, 0, 0);
	extension(60, 0, 0, 0);
	extension(TCP, 0, 0, 0);
	tcp(1, 2, SYN);
	CU_ASSERT_EQUAL(judge(), WEIR_DROP_AS(1));
	ipv6("2001:db8::1", 60);
	extension(TCP, 9, 0, 0);
	tcp(1, 2, SYN);
	CU_ASSERT_EQUAL(judge(), WEIR_DROP_AS(1));
	ipv6("2001:db8::1", 60);
	p.length += 4;
	CU_ASSERT_EQUAL(judge(), WEIR_DROP_AS(1));
	/* A first fragment with all headers, one without, and a later one. */
	ipv6("2001:db8::1", 44);
	extension(TCP, 0, 0, 1);
	tcp(1, 2, SYN);
	CU_ASSERT_EQUAL(judge(), WEIR_PASS);
	p.length -= 12;
	CU_ASSERT_EQUAL(judge(), WEIR_DROP_AS(5));
	ipv6("2001:db8::1", 44);
	extension(TCP, 0, 1, 0);
	CU_ASSERT_EQUAL(judge(), WEIR_PASS);
	CU_ASSERT_EQUAL(syn_from("198.51.100.1"), WEIR_PASS);
	unload();
}

static uint32_t quic(uint8_t first, uint32_t version, uint8_t destination, uint32_t bytes)
{
	uint8_t x[1400] = { first, (uint8_t)(version >> 24), (uint8_t)(version >> 16),
		(uint8_t)(version >> 8), (uint8_t)version, destination };

	return udp_with(40000, 443, x, bytes);
}

static void quic_check_lets_only_quic_in(void)
{
	load("quic_check", NULL);
	CU_ASSERT_EQUAL(quic(0xc0, 1, 8, 1200), WEIR_PASS);
	CU_ASSERT_EQUAL(quic(0xd0, 0x6b3343cf, 8, 1200), WEIR_PASS);
	CU_ASSERT_EQUAL(quic(0xc0, 1, 8, 1199), WEIR_DROP_AS(4));
	CU_ASSERT_EQUAL(quic(0xc0, 1, 7, 1200), WEIR_DROP_AS(3));
	CU_ASSERT_EQUAL(quic(0xc0, 1, 21, 1200), WEIR_DROP_AS(3));
	CU_ASSERT_EQUAL(quic(0xc0, 0xff00001d, 8, 1200), WEIR_DROP_AS(2));
	CU_ASSERT_EQUAL(quic(0xc0, 0, 8, 1200), WEIR_DROP_AS(5));
	CU_ASSERT_EQUAL(quic(0x80, 1, 8, 1200), WEIR_DROP_AS(1));
	/* Handshake: short is well. Retry: only servers send it. */
	CU_ASSERT_EQUAL(quic(0xe0, 1, 0, 100), WEIR_PASS);
	CU_ASSERT_EQUAL(quic(0xf0, 1, 8, 100), WEIR_DROP_AS(5));
	CU_ASSERT_EQUAL(quic(0xc0, 0x6b3343cf, 8, 1200), WEIR_DROP_AS(5));
	/* Established. */
	CU_ASSERT_EQUAL(quic(0x40, 0, 0, 40), WEIR_PASS);
	CU_ASSERT_EQUAL(quic(0x00, 0, 0, 40), WEIR_DROP_AS(1));
	CU_ASSERT_EQUAL(quic(0x40, 0, 0, 3), WEIR_DROP_AS(1));
	CU_ASSERT_EQUAL(udp_with(40000, 444, "\0\0\0", 3), WEIR_PASS);
	unload();
}

static void payload_size_knows_what_is_usual(void)
{
	uint8_t zeroes[1400] = { 0 };

	load("payload_size", SETS("learn=1000", "rare=100"));
	for (unsigned int i = 0; i < 1000; i++)
		CU_ASSERT_EQUAL(udp_with(1, 2, zeroes, i % 10 ? 100 : 600), WEIR_PASS);
	for (unsigned int i = 0; i < 1000; i++)
		CU_ASSERT_EQUAL(udp_with(1, 2, zeroes, 1300), WEIR_LIMIT(1));
	CU_ASSERT_EQUAL(udp_with(1, 2, zeroes, 100), WEIR_PASS);
	CU_ASSERT_EQUAL(udp_with(1, 2, zeroes, 600), WEIR_PASS);
	unload();
}

/* A ClientHello with these extensions before that of the name. */
static uint32_t hello(const char *name, unsigned int extensions)
{
	uint8_t x[1024] = { 22, 3, 1, 0, 0, 1, 0, 0, 0, 3, 3 };
	uint32_t at = 43, n = (uint32_t)strlen(name);

	x[at++] = 32; /* session */
	at += 32;
	be16(x + at, 4);
	at += 2 + 4;
	x[at++] = 1; /* compression */
	at += 1;
	at += 2;
	for (unsigned int i = 0; i < extensions; i++) {
		be16(x + at, 10 + i);
		be16(x + at + 2, 3);
		at += 7;
	}
	be16(x + at, 0);
	be16(x + at + 2, n + 5);
	be16(x + at + 4, n + 3);
	be16(x + at + 7, n);
	memcpy(x + at + 9, name, n);
	at += 9 + n;
	ipv4("198.51.100.1", TCP);
	tcp(40000, 443, ACK);
	add(x, at);
	return judge();
}

static void name_put(const char *name, uint32_t pool)
{
	char key[64] = "";

	strcpy(key, name);
	CU_ASSERT_EQUAL(
		policy_map_update(policy_program_map(program, "names"), key, &pool, BPF_ANY, 0), 0);
}

static void tls_route_finds_the_name(void)
{
	load("tls_route", NULL);
	CU_ASSERT_EQUAL(hello("www.example.com", 0), WEIR_PASS);
	name_put("www.example.com", 2);
	name_put("*.example.org", 3);
	CU_ASSERT_EQUAL(hello("www.example.com", 0), WEIR_ROUTE(2));
	CU_ASSERT_EQUAL(hello("WWW.Example.COM", 5), WEIR_ROUTE(2));
	CU_ASSERT_EQUAL(hello("www.example.com", 15), WEIR_ROUTE(2));
	CU_ASSERT_EQUAL(hello("a.example.org", 3), WEIR_ROUTE(3));
	CU_ASSERT_EQUAL(hello("a.b.example.org", 3), WEIR_PASS);
	CU_ASSERT_EQUAL(hello("example.org", 3), WEIR_PASS);
	CU_ASSERT_EQUAL(hello("other.example.com", 3), WEIR_PASS);
	/* Cut off in the name. */
	hello("www.example.com", 2);
	p.length -= 4;
	CU_ASSERT_EQUAL(judge(), WEIR_PASS);
	CU_ASSERT_EQUAL(syn_from("198.51.100.1"), WEIR_PASS);
	unload();
	load("tls_route", SETS("limits=1"));
	name_put("www.example.com", 2);
	CU_ASSERT_EQUAL(hello("www.example.com", 0), WEIR_LIMIT(2));
	unload();
}

static const struct tap_case cases[] = {
	{ "source_limit limits each source", source_limit_limits_each_source },
	{ "source_limit takes prefixes for sources", source_limit_takes_prefixes_for_sources },
	{ "syn_guard prefers who completed a handshake",
		syn_guard_prefers_who_completed_a_handshake },
	{ "block_list takes the longest prefix", block_list_takes_the_longest_prefix },
	{ "region_classes sorts sources", region_classes_sort_sources },
	{ "amplification drops answers nobody asked for",
		amplification_drops_answers_nobody_asked_for },
	{ "ipv6_headers knows chains that nobody sends",
		ipv6_headers_knows_chains_that_nobody_sends },
	{ "quic_check lets only QUIC in", quic_check_lets_only_quic_in },
	{ "payload_size knows what is usual", payload_size_knows_what_is_usual },
	{ "tls_route finds the name", tls_route_finds_the_name },
};

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
		return 2;
	}
	folder = argv[1];
	return tap_run("shipped policies", cases, sizeof(cases) / sizeof(cases[0]));
}
