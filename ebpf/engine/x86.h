/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * x86-64 instructions as bytes: the few that the compiler needs. With no buffer only lengths are
 * counted.
 *
 * Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2.
 */

#ifndef WEIR_ENGINE_X86_H
#define WEIR_ENGINE_X86_H

#include <stdbool.h>
#include <stdint.h>

enum x86_register {
	RAX,
	RCX,
	RDX,
	RBX,
	RSP,
	RBP,
	RSI,
	RDI,
	R8,
	R9,
	R10,
	R11,
	R12,
	R13,
	R14,
	R15
};

/* Conditions, as in the opcodes of jcc. */
enum x86_condition {
	CC_B = 2,
	CC_AE = 3,
	CC_E = 4,
	CC_NE = 5,
	CC_BE = 6,
	CC_A = 7,
	CC_S = 8,
	CC_L = 12,
	CC_GE = 13,
	CC_LE = 14,
	CC_G = 15,
	CC_ALWAYS = 16
};

/* Operations of the group that has forms with an immediate, by their number in it. */
enum x86_operation {
	X86_ADD = 0,
	X86_OR = 1,
	X86_AND = 4,
	X86_SUB = 5,
	X86_XOR = 6,
	X86_CMP = 7
};

enum x86_shift {
	X86_ROL = 0,
	X86_SHL = 4,
	X86_SHR = 5,
	X86_SAR = 7
};

struct x86_code {
	uint8_t *bytes; /* NULL: count only */
	uint32_t length;
};

static inline void x86_byte(struct x86_code *c, uint32_t v)
{
	if (c->bytes)
		c->bytes[c->length] = (uint8_t)v;
	c->length++;
}

static inline void x86_word(struct x86_code *c, uint32_t v)
{
	for (unsigned int i = 0; i < 4; i++)
		x86_byte(c, v >> 8 * i);
}

/* reg and rm as in ModR/M; forced: needed to name the low bytes of rsp, rbp, rsi, rdi */
static inline void x86_rex(struct x86_code *c, bool wide, int reg, int rm, bool forced)
{
	uint32_t v = 0x40 | (uint32_t)wide << 3 | (uint32_t)(reg >> 3) << 2 | (uint32_t)(rm >> 3);

	if (v != 0x40 || forced)
		x86_byte(c, v);
}

static inline void x86_direct(struct x86_code *c, int reg, int rm)
{
	x86_byte(c, 0xc0u | (uint32_t)(reg & 7) << 3 | (uint32_t)(rm & 7));
}

/* [base + offset] */
static inline void x86_indirect(struct x86_code *c, int reg, int base, int32_t offset)
{
	uint32_t mode = offset == 0 && (base & 7) != RBP ? 0 : offset == (int8_t)offset ? 1 : 2;

	x86_byte(c, mode << 6 | (uint32_t)(reg & 7) << 3 | (uint32_t)(base & 7));
	if ((base & 7) == RSP)
		x86_byte(c, 0x24);
	if (mode == 1)
		x86_byte(c, (uint32_t)offset);
	else if (mode == 2)
		x86_word(c, (uint32_t)offset);
}

/* opcode reg, rm */
static inline void x86_op(struct x86_code *c, bool wide, uint32_t opcode, int reg, int rm)
{
	x86_rex(c, wide, reg, rm, false);
	if (opcode > 0xff)
		x86_byte(c, opcode >> 8);
	x86_byte(c, opcode);
	x86_direct(c, reg, rm);
}

static inline void x86_move(struct x86_code *c, bool wide, int to, int from)
{
	x86_op(c, wide, 0x89, from, to);
}

static inline void x86_clear(struct x86_code *c, int r)
{
	x86_op(c, false, 0x31, r, r);
}

/* The full 64 bits of a register, in as few bytes as there can be. Changes flags. */
static inline void x86_set(struct x86_code *c, int r, int64_t v)
{
	if (v == 0) {
		x86_clear(c, r);
	} else if ((uint64_t)v <= UINT32_MAX) {
		x86_rex(c, false, 0, r, false);
		x86_byte(c, 0xb8u | (uint32_t)(r & 7));
		x86_word(c, (uint32_t)v);
	} else if (v == (int32_t)v) {
		x86_op(c, true, 0xc7, 0, r);
		x86_word(c, (uint32_t)v);
	} else {
		x86_rex(c, true, 0, r, false);
		x86_byte(c, 0xb8u | (uint32_t)(r & 7));
		x86_word(c, (uint32_t)v);
		x86_word(c, (uint32_t)((uint64_t)v >> 32));
	}
}

