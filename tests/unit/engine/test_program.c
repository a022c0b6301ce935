/* SPDX-License-Identifier: BSD-3-Clause */

/* Programs as they run, compiled and interpreted: limits, memory, helpers, what must not happen. */

#include "ebpf/engine/program.h"
#include "tests/unit/engine/image_build.h"
#include "tests/unit/tap.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

static struct policy_worker worker;
static struct policy_frame frame;
static uint8_t around[384];
#define packet	     (around + 128)
#define PACKET_BYTES 128

static struct policy_program *make(const struct bpf_insn *insns, uint32_t count,
	const struct map_shape *maps, uint32_t map_count, bool interpret)
{
	struct policy_image *image = image_build(insns, count, maps, map_count);
	struct policy_program_options options = {
		.workers = 2, .node = -1, .verified = !interpret, .seed = 5
	};
	struct policy_program *p = NULL;
	char err[256] = "";

	int rc = policy_program_create(image, image->size, &options, &p, err, sizeof(err));
	if (rc < 0)
		printf("# %s\n", err);
	CU_ASSERT_EQUAL_FATAL(rc, 0);
	free(image);
	return p;
}

static void reset(void)
{
	worker = (struct policy_worker){ .random = 1, .now_ns = 77, .index = 1 };
	memset(&frame, 0, sizeof(frame));
	frame.ctx.data = (uint64_t)(uintptr_t)packet;
	frame.ctx.data_end = frame.ctx.data + PACKET_BYTES;
}

/* Run in both ways; both must give this. */
static void gives(const struct bpf_insn *insns, uint32_t count, uint32_t verdict)
{
	for (int interpret = 0; interpret < 2; interpret++) {
		struct policy_program *p = make(insns, count, NULL, 0, interpret);

		reset();
		CU_ASSERT_EQUAL(policy_program_run(p, &frame, &worker), verdict);
		policy_program_destroy(p);
	}
}

#define GIVES(verdict, ...)                                  \
	do {                                                 \
		const struct bpf_insn x[] = { __VA_ARGS__ }; \
		gives(x, sizeof(x) / sizeof(x[0]), verdict); \
	} while (0)

static void division_by_zero_gives_what_the_kernel_gives(void)
{
	GIVES(0, MOV_K(0, 7), MOV_K(1, 0), ALU_X(BPF_DIV, 0, 1), EXIT);
	GIVES(7, MOV_K(0, 7), MOV_K(1, 0), ALU_X(BPF_MOD, 0, 1), EXIT);
	GIVES(0, MOV_K(0, 0), ALU_X(BPF_DIV, 0, 0), EXIT);
	/* 32 bits: the divisor is zero in its lower half, and the result is cut off */
	GIVES(0, MOV_K(0, -1), MOV_K(1, 1), ALU_K(BPF_LSH, 1, 32),
		INSN(BPF_ALU | BPF_DIV | BPF_X, 0, 1, 0, 0), EXIT);
	GIVES(0, MOV_K(0, -1), MOV_K(1, 1), ALU_K(BPF_LSH, 1, 32),
		INSN(BPF_ALU | BPF_MOD | BPF_X, 0, 1, 0, 0), ALU_K(BPF_RSH, 0, 32), EXIT);
}

static void thirty_two_bits_clear_the_upper_half(void)
{
	GIVES(0, MOV_K(0, -1), INSN(BPF_ALU | BPF_LSH | BPF_K, 0, 0, 0, 0), ALU_K(BPF_RSH, 0, 32),
		EXIT);
	GIVES(0, MOV_K(0, -1), MOV_K(1, 32), INSN(BPF_ALU | BPF_RSH | BPF_X, 0, 1, 0, 0),
		ALU_K(BPF_RSH, 0, 32), EXIT);
	GIVES(0, MOV_K(0, -1), MOV_K(4, 0), INSN(BPF_ALU | BPF_LSH | BPF_X, 0, 4, 0, 0),
		ALU_K(BPF_RSH, 0, 32), EXIT);
	GIVES(0, MOV_K(4, -1), INSN(BPF_ALU | BPF_ARSH | BPF_X, 4, 4, 0, 0), MOV_X(0, 4),
		ALU_K(BPF_RSH, 0, 32), EXIT);
}

