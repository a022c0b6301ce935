/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The XDP program, run by the kernel on made-up packets, with its maps filled by steering_sync(). Needs
 * root: a mount namespace with a bpffs of its own.
 */

#include "ebpf/kernel/steering.h"
#include "ebpf/kernel/steering_keys.h"
#include "tests/bpf/frame.h"
#include "tests/bpf/port.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define TCP  6
#define UDP  17
#define BOTH (STEERING_F_ADD | STEERING_F_REMOVE)

static struct port_world world;

static struct steering_service service(
	const char *to, uint8_t length, uint8_t protocol, uint16_t port)
{
	struct steering_service s = { .prefix_length = length, .protocol = protocol, .port = port };
	struct in_addr a;

	if (inet_pton(AF_INET6, to, s.address) != 1 && inet_pton(AF_INET, to, &a) == 1) {
		memset(s.address, 0, 10);
		s.address[10] = s.address[11] = 0xff;
		memcpy(s.address + 12, &a, 4);
	}
	return s;
}

static struct steering_source source(const char *to, uint8_t protocol, uint8_t block)
{
	struct steering_service s = service(to, 128, protocol, 0);
	struct steering_source a = { .protocol = protocol };

	memcpy(a.address, s.address, sizeof(a.address));
	a.blocks[block / 8] = (uint8_t)(1u << (block % 8));
	return a;
}

/* What the program does with the first `length` bytes of a frame. */
static int run(const struct frame *f, uint32_t length)
{
	uint8_t out[2048];
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = f->bytes, .data_size_in = length,
		.data_out = out, .data_size_out = sizeof(out));
	int rc = bpf_prog_test_run_opts(world.program, &opts);

	CU_ASSERT_EQUAL_FATAL(rc, 0);
	CU_ASSERT_EQUAL(opts.data_size_out, length);
	CU_ASSERT(memcmp(out, f->bytes, length) == 0);
	return (int)opts.retval;
}

#define TAKEN(f)  CU_ASSERT_EQUAL(run(&(f), (f).length), XDP_REDIRECT)
#define PASSED(f) CU_ASSERT_EQUAL(run(&(f), (f).length), XDP_PASS)

static int sync_to(const struct steering_service *s, size_t n, const struct steering_source *a,
	size_t m, unsigned int flags)
{
	char err[256] = "";
	int rc = steering_sync(world.directory, s, n, a, m, flags, err, sizeof(err));

	if (rc < 0)
		printf("# steering_sync: %s\n", err);
	return rc;
}

static void standard_setup(void)
{
	const struct steering_service services[] = {
		service("203.0.113.10", 128, TCP, 80),
		service("203.0.113.11", 128, UDP, 0),
		service("198.51.100.0", 120, TCP, 443),
		service("2001:db8::10", 128, TCP, 80),
		service("2001:db8:1::", 48, UDP, 53),
	};
	const struct steering_source sources[] = {
		source("10.0.0.1", TCP, 4),
		source("10.0.0.1", TCP, 200),
		source("2001:db8::1", TCP, 128),
	};

	CU_ASSERT_FATAL(sync_to(services, 5, sources, 3, BOTH) >= 0);
	CU_ASSERT_EQUAL_FATAL(sync_to(services, 5, sources, 3, BOTH), 0);
}

static struct frame ipv4_frame(const char *to, uint8_t protocol, uint16_t port)
{
	struct frame f = frame_start(0, 0x0800);

	frame_ipv4(&f, to, protocol, 0, 0);
	frame_ports(&f, 1234, port);
	return f;
}

static struct frame ipv6_frame(const char *to, uint8_t protocol, uint16_t port)
{
	struct frame f = frame_start(0, 0x86dd);

	frame_ipv6(&f, to, protocol);
	frame_ports(&f, 1234, port);
	return f;
}

static void services_packets_are_taken(void)
{
	standard_setup();
	struct frame f = ipv4_frame("203.0.113.10", TCP, 80);
	TAKEN(f);
	f = ipv4_frame("203.0.113.11", UDP, 80);
	TAKEN(f);
	f = ipv4_frame("198.51.100.77", TCP, 443);
	TAKEN(f);
	f = ipv6_frame("2001:db8::10", TCP, 80);
	TAKEN(f);
	f = ipv6_frame("2001:db8:1::9999", UDP, 53);
	TAKEN(f);
}

