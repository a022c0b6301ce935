/* SPDX-License-Identifier: BSD-3-Clause */

/* The instructions that compute, load and store. */

#include "ebpf/engine/jit_x86.h"
#include "ebpf/engine/program.h"

#if defined(__x86_64__)

static unsigned int size_of(const struct bpf_insn *x)
{
	static const uint8_t bytes[4] = { 4, 2, 1, 8 };

	return bytes[BPF_SIZE(x->code) >> 3];
}

/* Divisor to r11; rax and rdx are saved to r10 and r9 where they are not the destination. */
static void emit_division(struct jit *j, const struct bpf_insn *x, bool wide, int dst, int src)
{
	struct x86_code *c = &j->code;
	bool modulo = BPF_OP(x->code) == BPF_MOD;

	if (BPF_SRC(x->code) == BPF_X)
		x86_move(c, wide, R11, src);
	else
		x86_set(c, R11, wide ? (int64_t)x->imm : (int64_t)(uint32_t)x->imm);
	x86_op(c, wide, 0x85, R11, R11);
	uint32_t divide = x86_jump_ahead(c, CC_NE);

	/* x / 0 = 0, x % 0 = x */
	if (!modulo)
		x86_clear(c, dst);
	else if (!wide)
		x86_move(c, false, dst, dst);
	uint32_t done = x86_jump_ahead(c, CC_ALWAYS);

	x86_land(c, divide);
	if (dst != RAX)
		x86_move(c, true, R10, RAX);
	if (dst != RDX)
		x86_move(c, true, R9, RDX);
	if (dst != RAX)
		x86_move(c, wide, RAX, dst);
	x86_clear(c, RDX);
	x86_op(c, wide, 0xf7, 6, R11); /* div */
	if (dst != (modulo ? RDX : RAX))
		x86_move(c, wide, dst, modulo ? RDX : RAX);
	if (dst != RAX)
		x86_move(c, true, RAX, R10);
	if (dst != RDX)
		x86_move(c, true, RDX, R9);
	x86_land(c, done);
}

static enum x86_shift shift_of(uint8_t op)
{
	return op == BPF_LSH ? X86_SHL : op == BPF_RSH ? X86_SHR : X86_SAR;
}

/* The count must be in cl, which is r4. */
static void emit_shift(struct jit *j, const struct bpf_insn *x, bool wide, int dst, int src)
{
	struct x86_code *c = &j->code;
	enum x86_shift shift = shift_of(BPF_OP(x->code));

	if (BPF_SRC(x->code) == BPF_K) {
		x86_shift_value(c, wide, shift, dst, (uint32_t)x->imm);
		return;
	}
	int work = dst == RCX ? R11 : dst;

	if (src != RCX || dst == RCX)
		x86_move(c, true, R11, RCX);
	if (src != RCX)
		x86_move(c, true, RCX, src);
	x86_shift_cl(c, wide, shift, work);
	if (src != RCX || dst == RCX)
		x86_move(c, true, RCX, R11);
}

static void emit_swap(struct jit *j, const struct bpf_insn *x, int dst)
{
	struct x86_code *c = &j->code;
	bool swaps = BPF_SRC(x->code) == BPF_TO_BE;

	if (x->imm == 16 && swaps) {
		x86_byte(c, 0x66);
		x86_shift_value(c, false, X86_ROL, dst, 8);
	} else if (swaps) { /* bswap */
		x86_rex(c, x->imm == 64, 0, dst, false);
		x86_byte(c, 0x0f);
		x86_byte(c, 0xc8u | (uint32_t)(dst & 7));
	}
	if (x->imm == 16)
		x86_op(c, false, 0x0fb7, dst, dst); /* movzx */
	else if (x->imm == 32 && !swaps)
		x86_move(c, false, dst, dst);
}

static int operation_of(uint8_t op)
{
	switch (op) {
	case BPF_ADD:
		return X86_ADD;
	case BPF_SUB:
		return X86_SUB;
	case BPF_OR:
		return X86_OR;
	case BPF_AND:
		return X86_AND;
	default:
		return X86_XOR;
	}
}

static void emit_multiply(struct jit *j, const struct bpf_insn *x, bool wide, int dst, int src)
{
	if (BPF_SRC(x->code) == BPF_X)
		x86_op(&j->code, wide, 0x0faf, dst, src);
	else
		x86_multiply_value(&j->code, wide, dst, x->imm);
}

