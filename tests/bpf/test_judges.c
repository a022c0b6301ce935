/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Policies in the kernel: which can be there, and what becomes of made-up packets that the port's program has
 * them judge. Needs root: a mount namespace with a bpffs of its own.
 *
 *	test_judges OBJECT...
 */

#include "ebpf/engine/object.h"
#include "ebpf/engine/offload.h"
#include "ebpf/engine/program.h"
#include "ebpf/kernel/judges.h"
#include "ebpf/kernel/steering.h"
#include "ebpf/kernel/steering_keys.h"
#include "tests/bpf/frame.h"
#include "tests/bpf/port.h"

#include <weir/policy_abi.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define TCP  6
#define UDP  17
#define BOTH (STEERING_F_ADD | STEERING_F_REMOVE)
#define ID   UINT64_C(0x1234567890abcdef)

static struct port_world world;
static struct steering_judge *judge; /* the port's */
static char *const *objects;
static int object_count;

/* A policy with the arrays that both sides share. */
struct shared {
	struct policy_image *image;
	int fds[POLICY_MAX_MAPS];
};

static struct policy_image *image_read(const char *name)
{
	char err[512], file[64];
	struct policy_image *image;

	snprintf(file, sizeof(file), "/%s.o", name);
	for (int i = 0; i < object_count; i++) {
		if (!strstr(objects[i], file))
			continue;
		CU_ASSERT_EQUAL_FATAL(policy_object_read(objects[i], &image, err, sizeof(err)), 0);
		return image;
	}
	CU_FAIL_FATAL("there is no such object");
	return NULL;
}

static struct shared shared_open(const char *name, const char *set)
{
	struct shared s = { .image = image_read(name) };
	char why[POLICY_OFFLOAD_WHY];

	if (set)
		CU_ASSERT_EQUAL_FATAL(policy_image_set(s.image, set, why, sizeof(why)), 0);
	CU_ASSERT_EQUAL_FATAL(policy_offload_maps(s.image, s.fds, why, sizeof(why)), 0);
	return s;
}

static void shared_close(struct shared *s)
{
	for (uint32_t i = 0; i < s->image->map_count; i++)
		close(s->fds[i]);
	free(s->image);
}

static struct judge_want want(uint64_t id, const char *to, uint8_t protocol, uint16_t port)
{
	struct judge_want w = { .protocol = protocol,
		.port = port,
		.prefix_length = 128,
		.id = id,
		.chain = steering_chain(0, id) };
	struct in_addr a;

	if (inet_pton(AF_INET6, to, w.address) != 1) {
		inet_pton(AF_INET, to, &a);
		memset(w.address, 0, 16);
		w.address[10] = w.address[11] = 0xff;
		memcpy(w.address + 12, &a, 4);
	}
	return w;
}

/* Behind another policy of the same service. */
static struct judge_want behind(const struct judge_want *first, uint64_t id)
{
	struct judge_want w = *first;

	w.before = first->id;
	w.id = id;
	w.chain = steering_chain(first->chain, id);
	return w;
}

static void add(struct judges *j, const struct judge_want *w, const struct shared *s)
{
	char why[POLICY_OFFLOAD_WHY] = "";

	if (!w->id || judges_has(j, w))
		return;
	int program = policy_offload_load(
		s->image, s->fds, judges_packet_fd(j), judges_programs_fd(j), why, sizeof(why));

	if (program < 0)
		printf("# %s\n", why);
	CU_ASSERT_FATAL(program >= 0);
	CU_ASSERT_EQUAL(judges_add(j, w, program), 0);
	CU_ASSERT_TRUE(judges_has(j, w));
	close(program);
}

/* policies: of each want */
static void sync_to(
	const struct judge_want *w, const struct shared *policies, size_t count, unsigned int flags)
{
	struct judges *j;

	CU_ASSERT_EQUAL_FATAL(judges_open(world.directory, &j), 0);
	if (flags & STEERING_F_REMOVE)
		CU_ASSERT_EQUAL(judges_keep(j, w, count), 0);
	if (flags & STEERING_F_ADD)
		CU_ASSERT_EQUAL(judges_settle(j, w, count), 0);
	for (size_t i = 0; flags & STEERING_F_ADD && i < count; i++)
		add(j, &w[i], &policies[i]);
	judges_close(j);
}