static void helpers_know_worker_and_time(void)
{
	GIVES(1, CALL_HELPER(BPF_FUNC_get_smp_processor_id), EXIT);
	GIVES(77, CALL_HELPER(BPF_FUNC_ktime_get_ns), EXIT);
	/* Registers that calls must keep, through a function that uses them. */
	GIVES(60, MOV_K(6, 10), MOV_K(7, 20), MOV_K(8, 30), CALL(4), MOV_X(0, 6),
		ALU_X(BPF_ADD, 0, 7), ALU_X(BPF_ADD, 0, 8), EXIT, MOV_K(6, 1), MOV_K(7, 1),
		MOV_K(8, 1), MOV_K(9, 1), CALL_HELPER(BPF_FUNC_get_prandom_u32), EXIT);
	/* Through one that uses a single one of them. */
	for (int r = 6; r <= 9; r++)
		GIVES(100, MOV_K(6, 10), MOV_K(7, 20), MOV_K(8, 30), MOV_K(9, 40), CALL(5),
			MOV_X(0, 6), ALU_X(BPF_ADD, 0, 7), ALU_X(BPF_ADD, 0, 8),
			ALU_X(BPF_ADD, 0, 9), EXIT, MOV_K(r, 1), MOV_K(0, 1), EXIT);
}

/* Offsets of one byte and of four, both ways. */
static void offsets_of_all_sizes_are_right(void)
{
	for (uint32_t i = 0; i < sizeof(around); i++)
		around[i] = (uint8_t)(i * 7);
	for (int off = 0; off < 120; off += 17) {
		GIVES(packet[off], LOAD(BPF_DW, 1, 1, 0), LOAD(BPF_B, 0, 1, off), EXIT);
		for (int more = 100; more < 500; more += 99)
			GIVES(packet[off], LOAD(BPF_DW, 1, 1, 0), ALU_K(BPF_ADD, 1, more),
				LOAD(BPF_B, 0, 1, off - more), EXIT);
		for (int more = 100; more < 500; more += 99)
			GIVES(packet[off], LOAD(BPF_DW, 1, 1, 0), ALU_K(BPF_SUB, 1, more),
				LOAD(BPF_B, 0, 1, off + more), EXIT);
	}
}

#if defined(__x86_64__)
/* Run a policy, and tell whether the registers are kept that the ABI says are the caller's. */
static bool keeps_registers(struct policy_program *p)
{
	register uint64_t a asm("rbx") = 0x11, b asm("r13") = 0x22, c asm("r14") = 0x33;
	register uint64_t d asm("r15") = 0x44, e asm("r12") = 0x55;
	void *ctx = &frame.ctx, *state = &worker;
	policy_function run = p->run;

	/* Below the red zone, which the compiler may use. */
	asm volatile(
		"sub $128, %%rsp\n\tcall *%%rax\n\tadd $128, %%rsp"
		: "+r"(a), "+r"(b), "+r"(c), "+r"(d), "+r"(e), "+D"(ctx), "+S"(state), "+a"(run)
		:
		: "rcx", "rdx", "r8", "r9", "r10", "r11", "memory", "cc");
	return a == 0x11 && b == 0x22 && c == 0x33 && d == 0x44 && e == 0x55;
}
#else
static bool keeps_registers(struct policy_program *p)
{
	return true;
}
#endif

