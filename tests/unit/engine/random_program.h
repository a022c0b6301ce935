/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Random programs that are sound by construction: constant offsets into the stack, the context and one
 * map value of 64 bytes (map 0), jumps ahead, bounded loops, calls of a function; at the end everything
 * that was computed is folded into r0. The kernel's verifier accepts nearly all.
 */

#ifndef WEIR_TESTS_UNIT_ENGINE_RANDOM_PROGRAM_H
#define WEIR_TESTS_UNIT_ENGINE_RANDOM_PROGRAM_H

#include "tests/unit/engine/image_build.h"

#define RANDOM_MAX_INSNS   512
#define RANDOM_STACK_BYTES 64
#define RANDOM_VALUE_BYTES 64

static const struct map_shape random_map = {
	.type = BPF_MAP_TYPE_ARRAY,
	.key_size = 4,
	.value_size = RANDOM_VALUE_BYTES,
	.max_entries = 1,
	.initial = true,
};

struct random_program {
	struct bpf_insn insns[RANDOM_MAX_INSNS];
	uint32_t count;
	uint32_t calls[8]; /* instructions that call the function at the end */
	uint32_t call_count;
	uint64_t state;
	bool kernel; /* leave out what this kernel is known to get wrong */
};

static inline uint32_t random_next(struct random_program *p)
{
	p->state ^= p->state << 13;
	p->state ^= p->state >> 7;
	p->state ^= p->state << 17;
	return (uint32_t)(p->state >> 16);
}

static inline uint32_t random_below(struct random_program *p, uint32_t n)
{
	return random_next(p) % n;
}

static inline void random_seed(struct random_program *p, uint64_t seed)
{
	p->count = 0;
	p->call_count = 0;
	p->state = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15);
	for (unsigned int i = 0; i < 4; i++)
		random_next(p);
}

static inline void random_add(struct random_program *p, struct bpf_insn x)
{
	p->insns[p->count++] = x;
}

static inline int32_t random_value(struct random_program *p)
{
	switch (random_below(p, 6)) {
	case 0:
		return 0;
	case 1:
		return (int8_t)random_next(p);
	case 2:
		return -1;
	case 3:
		return (int32_t)(1u << random_below(p, 32));
	default:
		return (int32_t)random_next(p);
	}
}

static const uint8_t random_sizes[4] = { BPF_B, BPF_H, BPF_W, BPF_DW };

static inline void random_arithmetic(struct random_program *p, int d, int s)
{
	static const uint8_t ops[] = { BPF_ADD, BPF_SUB, BPF_MUL, BPF_DIV, BPF_OR, BPF_AND, BPF_LSH,
		BPF_RSH, BPF_NEG, BPF_MOD, BPF_XOR, BPF_MOV, BPF_ARSH, BPF_END };
	uint8_t op = ops[random_below(p, sizeof(ops))];
	uint8_t class = random_below(p, 2) ? BPF_ALU : BPF_ALU64;
	int32_t v = random_value(p);

	if (op == BPF_END) {
		random_add(p,
			INSN(BPF_ALU | BPF_END | (random_below(p, 2) ? BPF_X : BPF_K), d, 0, 0,
				16 << random_below(p, 3)));
	} else if (op == BPF_NEG) {
		random_add(p, INSN(class | op, d, 0, 0, 0));
	} else if (random_below(p, 2)) {
		random_add(p, INSN(class | op | BPF_X, d, s, 0, 0));
	} else {
		if (op == BPF_DIV || op == BPF_MOD)
			v = v ? v : 3;
		if (op == BPF_LSH || op == BPF_RSH || op == BPF_ARSH)
			v &= class == BPF_ALU64 ? 63 : 31;
		random_add(p, INSN(class | op | BPF_K, d, 0, 0, v));
	}
}

static inline void random_branch(struct random_program *p, int d, int s, uint32_t end)
{
	static const uint8_t ops[] = { BPF_JA, BPF_JEQ, BPF_JGT, BPF_JGE, BPF_JSET, BPF_JNE,
		BPF_JSGT, BPF_JSGE, BPF_JLT, BPF_JLE, BPF_JSLT, BPF_JSLE };
	uint8_t op = ops[random_below(p, sizeof(ops))];
	uint8_t class = random_below(p, 2) ? BPF_JMP : BPF_JMP32;
	uint32_t off = random_below(p, 5);

	if (p->count + 1 + off > end)
		off = end - p->count - 1;
	if (op == BPF_JA)
		return;
	if (random_below(p, 2))
		random_add(p, INSN(class | op | BPF_X, d, s, off, 0));
	else
		random_add(p, INSN(class | op | BPF_K, d, 0, off, random_value(p)));
}

