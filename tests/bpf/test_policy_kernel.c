/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The kernel as the judge: random programs and policies from object files run in the kernel
 * (BPF_PROG_TEST_RUN of what was verified), in the interpreter and compiled, and must do the same.
 *
 *	test_policy_kernel OBJECT...
 *
 * WEIR_RANDOM_PROGRAMS: how many random programs (default: as many as go into ten seconds); WEIR_SEED: of
 * the first. Needs root.
 */

#include "ebpf/engine/object.h"
#include "ebpf/engine/program.h"
#include "ebpf/engine/trial.h"
#include "ebpf/engine/verify.h"
#include "tests/unit/engine/random_program.h"

#include <bpf/bpf.h>

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <time.h>

#define DEFAULT_SECONDS 10
#define RUNS		6
#define PACKETS		3000
#define LINK_BYTES	14 /* that the kernel takes off in front of what it shows the program */
#define MAX_PACKET	512

enum engine {
	INTERPRETER,
	COMPILER,
	ENGINES
};

static const char *const engine_names[ENGINES] = { "interpreter", "compiler" };

static double seconds_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Verdict of the kernel; the context is in v already. Frame: LINK_BYTES and the packet. */
static uint32_t kernel_run(
	const struct policy_verified *v, const uint8_t *frame, uint32_t packet_bytes)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame,
		.data_size_in = LINK_BYTES + packet_bytes, .repeat = 1);

	if (bpf_prog_test_run_opts(v->program_fd, &opts) < 0) {
		printf("Bail out! BPF_PROG_TEST_RUN: %s\n", strerror(errno));
		exit(1);
	}
	return opts.retval;
}

static uint32_t engine_run(const struct policy_program *program, const struct weir_ctx *ctx,
	uint8_t *packet, uint32_t bytes)
{
	static struct policy_frame frame;
	static struct policy_worker worker;

	worker = (struct policy_worker){ .random = 1, .now_ns = ctx->now_ns };
	frame.ctx = *ctx;
	frame.ctx.data = (uint64_t)(uintptr_t)packet;
	frame.ctx.data_end = frame.ctx.data + bytes;
	return policy_program_run(program, &frame, &worker);
}

static struct policy_program *make(
	const struct policy_image *image, enum engine engine, const int *map_fds)
{
	struct policy_program_options options = { .workers = 1,
		.node = -1,
		.verified = true,
		.interpret = engine == INTERPRETER,
		.map_fds = map_fds,
		/* No program that the verifier has accepted is to be cut off here. */
		.back_edges = 1000000 };
	struct policy_program *program;
	char err[256];

	if (policy_program_create(image, image->size, &options, &program, err, sizeof(err)) < 0) {
		printf("Bail out! %s\n", err);
		exit(1);
	}
	return program;
}

/* One random program with several contexts, all on the kernel's own map. Returns how many differ. */
static uint32_t random_compare(
	struct random_program *p, const struct policy_image *image, const struct policy_verified *v)
{
	struct policy_program *programs[ENGINES];
	uint8_t frame[LINK_BYTES + 64] = { 0 }, before[RANDOM_VALUE_BYTES],
				   after[RANDOM_VALUE_BYTES];
	uint32_t differ = 0;

	for (unsigned int e = 0; e < ENGINES; e++)
		programs[e] = make(image, e, v->map_fds);
	uint8_t *value = programs[0]->maps[0]->values;

	for (unsigned int run = 0; run < RUNS; run++) {
		random_context(p, v->context);
		memcpy(before, v->context, sizeof(before));
		memcpy(value, before, sizeof(before));
		uint32_t verdict = kernel_run(v, frame, 64);

		memcpy(after, value, sizeof(after));
		for (unsigned int e = 0; e < ENGINES; e++) {
			memcpy(value, before, sizeof(before));
			uint32_t mine = engine_run(programs[e], v->context, frame + LINK_BYTES, 64);

			if (mine == verdict && memcmp(value, after, sizeof(after)) == 0)
				continue;
			printf("# %s: %#x, kernel: %#x\n", engine_names[e], mine, verdict);
			differ++;
		}
	}
	for (unsigned int e = 0; e < ENGINES; e++)
		policy_program_destroy(programs[e]);
	return differ;
}