static void an_endless_loop_is_aborted(void)
{
	/* In a function three calls deep, so that giving up has frames to leave. */
	const struct bpf_insn insns[] = { MOV_K(6, 5), CALL(2), MOV_K(0, 2), EXIT, MOV_K(7, 6),
		CALL(1), EXIT, MOV_K(8, 7), INSN(BPF_JMP | BPF_JA, 0, 0, -1, 0) };

	for (int interpret = 0; interpret < 2; interpret++) {
		struct policy_program *p = make(insns, 9, NULL, 0, interpret);

		reset();
		for (uint32_t i = 1; i <= 3; i++) {
			CU_ASSERT_EQUAL(
				policy_program_run(p, &frame, &worker), WEIR_ACTION_ABORTED);
			CU_ASSERT_EQUAL(worker.aborted, i);
		}
		if (p->run)
			CU_ASSERT(keeps_registers(p));
		policy_program_destroy(p);
	}
}

static void a_loop_within_its_budget_is_not_aborted(void)
{
	const struct bpf_insn insns[] = { MOV_K(0, POLICY_BACK_EDGES), ALU_K(BPF_SUB, 0, 1),
		JUMP_K(BPF_JNE, 0, 0, -2), MOV_K(0, 2), EXIT };
	const struct bpf_insn longer[] = { MOV_K(0, POLICY_BACK_EDGES + 1), ALU_K(BPF_SUB, 0, 1),
		JUMP_K(BPF_JNE, 0, 0, -2), MOV_K(0, 2), EXIT };

	gives(insns, 5, 2);
	gives(longer, 5, 0);
}

/*
 * The verifier lets a policy write its caller's stack frame: 512 bytes that end where the context does.
 * Here the frame begins right behind a page that nobody may touch, so a frame that does not own all
 * of those bytes ends the test with a signal.
 */
static void the_memory_below_a_context_is_the_policys(void)
{
	struct bpf_insn insns[2 * WEIR_FRAME_BELOW / 8 + 2];
	uint32_t n = 0;
	long page = sysconf(_SC_PAGESIZE);
	uint8_t *pages = mmap(
		NULL, (size_t)page * 2, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CU_ASSERT_FATAL(pages != MAP_FAILED && mprotect(pages, (size_t)page, PROT_NONE) == 0);
	for (int off = -416; off < 0; off += 8)
		insns[n++] = STORE_K(BPF_DW, 1, off, -1);
	insns[n++] = MOV_K(0, 2);
	insns[n++] = EXIT;
	for (int interpret = 0; interpret < 2; interpret++) {
		struct policy_program *p = make(insns, n, NULL, 0, interpret);
		struct policy_frame *f = (struct policy_frame *)(pages + page);

		reset();
		memset(f, 0, sizeof(*f) + 64);
		CU_ASSERT_EQUAL(policy_program_run(p, f, &worker), WEIR_PASS);
		CU_ASSERT_EQUAL(worker.fault, POLICY_FAULT_NONE);
		/* Neither the context nor what follows it was touched. */
		for (uint32_t i = 0; i < sizeof(f->ctx) + 64; i++)
			CU_ASSERT_EQUAL(((uint8_t *)&f->ctx)[i], 0);
		CU_ASSERT_EQUAL(f->below[0], 0xff);
		policy_program_destroy(p);
	}
	munmap(pages, (size_t)page * 2);
}

static void the_interpreter_lets_nobody_out(void)
{
	static const struct map_shape map = { BPF_MAP_TYPE_HASH, 4, 8, 8, false };
	static const struct {
		struct bpf_insn insns[8];
		enum policy_fault fault;
	} bad[] = {
		{ { MOV_K(1, 8), LOAD(BPF_DW, 0, 1, 0), EXIT }, POLICY_FAULT_READ },
		{ { LOAD(BPF_DW, 0, 1, 96), EXIT }, POLICY_FAULT_READ },
		{ { LOAD(BPF_DW, 2, 1, 8), LOAD(BPF_B, 0, 2, 0), EXIT }, POLICY_FAULT_READ },
		{ { LOAD(BPF_DW, 2, 1, 0), LOAD(BPF_B, 0, 2, -1), EXIT }, POLICY_FAULT_READ },
		{ { LOAD(BPF_DW, 2, 1, 0), STORE_K(BPF_B, 2, 0, 1), EXIT }, POLICY_FAULT_WRITE },
		{ { STORE_K(BPF_DW, 1, -424, 1), EXIT }, POLICY_FAULT_WRITE },
		{ { INSN(BPF_STX | BPF_ATOMIC | BPF_DW, 1, 2, 57, BPF_ADD), EXIT },
			POLICY_FAULT_WRITE },
		{ { CALL_HELPER(1), EXIT }, POLICY_FAULT_MAP },
		{ { MAP(1, 0), MOV_K(2, 0), CALL_HELPER(1), EXIT }, POLICY_FAULT_MAP },
		{ { MAP(1, 0), LOAD(BPF_DW, 0, 1, 0), EXIT }, POLICY_FAULT_READ },
		{ { CALL(1), EXIT, CALL(-1), EXIT }, POLICY_FAULT_DEPTH },
	};

	for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		uint32_t n = 8;

		while (bad[i].insns[n - 1].code != EXIT.code)
			n--;
		struct policy_program *p = make(bad[i].insns, n, &map, 1, true);

		reset();
		CU_ASSERT_EQUAL(policy_program_run(p, &frame, &worker), WEIR_ACTION_ABORTED);
		CU_ASSERT_EQUAL(worker.fault, bad[i].fault);
		policy_program_destroy(p);
	}
}