/* Bytes at a base register that are sound: the stack (r10) or the map's value (r9 holds the context). */
static inline void random_access(struct random_program *p, int d, int s)
{
	uint32_t k = random_below(p, 4), bytes = 1u << k;
	int off = (int)(random_below(p, RANDOM_STACK_BYTES / bytes) * bytes) - RANDOM_STACK_BYTES;

	switch (random_below(p, 4)) {
	case 0:
		random_add(p, LOAD(random_sizes[k], d, 10, off));
		break;
	case 1:
		random_add(p, STORE(random_sizes[k], 10, s, off));
		break;
	case 2:
		random_add(p, STORE_K(random_sizes[k], 10, off, random_value(p)));
		break;
	default:
		/* saddr, daddr and before them, which may be read; saddr on may be written */
		if (random_below(p, 2))
			random_add(p, LOAD(random_sizes[k], d, 9, 88 + off));
		else
			random_add(p,
				STORE(random_sizes[k], 9, s,
					56 + (int)(random_below(p, 32 / bytes) * bytes)));
	}
}

/* On the map's value, through r0 to r8: the register is lost as a number, and made one again. */
static inline void random_atomic(struct random_program *p, int d, int s)
{
	static const int32_t ops[] = { BPF_ADD, BPF_OR, BPF_AND, BPF_XOR, BPF_ADD | BPF_FETCH,
		BPF_OR | BPF_FETCH, BPF_AND | BPF_FETCH, BPF_XOR | BPF_FETCH, BPF_XCHG,
		BPF_CMPXCHG };
	int32_t op = ops[random_below(p, sizeof(ops) / sizeof(ops[0]))];
	uint32_t k = 2 + random_below(p, 2), bytes = 1u << k;
	int off = (int)(random_below(p, RANDOM_VALUE_BYTES / bytes) * bytes);

	/* A pointer as the operand would be stored. */
	if (s == d)
		s = (d + 1) % 9;
	if (op == BPF_CMPXCHG && (d == 0 || (p->kernel && k == 2)))
		op = BPF_XCHG;
	struct bpf_insn address[] = { VALUE(d, 0, 0) };

	random_add(p, address[0]);
	random_add(p, address[1]);
	random_add(p, INSN(BPF_STX | BPF_ATOMIC | random_sizes[k], d, s, off, op));
	random_add(p, LOAD(BPF_DW, d, d, (int)random_below(p, RANDOM_VALUE_BYTES / 8) * 8));
}

static inline void random_step(struct random_program *p, uint32_t end)
{
	int d = (int)random_below(p, 9), s = (int)random_below(p, 9);

	switch (random_below(p, 10)) {
	case 0:
	case 1:
	case 2:
	case 3:
		random_arithmetic(p, d, s);
		break;
	case 4:
	case 5:
		random_branch(p, d, s, end);
		break;
	case 6:
	case 7:
	case 8:
		random_access(p, d, s);
		break;
	default:
		/* Nothing may jump into it, so it is rare enough to be at an end only. */
		if (p->count + 4 <= end)
			random_arithmetic(p, d, s);
	}
}

static inline void random_load(struct random_program *p, int r)
{
	random_add(p, LOAD(random_below(p, 2) ? BPF_DW : BPF_W, r, 9, 56 + 8 * (r & 3)));
}

/* Count down from a small number in a slot below those that are used otherwise. */
static inline void random_loop(struct random_program *p, int d, int s)
{
	int slot = -RANDOM_STACK_BYTES - 8;
	uint32_t top;

	random_add(p, STORE_K(BPF_DW, 10, slot, 1 + (int)random_below(p, 5)));
	top = p->count;
	random_arithmetic(p, d, s);
	random_add(p, LOAD(BPF_DW, 0, 10, slot));
	random_add(p, ALU_K(BPF_SUB, 0, 1));
	random_add(p, STORE(BPF_DW, 10, 0, slot));
	random_add(p, JUMP_K(BPF_JNE, 0, 0, (int)top - (int)p->count - 1));
}

