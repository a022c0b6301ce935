/* SPDX-License-Identifier: BSD-3-Clause */

/* What is refused before anything runs: instructions, images, parameters. */

#include "ebpf/engine/check.h"
#include "tests/unit/engine/image_build.h"
#include "tests/unit/tap.h"

#include <errno.h>
#include <stdio.h>

static const struct policy_image_map maps[] = {
	{ .name = "table",
		.type = BPF_MAP_TYPE_HASH,
		.key_size = 4,
		.value_size = 8,
		.max_entries = 8 },
	{ .name = ".bss",
		.type = BPF_MAP_TYPE_ARRAY,
		.key_size = 4,
		.value_size = 64,
		.max_entries = 1 },
};

static struct policy_refusal refusal;

static int check(const struct bpf_insn *insns, uint32_t count)
{
	int rc = policy_insns_check(insns, count, maps, 2, NULL, &refusal);

	if (rc != 0)
		printf("# %u: %s\n", refusal.insn, refusal.reason);
	return rc;
}

#define ACCEPTED(...)                                                   \
	do {                                                            \
		const struct bpf_insn p[] = { __VA_ARGS__ };            \
		CU_ASSERT_EQUAL(check(p, sizeof(p) / sizeof(p[0])), 0); \
	} while (0)
#define REFUSED(at, words, ...)                                               \
	do {                                                                  \
		const struct bpf_insn p[] = { __VA_ARGS__ };                  \
		CU_ASSERT_EQUAL(check(p, sizeof(p) / sizeof(p[0])), -EINVAL); \
		CU_ASSERT_EQUAL(refusal.insn, at);                            \
		CU_ASSERT_PTR_NOT_NULL(strstr(refusal.reason, words));        \
	} while (0)

static void good_programs_are_accepted(void)
{
	ACCEPTED(MOV_K(0, 2), EXIT);
	ACCEPTED(MAP(1, 0), MOV_K(0, 2), EXIT);
	ACCEPTED(VALUE(1, 1, 56), LOAD(BPF_DW, 0, 1, 0), EXIT);
	ACCEPTED(MOV_K(0, 9), ALU_K(BPF_SUB, 0, 1), JUMP_K(BPF_JNE, 0, 0, -2), EXIT);
	ACCEPTED(CALL(1), EXIT, MOV_K(0, 2), EXIT);
}

static void jumps_and_functions_must_be_sound(void)
{
	REFUSED(0, "without return", MOV_K(0, 2));
	REFUSED(0, "nowhere", JUMP_K(BPF_JEQ, 1, 0, 5), EXIT);
	REFUSED(0, "nowhere", JUMP_K(BPF_JEQ, 1, 0, -2), EXIT);
	REFUSED(0, "nowhere", JUMP_K(BPF_JEQ, 1, 0, 1), MAP(1, 0), EXIT);
	REFUSED(0, "nowhere", CALL(7), EXIT);
	REFUSED(0, "nowhere", CALL(-1), EXIT);
	REFUSED(1, "without return", CALL(1), MOV_K(0, 2), MOV_K(0, 2), EXIT);
	/* from one function into another */
	REFUSED(1, "nowhere", CALL(2), JUMP_K(BPF_JEQ, 1, 0, 1), EXIT, MOV_K(0, 2), EXIT);
	REFUSED(0, "half", INSN(BPF_LD | BPF_DW | BPF_IMM, 1, 0, 0, 0));
}

