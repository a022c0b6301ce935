/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/net/filter.h"

#include <errno.h>
#include <linux/filter.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define MEMORY_WORDS BPF_MEMWORDS

static bool operation_is_known(uint16_t code)
{
	switch (code) {
	case BPF_LD | BPF_W | BPF_ABS:
	case BPF_LD | BPF_H | BPF_ABS:
	case BPF_LD | BPF_B | BPF_ABS:
	case BPF_LD | BPF_W | BPF_IND:
	case BPF_LD | BPF_H | BPF_IND:
	case BPF_LD | BPF_B | BPF_IND:
	case BPF_LD | BPF_W | BPF_LEN:
	case BPF_LD | BPF_IMM:
	case BPF_LD | BPF_MEM:
	case BPF_LDX | BPF_W | BPF_LEN:
	case BPF_LDX | BPF_B | BPF_MSH:
	case BPF_LDX | BPF_IMM:
	case BPF_LDX | BPF_MEM:
	case BPF_ST:
	case BPF_STX:
	case BPF_ALU | BPF_NEG:
	case BPF_JMP | BPF_JA:
	case BPF_RET | BPF_K:
	case BPF_RET | BPF_A:
	case BPF_MISC | BPF_TAX:
	case BPF_MISC | BPF_TXA:
		return true;
	default:
		break;
	}
	if (code & ~(uint16_t)(0xf0 | BPF_X | 0x07))
		return false;
	if (BPF_CLASS(code) == BPF_ALU)
		return BPF_OP(code) <= BPF_XOR && BPF_OP(code) != BPF_NEG;
	return BPF_CLASS(code) == BPF_JMP && BPF_OP(code) >= BPF_JEQ && BPF_OP(code) <= BPF_JSET;
}

static bool divides(uint16_t code)
{
	return BPF_CLASS(code) == BPF_ALU && (BPF_OP(code) == BPF_DIV || BPF_OP(code) == BPF_MOD);
}

static bool shifts(uint16_t code)
{
	return BPF_CLASS(code) == BPF_ALU && (BPF_OP(code) == BPF_LSH || BPF_OP(code) == BPF_RSH);
}

static bool touches_memory(uint16_t code)
{
	return code == (BPF_LD | BPF_MEM) || code == (BPF_LDX | BPF_MEM) || code == BPF_ST ||
		code == BPF_STX;
}

/* What is wrong with an instruction that has `behind` others behind it; NULL when nothing is. */
static const char *instruction_complaint(const struct weir_trace_instruction *i, size_t behind)
{
	if (!operation_is_known(i->code))
		return "is unknown";
	if (touches_memory(i->code) && i->k >= MEMORY_WORDS)
		return "is about memory that does not exist";
	if (divides(i->code) && BPF_SRC(i->code) == BPF_K && i->k == 0)
		return "divides by zero";
	if (shifts(i->code) && BPF_SRC(i->code) == BPF_K && i->k >= 32)
		return "shifts by more than a word has";
	if (BPF_CLASS(i->code) == BPF_JMP) {
		if (BPF_OP(i->code) == BPF_JA ? i->k >= behind : i->jt >= behind || i->jf >= behind)
			return "jumps out of the program";
	}
	return NULL;
}

int filter_check(
	const struct weir_trace_instruction *program, size_t count, char *err, size_t err_size)
{
	if (count > WEIR_TRACE_MAX_INSTRUCTIONS) {
		snprintf(err, err_size, "a filter of %zu instructions, expected at most %d", count,
			WEIR_TRACE_MAX_INSTRUCTIONS);
		return -E2BIG;
	}
	for (size_t i = 0; i < count; i++) {
		const char *complaint = instruction_complaint(&program[i], count - i - 1);

		if (!complaint)
			continue;
		snprintf(err, err_size, "instruction %zu of the filter (0x%02x) %s", i,
			program[i].code, complaint);
		return -EINVAL;
	}
	if (count && BPF_CLASS(program[count - 1].code) != BPF_RET) {
		snprintf(err, err_size, "the filter does not end with a return");
		return -EINVAL;
	}
	return 0;
}

struct machine {
	uint32_t a;
	uint32_t x;
	uint32_t memory[MEMORY_WORDS];
};