static void everything_else_passes(void)
{
	standard_setup();
	struct frame f = ipv4_frame("203.0.113.10", TCP, 81);
	PASSED(f);
	f = ipv4_frame("203.0.113.10", UDP, 80);
	PASSED(f);
	f = ipv4_frame("203.0.113.12", TCP, 80);
	PASSED(f);
	f = ipv4_frame("198.51.101.77", TCP, 443);
	PASSED(f);
	f = ipv6_frame("2001:db8::10", TCP, 22);
	PASSED(f);
	f = ipv6_frame("2001:db8:2::9999", UDP, 53);
	PASSED(f);
	f = ipv4_frame("203.0.113.10", 1, 80); /* ICMP */
	PASSED(f);
	f = ipv6_frame("2001:db8::10", 58, 80); /* ICMPv6 */
	PASSED(f);
	f = frame_start(0, 0x0806);
	frame_zeroes(&f, 46);
	PASSED(f);
	/* The mapped form of an IPv4 service inside IPv6 is another thing. */
	f = ipv4_frame("203.0.113.10", TCP, 80);
	f.bytes[12] = 0x86;
	f.bytes[13] = 0xdd;
	PASSED(f);
}

static void source_blocks_are_taken(void)
{
	standard_setup();
	struct frame f = ipv4_frame("10.0.0.1", TCP, 1024);
	TAKEN(f);
	f = ipv4_frame("10.0.0.1", TCP, 1279);
	TAKEN(f);
	f = ipv4_frame("10.0.0.1", TCP, 200 * 256 + 17);
	TAKEN(f);
	f = ipv6_frame("2001:db8::1", TCP, 0x8000);
	TAKEN(f);
	f = ipv4_frame("10.0.0.1", TCP, 1280);
	PASSED(f);
	f = ipv4_frame("10.0.0.1", TCP, 1023);
	PASSED(f);
	f = ipv4_frame("10.0.0.1", UDP, 1024);
	PASSED(f);
	f = ipv4_frame("10.0.0.2", TCP, 1024);
	PASSED(f);
	f = ipv4_frame("10.0.0.1", TCP, 0);
	PASSED(f);
}

static void tags_options_and_extensions_are_followed(void)
{
	standard_setup();
	for (unsigned int tags = 0; tags <= 3; tags++) {
		struct frame f = frame_start(tags, 0x0800);

		frame_ipv4(&f, "203.0.113.10", TCP, 4 * tags, 0);
		frame_ports(&f, 1234, 80);
		CU_ASSERT_EQUAL(run(&f, f.length), tags <= 2 ? XDP_REDIRECT : XDP_PASS);
	}
	struct frame f = frame_start(0, 0x0800);
	frame_ipv4(&f, "203.0.113.10", TCP, 40, 0);
	frame_ports(&f, 1234, 80);
	TAKEN(f);
	f = frame_start(1, 0x86dd);
	frame_ipv6(&f, "2001:db8::10", 0);
	frame_extension(&f, 60, 1); /* hop by hop */
	frame_extension(&f, 43, 5); /* destination options */
	frame_extension(&f, TCP, 2); /* routing, no segments left */
	frame_ports(&f, 1234, 80);
	TAKEN(f);
	f = frame_start(0, 0x86dd);
	frame_ipv6(&f, "2001:db8::10", 43);
	frame_extension(&f, TCP, 2);
	f.bytes[14 + 40 + 3] = 1; /* one segment left: to be forwarded by the kernel */
	frame_ports(&f, 1234, 80);
	PASSED(f);
	for (unsigned int headers = 8; headers <= 9; headers++) {
		f = frame_start(0, 0x86dd);
		frame_ipv6(&f, "2001:db8::10", 60);
		for (unsigned int i = 0; i < headers; i++)
			frame_extension(&f, i + 1 < headers ? 60 : TCP, 0);
		frame_ports(&f, 1234, 80);
		CU_ASSERT_EQUAL(run(&f, f.length), headers <= 8 ? XDP_REDIRECT : XDP_PASS);
	}
}

