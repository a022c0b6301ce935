/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Which atomic operations may work on the stack: follow, along every path, which registers and stack
 * slots can hold an address of the stack or of the context (which is the caller's stack). Errs towards
 * "may": what was loaded from memory that is not a slot known by its offset counts as an address
 * as soon as an address was ever stored there.
 */

#include "ebpf/engine/check_private.h"

#include <errno.h>
#include <stdlib.h>

#define R10 (1u << 10)

/* What may be an address of the stack, before an instruction. */
struct addresses {
	uint64_t slots; /* bit n: the 8 bytes at r10 - 8 * (n + 1) */
	uint16_t registers;
	bool reached;
	bool elsewhere; /* stored through another pointer than r10 */
};

struct walk {
	struct check *check;
	struct addresses *before; /* owned; one for each instruction */
	bool changed;
};

static bool fetches(const struct bpf_insn *x)
{
	return BPF_CLASS(x->code) == BPF_STX && BPF_MODE(x->code) == BPF_ATOMIC &&
		(x->imm & BPF_FETCH);
}

static void flow_to(struct walk *w, uint32_t to, const struct addresses *a)
{
	struct addresses *b = &w->before[to];

	if (b->reached && (a->slots | b->slots) == b->slots &&
		(a->registers | b->registers) == b->registers && (b->elsewhere || !a->elsewhere))
		return;
	b->slots |= a->slots;
	b->registers |= a->registers;
	b->elsewhere |= a->elsewhere;
	b->reached = true;
	w->changed = true;
}

static void set_register(struct addresses *a, uint8_t r, bool may)
{
	uint16_t bit = (uint16_t)(1u << r);

	a->registers = may ? a->registers | bit : a->registers & (uint16_t)~bit;
}

static bool has(const struct addresses *a, uint8_t r)
{
	return a->registers >> r & 1;
}

/* A slot that an access through r10 names exactly, or -1. */
static int slot_of(const struct bpf_insn *x, uint8_t base)
{
	if (base != 10 || x->off >= 0 || x->off < -512 || x->off % 8 != 0 ||
		BPF_SIZE(x->code) != BPF_DW)
		return -1;
	return -x->off / 8 - 1;
}

static void store(struct addresses *a, const struct bpf_insn *x, bool may)
{
	int slot = slot_of(x, x->dst_reg);

	if (slot >= 0 && may)
		a->slots |= UINT64_C(1) << slot;
	else if (slot >= 0)
		a->slots &= ~(UINT64_C(1) << slot);
	else if (may && BPF_SIZE(x->code) == BPF_DW) {
		a->slots = UINT64_MAX;
		a->elsewhere = true;
	}
}

static void load(struct addresses *a, const struct bpf_insn *x)
{
	int slot = slot_of(x, x->src_reg);
	bool may = slot >= 0 ? (a->slots >> slot & 1) :
			       has(a, x->src_reg) && (a->elsewhere || a->slots != 0);

	set_register(a, x->dst_reg, may && BPF_SIZE(x->code) == BPF_DW);
}

static void after(struct addresses *a, const struct bpf_insn *x)
{
	switch (BPF_CLASS(x->code)) {
	case BPF_ALU64:
		if (BPF_OP(x->code) == BPF_MOV)
			set_register(
				a, x->dst_reg, BPF_SRC(x->code) == BPF_X && has(a, x->src_reg));
		else if (BPF_SRC(x->code) == BPF_X)
			set_register(a, x->dst_reg, has(a, x->dst_reg) || has(a, x->src_reg));
		break;
	case BPF_ALU: /* 32 bits are no address */
	case BPF_LD:
		set_register(a, x->dst_reg, false);
		break;
	case BPF_LDX:
		load(a, x);
		break;
	case BPF_STX:
		if (BPF_MODE(x->code) == BPF_MEM)
			store(a, x, has(a, x->src_reg));
		else if (x->imm & BPF_FETCH)
			set_register(a, x->imm == BPF_CMPXCHG ? 0 : x->src_reg, false);
		break;
	case BPF_ST:
		store(a, x, false);
		break;
	default:
		break;
	}
}

static void call(struct walk *w, uint32_t i, const struct bpf_insn *x, struct addresses *a)
{
	if (x->src_reg == BPF_PSEUDO_CALL) {
		struct addresses callee = {
			.registers = (uint16_t)((a->registers & 0x3e) | R10),
			.reached = true,
			.elsewhere = a->elsewhere || a->slots != 0,
		};

		flow_to(w, (uint32_t)((int64_t)i + 1 + x->imm), &callee);
		/* It may have stored what it was given where it was shown to. */
		if (a->registers & 0x3e) {
			a->elsewhere = true;
			a->slots = UINT64_MAX;
		}
	}
	/* A helper returns no address of the stack, and a function of the policy cannot. */
	a->registers &= (uint16_t)~0x3f;
}

static void step(struct walk *w, uint32_t i)
{
	const struct bpf_insn *x = &w->check->insns[i];
	struct addresses a = w->before[i];
	uint8_t class = BPF_CLASS(x->code), op = BPF_OP(x->code);

	if (class != BPF_JMP && class != BPF_JMP32) {
		after(&a, x);
		flow_to(w, i + (x->code == (BPF_LD | BPF_DW | BPF_IMM) ? 2 : 1), &a);
		return;
	}
	if (op == BPF_EXIT)
		return;
	if (op == BPF_CALL)
		call(w, i, x, &a);
	else
		flow_to(w, (uint32_t)((int64_t)i + 1 + x->off), &a);
	if (op != BPF_JA)
		flow_to(w, i + 1, &a);
}

int check_stack_atomics(struct check *c)
{
	struct walk w = { .check = c, .changed = true };
	uint32_t first = c->count;
	int rc = 0;

	for (uint32_t i = 0; i < c->count && first == c->count; i++)
		if (c->starts[i] != CHECK_SECOND_HALF && fetches(&c->insns[i]))
			first = i;
	if (first == c->count)
		return 0;
	w.before = calloc(c->count, sizeof(*w.before));
	if (!w.before)
		return -ENOMEM;
	w.before[0] = (struct addresses){ .registers = R10 | 1u << 1, .reached = true };
	while (w.changed) {
		w.changed = false;
		for (uint32_t i = 0; i < c->count; i++)
			if (w.before[i].reached)
				step(&w, i);
	}
	for (uint32_t i = first; rc == 0 && i < c->count; i++)
		if (w.before[i].reached && fetches(&c->insns[i]) &&
			has(&w.before[i], c->insns[i].dst_reg))
			rc = check_refuse(c, i,
				"an atomic operation that fetches from the stack; only values of "
				"maps are shared, so a plain variable does");
	free(w.before);
	return rc;
}