static void what_the_engine_does_not_have_is_refused(void)
{
	REFUSED(0, "helper 6,", CALL_HELPER(6), EXIT);
	REFUSED(0, "bpf_get_smp_processor_id", CALL_HELPER(6),
		EXIT); /* the last of those there are */
	REFUSED(0, "tail call", CALL_HELPER(BPF_FUNC_tail_call), EXIT);
	REFUSED(0, "kernel function", INSN(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_KFUNC_CALL, 0, 100),
		EXIT);
	REFUSED(0, "classic", INSN(BPF_LD | BPF_ABS | BPF_W, 0, 0, 0, 12), EXIT);
	REFUSED(0, "classic", INSN(BPF_LD | BPF_IND | BPF_B, 0, 1, 0, 0), EXIT);
	REFUSED(0, "mcpu=v3", INSN(BPF_ALU64 | BPF_MOV | BPF_X, 1, 2, 8, 0), EXIT);
	REFUSED(0, "mcpu=v3", INSN(BPF_ALU64 | BPF_END, 1, 0, 0, 32), EXIT);
	REFUSED(0, "mcpu=v3", INSN(BPF_LDX | 0x80 | BPF_B, 1, 2, 0, 0), EXIT);
	REFUSED(0, "mcpu=v3", INSN(BPF_JMP32 | BPF_JA, 0, 0, 0, 1), EXIT, EXIT);
	REFUSED(0, "in the kernel", INSN(BPF_LD | BPF_DW | BPF_IMM, 1, BPF_PSEUDO_BTF_ID, 0, 9),
		INSN(0, 0, 0, 0, 0), EXIT);
	REFUSED(0, "in the kernel", INSN(BPF_LD | BPF_DW | BPF_IMM, 1, BPF_PSEUDO_FUNC, 0, 1),
		INSN(0, 0, 0, 0, 0), EXIT);
	REFUSED(0, "map 2", MAP(1, 2), EXIT);
	REFUSED(0, "outside", VALUE(1, 1, 64), EXIT);
	REFUSED(0, "outside", VALUE(1, 0, 0), EXIT);
	REFUSED(0, "r10", MOV_K(10, 2), EXIT);
	REFUSED(0, "r10", INSN(BPF_LDX | BPF_MEM | BPF_DW, 10, 1, 16, 0), EXIT);
	REFUSED(0, "r10", VALUE(10, 0, 0), EXIT);
	REFUSED(0, "register", INSN(BPF_ALU64 | BPF_MOV | BPF_X, 11, 1, 0, 0), EXIT);
	REFUSED(0, "register", INSN(BPF_ALU64 | BPF_MOV | BPF_X, 1, 12, 0, 0), EXIT);
	REFUSED(0, "zero", ALU_K(BPF_DIV, 1, 0), EXIT);
	REFUSED(0, "shift", ALU_K(BPF_LSH, 1, 64), EXIT);
	REFUSED(0, "atomic", INSN(BPF_STX | BPF_ATOMIC | BPF_B, 1, 2, 0, BPF_ADD), EXIT);
	REFUSED(0, "atomic", INSN(BPF_STX | BPF_ATOMIC | BPF_W, 1, 2, 0, 0x77), EXIT);
}

#define FETCH(d, s, o) INSN(BPF_STX | BPF_ATOMIC | BPF_DW, d, s, o, BPF_ADD | BPF_FETCH)

static void fetching_from_the_stack_is_refused(void)
{
	REFUSED(0, "stack", FETCH(10, 2, -8), MOV_K(0, 2), EXIT);
	/* The context is the caller's stack. */
	REFUSED(0, "stack", FETCH(1, 2, 56), EXIT);
	REFUSED(2, "stack", MOV_X(3, 10), ALU_K(BPF_ADD, 3, -8), FETCH(3, 2, 0), EXIT);
	/* Through a slot. */
	REFUSED(2, "stack", STORE(BPF_DW, 10, 1, -8), LOAD(BPF_DW, 3, 10, -8), FETCH(3, 2, 56),
		EXIT);
	/* On one of two paths. */
	REFUSED(4, "stack", VALUE(3, 1, 0), JUMP_K(BPF_JEQ, 2, 0, 1), MOV_X(3, 10), FETCH(3, 2, -8),
		EXIT);
	/* In a function that is given an address of the stack. */
	REFUSED(3, "stack", CALL(2), MOV_K(0, 2), EXIT, FETCH(1, 2, 0), EXIT);
	/* Without fetching it is sound. */
	ACCEPTED(STORE_K(BPF_DW, 10, -8, 0),
		INSN(BPF_STX | BPF_ATOMIC | BPF_DW, 10, 2, -8, BPF_ADD), MOV_K(0, 2), EXIT);
}