static void fragments_of_a_service_are_taken(void)
{
	static const unsigned int fields[] = { 0x2000, 0x2010, 0x0010 };
	standard_setup();
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		struct frame f = frame_start(0, 0x0800);
		frame_ipv4(&f, "203.0.113.10", TCP, 0, fields[i]);
		frame_ports(&f, 1234, 80);
		TAKEN(f);
		f = frame_start(0, 0x0800);
		frame_ipv4(&f, "198.51.100.3", TCP, 0, fields[i]);
		frame_ports(&f, 1234, 443);
		TAKEN(f);
		f = frame_start(0, 0x0800);
		frame_ipv4(&f, "203.0.113.10", UDP, 0, fields[i]);
		frame_ports(&f, 1234, 80);
		PASSED(f);
		f = frame_start(0, 0x0800);
		frame_ipv4(&f, "10.0.0.1", TCP, 0, fields[i]);
		frame_ports(&f, 1234, 1024);
		TAKEN(f);
		f = frame_start(0, 0x0800);
		frame_ipv4(&f, "10.0.0.1", UDP, 0, fields[i]);
		frame_ports(&f, 1234, 1024);
		PASSED(f);
	}
	struct frame f = frame_start(0, 0x86dd);
	frame_ipv6(&f, "2001:db8::10", 44);
	frame_extension(&f, TCP, 0);
	frame_ports(&f, 1234, 9999);
	f.bytes[14 + 40 + 3] = 8; /* a later one, of whatever port */
	TAKEN(f);
	f.bytes[14 + 40 + 3] = 1; /* the first one */
	PASSED(f);
	f.bytes[14 + 40 + 3] = 0; /* a whole datagram with a fragment header: its port counts */
	PASSED(f);
	f.bytes[14 + 48 + 2] = 0;
	f.bytes[14 + 48 + 3] = 80;
	TAKEN(f);
	/* Don't-fragment alone is no fragment. */
	f = frame_start(0, 0x0800);
	frame_ipv4(&f, "203.0.113.10", TCP, 0, 0x4000);
	frame_ports(&f, 1234, 81);
	PASSED(f);
}

static struct frame fragment_of(const char *to, unsigned int field, uint8_t id, uint16_t port)
{
	struct frame f = frame_start(0, 0x0800);

	frame_ipv4(&f, to, TCP, 0, field);
	f.bytes[14 + 5] = id;
	frame_ports(&f, 1234, port);
	return f;
}

/* The kernel's first fragment, on an address that it shares with Weir, decides for those after it. */
static void fragments_follow_their_first(void)
{
	static const char *const shared[] = { "203.0.113.10", "10.0.0.1" };
	static const uint16_t ours[] = { 80, 1030 };

	standard_setup();
	for (size_t i = 0; i < 2; i++) {
		struct frame f = fragment_of(shared[i], 0x0010, 7, 0);
		TAKEN(f); /* nobody knows yet */
		f = fragment_of(shared[i], 0x2000, 7, 22);
		PASSED(f);
		f = fragment_of(shared[i], 0x2010, 7, ours[i]);
		PASSED(f);
		f = fragment_of(shared[i], 0x0020, 7, ours[i]);
		PASSED(f);
		f = fragment_of(shared[i], 0x0020, 8, 22);
		TAKEN(f);
		/* The same identification again, for Weir. */
		f = fragment_of(shared[i], 0x2000, 7, ours[i]);
		TAKEN(f);
		f = fragment_of(shared[i], 0x0020, 7, 22);
		TAKEN(f);
	}
	struct frame f = frame_start(0, 0x86dd);
	frame_ipv6(&f, "2001:db8::1", 44);
	frame_extension(&f, TCP, 0);
	frame_ports(&f, 1234, 22);
	f.bytes[14 + 40 + 7] = 9;
	f.bytes[14 + 40 + 3] = 8;
	TAKEN(f);
	f.bytes[14 + 40 + 3] = 1;
	PASSED(f);
	f.bytes[14 + 40 + 3] = 8;
	PASSED(f);
}

/* An ICMP error to an address about a packet from `from`, port `sport`. */
static struct frame error4(const char *to, uint8_t type, const char *from, uint8_t protocol,
	uint16_t sport, unsigned int fragment)
{
	struct frame f = frame_start(0, 0x0800);
	struct in_addr a;

	inet_pton(AF_INET, from, &a);
	frame_ipv4(&f, to, 1, 0, 0);
	frame_add8(&f, type);
	frame_zeroes(&f, 7);
	frame_ipv4(&f, "198.51.100.1", protocol, 4, fragment);
	memcpy(f.bytes + f.length - 12, &a, 4); /* source, destination, 4 bytes of options */
	frame_add16(&f, sport);
	frame_add16(&f, 40000);
	frame_zeroes(&f, 4);
	return f;
}