/* Everything that is asked for goes to a service. */
static void steer(void)
{
	struct steering_service s[] = {
		{ .prefix_length = 128, .protocol = TCP, .port = 80 },
		{ .prefix_length = 128, .protocol = UDP, .port = 53 },
	};
	char err[256];

	for (unsigned int i = 0; i < 2; i++) {
		struct judge_want w = want(0, "203.0.113.10", TCP, 80);

		memcpy(s[i].address, w.address, 16);
	}
	CU_ASSERT_FATAL(steering_sync(world.directory, s, 2, NULL, 0, BOTH, err, sizeof(err)) >= 0);
}

static struct frame udp(uint16_t from, uint8_t last)
{
	struct frame f = frame_start(0, 0x0800);

	frame_ipv4(&f, "203.0.113.10", UDP, 0, 0);
	frame_ports(&f, from, 53);
	f.bytes[29] = last; /* of the source */
	f.bytes[34 + 5] = 20; /* UDP's length */
	uint32_t sum = 0;

	for (unsigned int i = 14; i < 34; i += 2)
		sum += (uint32_t)f.bytes[i] << 8 | f.bytes[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = ~((sum & 0xffff) + (sum >> 16));
	f.bytes[24] = (uint8_t)(sum >> 8);
	f.bytes[25] = (uint8_t)sum;
	return f;
}

/* What the port does with a frame; its metadata, or zeroes. */
static int run(const struct frame *f, struct steering_meta *ret_meta)
{
	uint8_t out[2048];
	struct xdp_md md = { .data_end = f->length };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = f->bytes, .data_size_in = f->length,
		.data_out = out, .data_size_out = sizeof(out), .ctx_in = &md,
		.ctx_size_in = sizeof(md), .ctx_out = &md, .ctx_size_out = sizeof(md));

	*ret_meta = (struct steering_meta){ 0 };
	CU_ASSERT_EQUAL_FATAL(bpf_prog_test_run_opts(world.program, &opts), 0);
	uint32_t meta = md.data - md.data_meta;

	CU_ASSERT_EQUAL(opts.data_size_out - meta, f->length);
	CU_ASSERT(memcmp(out + meta, f->bytes, f->length) == 0);
	if (meta == sizeof(*ret_meta))
		memcpy(ret_meta, out, meta);
	else
		CU_ASSERT_EQUAL(meta, 0);
	return (int)opts.retval;
}

static uint32_t index_of(uint64_t id)
{
	for (uint32_t i = 1; i < STEERING_MAX_JUDGES; i++)
		if (judge[i].id == id)
			return i;
	CU_FAIL_FATAL("no such judge");
	return 0;
}

static uint64_t seal_by(const struct frame *f, uint64_t chain)
{
	uint64_t l4;
	uint32_t saddr;

	memcpy(&l4, f->bytes + 34, 8);
	memcpy(&saddr, f->bytes + 26, 4);
	return steering_seal(chain, l4, saddr, f->length);
}

static uint64_t seal_of(const struct frame *f)
{
	return seal_by(f, ID);
}

static void expect_tried(const char *name, const char *words)
{
	struct policy_image *image = image_read(name);
	char text[POLICY_OFFLOAD_WHY];
	uint32_t cycles;
	int rc = policy_offload_try(image, &cycles, text, sizeof(text));

	if (rc != (*words ? -EINVAL : 0) || !strstr(text, words))
		printf("# %s: %d, %s\n", name, rc, text);
	CU_ASSERT_EQUAL(rc, *words ? -EINVAL : 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, words));
	CU_ASSERT_EQUAL(rc == 0, cycles > 0 && cycles < 1000000);
	free(image);
}

static void what_shares_nothing_else_can_be_there(void)
{
	expect_tried("amplification", "");
	expect_tried("ipv6_headers", "");
	expect_tried("shared_limit", "");
	expect_tried("chosen", "");
	expect_tried("block_list", "");
	expect_tried("region_classes", "");
	expect_tried("tls_route", ""); /* a hash that it only reads */
	expect_tried("quic_check", "");
	expect_tried("syn_guard", "(lru_hash) is the fast path's own");
	expect_tried("own_list", "it changes a hash or prefix list itself");
	expect_tried("own_value", "it changes a hash or prefix list itself");
	expect_tried("payload_size", "(percpu_array) is the fast path's own");
	expect_tried("source_limit", "(lru_hash) is the fast path's own");
	expect_tried("new_flow", "whether a flow is new");
	expect_tried("narrow_exchange", "32-bit compare-and-exchange");
	expect_tried("flow_hash", "flow_hash, service_id or port_id");
}