static void fetching_from_a_map_is_accepted(void)
{
	ACCEPTED(VALUE(3, 1, 0), FETCH(3, 2, 0), EXIT);
	/* An address of a value, kept in a slot beside one that holds the context. */
	ACCEPTED(STORE(BPF_DW, 10, 1, -8), VALUE(3, 1, 0), STORE(BPF_DW, 10, 3, -16),
		LOAD(BPF_DW, 4, 10, -16), FETCH(4, 2, 0), EXIT);
	/* A slot that held the context before. */
	ACCEPTED(STORE(BPF_DW, 10, 1, -8), VALUE(3, 1, 0), STORE(BPF_DW, 10, 3, -8),
		LOAD(BPF_DW, 4, 10, -8), FETCH(4, 2, 0), EXIT);
}

static void unwritten_stack_is_not_read(void)
{
	REFUSED(0, "not written", LOAD(BPF_DW, 0, 10, -8), EXIT);
	/* A half of it. */
	REFUSED(1, "not written", STORE_K(BPF_W, 10, -8, 1), LOAD(BPF_DW, 0, 10, -8), EXIT);
	/* On one of two paths. */
	REFUSED(2, "not written", JUMP_K(BPF_JEQ, 1, 0, 1), STORE_K(BPF_DW, 10, -8, 1),
		LOAD(BPF_DW, 0, 10, -8), EXIT);
	/* Through another register, and as a key. */
	REFUSED(2, "not written", MOV_X(2, 10), ALU_K(BPF_ADD, 2, -16), LOAD(BPF_W, 0, 2, 8), EXIT);
	REFUSED(5, "not written", STORE_K(BPF_H, 10, -4, 1), MAP(1, 0), MOV_X(2, 10),
		ALU_K(BPF_ADD, 2, -4), CALL_HELPER(1), MOV_K(0, 2), EXIT);
	/* At an index. */
	REFUSED(4, "not written", MOV_K(3, 8), MOV_X(2, 10), ALU_K(BPF_ADD, 2, -16),
		ALU_X(BPF_ADD, 2, 3), LOAD(BPF_W, 0, 2, 0), EXIT);
	/* What its caller wrote is not a function's own. */
	REFUSED(4, "not written", STORE_K(BPF_DW, 10, -8, 1), CALL(2), MOV_K(0, 2), EXIT,
		LOAD(BPF_DW, 0, 10, -8), EXIT);
	REFUSED(0, "below", LOAD(BPF_DW, 0, 1, -8), EXIT);
}

static void written_stack_is_read(void)
{
	ACCEPTED(STORE_K(BPF_W, 10, -8, 1), STORE_K(BPF_W, 10, -4, 1), LOAD(BPF_DW, 0, 10, -8),
		EXIT);
	ACCEPTED(JUMP_K(BPF_JEQ, 1, 0, 2), STORE_K(BPF_DW, 10, -8, 1), JUMP_K(BPF_JA, 0, 0, 1),
		STORE_K(BPF_DW, 10, -8, 2), LOAD(BPF_DW, 0, 10, -8), EXIT);
	/* By a loop, by a function, by somebody who has its address. */
	ACCEPTED(MOV_X(2, 10), ALU_K(BPF_ADD, 2, -64), STORE_K(BPF_DW, 2, 0, 0),
		ALU_K(BPF_ADD, 2, 8), ALU_K(BPF_ADD, 3, 1), JUMP_K(BPF_JNE, 3, 8, -4),
		LOAD(BPF_DW, 0, 10, -32), EXIT);
	ACCEPTED(MOV_X(1, 10), ALU_K(BPF_ADD, 1, -16), CALL(2), LOAD(BPF_DW, 0, 10, -16), EXIT,
		STORE_K(BPF_DW, 1, 0, 1), MOV_K(0, 2), EXIT);
}