static void errors_about_flows_are_taken(void)
{
	standard_setup();
	static const uint8_t types[] = { 3, 11, 12 };
	struct frame f;

	for (size_t i = 0; i < sizeof(types); i++) {
		f = error4("203.0.113.10", types[i], "203.0.113.10", TCP, 80, 0);
		TAKEN(f);
		f = error4("10.0.0.1", types[i], "10.0.0.1", TCP, 1030, 0x2000);
		TAKEN(f);
	}
	for (uint32_t n = 14; n <= f.length; n++)
		CU_ASSERT_EQUAL(run(&f, n), n == f.length ? XDP_REDIRECT : XDP_PASS);
	f = error4("203.0.113.10", 3, "203.0.113.10", TCP, 81, 0);
	PASSED(f);
	f = error4("203.0.113.10", 3, "203.0.113.10", UDP, 80, 0);
	PASSED(f);
	f = error4("203.0.113.10", 3, "203.0.113.10", 1, 80, 0);
	PASSED(f);
	f = error4("203.0.113.10", 3, "203.0.113.10", TCP, 80, 0x0010);
	PASSED(f);
	f = error4("203.0.113.10", 3, "10.0.0.1", TCP, 1030, 0); /* sent to somebody else */
	PASSED(f);
	f = error4("203.0.113.10", 8, "203.0.113.10", TCP, 80, 0);
	PASSED(f);
	f = error4("10.0.0.1", 3, "10.0.0.1", TCP, 22, 0);
	PASSED(f);
}

/* extension: 0, or the type of one of 8 bytes before the quoted TCP header. */
static struct frame error6(const char *to, uint8_t type, const char *from, uint8_t extension)
{
	struct frame f = frame_start(0, 0x86dd);
	struct in6_addr a;

	inet_pton(AF_INET6, from, &a);
	frame_ipv6(&f, to, 58);
	frame_add8(&f, type);
	frame_zeroes(&f, 7);
	frame_ipv6(&f, "2001:db8:77::1", extension ? extension : TCP);
	memcpy(f.bytes + f.length - 32, &a, 16);
	if (extension)
		frame_extension(&f, TCP, 0);
	frame_add16(&f, 80);
	frame_add16(&f, 40000);
	frame_zeroes(&f, 4);
	return f;
}

static void errors_about_flows_are_taken6(void)
{
	standard_setup();
	for (unsigned int type = 0; type <= 5; type++) {
		struct frame f = error6("2001:db8::10", (uint8_t)type, "2001:db8::10", 0);
		CU_ASSERT_EQUAL(
			run(&f, f.length), type >= 1 && type <= 4 ? XDP_REDIRECT : XDP_PASS);
	}
	struct frame f = error6("2001:db8::10", 2, "2001:db8::10", 60);
	TAKEN(f);
	f = error6("2001:db8::10", 2, "2001:db8::10", 44);
	TAKEN(f);
	f.bytes[14 + 40 + 8 + 40 + 3] = 8; /* quotes a later fragment */
	PASSED(f);
	f = error6("2001:db8::10", 2, "2001:db8::11", 0);
	PASSED(f);
	f = error6("2001:db8::11", 2, "2001:db8::11", 0);
	PASSED(f);
}

static void truncated_frames_are_judged_by_what_is_there(void)
{
	standard_setup();
	struct frame f = ipv4_frame("203.0.113.10", TCP, 80);
	for (uint32_t n = 14; n <= f.length; n++)
		CU_ASSERT_EQUAL(run(&f, n), n >= 14 + 20 + 4 ? XDP_REDIRECT : XDP_PASS);
	f = ipv4_frame("203.0.113.11", UDP, 80); /* any port: certain without it */
	for (uint32_t n = 14; n <= f.length; n++)
		CU_ASSERT_EQUAL(run(&f, n), n >= 14 + 20 ? XDP_REDIRECT : XDP_PASS);
	f = ipv6_frame("2001:db8::10", TCP, 80);
	for (uint32_t n = 14; n <= f.length; n++)
		CU_ASSERT_EQUAL(run(&f, n), n >= 14 + 40 + 4 ? XDP_REDIRECT : XDP_PASS);
	f = frame_start(2, 0x0800);
	frame_ipv4(&f, "203.0.113.10", TCP, 40, 0);
	frame_ports(&f, 1234, 80);
	for (uint32_t n = 14; n <= f.length; n++)
		CU_ASSERT_EQUAL(run(&f, n), n >= 22 + 60 + 4 ? XDP_REDIRECT : XDP_PASS);
}