static inline void x86_operate(
	struct x86_code *c, bool wide, enum x86_operation op, int to, int from)
{
	x86_op(c, wide, (uint32_t)op << 3 | 1, from, to);
}

static inline void x86_operate_value(
	struct x86_code *c, bool wide, enum x86_operation op, int to, int32_t v)
{
	bool byte = v == (int8_t)v;

	x86_op(c, wide, byte ? 0x83 : 0x81, (int)op, to);
	if (byte)
		x86_byte(c, (uint32_t)v);
	else
		x86_word(c, (uint32_t)v);
}

static inline void x86_multiply_value(struct x86_code *c, bool wide, int r, int32_t v)
{
	x86_op(c, wide, 0x69, r, r);
	x86_word(c, (uint32_t)v);
}

static inline void x86_shift_value(
	struct x86_code *c, bool wide, enum x86_shift shift, int r, uint32_t count)
{
	x86_op(c, wide, 0xc1, (int)shift, r);
	x86_byte(c, count);
}

/* by cl */
static inline void x86_shift_cl(struct x86_code *c, bool wide, enum x86_shift shift, int r)
{
	x86_op(c, wide, 0xd3, (int)shift, r);
}

/* size: 1, 2, 4 or 8 bytes, the rest of the register is cleared */
static inline void x86_load(struct x86_code *c, unsigned int size, int to, int base, int32_t offset)
{
	x86_rex(c, size == 8, to, base, false);
	if (size <= 2) {
		x86_byte(c, 0x0f);
		x86_byte(c, size == 1 ? 0xb6 : 0xb7);
	} else {
		x86_byte(c, 0x8b);
	}
	x86_indirect(c, to, base, offset);
}

static inline void x86_store(
	struct x86_code *c, unsigned int size, int base, int32_t offset, int from)
{
	if (size == 2)
		x86_byte(c, 0x66);
	x86_rex(c, size == 8, from, base, size == 1 && from >= RSP);
	x86_byte(c, size == 1 ? 0x88 : 0x89);
	x86_indirect(c, from, base, offset);
}

static inline void x86_store_value(
	struct x86_code *c, unsigned int size, int base, int32_t offset, int32_t v)
{
	if (size == 2)
		x86_byte(c, 0x66);
	x86_rex(c, size == 8, 0, base, false);
	x86_byte(c, size == 1 ? 0xc6 : 0xc7);
	x86_indirect(c, 0, base, offset);
	x86_byte(c, (uint32_t)v);
	if (size >= 2)
		x86_byte(c, (uint32_t)v >> 8);
	if (size >= 4) {
		x86_byte(c, (uint32_t)v >> 16);
		x86_byte(c, (uint32_t)v >> 24);
	}
}

/* opcode reg, [base + offset], locked unless it is so by itself */
static inline void x86_atomic(struct x86_code *c, bool wide, bool locked, uint32_t opcode, int reg,
	int base, int32_t offset)
{
	if (locked)
		x86_byte(c, 0xf0);
	x86_rex(c, wide, reg, base, false);
	if (opcode > 0xff)
		x86_byte(c, opcode >> 8);
	x86_byte(c, opcode);
	x86_indirect(c, reg, base, offset);
}

static inline void x86_push(struct x86_code *c, int r)
{
	x86_rex(c, false, 0, r, false);
	x86_byte(c, 0x50u | (uint32_t)(r & 7));
}

static inline void x86_pop(struct x86_code *c, int r)
{
	x86_rex(c, false, 0, r, false);
	x86_byte(c, 0x58u | (uint32_t)(r & 7));
}

static inline void x86_jump_far(struct x86_code *c, enum x86_condition cc, uint32_t to)
{
	if (cc == CC_ALWAYS) {
		x86_byte(c, 0xe9);
	} else {
		x86_byte(c, 0x0f);
		x86_byte(c, 0x80u | cc);
	}
	x86_word(c, to - (c->length + 4));
}

static inline void x86_jump_near(struct x86_code *c, enum x86_condition cc, uint32_t to)
{
	x86_byte(c, cc == CC_ALWAYS ? 0xebu : 0x70u | cc);
	x86_byte(c, to - (c->length + 1));
}

/* A short jump to a place that follows: x86_land() with what this returns. */
static inline uint32_t x86_jump_ahead(struct x86_code *c, enum x86_condition cc)
{
	x86_jump_near(c, cc, c->length + 2);
	return c->length;
}

static inline void x86_land(struct x86_code *c, uint32_t from)
{
	if (c->bytes)
		c->bytes[from - 1] = (uint8_t)(c->length - from);
}

static inline void x86_call(struct x86_code *c, uint32_t to)
{
	x86_byte(c, 0xe8);
	x86_word(c, to - (c->length + 4));
}

#endif