static void damaged_images_are_refused(void)
{
	const struct bpf_insn insns[] = { MOV_K(0, 2), EXIT };
	const struct map_shape shape = { BPF_MAP_TYPE_ARRAY, 4, 64, 1, true };
	struct policy_image *image = image_build(insns, 2, &shape, 1);
	uint32_t size = image->size;
	uint8_t *bytes = malloc(size);
	char err[256];

	CU_ASSERT_EQUAL(policy_image_check(image, size, err, sizeof(err)), 0);
	for (uint32_t cut = 0; cut < size; cut++)
		CU_ASSERT_EQUAL(policy_image_check(image, cut, err, sizeof(err)), -EINVAL);
	/* Whatever word is wrong, the check comes to an end and reads nothing outside. */
	for (uint32_t at = 0; at + 4 <= size; at += 4) {
		static const uint32_t wrong[] = { 0, 1, 0x7fffffff, 0xffffffff, 0x80000000 };

		for (unsigned int i = 0; i < 5; i++) {
			memcpy(bytes, image, size);
			memcpy(bytes + at, &wrong[i], 4);
			policy_image_check(bytes, size, err, sizeof(err));
		}
	}
	image->abi++;
	CU_ASSERT_EQUAL(policy_image_check(image, size, err, sizeof(err)), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err, "version 2"));
	image->abi--;
	image_maps(image)->type = BPF_MAP_TYPE_RINGBUF;
	CU_ASSERT_EQUAL(policy_image_check(image, size, err, sizeof(err)), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err, "m0"));
	free(bytes);
	free(image);
}

static void parameters_are_set_within_their_range(void)
{
	struct {
		struct policy_image head;
		struct policy_image_map map;
		struct policy_image_param params[3];
		uint64_t bytes[4];
		struct bpf_insn insns[2];
	} i = {
		.head = { .magic = POLICY_IMAGE_MAGIC,
			.abi = 1,
			.insn_count = 2,
			.map_count = 1,
			.param_count = 3,
			.name = "p" },
		.map = { .name = ".rodata",
			.type = BPF_MAP_TYPE_ARRAY,
			.key_size = 4,
			.value_size = 32,
			.max_entries = 1,
			.flags = POLICY_MAP_F_INITIAL | POLICY_MAP_F_CONSTANT },
		.params = { { "rate", 0, 0, 8, 0 }, { "small", 0, 8, 1, 0 },
			{ "delta", 0, 12, 4, 1 } },
		.insns = { MOV_K(0, 2), EXIT },
	};
	char err[256];

	i.head.size = sizeof(i);
	i.head.maps = i.head.lines = (uint32_t)((uint8_t *)&i.map - (uint8_t *)&i);
	i.head.params = (uint32_t)((uint8_t *)i.params - (uint8_t *)&i);
	i.map.initial_offset = (uint32_t)((uint8_t *)i.bytes - (uint8_t *)&i);
	i.head.insns = (uint32_t)((uint8_t *)i.insns - (uint8_t *)&i);
	CU_ASSERT_EQUAL(policy_image_check(&i, sizeof(i), err, sizeof(err)), 0);
	CU_ASSERT_EQUAL(policy_image_set(&i.head, "rate=500", err, sizeof(err)), 0);
	CU_ASSERT_EQUAL(i.bytes[0], 500);
	CU_ASSERT_EQUAL(policy_image_set(&i.head, "rate=0xffffffffffffffff", err, sizeof(err)), 0);
	CU_ASSERT_EQUAL(policy_image_set(&i.head, "small=255", err, sizeof(err)), 0);
	CU_ASSERT_EQUAL(policy_image_set(&i.head, "small=256", err, sizeof(err)), -ERANGE);
	CU_ASSERT_EQUAL(policy_image_set(&i.head, "small=-1", err, sizeof(err)), -ERANGE);
	CU_ASSERT_EQUAL(policy_image_set(&i.head, "delta=-2147483648", err, sizeof(err)), 0);
	CU_ASSERT_EQUAL(policy_image_param(&i.head, &i.params[2]), -INT64_C(2147483648));
	CU_ASSERT_EQUAL(policy_image_set(&i.head, "delta=2147483648", err, sizeof(err)), -ERANGE);
	CU_ASSERT_EQUAL(policy_image_set(&i.head, "rat=5", err, sizeof(err)), -ENOENT);
	CU_ASSERT_EQUAL(policy_image_set(&i.head, "rate", err, sizeof(err)), -EINVAL);
	CU_ASSERT_EQUAL(policy_image_set(&i.head, "rate=", err, sizeof(err)), -EINVAL);
	CU_ASSERT_EQUAL(policy_image_set(&i.head, "rate=5x", err, sizeof(err)), -EINVAL);
	CU_ASSERT_EQUAL(
		policy_image_set(&i.head, "rate=99999999999999999999", err, sizeof(err)), -ERANGE);
	CU_ASSERT_EQUAL(i.bytes[0], UINT64_MAX);
}