static void what_is_dropped_is_counted_by_reason(void)
{
	struct shared s = shared_open("amplification", NULL);
	struct judge_want w = want(ID, "203.0.113.10", UDP, 53);
	struct frame ntp = udp(123, 1), ssdp = udp(1900, 1), other = udp(40000, 1);
	struct steering_meta m;

	ntp.bytes[42] = 0x26; /* mode 6 */
	steer();
	sync_to(&w, &s, 1, BOTH);
	uint32_t at = index_of(ID);
	uint64_t packets = judge[at].packets, bytes = judge[at].bytes;

	CU_ASSERT_EQUAL(run(&ntp, &m), XDP_DROP);
	CU_ASSERT_EQUAL(run(&ssdp, &m), XDP_DROP);
	CU_ASSERT_EQUAL(run(&ssdp, &m), XDP_DROP);
	CU_ASSERT_EQUAL(judge[at].packets - packets, 3);
	CU_ASSERT_EQUAL(judge[at].bytes - bytes, 3 * ntp.length);
	CU_ASSERT_EQUAL(judge[at].reasons[2], 1);
	CU_ASSERT_EQUAL(judge[at].reasons[3], 2);
	CU_ASSERT_EQUAL(run(&other, &m), XDP_REDIRECT);
	CU_ASSERT_EQUAL(judge[at].packets - packets, 3);
	sync_to(NULL, NULL, 0, BOTH);
	CU_ASSERT_EQUAL(run(&ntp, &m), XDP_REDIRECT);
	CU_ASSERT_EQUAL(m.magic, 0);
	shared_close(&s);
}

static void verdicts_go_on_in_front_of_the_packet(void)
{
	struct shared s = shared_open("chosen", "verdict=0x703"); /* LIMIT(7), from .3 */
	struct judge_want w = want(ID, "203.0.113.10", UDP, 53);
	struct frame limited = udp(1000, 3), passed = udp(1000, 4);
	struct steering_meta m;

	steer();
	sync_to(&w, &s, 1, BOTH);
	CU_ASSERT_EQUAL(run(&limited, &m), XDP_REDIRECT);
	CU_ASSERT_EQUAL(m.magic, STEERING_META_MAGIC);
	CU_ASSERT_EQUAL(m.verdict, WEIR_LIMIT(7));
	CU_ASSERT_EQUAL(m.seal, seal_of(&limited));
	CU_ASSERT_EQUAL(run(&passed, &m), XDP_REDIRECT);
	CU_ASSERT_EQUAL(m.verdict, WEIR_PASS);
	CU_ASSERT_EQUAL(m.seal, seal_of(&passed));
	CU_ASSERT_NOT_EQUAL(m.seal, seal_of(&limited));
	sync_to(NULL, NULL, 0, BOTH);
	shared_close(&s);
}

static void what_is_not_in_order_is_left_to_the_data_plane(void)
{
	struct shared s = shared_open("chosen", "verdict=1"); /* DROP, from .3 */
	struct judge_want w = want(ID, "203.0.113.10", UDP, 53);
	struct frame good = udp(1000, 3), f;
	struct steering_meta m;

	steer();
	sync_to(&w, &s, 1, BOTH);
	CU_ASSERT_EQUAL(run(&good, &m), XDP_DROP);
#define LEFT                                        \
	CU_ASSERT_EQUAL(run(&f, &m), XDP_REDIRECT); \
	CU_ASSERT_EQUAL(m.magic, 0)
	f = good;
	f.bytes[24] ^= 1; /* header checksum */
	LEFT;
	f = good;
	f.bytes[39] = 7; /* UDP length */
	LEFT;
	f = good;
	f.bytes[39] = 21;
	LEFT;
	f = good;
	f.length -= 4; /* less than the datagram says */
	LEFT;
	f = good;
	f.bytes[20] = 0x20; /* a first fragment; its checksum is another, too */
	f.bytes[24] = (uint8_t)(f.bytes[24] - 0x20);
	LEFT;
#undef LEFT
	/* A later program of the same port has lost the judge's: it goes on without. */
	uint32_t at = index_of(ID);
	int programs = bpf_object__find_map_fd_by_name(world.object, STEERING_MAP_PROGRAMS);

	CU_ASSERT_EQUAL(bpf_map_delete_elem(programs, &at), 0);
	CU_ASSERT_EQUAL(run(&good, &m), XDP_REDIRECT);
	CU_ASSERT_EQUAL(m.magic, 0);
	sync_to(&w, &s, 1, BOTH);
	CU_ASSERT_EQUAL(run(&good, &m), XDP_DROP);
	sync_to(NULL, NULL, 0, BOTH);
	shared_close(&s);
}

