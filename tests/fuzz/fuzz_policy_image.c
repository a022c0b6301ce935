/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Policies that no verifier has seen. The input is instructions, 8 bytes each, for a policy with one map
 * of each kind; the last byte says at which of its bytes the image around them is damaged. Whatever is not
 * refused runs in the interpreter, which must keep it from everything that is not its own.
 */

#include "ebpf/engine/program.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/engine/image_build.h"

#define MAX_INSNS 256

static const struct map_shape maps[] = {
	{ BPF_MAP_TYPE_ARRAY, 4, 24, 3, false },
	{ BPF_MAP_TYPE_PERCPU_ARRAY, 4, 8, 2, false },
	{ BPF_MAP_TYPE_HASH, 4, 8, 4, false },
	{ BPF_MAP_TYPE_LRU_HASH, 8, 16, 4, false },
	{ BPF_MAP_TYPE_LPM_TRIE, 8, 4, 4, false },
	{ BPF_MAP_TYPE_ARRAY, 4, 32, 1, true },
};

static void run(struct policy_program *program)
{
	/* Exact blocks, so that a sanitizer sees a byte beside them. */
	struct policy_frame *frame = aligned_alloc(64, sizeof(*frame));
	uint8_t *packet = malloc(60);
	struct policy_worker worker = { .random = 1 };

	FUZZ_CHECK(frame && packet);
	memset(frame, 0, sizeof(*frame));
	memset(packet, 7, 60);
	for (unsigned int i = 0; i < 3; i++) {
		frame->ctx.data = (uint64_t)(uintptr_t)packet;
		frame->ctx.data_end = frame->ctx.data + 60;
		policy_program_run(program, frame, &worker);
		FUZZ_CHECK(worker.fault < POLICY_FAULT_COUNT);
	}
	for (unsigned int i = 0; i < 60; i++)
		FUZZ_CHECK(packet[i] == 7);
	free(packet);
	free(frame);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bpf_insn insns[MAX_INSNS];
	struct policy_program_options options = {
		.workers = 1, .node = -1, .back_edges = 64, .memory_bytes = 64 << 20
	};
	struct policy_program *program;
	char err[512];

	if (size < 9 || size / 8 > MAX_INSNS)
		return 0;
	uint32_t count = (uint32_t)(size / 8);

	memcpy(insns, data, count * sizeof(insns[0]));
	struct policy_image *image =
		image_build(insns, count, maps, sizeof(maps) / sizeof(maps[0]));
	uint32_t bytes = image->size;

	if (size % 8 >= 3) {
		uint32_t at = (uint32_t)(data[size - 1] | data[size - 2] << 8) % bytes;

		((uint8_t *)image)[at] ^= data[size - 3] | 1;
	}
	if (policy_program_create(image, bytes, &options, &program, err, sizeof(err)) == 0) {
		run(program);
		policy_program_destroy(program);
	}
	free(image);
	return 0;
}