/* The frame's bytes are in network order. False: out of bounds. */
static bool frame_load(
	const uint8_t *data, uint32_t data_bytes, uint64_t at, uint16_t code, uint32_t *ret_value)
{
	uint32_t size = BPF_SIZE(code) == BPF_W ? 4 : BPF_SIZE(code) == BPF_H ? 2 : 1;
	uint32_t value = 0;

	if (at + size > data_bytes)
		return false;
	for (uint32_t i = 0; i < size; i++)
		value = value << 8 | data[at + i];
	*ret_value = value;
	return true;
}

static uint32_t shifted(uint16_t code, uint32_t a, uint32_t by)
{
	if (by >= 32)
		return 0;
	return BPF_OP(code) == BPF_LSH ? a << by : a >> by;
}

/* False: a division by zero, which ends the program without a match. */
static bool compute(struct machine *m, const struct weir_trace_instruction *i)
{
	uint32_t operand = BPF_SRC(i->code) == BPF_X ? m->x : i->k;

	switch (BPF_OP(i->code)) {
	case BPF_ADD:
		m->a += operand;
		break;
	case BPF_SUB:
		m->a -= operand;
		break;
	case BPF_MUL:
		m->a *= operand;
		break;
	case BPF_DIV:
	case BPF_MOD:
		if (operand == 0)
			return false;
		m->a = BPF_OP(i->code) == BPF_DIV ? m->a / operand : m->a % operand;
		break;
	case BPF_OR:
		m->a |= operand;
		break;
	case BPF_AND:
		m->a &= operand;
		break;
	case BPF_XOR:
		m->a ^= operand;
		break;
	case BPF_NEG:
		m->a = 0u - m->a;
		break;
	default:
		m->a = shifted(i->code, m->a, operand);
	}
	return true;
}

/* How many instructions to leave out. */
static uint32_t jump(const struct machine *m, const struct weir_trace_instruction *i)
{
	uint32_t operand = BPF_SRC(i->code) == BPF_X ? m->x : i->k;
	bool holds;

	switch (BPF_OP(i->code)) {
	case BPF_JA:
		return i->k;
	case BPF_JEQ:
		holds = m->a == operand;
		break;
	case BPF_JGT:
		holds = m->a > operand;
		break;
	case BPF_JGE:
		holds = m->a >= operand;
		break;
	default:
		holds = (m->a & operand) != 0;
	}
	return holds ? i->jt : i->jf;
}

/* Loads of A or X; false: out of bounds. */
static bool load(struct machine *m, const struct weir_trace_instruction *i, const uint8_t *data,
	uint32_t data_bytes, uint32_t frame_bytes)
{
	uint32_t *to = BPF_CLASS(i->code) == BPF_LD ? &m->a : &m->x;
	uint32_t byte;

	switch (BPF_MODE(i->code)) {
	case BPF_ABS:
		return frame_load(data, data_bytes, i->k, i->code, to);
	case BPF_IND:
		return frame_load(data, data_bytes, (uint64_t)m->x + i->k, i->code, to);
	case BPF_LEN:
		*to = frame_bytes;
		return true;
	case BPF_MEM:
		*to = m->memory[i->k];
		return true;
	case BPF_MSH:
		if (!frame_load(data, data_bytes, i->k, BPF_B, &byte))
			return false;
		*to = (byte & 0xf) << 2;
		return true;
	default:
		*to = i->k;
		return true;
	}
}

uint32_t filter_run(const struct weir_trace_instruction *program, const uint8_t *data,
	uint32_t data_bytes, uint32_t frame_bytes)
{
	struct machine m = { 0 };

	for (const struct weir_trace_instruction *i = program;; i++) {
		switch (BPF_CLASS(i->code)) {
		case BPF_LD:
		case BPF_LDX:
			if (!load(&m, i, data, data_bytes, frame_bytes))
				return 0;
			break;
		case BPF_ST:
			m.memory[i->k] = m.a;
			break;
		case BPF_STX:
			m.memory[i->k] = m.x;
			break;
		case BPF_ALU:
			if (!compute(&m, i))
				return 0;
			break;
		case BPF_JMP:
			i += jump(&m, i);
			break;
		case BPF_RET:
			return BPF_RVAL(i->code) == BPF_A ? m.a : i->k;
		default:
			if (BPF_MISCOP(i->code) == BPF_TAX)
				m.x = m.a;
			else
				m.a = m.x;
		}
	}
}