/* REMOVE goes before the data plane is told: another policy at the service judges nothing until ADD. */
static void a_change_leaves_no_packet_to_the_wrong_one(void)
{
	struct shared s = shared_open("chosen", "verdict=1");
	struct shared other = shared_open("chosen", "verdict=2");
	struct judge_want w = want(ID, "203.0.113.10", UDP, 53);
	struct judge_want next = want(ID + 1, "203.0.113.10", UDP, 53);
	struct frame f = udp(1000, 3);
	struct steering_meta m;

	steer();
	sync_to(&w, &s, 1, BOTH);
	sync_to(&w, NULL, 1, STEERING_F_REMOVE);
	CU_ASSERT_EQUAL(run(&f, &m), XDP_DROP);
	sync_to(&next, NULL, 1, STEERING_F_REMOVE);
	CU_ASSERT_EQUAL(run(&f, &m), XDP_REDIRECT);
	CU_ASSERT_EQUAL(m.magic, 0);
	sync_to(&next, &other, 1, BOTH);
	CU_ASSERT_EQUAL(run(&f, &m), XDP_REDIRECT);
	CU_ASSERT_EQUAL(m.verdict, WEIR_PASS);
	sync_to(NULL, NULL, 0, BOTH);
	shared_close(&s);
	shared_close(&other);
}

/* The kernel and the fast path's engine on one array: what one of them takes the other does not have. */
static void both_sides_claim_from_one_array(void)
{
	struct shared s = shared_open("shared_limit", "rate=1"), again = s;
	struct judge_want w = want(ID, "203.0.113.10", UDP, 53);
	const struct policy_program_options options = {
		.workers = 1, .node = -1, .verified = true, .map_fds = s.fds
	};
	static struct policy_frame frame;
	static struct policy_worker worker = { .random = 1 };
	struct policy_program *fast;
	struct frame f = udp(1000, 3);
	struct steering_meta m;
	struct timespec now;
	unsigned int passed = 0, by_kernel = 0;
	char err[256];

	CU_ASSERT_EQUAL_FATAL(
		policy_program_create(s.image, s.image->size, &options, &fast, err, sizeof(err)),
		0);
	steer();
	sync_to(&w, &s, 1, BOTH);
	for (unsigned int i = 0; i < 40; i++) {
		clock_gettime(CLOCK_MONOTONIC, &now);
		frame.ctx = (struct weir_ctx){ .now_ns = (uint64_t)now.tv_sec * 1000000000u +
				(uint64_t)now.tv_nsec };
		if (i % 2)
			passed += policy_program_run(fast, &frame, &worker) == WEIR_PASS;
		else
			by_kernel += run(&f, &m) == XDP_REDIRECT;
	}
	/* A burst of 20, and what is due at once. */
	CU_ASSERT_EQUAL(passed + by_kernel, 21);
	CU_ASSERT(by_kernel == 10 || by_kernel == 11);
	/* And whoever comes later finds the arrays by the program. */
	struct judges *j;

	CU_ASSERT_EQUAL_FATAL(judges_open(world.directory, &j), 0);
	int judging = judges_program(j, ID);

	judges_close(j);
	CU_ASSERT_FATAL(judging >= 0);
	CU_ASSERT_EQUAL_FATAL(policy_offload_maps_of(s.image, judging, again.fds), 0);
	for (uint32_t i = 0; i < s.image->map_count; i++) {
		struct bpf_map_info a = { 0 }, b = { 0 };
		uint32_t size = sizeof(a);

		CU_ASSERT_EQUAL(bpf_obj_get_info_by_fd(s.fds[i], &a, &size), 0);
		CU_ASSERT_EQUAL(bpf_obj_get_info_by_fd(again.fds[i], &b, &size), 0);
		CU_ASSERT_EQUAL(a.id, b.id);
		close(again.fds[i]);
	}
	close(judging);
	policy_program_destroy(fast);
	sync_to(NULL, NULL, 0, BOTH);
	shared_close(&s);
}

/* Two policies of one service, each with a verdict for another client. */
struct pair {
	struct shared policy[2];
	struct judge_want w[2];
};

static struct pair pair_open(const char *first, const char *second)
{
	struct pair p = { .policy = {
				  shared_open("chosen", first), shared_open("chosen", second) } };

