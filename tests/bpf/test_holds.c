/* SPDX-License-Identifier: BSD-3-Clause */

/* Early drops by the XDP program, run by the kernel on made-up packets. Needs root. */

#include "ebpf/kernel/steering.h"
#include "ebpf/kernel/steering_keys.h"
#include "tests/bpf/frame.h"
#include "tests/bpf/port.h"

#include <bpf/bpf.h>
#include <linux/bpf.h>

#include <stdio.h>
#include <sys/mman.h>
#include <time.h>

#define TCP 6
#define UDP 17

static struct port_world world;
static struct steering_hold *holds;

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void address_of(const char *text, uint8_t ret_address[16])
{
	memset(ret_address, 0, 10);
	memset(ret_address + 10, 0xff, 2);
	if (inet_pton(AF_INET, text, ret_address + 12) != 1)
		inet_pton(AF_INET6, text, ret_address);
}

static bool prepare(void)
{
	struct steering_service s[] = {
		{ .prefix_length = 128, .protocol = UDP, .port = 53 },
		{ .prefix_length = 128, .protocol = TCP, .port = 80 },
		{ .prefix_length = 128, .protocol = UDP, .port = 53 },
	};
	const int fd = bpf_object__find_map_fd_by_name(world.object, STEERING_MAP_HOLDS);
	void *at = mmap(
		NULL, STEERING_HOLDS * sizeof(*holds), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	address_of("203.0.113.10", s[0].address);
	address_of("203.0.113.10", s[1].address);
	address_of("2001:db8::10", s[2].address);
	if (at == MAP_FAILED)
		return false;
	holds = at;
	return steering_sync(world.directory, s, 3, NULL, 0, STEERING_F_ADD, NULL, 0) >= 0;
}

/* Hold a service as the data plane does. */
static struct steering_hold *hold(
	const char *address, uint8_t protocol, uint16_t port, uint32_t pass, uint64_t until)
{
	struct steering_service_key key = { .protocol = protocol, .port = port };

	address_of(address, key.address);
	struct steering_hold *h = &holds[steering_hold_place(&key)];

	h->key = key;
	h->pass = pass;
	h->until = until;
	holds[0].until = until;
	return h;
}

static int run_times(const struct frame *f, uint32_t times)
{
	uint8_t out[2048];
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = f->bytes, .data_size_in = f->length,
		.data_out = out, .data_size_out = sizeof(out), .repeat = (int)times);

	CU_ASSERT_EQUAL_FATAL(bpf_prog_test_run_opts(world.program, &opts), 0);
	if (times > 1)
		printf("# %u ns a packet\n", opts.duration);
	return (int)opts.retval;
}

static int run(const struct frame *f)
{
	return run_times(f, 1);
}

static struct frame datagram(const char *to, uint8_t protocol, uint16_t port, unsigned int tags,
	unsigned int options, unsigned int fragment)
{
	struct frame f = frame_start(tags, 0x0800);

	frame_ipv4(&f, to, protocol, options, fragment);
	frame_ports(&f, 1234, port);
	return f;
}

static void only_the_held_one(void)
{
	const struct frame held = datagram("203.0.113.10", UDP, 53, 0, 0, 0);
	const struct frame other = datagram("203.0.113.10", TCP, 80, 0, 0, 0);
	struct steering_hold *h = hold("203.0.113.10", UDP, 53, 0, now_ns() + 1000000000000);
	const uint64_t packets = h->packets, bytes = h->bytes;

	CU_ASSERT_EQUAL(run(&held), XDP_DROP);
	CU_ASSERT_EQUAL(run(&other), XDP_REDIRECT);
	CU_ASSERT_EQUAL(h->packets - packets, 1);
	CU_ASSERT_EQUAL(h->bytes - bytes, held.length);
	h = hold("2001:db8::10", UDP, 53, 0, now_ns() + 1000000000000);
	struct frame six = frame_start(0, 0x86dd);

	frame_ipv6(&six, "2001:db8::10", UDP);
	frame_ports(&six, 1234, 53);
	CU_ASSERT_EQUAL(run(&six), XDP_DROP);
}

/* What a closer look may be needed for stays, as it does in the data plane. */
static void only_plain_packets(void)
{
	const struct frame tagged = datagram("203.0.113.10", UDP, 53, 1, 0, 0);
	const struct frame options = datagram("203.0.113.10", UDP, 53, 0, 8, 0);
	const struct frame fragment = datagram("203.0.113.10", UDP, 53, 0, 0, 0x2000);

	hold("203.0.113.10", UDP, 53, 0, now_ns() + 1000000000000);
	CU_ASSERT_EQUAL(run(&tagged), XDP_REDIRECT);
	CU_ASSERT_EQUAL(run(&options), XDP_REDIRECT);
	CU_ASSERT_EQUAL(run(&fragment), XDP_REDIRECT);
}

/* Whoever said so is gone. */
static void it_ends_by_itself(void)
{
	const struct frame f = datagram("203.0.113.10", UDP, 53, 0, 0, 0);
	const uint64_t until = now_ns() + 100000000;

	hold("203.0.113.10", UDP, 53, 0, until);
	CU_ASSERT_EQUAL(run(&f), XDP_DROP);
	while (now_ns() < until)
		;
	CU_ASSERT_EQUAL(run(&f), XDP_REDIRECT);
	/* One is held, and the next key with the same place is not it. */
	struct steering_hold *h = hold("203.0.113.10", UDP, 53, 0, now_ns() + 1000000000000);

	h->key.port = 54;
	CU_ASSERT_EQUAL(run(&f), XDP_REDIRECT);
}

static void by_share(void)
{
	const struct frame f = datagram("203.0.113.10", UDP, 53, 0, 0, 0);
	struct steering_hold *h =
		hold("203.0.113.10", UDP, 53, UINT32_C(1) << 30, now_ns() + 1000000000000);
	const uint64_t packets = h->packets;

	run_times(&f, 100000);
	printf("# %llu of 100000 dropped\n", (unsigned long long)(h->packets - packets));
	CU_ASSERT(h->packets - packets > 74000 && h->packets - packets < 76000);
}

static void what_it_costs(void)
{
	const struct frame f = datagram("203.0.113.10", UDP, 53, 0, 0, 0);

	hold("203.0.113.10", UDP, 53, 0, 0);
	CU_ASSERT_EQUAL(run_times(&f, 1000000), XDP_REDIRECT);
	hold("203.0.113.11", UDP, 53, 0, now_ns() + 1000000000000);
	CU_ASSERT_EQUAL(run_times(&f, 1000000), XDP_REDIRECT);
	hold("203.0.113.10", UDP, 53, 0, now_ns() + 1000000000000);
	CU_ASSERT_EQUAL(run_times(&f, 1000000), XDP_DROP);
	holds[0].until = 0;
}

static const struct tap_case cases[] = {
	{ "only packets of the service that is held are dropped, and counted", only_the_held_one },
	{ "tags, options and fragments are never dropped early", only_plain_packets },
	{ "it ends by itself, and holds no other service", it_ends_by_itself },
	{ "a share of the packets stays", by_share },
	{ "nobody held, another one held, dropped: times of each", what_it_costs },
};

int main(void)
{
	return port_world_run(
		&world, "front", prepare, "holds", cases, sizeof(cases) / sizeof(cases[0]));
}