static bool random_programs_agree(void)
{
	const char *wanted = getenv("WEIR_RANDOM_PROGRAMS"), *first = getenv("WEIR_SEED");
	uint64_t count = wanted ? strtoull(wanted, NULL, 0) : UINT64_MAX;
	uint64_t seed = first ? strtoull(first, NULL, 0) : (uint64_t)time(NULL) / 86400 * 1000000;
	double end = seconds_now() + DEFAULT_SECONDS;
	uint64_t ran = 0, refused = 0;
	struct random_program p;

	printf("# WEIR_SEED=%llu\n", (unsigned long long)seed);
	for (uint64_t i = 0; i < count && (wanted || seconds_now() < end); i++) {
		struct policy_verified v;
		struct policy_objection objection;
		char err[512];

		random_program_make(&p, seed + i, true);
		struct policy_image *image = image_build(p.insns, p.count, &random_map, 1);
		int rc = policy_verify(image, &v, &objection, NULL, err, sizeof(err));
		uint32_t differ = rc == 0 ? random_compare(&p, image, &v) : 0;

		if (rc == 0)
			policy_verified_fini(&v);
		free(image);
		if (differ) {
			printf("# WEIR_SEED=%llu WEIR_RANDOM_PROGRAMS=1\n",
				(unsigned long long)(seed + i));
			return false;
		}
		ran += rc == 0;
		refused += rc != 0;
	}
	printf("# %llu programs ran, the verifier refused %llu\n", (unsigned long long)ran,
		(unsigned long long)refused);
	return ran > refused;
}

static uint64_t state = UINT64_C(0x9e3779b97f4a7c15);

static uint32_t random_u32(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 16);
}

static void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

/* A ClientHello that asks for www.example.com. */
static const uint8_t hello[] = { 22, 3, 1, 0, 73, 1, 0, 0, 69, 3, 3, [11 ... 42] = 7, 0, 0, 4, 0x13,
	1, 0x13, 2, 1, 0, 0, 24, 0, 0, 0, 20, 0, 18, 0, 0, 15, 'w', 'w', 'w', '.', 'e', 'x', 'a',
	'm', 'p', 'l', 'e', '.', 'c', 'o', 'm' };

/* Something like a packet, often enough with wrong fields; few sources, so that they come again. */
static uint32_t packet_make(uint8_t *p)
{
	static const uint8_t protocols[8] = { 6, 6, 17, 17, 0, 43, 44, 60 };
	static const uint16_t ports[8] = { 53, 80, 123, 443, 443, 11211, 8080, 1900 };
	bool ipv6 = random_u32() % 3 == 0;
	uint32_t bytes = 14 + random_u32() % (MAX_PACKET - 14);
	uint32_t l4 = ipv6 ? 54 : 34;

	for (uint32_t i = 0; i < MAX_PACKET; i++)
		p[i] = (uint8_t)(random_u32() % 4 ? random_u32() : random_u32() % 3);
	put16(p + 12, ipv6 ? 0x86dd : 0x0800);
	p[14] = ipv6 ? 0x60 : 0x45;
	p[ipv6 ? 20 : 23] = protocols[random_u32() % (ipv6 ? 8 : 4)];
	memset(p + (ipv6 ? 22 : 26), 1, ipv6 ? 16 : 4);
	p[ipv6 ? 37 : 29] = (uint8_t)(random_u32() % 24);
	if (!ipv6)
		put16(p + 20, 0);
	for (uint32_t x = 54; ipv6 && x < 120; x += 8) {
		p[x] = protocols[random_u32() % 8];
		p[x + 1] = random_u32() % 2;
	}
	if (random_u32() % 8 == 0 && !ipv6) {
		p[23] = 6;
		p[l4 + 12] = 0x50;
		memcpy(p + 54, hello, sizeof(hello));
		p[54 + random_u32() % sizeof(hello)] ^=
			(uint8_t)(random_u32() % 4 ? 0 : random_u32());
		return bytes;
	}
	if (random_u32() % 4) {
		put16(p + l4, ports[random_u32() % 8]);
		put16(p + l4 + 2, ports[random_u32() % 8]);
		p[l4 + 12] = 0x50;
	}
	return bytes;
}

