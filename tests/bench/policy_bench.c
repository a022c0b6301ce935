/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What policies cost: each compiled by Weir, the same source compiled by the C compiler, and in DPDK's own
 * eBPF engine where that accepts it, in turns on the same packets and the same maps. One JSON object a line:
 * cycles_per_packet is Weir's, floor_cycles_per_packet is native, rte_cycles_per_packet is DPDK's, all
 * with what it takes to fill a context.
 *
 *	weir-policy-bench [--quick] [--json] BUILD_FOLDER
 */

#include "ebpf/engine/admit.h"
#include "tests/bench/native/weir/policy.h"
#include "tests/bench/policy_rte.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BURST	     32
#define MAX_ROUNDS   101 /* short ones: few of them lose the CPU */
#define ROUND_BURSTS 256

uint32_t weir_native_empty(struct weir_ctx *ctx);
uint32_t weir_native_counter(struct weir_ctx *ctx);
uint32_t weir_native_bucket(struct weir_ctx *ctx);
uint32_t weir_native_tls_route(struct weir_ctx *ctx);

struct weir_native_map *weir_native_maps;

static const struct {
	const char *name;
	const char *object;
	const char *rte; /* the object for DPDK's engine */
	uint32_t (*native)(struct weir_ctx *ctx);
	uint32_t sources;
	bool tls;
} rows[] = {
	{ "policy-empty", "tests/bench/empty", "empty", weir_native_empty, 1, false },
	{ "policy-counter", "tests/bench/counter", "counter", weir_native_counter, 4096, false },
	{ "policy-bucket-4k", "tests/bench/bucket", "bucket", weir_native_bucket, 4096, false },
	{ "policy-bucket-1M", "tests/bench/bucket", "bucket", weir_native_bucket, 1000000, false },
	{ "policy-tls-name", "ebpf/policies/tls_route", "tls_route", weir_native_tls_route, 4096,
		true },
};

struct run {
	struct policy_program *program;
	uint32_t (*native)(struct weir_ctx *ctx);
	const struct policy_rte *rte; /* NULL: refused */
	struct weir_ctx template;
	uint32_t sources;
	uint32_t source;
	uint64_t now;
	uint64_t sum; /* of verdicts: all must give the same */
};

static uint8_t packet[512];

static uint64_t cycles_now(void)
{
	uint32_t low, high;

	asm volatile("lfence\n\trdtsc\n\tlfence" : "=a"(low), "=d"(high)::"memory");
	return (uint64_t)high << 32 | low;
}

static inline void context_next(struct run *r, struct weir_ctx *ctx)
{
	*ctx = r->template;
	/* Goes through all sources in an order that no prefetcher guesses. */
	r->source = (uint32_t)(((uint64_t)r->source * 7919 + 13) % r->sources);
	ctx->saddr[3] = r->source;
	ctx->now_ns = r->now;
}

static uint64_t compiled_round(struct run *r)
{
	static struct policy_frame frames[BURST];
	struct policy_worker worker = { .random = 1 };
	uint64_t start = cycles_now();

	for (uint32_t b = 0; b < ROUND_BURSTS; b++) {
		r->now += 3200;
		worker.now_ns = r->now;
		for (uint32_t i = 0; i < BURST; i++) {
			context_next(r, &frames[i].ctx);
			r->sum += policy_program_run(r->program, &frames[i], &worker);
		}
	}
	return cycles_now() - start;
}

static uint64_t native_round(struct run *r)
{
	static struct policy_frame frames[BURST];
	uint64_t start = cycles_now();

	for (uint32_t b = 0; b < ROUND_BURSTS; b++) {
		r->now += 3200;
		for (uint32_t i = 0; i < BURST; i++) {
			context_next(r, &frames[i].ctx);
			r->sum += r->native(&frames[i].ctx);
		}
	}
	return cycles_now() - start;
}

