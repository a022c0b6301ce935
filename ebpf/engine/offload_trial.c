/* SPDX-License-Identifier: BSD-3-Clause */

/* What a policy takes in the kernel, by the kernel's own clock: BPF_PROG_TEST_RUN. */

#include "ebpf/engine/kernel_private.h"
#include "ebpf/engine/trial.h"
#include "ebpf/kernel/steering_keys.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PACKETS 32u
#define REPEAT	200

static uint64_t clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* What the port's program would have written down, for whichever CPU it will be. */
static int packet_tell(int packet_fd, const uint8_t *bytes, uint32_t length, uint64_t now_ns)
{
	const int cpus = libbpf_num_possible_cpus();
	struct steering_packet *all = calloc(cpus > 0 ? (size_t)cpus : 1, sizeof(*all));
	const uint32_t zero = 0;
	struct weir_ctx ctx;
	int rc = -1;

	if (all && cpus > 0) {
		policy_context_parse(&ctx, bytes, length, length);
		ctx.flow_hash = 0;
		ctx.now_ns = now_ns;
		ctx.stage = WEIR_STAGE_XDP;
		for (int i = 0; i < cpus; i++)
			memcpy(all[i].context, &ctx, sizeof(ctx));
		rc = bpf_map_update_elem(packet_fd, &zero, all, BPF_ANY);
	}
	free(all);
	return rc;
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

uint32_t offload_cycles(int program_fd, int packet_fd)
{
	uint8_t packet[POLICY_TRIAL_FRAME];
	uint64_t state = 1, cycles = policy_trial_cycles(), start = clock_ns();
	uint32_t ns[PACKETS], count = 0;

	for (uint32_t i = 0; i < PACKETS; i++) {
		uint32_t length = policy_trial_packet(packet, i, &state);
		LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet, .data_size_in = length,
			.repeat = REPEAT);

		if (packet_tell(packet_fd, packet, length, clock_ns()) == 0 &&
			bpf_prog_test_run_opts(program_fd, &opts) == 0)
			ns[count++] = opts.duration;
	}
	uint64_t took = clock_ns() - start;

	cycles = policy_trial_cycles() - cycles;
	if (!count || !took)
		return 0;
	qsort(ns, count, sizeof(ns[0]), compare);
	const double each = (double)ns[count / 2] * (double)cycles / (double)took;

	return each < 1 ? 1 : (uint32_t)each;
}