	p.w[0] = want(ID, "203.0.113.10", UDP, 53);
	p.w[1] = behind(&p.w[0], ID + 1);
	steer();
	sync_to(p.w, p.policy, 2, BOTH);
	return p;
}

static void pair_close(struct pair *p)
{
	sync_to(NULL, NULL, 0, BOTH);
	shared_close(&p->policy[0]);
	shared_close(&p->policy[1]);
}

static void several_judge_one_after_another(void)
{
	struct pair p = pair_open("verdict=2", "verdict=0x501"); /* PASS, then DROP for 5 */
	struct frame chosen = udp(1000, 3), other = udp(1000, 4);
	struct steering_meta m;
	uint32_t first = index_of(ID), second = index_of(ID + 1);
	uint64_t passed = judge[first].passed;

	CU_ASSERT_EQUAL(run(&chosen, &m), XDP_DROP);
	CU_ASSERT_EQUAL(judge[second].reasons[5], 1);
	CU_ASSERT_EQUAL(judge[first].passed - passed, 1);
	CU_ASSERT_EQUAL(judge[first].packets, 0);
	CU_ASSERT_EQUAL(run(&other, &m), XDP_REDIRECT);
	CU_ASSERT_EQUAL(m.judged, 2);
	CU_ASSERT_EQUAL(m.verdict, WEIR_PASS);
	CU_ASSERT_EQUAL(m.seal, seal_by(&other, p.w[1].chain));
	CU_ASSERT_EQUAL(judge[first].passed - passed, 1);
	/* The one behind it goes: from then on the first one's word is all there is. */
	sync_to(p.w, NULL, 1, STEERING_F_REMOVE);
	CU_ASSERT_EQUAL(run(&chosen, &m), XDP_REDIRECT);
	CU_ASSERT_EQUAL(m.judged, 1);
	CU_ASSERT_EQUAL(m.seal, seal_of(&chosen));
	pair_close(&p);
}

static void what_is_no_pass_ends_it(void)
{
	struct pair p = pair_open("verdict=0x703", "verdict=1"); /* LIMIT(7), then DROP */
	struct frame chosen = udp(1000, 3);
	struct steering_meta m;

	CU_ASSERT_EQUAL(run(&chosen, &m), XDP_REDIRECT);
	CU_ASSERT_EQUAL(m.judged, 1);
	CU_ASSERT_EQUAL(m.verdict, WEIR_LIMIT(7));
	CU_ASSERT_EQUAL(m.seal, seal_of(&chosen));
	/* In the other order they are other judges, which the first list has none of. */
	struct judge_want turned[2] = { want(ID + 1, "203.0.113.10", UDP, 53) };
	struct shared policies[2] = { p.policy[1], p.policy[0] };

	turned[1] = behind(&turned[0], ID);
	sync_to(turned, NULL, 2, STEERING_F_REMOVE);
	CU_ASSERT_EQUAL(run(&chosen, &m), XDP_REDIRECT);
	CU_ASSERT_EQUAL(m.magic, 0);
	sync_to(turned, policies, 2, BOTH);
	CU_ASSERT_EQUAL(run(&chosen, &m), XDP_DROP);
	pair_close(&p);
}

/* 203.0.113.0/24 with any port, and what stands in it. */
static void a_range_ends_where_another_service_begins(void)
{
	struct shared s = shared_open("chosen", "verdict=1");
	struct judge_want w[3] = { want(ID, "203.0.113.0", UDP, 0),
		want(0, "203.0.113.10", UDP, 53), want(0, "203.0.113.0", UDP, 54) };
	const struct shared policies[3] = { s, s, s };
	struct frame chosen = udp(1000, 3);
	struct steering_meta m;

	w[0].prefix_length = 120;
	w[2].prefix_length = 121;
	steer();
	sync_to(w, policies, 1, BOTH);
	CU_ASSERT_EQUAL(run(&chosen, &m), XDP_DROP);
	/* Before the data plane hears of the new service, and after. */
	sync_to(w, NULL, 2, STEERING_F_REMOVE);
	CU_ASSERT_EQUAL(run(&chosen, &m), XDP_REDIRECT);
	CU_ASSERT_EQUAL(m.magic, 0);
	sync_to(w, policies, 2, BOTH);
	CU_ASSERT_EQUAL(run(&chosen, &m), XDP_REDIRECT);
	/* It goes: not before the data plane knows. */
	sync_to(w, NULL, 1, STEERING_F_REMOVE);
	CU_ASSERT_EQUAL(run(&chosen, &m), XDP_REDIRECT);
	CU_ASSERT_EQUAL(m.magic, 0);
	sync_to(w, policies, 1, BOTH);
	CU_ASSERT_EQUAL(run(&chosen, &m), XDP_DROP);
	/* A longer prefix for another port changes nothing, for this one everything. */
	struct judge_want longer[2] = { w[0], w[2] };

	sync_to(longer, policies, 2, BOTH);
	CU_ASSERT_EQUAL(run(&chosen, &m), XDP_DROP);
	longer[1].port = 53;
	sync_to(longer, policies, 2, BOTH);
	CU_ASSERT_EQUAL(run(&chosen, &m), XDP_REDIRECT);
	longer[1].prefix_length = 119;
	longer[1].address[14] = 112;
	sync_to(longer, policies, 2, BOTH);
	CU_ASSERT_EQUAL(run(&chosen, &m), XDP_DROP);
	sync_to(NULL, NULL, 0, BOTH);
	CU_ASSERT_EQUAL(run(&chosen, &m), XDP_REDIRECT);
	CU_ASSERT_EQUAL(m.magic, 0);
	shared_close(&s);
}