static uint64_t rte_round(struct run *r)
{
	static struct policy_frame frames[BURST];
	uint64_t start = cycles_now();

	for (uint32_t b = 0; b < ROUND_BURSTS; b++) {
		r->now += 3200;
		for (uint32_t i = 0; i < BURST; i++) {
			context_next(r, &frames[i].ctx);
			r->sum += policy_rte_run(r->rte, &frames[i].ctx);
		}
	}
	return cycles_now() - start;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* A ClientHello for www.example.com behind TCP, or a plain segment. */
static uint32_t packet_make(bool tls)
{
	static const uint8_t hello[] = { 22, 3, 1, 0, 73, 1, 0, 0, 69, 3, 3, [11 ... 42] = 7, 0, 0,
		4, 0x13, 1, 0x13, 2, 1, 0, 0, 24, 0, 0, 0, 20, 0, 18, 0, 0, 15, 'w', 'w', 'w', '.',
		'e', 'x', 'a', 'm', 'p', 'l', 'e', '.', 'c', 'o', 'm' };
	/* What a real one has behind the name. */
	uint32_t length = 54 + (tls ? sizeof(hello) + 200 : 10);

	memset(packet, 0, sizeof(packet));
	packet[12] = 8;
	packet[14] = 0x45;
	packet[17] = (uint8_t)(length - 14);
	packet[23] = 6;
	packet[46] = 0x50;
	packet[47] = 0x10;
	if (tls)
		memcpy(packet + 54, hello, sizeof(hello));
	return length;
}

static void maps_connect(struct policy_program *program)
{
	for (struct weir_native_map *m = weir_native_maps; m; m = m->next) {
		struct policy_map *map = policy_program_map(program, m->name);
		char name[64] = "www.example.com";
		uint32_t pool = 2;

		if (!map)
			continue;
		m->map = map;
		if (strcmp(m->name, "names") == 0)
			policy_map_update(map, name, &pool, BPF_ANY, 0);
	}
}

/* Cycles a packet of every round, of each of the three. */
struct times {
	double compiled[MAX_ROUNDS], native[MAX_ROUNDS], rte[MAX_ROUNDS];
};

static void print_row(const char *name, struct times *t, uint32_t n, const char *refused, bool json)
{
	const double *compiled = t->compiled, *native = t->native, *rte = t->rte;

	qsort(t->compiled, n, sizeof(*compiled), compare);
	qsort(t->native, n, sizeof(*native), compare);
	qsort(t->rte, n, sizeof(*rte), compare);
	printf("{\"bench\": \"%s\", \"cycles_per_packet\": %.1f, \"min\": %.1f, \"max\": %.1f, "
	       "\"floor_cycles_per_packet\": %.1f, \"floor_min\": %.1f, \"floor_max\": %.1f, "
	       "\"ratio\": %.2f, \"ratio_of_min\": %.2f, \"floor\": \"native C\", ",
		name, compiled[n / 2], compiled[0], compiled[n - 1], native[n / 2], native[0],
		native[n - 1], compiled[n / 2] / native[n / 2], compiled[0] / native[0]);
	if (*refused)
		printf("\"rte_refused\": \"%s\"}\n", refused);
	else
		printf("\"rte_cycles_per_packet\": %.1f, \"rte_min\": %.1f, \"rte_max\": %.1f}\n",
			rte[n / 2], rte[0], rte[n - 1]);
	fflush(stdout);
	if (json)
		return;
	fprintf(stderr, "%-20s %8.1f cycles a packet, native C %8.1f (%.2f), rte_bpf ", name,
		compiled[n / 2], native[n / 2], compiled[n / 2] / native[n / 2]);
	if (*refused)
		fprintf(stderr, "refused: %s\n", refused);
	else
		fprintf(stderr, "%8.1f\n", rte[n / 2]);
}

/* In turns; whether all three have come to the same verdicts. */
static bool rounds_run(struct run *r, struct times *t, uint32_t rounds)
{
	const double packets = ROUND_BURSTS * BURST;
	bool same = true;

	for (uint32_t n = 0; n < rounds; n++) {
		uint64_t before = r->sum;

		t->compiled[n] = (double)compiled_round(r) / packets;
		uint64_t mine = r->sum - before;

		t->native[n] = (double)native_round(r) / packets;
		same &= r->sum - before - mine == mine;
		if (!r->rte)
			continue;
		t->rte[n] = (double)rte_round(r) / packets;
		same &= r->sum - before - 2 * mine == mine;
	}
	return same;
}

static int row_run(size_t i, const char *folder, uint32_t rounds, bool json)
{
	const struct policy_admit_options options = { .no_trial = true };
	static struct times times;
	struct policy_admission a;
	char path[4096], refused[256] = "";

	snprintf(path, sizeof(path), "%s/%s.o", folder, rows[i].object);
	if (policy_admit(path, &options, &a) < 0 || a.outcome != POLICY_ADMITTED ||
		!a.program->run) {
		fprintf(stderr, "weir-policy-bench: %s: %s\n", path, a.reason);
		policy_admission_fini(&a);
		return 1;
	}
	snprintf(path, sizeof(path), "%s/tests/bench/%s_rte.o", folder, rows[i].rte);
	struct policy_rte *rte = policy_rte_load(path, a.program, refused, sizeof(refused));
	struct run r = { .program = a.program,
		.native = rows[i].native,
		.rte = rte,
		.sources = rows[i].sources,
		.now = 1000000000 };
	uint32_t length = packet_make(rows[i].tls);

	maps_connect(a.program);
	policy_context_parse(&r.template, packet, length, length);
	r.template.data = (uint64_t)(uintptr_t)packet;
	r.template.data_end = r.template.data + length;
	/* The first round fills the map. */
	for (uint32_t warm = 0; warm < 1 + rows[i].sources / (ROUND_BURSTS * BURST) * 2; warm++)
		compiled_round(&r);
	bool same = rounds_run(&r, &times, rounds);

	if (same)
		print_row(rows[i].name, &times, rounds, rte ? "" : refused, json);
	else
		fprintf(stderr, "weir-policy-bench: %s: the verdicts differ\n", rows[i].name);
	policy_rte_free(rte);
	policy_admission_fini(&a);
	return !same;
}

int main(int argc, char **argv)
{
	uint32_t rounds = 101;
	const char *folder = NULL;
	bool json = false;
	int failed = 0;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--quick") == 0)
			rounds = 25;
		else if (strcmp(argv[i], "--json") == 0)
			json = true;
		else
			folder = argv[i];
	}
	if (!folder) {
		fprintf(stderr, "usage: weir-policy-bench [--quick] [--json] BUILD_FOLDER\n");
		return 2;
	}
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		failed |= row_run(i, folder, rounds, json);
	return failed;
}