static void code_is_never_writable_and_executable(void)
{
	const struct bpf_insn insns[] = { MOV_K(0, 2), EXIT };
	struct policy_program *p = make(insns, 2, NULL, 0, false);
	unsigned long from, to, at = (unsigned long)(uintptr_t)p->code.at;
	char line[512], rights[8];
	unsigned int found = 0;
	FILE *maps = fopen("/proc/self/maps", "r");

	CU_ASSERT_PTR_NOT_NULL_FATAL(maps);
	while (fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%lx-%lx %7s", &from, &to, rights) != 3)
			continue;
		if (from <= at && at < to) {
			CU_ASSERT_STRING_EQUAL(rights, "r-xp");
			CU_ASSERT_EQUAL(from, at);
			CU_ASSERT_EQUAL(to, at + p->code.bytes);
			found |= 1;
		}
		if ((from <= at - 1 && at - 1 < to) ||
			(from <= at + p->code.bytes && at + p->code.bytes < to)) {
			CU_ASSERT_STRING_EQUAL(rights, "---p");
			found |= from <= at - 1 ? 2 : 4;
		}
		CU_ASSERT(strchr(rights, 'w') == NULL || strchr(rights, 'x') == NULL);
	}
	fclose(maps);
	if (p->run)
		CU_ASSERT_EQUAL(found & 3, 3);
	policy_program_destroy(p);
}