/* The function may do to r1 to r5 what it likes; r6 to r9 must be as they were. */
static inline void random_call(struct random_program *p)
{
	p->calls[p->call_count++] = p->count;
	random_add(p, CALL(0));
	for (int r = 1; r <= 5; r++)
		random_load(p, r);
}

static inline void random_function(struct random_program *p)
{
	for (uint32_t i = 0; i < p->call_count; i++)
		p->insns[p->calls[i]].imm = (int32_t)(p->count - p->calls[i] - 1);
	random_add(p, MOV_X(0, 1));
	for (int r = 6; r <= 9; r++)
		random_add(p, MOV_X(r, r - 4));
	for (unsigned int i = 0; i < 8; i++)
		random_arithmetic(p, 6 + (int)random_below(p, 4), (int)random_below(p, 6));
	random_add(p, STORE(BPF_DW, 10, 7, -8));
	random_add(p, STORE(BPF_W, 10, 8, -8));
	random_add(p, LOAD(BPF_DW, 3, 10, -8));
	for (int r = 3; r <= 9; r++)
		random_add(p, ALU_X(BPF_ADD, 0, r));
	random_add(p, EXIT);
}

static inline void random_start(struct random_program *p)
{
	random_add(p, MOV_X(9, 1));
	for (int r = 0; r <= 8; r++) {
		if (random_below(p, 4))
			random_load(p, r);
		else
			random_add(p, MOV_K(r, random_value(p)));
	}
	for (int off = 8; off <= RANDOM_STACK_BYTES; off += 8)
		random_add(p, STORE(BPF_DW, 10, (int)random_below(p, 9), -off));
}

static inline void random_fold(struct random_program *p, int base, int from, int to)
{
	for (int off = from; off < to; off += 8) {
		random_add(p, LOAD(BPF_DW, 1, base, off));
		random_add(p, ALU_K(BPF_MUL, 0, (int32_t)0x85ebca6b));
		random_add(p, ALU_X(BPF_XOR, 0, 1));
	}
}

static inline void random_end(struct random_program *p)
{
	struct bpf_insn address[] = { VALUE(2, 0, 0) };

	for (int r = 1; r <= 8; r++) {
		random_add(p, ALU_K(BPF_MUL, 0, (int32_t)0x9e3779b1));
		random_add(p, ALU_X(BPF_ADD, 0, r));
	}
	random_fold(p, 10, -RANDOM_STACK_BYTES, 0);
	random_fold(p, 9, 24, 88);
	random_add(p, address[0]);
	random_add(p, address[1]);
	random_fold(p, 2, 0, RANDOM_VALUE_BYTES);
	random_add(p, MOV_X(2, 0));
	random_add(p, ALU_K(BPF_RSH, 2, 32));
	random_add(p, ALU_X(BPF_XOR, 0, 2));
	random_add(p, EXIT);
}

static inline void random_program_make(struct random_program *p, uint64_t seed, bool kernel)
{
	p->kernel = kernel;
	random_seed(p, seed);
	random_start(p);
	/* Pieces: jumps stay within theirs, atomic operations stand between them. */
	for (unsigned int pieces = 1 + random_below(p, 4); pieces > 0; pieces--) {
		uint32_t end = p->count + 3 + random_below(p, 20);

		while (p->count < end)
			random_step(p, end);
		random_atomic(p, (int)random_below(p, 9), (int)random_below(p, 9));
		if (random_below(p, 3) == 0)
			random_loop(p, 1 + (int)random_below(p, 8), (int)random_below(p, 9));
		if (random_below(p, 3) == 0)
			random_call(p);
	}
	random_end(p);
	if (p->call_count)
		random_function(p);
}

/* A context for the run number `run`; data and data_end are the caller's. */
static inline void random_context(struct random_program *p, struct weir_ctx *ctx)
{
	for (uint32_t i = 0; i < sizeof(*ctx); i += 8) {
		uint64_t v = random_below(p, 4) ? (uint64_t)random_next(p) << 32 | random_next(p) :
						  (uint64_t)(int64_t)random_value(p);

		memcpy((uint8_t *)ctx + i, &v, 8);
	}
}

#endif
