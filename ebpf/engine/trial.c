/* SPDX-License-Identifier: BSD-3-Clause */

#include "ebpf/engine/trial.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_FRAME   65536
#define MAX_SAMPLES (1u << 20)
#define KINDS	    8
#define MADE_UP	    512
#define ROUNDS	    8
#define GROUP	    16 /* packets whose mean is one sample of the typical cost */
#define OVERHEADS   1000
/* Made-up packets come at 100,000 a second. */
#define GAP_NS	    10000

struct policy_trier {
	const struct policy_program *program; /* borrowed */
	struct policy_trial trial;
	struct policy_worker worker;
	struct policy_frame frame;
	int32_t overhead; /* cycles of measuring nothing, on average */
	int32_t last; /* cycles of the last packet; less than 0 when the clock's step made it so */
	int32_t *samples; /* owned */
	uint32_t sample_count;
	uint8_t packet[MAX_FRAME];
};

uint64_t policy_trial_cycles(void)
{
#if defined(__x86_64__)
	uint32_t low, high;

	asm volatile("lfence\n\trdtsc\n\tlfence" : "=a"(low), "=d"(high)::"memory");
	return (uint64_t)high << 32 | low;
#else
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
#endif
}

static int compare(const void *a, const void *b)
{
	int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;

	return x < y ? -1 : x > y;
}

static int32_t clamp(uint64_t cycles)
{
	return cycles > INT32_MAX ? INT32_MAX : (int32_t)cycles;
}

static int32_t mean(const int32_t *samples, uint32_t n)
{
	int64_t sum = 0;

	for (uint32_t i = 0; i < n; i++)
		sum += samples[i];
	return (int32_t)(sum / (int64_t)n);
}

/*
 * Some machines' counters go in steps of dozens of cycles, longer than a short policy takes. One packet then
 * costs nothing or a whole step, and only means tell how much: here and in what follows, of samples without
 * the slowest, which are interrupts'.
 */
static int32_t overhead_measure(void)
{
	int32_t took[OVERHEADS];

	for (unsigned int i = 0; i < OVERHEADS; i++) {
		uint64_t start = policy_trial_cycles();

		took[i] = clamp(policy_trial_cycles() - start);
	}
	qsort(took, OVERHEADS, sizeof(took[0]), compare);
	return mean(took, OVERHEADS * 9 / 10);
}

int policy_trier_create(const struct policy_program *program, struct policy_trier **ret_trier)
{
	struct policy_trier *t = aligned_alloc(64, (sizeof(*t) + 63) & ~(size_t)63);

	if (!t)
		return -ENOMEM;
	memset(t, 0, sizeof(*t));
	t->samples = malloc(MAX_SAMPLES * sizeof(*t->samples));
	if (!t->samples) {
		free(t);
		return -ENOMEM;
	}
	t->program = program;
	t->worker.random = UINT64_C(0x9e3779b97f4a7c15);
	t->overhead = overhead_measure();
	*ret_trier = t;
	return 0;
}

void policy_trier_destroy(struct policy_trier *t)
{
	if (!t)
		return;
	free(t->samples);
	free(t);
}

uint32_t policy_trier_packet(struct policy_trier *t, const uint8_t *bytes, uint32_t captured,
	uint32_t length, uint64_t now_ns)
{
	struct weir_ctx *ctx = &t->frame.ctx;

	if (captured > MAX_FRAME)
		captured = MAX_FRAME;
	memcpy(t->packet, bytes, captured);
	policy_context_parse(ctx, t->packet, captured, length);
	ctx->data = (uint64_t)(uintptr_t)t->packet;
	ctx->data_end = ctx->data + captured;
	ctx->now_ns = t->worker.now_ns = now_ns;
	ctx->stage = WEIR_STAGE_CHECK;
	uint64_t start = policy_trial_cycles();
	uint32_t verdict = policy_program_run(t->program, &t->frame, &t->worker);
	uint64_t took = policy_trial_cycles() - start;
	uint32_t action = policy_action(verdict), argument = WEIR_VERDICT_ARGUMENT(verdict);

	t->last = clamp(took) - t->overhead;
	if (t->sample_count < MAX_SAMPLES)
		t->samples[t->sample_count++] = t->last;
	t->trial.packets++;
	t->trial.actions[action]++;
	t->trial.arguments[action][argument < 15 ? argument : 15]++;
	if (action == WEIR_ACTION_ABORTED && t->trial.first_aborted == 0)
		t->trial.first_aborted = t->trial.packets;
	return verdict;
}

/* The i-th of sorted samples; a policy that ran took something. */
static uint32_t sample_at(const int32_t *samples, uint32_t i)
{
	return samples[i] > 0 ? (uint32_t)samples[i] : 1;
}

/* Typical is the median of groups' means, in the order of the packets; the rest is of single ones. */
static int summarise(int32_t *samples, uint32_t n, struct policy_trial *ret)
{
	uint32_t groups = n / GROUP ? n / GROUP : 1, size = n / groups;
	int32_t *means = malloc(groups * sizeof(*means));

	if (!means)
		return -ENOMEM;
	for (uint32_t i = 0; i < groups; i++)
		means[i] = mean(samples + (size_t)i * size, size);
	qsort(means, groups, sizeof(*means), compare);
	ret->cycles_median = sample_at(means, groups / 2);
	free(means);
	qsort(samples, n, sizeof(*samples), compare);
	ret->cycles_p99 = sample_at(samples, (uint32_t)((uint64_t)n * 99 / 100));
	ret->cycles_worst = sample_at(samples, n - 1);
	return 0;
}