static void maps_work_from_programs(void)
{
	static const struct map_shape maps[] = {
		{ BPF_MAP_TYPE_HASH, 4, 8, 8, false },
		{ BPF_MAP_TYPE_ARRAY, 4, 24, 5, false },
		{ BPF_MAP_TYPE_PERCPU_ARRAY, 4, 8, 3, false },
		{ BPF_MAP_TYPE_LPM_TRIE, 8, 8, 8, false },
	};
	/* m0[1] = 42; m1[4] += 1; m2[2] = 9; if found, the sum */
	static const struct bpf_insn insns[] = { STORE_K(BPF_W, 10, -4, 1),
		STORE_K(BPF_DW, 10, -16, 42), MAP(1, 0), MOV_X(2, 10), ALU_K(BPF_ADD, 2, -4),
		MOV_X(3, 10), ALU_K(BPF_ADD, 3, -16), MOV_K(4, 0), CALL_HELPER(2), MAP(1, 0),
		MOV_X(2, 10), ALU_K(BPF_ADD, 2, -4), CALL_HELPER(1), JUMP_K(BPF_JEQ, 0, 0, 22),
		LOAD(BPF_DW, 6, 0, 0), STORE_K(BPF_W, 10, -4, 4), MAP(1, 1), MOV_X(2, 10),
		ALU_K(BPF_ADD, 2, -4), CALL_HELPER(1), JUMP_K(BPF_JEQ, 0, 0, 14),
		LOAD(BPF_DW, 7, 0, 16), ALU_K(BPF_ADD, 7, 1), STORE(BPF_DW, 0, 7, 16),
		STORE_K(BPF_W, 10, -4, 2), MAP(1, 2), MOV_X(2, 10), ALU_K(BPF_ADD, 2, -4),
		CALL_HELPER(1), JUMP_K(BPF_JEQ, 0, 0, 4), STORE_K(BPF_DW, 0, 0, 9), MOV_X(0, 6),
		ALU_X(BPF_ADD, 0, 7), EXIT, MOV_K(0, 0), EXIT };

	for (int interpret = 0; interpret < 2; interpret++) {
		struct policy_program *p =
			make(insns, sizeof(insns) / sizeof(insns[0]), maps, 4, interpret);
		uint32_t key = 2;

		reset();
		CU_ASSERT_EQUAL(policy_program_run(p, &frame, &worker), 43);
		CU_ASSERT_EQUAL(policy_program_run(p, &frame, &worker), 44);
		CU_ASSERT_EQUAL(
			*(uint64_t *)policy_map_lookup(policy_program_map(p, "m2"), &key, 1), 9);
		CU_ASSERT_EQUAL(
			*(uint64_t *)policy_map_lookup(policy_program_map(p, "m2"), &key, 0), 0);
		CU_ASSERT_PTR_NULL(policy_program_map(p, "m9"));
		policy_program_destroy(p);
	}
}

static void maps_that_do_not_fit_are_refused(void)
{
	static const struct map_shape maps[] = {
		{ BPF_MAP_TYPE_HASH, 4, 8, 30000, false },
		{ BPF_MAP_TYPE_PERCPU_ARRAY, 4, 8, 65536, false },
	};
	static const struct bpf_insn insns[] = { MOV_K(0, 1), EXIT };
	struct policy_image *image = image_build(insns, 2, maps, 2);
	/* The first takes 64 Ki buckets of 8 bytes and as many entries of 32 and 4 as it has, the other 512 KiB a worker. */
	uint64_t wanted = (8u << 16) + (30000 + 64) * 36 + (2u << 19);
	struct policy_program_options options = {
		.workers = 2, .node = -1, .memory_bytes = wanted
	};
	struct policy_program *p = NULL;
	char err[256] = "";

	CU_ASSERT_EQUAL_FATAL(
		policy_program_create(image, image->size, &options, &p, err, sizeof(err)), 0);
	uint64_t taken = p->maps[0]->hash.memory.bytes + p->maps[1]->memory.bytes;
	CU_ASSERT(taken >= wanted && taken < wanted + 8192);
	policy_program_destroy(p);
	options.memory_bytes = wanted - 1;
	CU_ASSERT_EQUAL(
		policy_program_create(image, image->size, &options, &p, err, sizeof(err)), -ENOMEM);
	CU_ASSERT_STRING_EQUAL(err, "its maps take 3 MiB, and it can have 2 MiB");
	free(image);
}

static void outside_of_an_array_is_nothing(void)
{
	static const struct map_shape maps[] = { { BPF_MAP_TYPE_ARRAY, 4, 24, 5, false } };

	for (uint32_t index = 0; index < 8; index++) {
		const struct bpf_insn insns[] = { STORE_K(BPF_W, 10, -4, index), MAP(1, 0),
			MOV_X(2, 10), ALU_K(BPF_ADD, 2, -4), CALL_HELPER(1),
			JUMP_K(BPF_JEQ, 0, 0, 1), MOV_K(0, 1), EXIT };

		for (int interpret = 0; interpret < 2; interpret++) {
			struct policy_program *p =
				make(insns, sizeof(insns) / sizeof(insns[0]), maps, 1, interpret);

			reset();
			CU_ASSERT_EQUAL(policy_program_run(p, &frame, &worker), index < 5);
			policy_program_destroy(p);
		}
	}
}