static bool arrays_agree(
	const struct policy_verified *v, struct policy_program *program, enum engine engine)
{
	for (uint32_t i = 0; i < program->map_count; i++) {
		struct policy_map *map = program->maps[i];
		uint8_t value[POLICY_MAX_VALUE];

		if (map->type != BPF_MAP_TYPE_ARRAY || map->value_size > sizeof(value))
			continue;
		for (uint32_t k = 0; k < map->max_entries && k < 65536; k++) {
			if (bpf_map_lookup_elem(v->map_fds[i], &k, value) == 0 &&
				memcmp(value, policy_map_lookup(map, &k, 0), map->value_size) == 0)
				continue;
			printf("# %s: map %s, entry %u differs from the kernel's\n",
				engine_names[engine], map->name, k);
			return false;
		}
	}
	return true;
}

/* Small numbers, so that a few thousand packets get to see all of a policy. */
static void parameters_set(struct policy_image *image)
{
	static const char *const sets[] = { "rate=20", "burst=2", "calm=5", "strangers=3",
		"learn=200", "rare=20", "class=7", "most=2", "others=4" };
	char err[256];

	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++)
		policy_image_set(image, sets[i], err, sizeof(err));
}

/* Prefixes of the sources that packet_make() makes, the same everywhere. */
static void prefixes_add(const struct policy_verified *v, struct policy_program *const *programs)
{
	for (uint32_t i = 0; i < programs[0]->map_count; i++) {
		const struct policy_map *map = programs[0]->maps[i];

		if (map->type != BPF_MAP_TYPE_LPM_TRIE || map->key_size != 20)
			continue;
		for (uint32_t n = 0; n < 12; n++) {
			struct {
				uint32_t bits;
				uint8_t address[16];
			} key = { 100 + n * 2,
				{ [10] = 0xff, [11] = 0xff, [12] = 1, [13] = 1, [14] = 1 } };
			uint32_t value = n % 3;

			key.address[15] = (uint8_t)(n * 5 + i);
			bpf_map_update_elem(v->map_fds[i], &key, &value, BPF_ANY);
			for (unsigned int e = 0; e < ENGINES; e++)
				policy_map_update(programs[e]->maps[i], &key, &value, BPF_ANY, 0);
		}
	}
}

/* The wildcard for that name. */
static void names_add(const struct policy_verified *v, struct policy_program *const *programs)
{
	for (uint32_t i = 0; i < programs[0]->map_count; i++) {
		char key[64] = "*.example.com";
		uint32_t pool = 3;

		if (programs[0]->maps[i]->key_size != sizeof(key))
			continue;
		bpf_map_update_elem(v->map_fds[i], key, &pool, BPF_ANY);
		for (unsigned int e = 0; e < ENGINES; e++)
			policy_map_update(programs[e]->maps[i], key, &pool, BPF_ANY, 0);
	}
}

static void context_fill(struct weir_ctx *ctx, const uint8_t *packet, uint32_t bytes, uint64_t now)
{
	policy_context_parse(ctx, packet, bytes, bytes);
	ctx->now_ns = now;
	ctx->stage = WEIR_STAGE_CHECK;
	if (random_u32() % 4 == 0)
		ctx->flags |= WEIR_F_NEW_FLOW;
}