/* Context loads: 40 sport, 44 flags (a new flow is 16), 24 flow_hash, 56 saddr. */
#define SEEN(words, ...)                                                          \
	do {                                                                      \
		const struct bpf_insn p[] = { __VA_ARGS__ };                      \
		const uint32_t n = sizeof(p) / sizeof(p[0]);                      \
		const char *why = NULL;                                           \
		CU_ASSERT_EQUAL(policy_context_check(p, n, maps, &why), -EINVAL); \
		CU_ASSERT(why &&strstr(why, words));                              \
	} while (0)
#define UNSEEN(...)                                                         \
	do {                                                                \
		const struct bpf_insn p[] = { __VA_ARGS__ };                \
		const uint32_t n = sizeof(p) / sizeof(p[0]);                \
		const char *why = NULL;                                     \
		CU_ASSERT_EQUAL(policy_context_check(p, n, maps, &why), 0); \
		CU_ASSERT_PTR_NULL(why);                                    \
	} while (0)
#define FLAGS(d) LOAD(BPF_H, d, 1, 44)
#define PASSES	 MOV_K(0, 2), EXIT

static void what_both_sides_know_may_be_read(void)
{
	UNSEEN(LOAD(BPF_H, 2, 1, 40), JUMP_K(BPF_JEQ, 2, 1, 0), PASSES);
	UNSEEN(LOAD(BPF_B, 2, 1, 45), JUMP_K(BPF_JEQ, 2, 1, 0), PASSES);
	UNSEEN(LOAD(BPF_DW, 2, 1, 16), JUMP_K(BPF_JEQ, 2, 1, 0), PASSES);
	UNSEEN(FLAGS(2), ALU_K(BPF_AND, 2, 1), JUMP_K(BPF_JEQ, 2, 0, 0), PASSES);
	UNSEEN(FLAGS(2), JUMP_K(BPF_JSET, 2, 5, 0), PASSES);
	UNSEEN(FLAGS(2), ALU_K(BPF_RSH, 2, 5), JUMP_K(BPF_JEQ, 2, 0, 0), PASSES);
	UNSEEN(FLAGS(2), ALU_K(BPF_LSH, 2, 62), ALU_K(BPF_RSH, 2, 63), JUMP_K(BPF_JEQ, 2, 0, 0),
		PASSES);
	/* Through the stack, and behind a move of the pointer. */
	UNSEEN(FLAGS(2), STORE(BPF_DW, 10, 2, -8), LOAD(BPF_DW, 3, 10, -8), ALU_K(BPF_AND, 3, 4),
		JUMP_K(BPF_JEQ, 3, 0, 0), PASSES);
	UNSEEN(STORE(BPF_DW, 10, 1, -8), LOAD(BPF_DW, 3, 10, -8), LOAD(BPF_W, 3, 3, 40),
		JUMP_K(BPF_JEQ, 3, 0, 0), PASSES);
	/* A key of the context's addresses: 4 bytes, by the map. */
	UNSEEN(MOV_X(2, 1), ALU_K(BPF_ADD, 2, 56), MAP(1, 0), CALL_HELPER(1), PASSES);
	UNSEEN(MOV_X(2, 1), ALU_K(BPF_ADD, 2, 40), MAP(1, 0), CALL_HELPER(1), PASSES);
}