static void verdicts_that_are_none_are_aborted(void)
{
	CU_ASSERT_EQUAL(policy_action(WEIR_PASS), WEIR_ACTION_PASS);
	CU_ASSERT_EQUAL(policy_action(WEIR_ROUTE(0xffff)), WEIR_ACTION_ROUTE);
	CU_ASSERT_EQUAL(policy_action(WEIR_DROP_AS(7)), WEIR_ACTION_DROP);
	CU_ASSERT_EQUAL(policy_action(5), WEIR_ACTION_ABORTED);
	CU_ASSERT_EQUAL(policy_action(0xff), WEIR_ACTION_ABORTED);
	CU_ASSERT_EQUAL(policy_action(WEIR_PASS | 1u << 24), WEIR_ACTION_ABORTED);
}

/* The rights of the page at an address; "": nothing is there. */
static void rights_at(const uint8_t *address, char ret_rights[8])
{
	unsigned long from, to, at = (unsigned long)(uintptr_t)address;
	char line[512], rights[8];
	FILE *maps = fopen("/proc/self/maps", "r");

	ret_rights[0] = '\0';
	CU_ASSERT_PTR_NOT_NULL_FATAL(maps);
	while (fgets(line, sizeof(line), maps))
		if (sscanf(line, "%lx-%lx %7s", &from, &to, rights) == 3 && from <= at && at < to)
			strcpy(ret_rights, rights);
	fclose(maps);
}

/* Arrays that the kernel has as well. */
static void shared_memory_lies_between_guards(void)
{
	for (int read_only = 0; read_only < 2; read_only++) {
		struct policy_memory m;
		char rights[8];
		int fd = memfd_create("array", MFD_CLOEXEC);

		CU_ASSERT_EQUAL_FATAL(ftruncate(fd, 3 * 4096), 0);
		CU_ASSERT_EQUAL_FATAL(policy_memory_share(fd, 3 * 4096 - 7, read_only, &m), 0);
		CU_ASSERT_EQUAL(m.bytes, 3 * 4096);
		rights_at(m.at, rights);
		CU_ASSERT_STRING_EQUAL(rights, read_only ? "r--s" : "rw-s");
		rights_at((uint8_t *)m.at - 1, rights);
		CU_ASSERT_STRING_EQUAL(rights, "---p");
		rights_at((uint8_t *)m.at + m.bytes, rights);
		CU_ASSERT_STRING_EQUAL(rights, "---p");
		policy_memory_destroy(&m);
		close(fd);
	}
}

static const struct tap_case cases[] = {
	{ "division by zero gives what the kernel gives",
		division_by_zero_gives_what_the_kernel_gives },
	{ "operations on 32 bits clear the upper half", thirty_two_bits_clear_the_upper_half },
	{ "helpers know worker and time, calls keep registers", helpers_know_worker_and_time },
	{ "offsets of all sizes are right", offsets_of_all_sizes_are_right },
	{ "an endless loop is aborted", an_endless_loop_is_aborted },
	{ "a loop within its budget is not aborted", a_loop_within_its_budget_is_not_aborted },
	{ "the memory below a context is the policy's", the_memory_below_a_context_is_the_policys },
	{ "the interpreter lets nobody out", the_interpreter_lets_nobody_out },
	{ "code is never writable and executable", code_is_never_writable_and_executable },
	{ "shared memory lies between guard pages", shared_memory_lies_between_guards },
	{ "maps work from programs", maps_work_from_programs },
	{ "maps that do not fit are refused", maps_that_do_not_fit_are_refused },
	{ "outside of an array is nothing", outside_of_an_array_is_nothing },
	{ "verdicts that are none are aborted", verdicts_that_are_none_are_aborted },
};

TAP_MAIN("policy program", cases)
