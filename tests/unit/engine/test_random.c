/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Random programs: interpreter and compiler must agree, to the last byte of the map. Needs no kernel and
 * no root; tests/bpf does the same with the kernel as the judge. jit_mutations.py runs this against
 * compilers that have been broken on purpose.
 *
 *	test_random [PROGRAMS [FIRST]]
 */

#include "ebpf/engine/program.h"
#include "tests/unit/engine/random_program.h"

#include <stdio.h>

#define RUNS 8

struct outcome {
	uint32_t verdict;
	uint32_t mark;
	uint8_t value[RANDOM_VALUE_BYTES];
};

static uint8_t packet[64];

static void judge(struct policy_program *program, const struct weir_ctx *ctx, struct outcome *ret)
{
	struct policy_frame frame;
	struct policy_worker worker = { .random = 1 };

	memset(&frame, 0, sizeof(frame));
	frame.ctx = *ctx;
	frame.ctx.data = (uint64_t)(uintptr_t)packet;
	frame.ctx.data_end = frame.ctx.data + sizeof(packet);
	memcpy(program->maps[0]->values, ctx, RANDOM_VALUE_BYTES);
	ret->verdict = policy_program_run(program, &frame, &worker);
	ret->mark = frame.ctx.mark;
	memcpy(ret->value, program->maps[0]->values, RANDOM_VALUE_BYTES);
	if (worker.fault)
		printf("# instruction %u: %s\n", worker.fault_insn,
			policy_fault_text(worker.fault));
}

/* Returns how many runs differ, -1 when the program is refused. */
static int compare(struct random_program *p)
{
	struct policy_image *image = image_build(p->insns, p->count, &random_map, 1);
	struct policy_program_options options = { .workers = 1, .node = -1, .verified = true };
	struct policy_program *compiled, *interpreted;
	char err[256];
	int differ = 0;

	if (policy_program_create(image, image->size, &options, &compiled, err, sizeof(err)) < 0) {
		printf("# %s\n", err);
		free(image);
		return -1;
	}
	options.interpret = true;
	if (policy_program_create(image, image->size, &options, &interpreted, err, sizeof(err)) < 0)
		abort();
	for (unsigned int run = 0; run < RUNS; run++) {
		struct weir_ctx ctx;
		struct outcome a, b;

		random_context(p, &ctx);
		memset(&a, 0, sizeof(a));
		memset(&b, 0, sizeof(b));
		judge(compiled, &ctx, &a);
		judge(interpreted, &ctx, &b);
		differ += memcmp(&a, &b, sizeof(a)) != 0;
	}
	policy_program_destroy(compiled);
	policy_program_destroy(interpreted);
	free(image);
	return differ;
}

int main(int argc, char **argv)
{
	uint64_t count = argc > 1 ? strtoull(argv[1], NULL, 0) : 20000;
	uint64_t first = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
	struct random_program p;

	printf("1..1\n");
	for (uint64_t i = first; i < first + count; i++) {
		random_program_make(&p, i, false);
		int rc = compare(&p);

		if (rc != 0) {
			printf("not ok 1 - random programs mean the same to interpreter and "
			       "compiler\n# seed %llu: %s\n",
				(unsigned long long)i, rc < 0 ? "refused" : "differs");
			return 1;
		}
	}
	printf("ok 1 - %llu random programs mean the same to interpreter and compiler\n",
		(unsigned long long)count);
	return 0;
}