static void what_only_the_fast_path_knows_is_seen(void)
{
	SEEN("flow_hash", LOAD(BPF_W, 2, 1, 24), PASSES);
	SEEN("flow_hash", LOAD(BPF_H, 2, 1, 28), PASSES);
	SEEN("flow_hash", LOAD(BPF_DW, 2, 1, 24), PASSES);
	SEEN("flow_hash", MOV_X(6, 1), ALU_K(BPF_ADD, 6, 20), LOAD(BPF_W, 2, 6, 4), PASSES);
	SEEN("new", FLAGS(2), ALU_K(BPF_AND, 2, 16), JUMP_K(BPF_JEQ, 2, 0, 0), PASSES);
	SEEN("new", FLAGS(2), JUMP_K(BPF_JEQ, 2, 0, 0), PASSES);
	SEEN("new", FLAGS(2), JUMP_K(BPF_JSET, 2, 16, 0), PASSES);
	SEEN("new", FLAGS(2), ALU_K(BPF_RSH, 2, 4), JUMP_K(BPF_JEQ, 2, 0, 0), PASSES);
	SEEN("new", LOAD(BPF_W, 2, 1, 44), ALU_K(BPF_ADD, 2, 1), PASSES);
	SEEN("new", LOAD(BPF_DW, 2, 1, 40), ALU_K(BPF_RSH, 2, 36), JUMP_K(BPF_JEQ, 2, 0, 0),
		PASSES);
	SEEN("new", FLAGS(0), EXIT);
	SEEN("new", FLAGS(2), STORE(BPF_DW, 10, 2, -8), LOAD(BPF_DW, 3, 10, -8),
		JUMP_K(BPF_JEQ, 3, 0, 0), PASSES);
	SEEN("new", FLAGS(2), STORE(BPF_W, 10, 2, -8), MOV_X(2, 10), ALU_K(BPF_ADD, 2, -8),
		MAP(1, 0), CALL_HELPER(1), PASSES);
	SEEN("new", MOV_X(2, 1), ALU_K(BPF_ADD, 2, 44), MAP(1, 0), CALL_HELPER(1), PASSES);
	/* On one of two ways only. */
	SEEN("new", MOV_K(2, 0), LOAD(BPF_B, 3, 1, 38), JUMP_K(BPF_JEQ, 3, 6, 1), FLAGS(2),
		JUMP_K(BPF_JEQ, 2, 0, 0), PASSES);
	/* In a function that is called with the context, or with the flags. */
	SEEN("new", CALL(2), PASSES, FLAGS(2), JUMP_K(BPF_JEQ, 2, 0, 0), PASSES);
	SEEN("new", FLAGS(2), CALL(2), PASSES, JUMP_K(BPF_JEQ, 2, 0, 0), PASSES);
}

static void what_gets_out_of_sight_counts_as_read(void)
{
	SEEN("followed", LOAD(BPF_B, 2, 1, 38), ALU_X(BPF_ADD, 1, 2), LOAD(BPF_B, 2, 1, 0), PASSES);
	SEEN("followed", VALUE(2, 1, 0), STORE(BPF_DW, 2, 1, 0), PASSES);
	SEEN("new", VALUE(2, 1, 0), FLAGS(3), STORE(BPF_H, 2, 3, 0), PASSES);
	SEEN("followed", STORE(BPF_DW, 10, 1, -8), MOV_X(1, 10), ALU_K(BPF_ADD, 1, -8), CALL(2),
		PASSES, LOAD(BPF_DW, 1, 1, 0), PASSES);
	SEEN("followed", STORE(BPF_DW, 10, 1, -8), LOAD(BPF_B, 2, 1, 38), MOV_X(3, 10),
		ALU_X(BPF_SUB, 3, 2), LOAD(BPF_DW, 3, 3, 0), LOAD(BPF_B, 3, 3, 0), PASSES);
}

static const struct tap_case cases[] = {
	{ "good programs are accepted", good_programs_are_accepted },
	{ "jumps and functions must be sound", jumps_and_functions_must_be_sound },
	{ "what the engine does not have is refused", what_the_engine_does_not_have_is_refused },
	{ "fetching atomics on the stack are refused", fetching_from_the_stack_is_refused },
	{ "fetching atomics on maps are accepted", fetching_from_a_map_is_accepted },
	{ "stack that was not written is not read", unwritten_stack_is_not_read },
	{ "stack that was written is read", written_stack_is_read },
	{ "the kernel may run what reads what both sides know", what_both_sides_know_may_be_read },
	{ "what only the fast path knows is seen", what_only_the_fast_path_knows_is_seen },
	{ "what gets out of sight counts as read", what_gets_out_of_sight_counts_as_read },
	{ "damaged images are refused", damaged_images_are_refused },
	{ "parameters are set within their range", parameters_are_set_within_their_range },
};

TAP_MAIN("policy check", cases)