/* A list that the policy only reads: what the daemon writes into the copy is what the kernel does. */
static void lists_are_copied(void)
{
	struct shared s = shared_open("block_list", NULL);
	struct judge_want w = want(ID, "203.0.113.10", UDP, 53);
	struct frame f = udp(1000, 3);
	const struct {
		uint32_t bits;
		uint8_t address[16];
	} blocked = { 128, { [10] = 0xff, 0xff, f.bytes[26], f.bytes[27], f.bytes[28], 3 } };
	const uint32_t reason = 7;
	struct steering_meta m;
	uint32_t at = 0;

	while (at < s.image->map_count && strcmp(image_maps(s.image)[at].name, "blocked") != 0)
		at++;
	CU_ASSERT_TRUE_FATAL(policy_offload_copies(s.image, at));
	steer();
	sync_to(&w, &s, 1, BOTH);
	CU_ASSERT_EQUAL(run(&f, &m), XDP_REDIRECT);
	CU_ASSERT_EQUAL(bpf_map_update_elem(s.fds[at], &blocked, &reason, BPF_ANY), 0);
	CU_ASSERT_EQUAL(run(&f, &m), XDP_DROP);
	CU_ASSERT_EQUAL(judge[index_of(ID)].reasons[7], 1);
	CU_ASSERT_EQUAL(bpf_map_delete_elem(s.fds[at], &blocked), 0);
	CU_ASSERT_EQUAL(run(&f, &m), XDP_REDIRECT);
	sync_to(NULL, NULL, 0, BOTH);
	shared_close(&s);
}

static const struct tap_case cases[] = {
	{ "what shares nothing but arrays and the packet can be there",
		what_shares_nothing_else_can_be_there },
	{ "what is dropped is counted by reason", what_is_dropped_is_counted_by_reason },
	{ "other verdicts go on in front of the packet", verdicts_go_on_in_front_of_the_packet },
	{ "what is not in order is left to the data plane",
		what_is_not_in_order_is_left_to_the_data_plane },
	{ "a change leaves no packet to the wrong one",
		a_change_leaves_no_packet_to_the_wrong_one },
	{ "both sides claim from one array", both_sides_claim_from_one_array },
	{ "several policies judge one after another", several_judge_one_after_another },
	{ "what is no pass ends that", what_is_no_pass_ends_it },
	{ "a range ends where another service begins", a_range_ends_where_another_service_begins },
	{ "lists that are only read are copied", lists_are_copied },
};

/* The port's judges, and the place where packets go on from them. */
static bool port_judges_open(void)
{
	const uint32_t zero = 0;
	int verdict =
		bpf_program__fd(bpf_object__find_program_by_name(world.object, STEERING_VERDICT));

	judge = mmap(NULL, STEERING_MAX_JUDGES * sizeof(*judge), PROT_READ, MAP_SHARED,
		bpf_object__find_map_fd_by_name(world.object, STEERING_MAP_JUDGES), 0);
	return judge != MAP_FAILED &&
		bpf_map_update_elem(
			bpf_object__find_map_fd_by_name(world.object, STEERING_MAP_PROGRAMS), &zero,
			&verdict, 0) == 0;
}

int main(int argc, char **argv)
{
	objects = argv + 1;
	object_count = argc - 1;
	return port_world_run(&world, "front", port_judges_open, "judges", cases,
		sizeof(cases) / sizeof(cases[0]));
}