static void wrong_versions_and_lengths_pass(void)
{
	standard_setup();
	struct frame f = ipv4_frame("203.0.113.10", TCP, 80);
	f.bytes[14] = 0x65;
	PASSED(f);
	f.bytes[14] = 0x44;
	PASSED(f);
	f = ipv6_frame("2001:db8::10", TCP, 80);
	f.bytes[14] = 0x40;
	PASSED(f);
}

static void frames_for_other_stations_pass(void)
{
	standard_setup();
	struct steering_port port = { .check_mac = 1 };
	const uint32_t zero = 0;
	int fd = bpf_object__find_map_fd_by_name(world.object, STEERING_MAP_PORT);

	memcpy(port.mac, frame_mac, 6);
	CU_ASSERT_EQUAL(bpf_map_update_elem(fd, &zero, &port, BPF_ANY), 0);
	struct frame f = ipv4_frame("203.0.113.10", TCP, 80);
	TAKEN(f);
	f.bytes[5] ^= 1;
	PASSED(f);
	port.check_mac = 0;
	CU_ASSERT_EQUAL(bpf_map_update_elem(fd, &zero, &port, BPF_ANY), 0);
	TAKEN(f);
	f.bytes[0] |= 1; /* group address */
	PASSED(f);
}

/* The host's stack would answer a service's packet with a reset; its own packets still reach it. */
static void without_a_socket_services_are_silent(void)
{
	struct frame f = ipv4_frame("203.0.113.10", TCP, 80);
	struct frame ping = ipv4_frame("203.0.113.10", 1, 80);
	const uint32_t queue = 0;
	int fd = bpf_object__find_map_fd_by_name(world.object, STEERING_MAP_SOCKETS);
	int socket_fd = socket(AF_XDP, SOCK_RAW, 0);

	standard_setup();
	CU_ASSERT_FATAL(socket_fd >= 0);
	TAKEN(f);
	CU_ASSERT_EQUAL(bpf_map_delete_elem(fd, &queue), 0);
	CU_ASSERT_EQUAL(run(&f, f.length), XDP_DROP);
	PASSED(ping);
	CU_ASSERT_EQUAL(bpf_map_update_elem(fd, &queue, &socket_fd, BPF_ANY), 0);
	TAKEN(f);
}

static void sync_changes_only_what_differs(void)
{
	const struct steering_service one[] = { service("203.0.113.10", 128, TCP, 80) };
	const struct steering_service two[] = {
		service("203.0.113.10", 128, TCP, 443),
		service("203.0.113.10", 128, TCP, 80),
	};
	struct frame f = ipv4_frame("203.0.113.10", TCP, 80);
	struct frame g = ipv4_frame("203.0.113.10", TCP, 443);

	CU_ASSERT_FATAL(sync_to(NULL, 0, NULL, 0, BOTH) >= 0);
	PASSED(f);
	CU_ASSERT_EQUAL(sync_to(one, 1, NULL, 0, STEERING_F_REMOVE), 0);
	PASSED(f);
	CU_ASSERT_EQUAL(sync_to(one, 1, NULL, 0, STEERING_F_ADD), 2);
	TAKEN(f);
	CU_ASSERT_EQUAL(sync_to(two, 2, NULL, 0, BOTH), 1);
	TAKEN(f);
	TAKEN(g);
	CU_ASSERT_EQUAL(sync_to(one, 1, NULL, 0, STEERING_F_ADD), 0);
	TAKEN(g);
	CU_ASSERT_EQUAL(sync_to(one, 1, NULL, 0, STEERING_F_REMOVE), 1);
	PASSED(g);
	TAKEN(f);
	CU_ASSERT_EQUAL(sync_to(NULL, 0, NULL, 0, BOTH), 2);
	PASSED(f);
}

static void sync_moves_blocks_bit_by_bit(void)
{
	const struct steering_source before[] = { source("10.0.0.1", TCP, 10),
		source("10.0.0.1", TCP, 11) };
	const struct steering_source after[] = { source("10.0.0.1", TCP, 11),
		source("10.0.0.1", TCP, 12) };
	struct frame ten = ipv4_frame("10.0.0.1", TCP, 10 * 256);
	struct frame eleven = ipv4_frame("10.0.0.1", TCP, 11 * 256);
	struct frame twelve = ipv4_frame("10.0.0.1", TCP, 12 * 256);

	CU_ASSERT_FATAL(sync_to(NULL, 0, before, 2, BOTH) >= 0);
	CU_ASSERT_EQUAL(sync_to(NULL, 0, after, 2, STEERING_F_REMOVE), 1);
	PASSED(ten);
	TAKEN(eleven);
	PASSED(twelve);
	CU_ASSERT_EQUAL(sync_to(NULL, 0, after, 2, BOTH), 1);
	TAKEN(twelve);
	CU_ASSERT_EQUAL(sync_to(NULL, 0, before, 2, STEERING_F_ADD), 1);
	TAKEN(ten);
	TAKEN(twelve);
	CU_ASSERT_EQUAL(sync_to(NULL, 0, before, 2, BOTH), 1);
	PASSED(twelve);
	CU_ASSERT_EQUAL(sync_to(NULL, 0, NULL, 0, STEERING_F_REMOVE), 1);
	PASSED(eleven);
}