int policy_trier_read(struct policy_trier *t, struct policy_trial *ret_trial)
{
	*ret_trial = t->trial;
	ret_trial->fault = t->worker.fault;
	ret_trial->fault_insn = t->worker.fault_insn;
	if (t->sample_count == 0)
		return 0;
	if (t->program->run)
		return summarise(t->samples, t->sample_count, ret_trial);
	struct policy_trial interpreted;
	int rc = summarise(t->samples, t->sample_count, &interpreted);

	if (rc == 0)
		ret_trial->interpreted_cycles = interpreted.cycles_median;
	return rc;
}

static void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static uint32_t next(uint64_t *state)
{
	*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(*state >> 33);
}

static uint32_t make_l3(uint8_t *p, bool ipv6, uint8_t protocol, uint32_t l4_bytes, uint64_t *state)
{
	static const uint8_t links[12] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2 };

	memcpy(p, links, 12);
	put16(p + 12, ipv6 ? 0x86dd : 0x0800);
	if (ipv6) {
		p[14] = 0x60;
		put16(p + 18, l4_bytes);
		p[20] = protocol;
		p[21] = 64;
		put16(p + 22, 0x2001);
		put16(p + 24, 0x0db8);
		put16(p + 36, next(state) % 4096);
		put16(p + 38, 0x2001);
		put16(p + 40, 0x0db8);
		p[53] = 10;
		return 54;
	}
	p[14] = 0x45;
	put16(p + 16, 20 + l4_bytes);
	p[22] = 64;
	p[23] = protocol;
	put16(p + 26, 198 << 8 | 51);
	put16(p + 28, next(state) % 4096);
	put16(p + 30, 203 << 8);
	put16(p + 32, 113 << 8 | 10);
	return 34;
}

/* A TLS 1.3 ClientHello with the server name www.example.com, shortened to what names it. */
static const uint8_t hello[] = { 22, 3, 1, 0, 73, 1, 0, 0, 69, 3, 3, [11 ... 42] = 7, 0, 0, 4, 0x13,
	1, 0x13, 2, 1, 0, 0, 24, 0, 0, 0, 20, 0, 18, 0, 0, 15, 'w', 'w', 'w', '.', 'e', 'x', 'a',
	'm', 'p', 'l', 'e', '.', 'c', 'o', 'm' };

uint32_t policy_trial_packet(uint8_t *p, uint32_t number, uint64_t *state)
{
	static const uint16_t ports[KINDS] = { 80, 443, 443, 53, 443, 123, 80, 8080 };
	static const uint16_t sizes[KINDS] = { 0, 0, sizeof(hello), 40, 1200, 48, 1400, 6 };
	uint32_t kind = number % KINDS;
	bool udp = kind >= 3 && kind <= 5;
	uint32_t header = udp ? 8 : 20, at;

	memset(p, 0, POLICY_TRIAL_FRAME);
	at = make_l3(p, number / KINDS % 4 == 3, udp ? 17 : 6, header + sizes[kind], state);
	put16(p + at, 1024 + next(state) % 60000);
	put16(p + at + 2, ports[kind]);
	if (udp) {
		put16(p + at + 4, 8u + sizes[kind]);
	} else {
		p[at + 12] = 0x50;
		p[at + 13] = sizes[kind] == 0 ? 2 : 0x18;
	}
	at += header;
	for (uint32_t i = 0; i < sizes[kind]; i++)
		p[at + i] = (uint8_t)next(state);
	if (kind == 2)
		memcpy(p + at, hello, sizeof(hello));
	else if (kind == 4)
		memcpy(p + at, "\xc3\0\0\0\1\x08", 6);
	return at + sizes[kind];
}

/* An interrupt makes one run slow, not the same packet in every round. */
static void typical(const int32_t rounds[MADE_UP][ROUNDS], int32_t ret_samples[MADE_UP])
{
	for (uint32_t i = 0; i < MADE_UP; i++) {
		int32_t sorted[ROUNDS];

		memcpy(sorted, rounds[i], sizeof(sorted));
		qsort(sorted, ROUNDS, sizeof(sorted[0]), compare);
		ret_samples[i] = mean(sorted, ROUNDS - 1);
	}
}

int policy_trial_run(const struct policy_program *program, struct policy_trial *ret_trial)
{
	struct policy_trier *t;
	int32_t rounds[MADE_UP][ROUNDS], samples[MADE_UP];
	uint8_t packet[POLICY_TRIAL_FRAME];
	uint64_t now = UINT64_C(1000000000);
	int rc = policy_trier_create(program, &t);

	if (rc < 0)
		return rc;
	for (unsigned int round = 0; round < ROUNDS; round++) {
		uint64_t state = 1;

		for (uint32_t i = 0; i < MADE_UP; i++, now += GAP_NS) {
			uint32_t length = policy_trial_packet(packet, i, &state);

			policy_trier_packet(t, packet, length, length, now);
			rounds[i][round] = t->last;
		}
	}
	rc = policy_trier_read(t, ret_trial);
	typical(rounds, samples);
	if (rc == 0 && program->run)
		rc = summarise(samples, MADE_UP, ret_trial);
	policy_trier_destroy(t);
	return rc;
}