void jit_emit_arithmetic(struct jit *j, const struct bpf_insn *x)
{
	struct x86_code *c = &j->code;
	bool wide = BPF_CLASS(x->code) == BPF_ALU64;
	bool immediate = BPF_SRC(x->code) == BPF_K;
	int dst = jit_register[x->dst_reg], src = jit_register[x->src_reg];

	switch (BPF_OP(x->code)) {
	case BPF_MOV:
		if (immediate)
			x86_set(c, dst, wide ? (int64_t)x->imm : (int64_t)(uint32_t)x->imm);
		else
			x86_move(c, wide, dst, src);
		break;
	case BPF_MUL:
		emit_multiply(j, x, wide, dst, src);
		break;
	case BPF_DIV:
	case BPF_MOD:
		emit_division(j, x, wide, dst, src);
		break;
	case BPF_NEG:
		x86_op(c, wide, 0xf7, 3, dst);
		break;
	case BPF_LSH:
	case BPF_RSH:
	case BPF_ARSH:
		emit_shift(j, x, wide, dst, src);
		break;
	case BPF_END:
		emit_swap(j, x, dst);
		break;
	default:
		if (immediate)
			x86_operate_value(c, wide, operation_of(BPF_OP(x->code)), dst, x->imm);
		else
			x86_operate(c, wide, operation_of(BPF_OP(x->code)), dst, src);
	}
}

/* or and and xor have no form that returns the old value: try until nobody was in between. */
static void emit_atomic_loop(
	struct jit *j, bool wide, enum x86_operation op, int dst, int src, int32_t offset)
{
	struct x86_code *c = &j->code;
	/* cmpxchg needs rax: r0 goes to r10, an address in r0 to r9, an operand in r0 is r10. */
	int base = dst == RAX ? R9 : dst;
	int operand = src == RAX ? R10 : src;

	x86_move(c, true, R10, RAX);
	if (dst == RAX)
		x86_move(c, true, R9, RAX);
	x86_load(c, wide ? 8 : 4, RAX, base, offset);
	uint32_t again = c->length;

	x86_move(c, wide, R11, RAX);
	x86_operate(c, wide, op, R11, operand);
	x86_atomic(c, wide, true, 0x0fb1, R11, base, offset);
	x86_jump_near(c, CC_NE, again);
	if (src == RAX)
		return; /* the old value is where it belongs */
	x86_move(c, wide, src, RAX);
	x86_move(c, true, RAX, R10);
}

static void emit_atomic(struct jit *j, const struct bpf_insn *x)
{
	struct x86_code *c = &j->code;
	bool wide = BPF_SIZE(x->code) == BPF_DW;
	int dst = jit_register[x->dst_reg], src = jit_register[x->src_reg];
	enum x86_operation op = operation_of((uint8_t)(x->imm & 0xf0));

	switch (x->imm) {
	case BPF_XCHG:
		x86_atomic(c, wide, false, 0x87, src, dst, x->off);
		break;
	case BPF_CMPXCHG:
		x86_atomic(c, wide, true, 0x0fb1, src, dst, x->off);
		if (!wide) /* when it succeeds, the upper half stays as it was */
			x86_move(c, false, RAX, RAX);
		break;
	case BPF_ADD | BPF_FETCH:
		x86_atomic(c, wide, true, 0x0fc1, src, dst, x->off);
		break;
	case BPF_OR | BPF_FETCH:
	case BPF_AND | BPF_FETCH:
	case BPF_XOR | BPF_FETCH:
		emit_atomic_loop(j, wide, op, dst, src, x->off);
		break;
	default:
		x86_atomic(c, wide, true, (uint32_t)op << 3 | 1, src, dst, x->off);
	}
}

void jit_emit_access(struct jit *j, const struct bpf_insn *x)
{
	struct x86_code *c = &j->code;
	int dst = jit_register[x->dst_reg], src = jit_register[x->src_reg];

	if (BPF_CLASS(x->code) == BPF_LDX)
		x86_load(c, size_of(x), dst, src, x->off);
	else if (BPF_CLASS(x->code) == BPF_ST)
		x86_store_value(c, size_of(x), dst, x->off, x->imm);
	else if (BPF_MODE(x->code) == BPF_ATOMIC)
		emit_atomic(j, x);
	else
		x86_store(c, size_of(x), dst, x->off, src);
}

#endif