static void errors_say_what_is_wrong(void)
{
	char err[256] = "";
	char path[64];

	CU_ASSERT_EQUAL(
		steering_sync("/nonexistent", NULL, 0, NULL, 0, BOTH, err, sizeof(err)), -ENOENT);
	CU_ASSERT_PTR_NOT_NULL(strstr(err, "/nonexistent"));
	static struct steering_service many[STEERING_MAX_SERVICES];
	for (uint32_t i = 0; i < STEERING_MAX_SERVICES; i++)
		many[i] = service("203.0.113.10", 128, TCP, (uint16_t)(i + 1));
	CU_ASSERT_EQUAL(sync_to(many, STEERING_MAX_SERVICES, NULL, 0, BOTH), -E2BIG);
	CU_ASSERT(sync_to(NULL, 0, NULL, 0, BOTH) > 0);
	CU_ASSERT_EQUAL(steering_path("/run/weir/a", "eth0.7", path, sizeof(path)), 0);
	CU_ASSERT_STRING_EQUAL(path, "/run/weir/a/bpf/eth0+2e7");
	CU_ASSERT_EQUAL(steering_path("/run/weir/a", "eth0.7", path, 20), -ENAMETOOLONG);
}

static void counters_count(void)
{
	struct steering_counters before;
	struct steering_counters after;
	struct frame taken = ipv4_frame("203.0.113.10", TCP, 80);
	struct frame passed = ipv4_frame("203.0.113.10", TCP, 81);

	standard_setup();
	CU_ASSERT_EQUAL_FATAL(steering_counters_read(world.directory, &before), 0);
	TAKEN(taken);
	TAKEN(taken);
	PASSED(passed);
	CU_ASSERT_EQUAL_FATAL(steering_counters_read(world.directory, &after), 0);
	CU_ASSERT_EQUAL(after.redirected_packets - before.redirected_packets, 2);
	CU_ASSERT_EQUAL(after.redirected_bytes - before.redirected_bytes, 2 * taken.length);
	CU_ASSERT_EQUAL(after.passed_packets - before.passed_packets, 1);
	CU_ASSERT_EQUAL(after.passed_bytes - before.passed_bytes, passed.length);
}

static const struct tap_case cases[] = {
	{ "packets to services are taken", services_packets_are_taken },
	{ "everything else passes to the kernel", everything_else_passes },
	{ "TCP and UDP to our port blocks of a source address are taken", source_blocks_are_taken },
	{ "tags, options and extension headers are followed, as far as parse follows them",
		tags_options_and_extensions_are_followed },
	{ "fragments are taken where a service has address and protocol",
		fragments_of_a_service_are_taken },
	{ "fragments follow their first one, the kernel's too", fragments_follow_their_first },
	{ "ICMP errors about packets of ours are taken", errors_about_flows_are_taken },
	{ "ICMPv6 errors about packets of ours are taken", errors_about_flows_are_taken6 },
	{ "truncated frames are judged by what is there",
		truncated_frames_are_judged_by_what_is_there },
	{ "wrong versions and header lengths pass", wrong_versions_and_lengths_pass },
	{ "frames for other stations pass", frames_for_other_stations_pass },
	{ "without a socket a service's packets are dropped, the host's pass",
		without_a_socket_services_are_silent },
	{ "a sync changes only what differs", sync_changes_only_what_differs },
	{ "a sync moves port blocks bit by bit", sync_moves_blocks_bit_by_bit },
	{ "errors say what is wrong", errors_say_what_is_wrong },
	{ "counters count", counters_count },
};

int main(void)
{
	return port_world_run(
		&world, "front.7", NULL, "xdp steering", cases, sizeof(cases) / sizeof(cases[0]));
}