/* A policy, each engine with maps of its own from the same start, on the same packets. */
static bool object_agrees(const char *path)
{
	struct policy_objection objection;
	char err[512] = "";
	struct policy_image *image;
	struct policy_verified v;
	struct policy_program *programs[ENGINES];
	uint8_t frame[LINK_BYTES + MAX_PACKET] = { 0 };
	uint32_t differ = 0, seen[WEIR_ACTION_COUNT] = { 0 };
	uint64_t now = UINT64_C(1000000000);

	if (policy_object_read(path, &image, err, sizeof(err)) < 0) {
		printf("# %s: %s\n", path, err);
		return false;
	}
	parameters_set(image);
	if (policy_verify(image, &v, &objection, NULL, err, sizeof(err)) < 0) {
		printf("# %s: %s\n", path, err);
		free(image);
		return false;
	}
	for (unsigned int e = 0; e < ENGINES; e++)
		programs[e] = make(image, e, NULL);
	prefixes_add(&v, programs);
	names_add(&v, programs);
	for (unsigned int i = 0; i < PACKETS && differ < 5; i++) {
		uint32_t bytes = packet_make(frame + LINK_BYTES);

		now += random_u32() % 4000000;
		context_fill(v.context, frame + LINK_BYTES, bytes, now);
		uint32_t verdict = kernel_run(&v, frame, bytes);

		seen[policy_action(verdict)]++;
		for (unsigned int e = 0; e < ENGINES; e++) {
			uint32_t mine =
				engine_run(programs[e], v.context, frame + LINK_BYTES, bytes);

			if (mine != verdict)
				printf("# packet %u: %s: %#x, kernel: %#x\n", i, engine_names[e],
					mine, verdict);
			differ += mine != verdict;
		}
	}
	for (unsigned int e = 0; e < ENGINES; e++) {
		differ += !arrays_agree(&v, programs[e], e);
		policy_program_destroy(programs[e]);
	}
	printf("# aborted %u, drop %u, pass %u, limit %u, route %u\n", seen[0], seen[1], seen[2],
		seen[3], seen[4]);
	policy_verified_fini(&v);
	free(image);
	return differ == 0;
}

static bool canaries_can_be_tried(void)
{
	struct policy_canary canaries[POLICY_CANARY_COUNT];
	bool ok = true;

	policy_canaries_run(canaries);
	for (unsigned int i = 0; i < POLICY_CANARY_COUNT; i++) {
		printf("# %s: %s\n", canaries[i].name,
			canaries[i].rc		  ? strerror(-canaries[i].rc) :
				canaries[i].wrong ? "wrong on this kernel" :
						    "right");
		ok &= canaries[i].rc == 0;
	}
	return ok;
}

static int report(int number, bool ok, const char *what, const char *object)
{
	const char *slash = strrchr(object, '/');

	printf("%sok %d - %s%s\n", ok ? "" : "not ", number, what, slash ? slash + 1 : object);
	fflush(stdout);
	return !ok;
}

/* The kernel counts by CPU where the engine counts by worker: this is the one worker's. */
static void stay_on_this_cpu(void)
{
	cpu_set_t set;
	int cpu = sched_getcpu();

	CPU_ZERO(&set);
	CPU_SET(cpu < 0 ? 0 : (unsigned int)cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) < 0)
		printf("# cannot stay on one CPU: %s\n", strerror(errno));
}

int main(int argc, char **argv)
{
	int failed = 0;

	stay_on_this_cpu();

	printf("1..%d\n", argc + 1);
	failed |= report(1, canaries_can_be_tried(), "known faults of kernels can be tried", "");
	failed |= report(2, random_programs_agree(),
		"kernel, interpreter and compiler agree on random programs", "");
	for (int i = 1; i < argc; i++)
		failed |= report(i + 2, object_agrees(argv[i]),
			"kernel, interpreter and compiler agree on ", argv[i]);
	return failed;
}
