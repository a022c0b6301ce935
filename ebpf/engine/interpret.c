/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The interpreter: the meaning of the instruction set, written as plainly as it can be. It is what our
 * compiler is compared with, what runs policies on machines that it does not know, and what runs a
 * policy that no verifier has seen; so it trusts nothing but policy_insns_check().
 *
 * Source: Linux, Documentation/bpf/standardization/instruction-set.rst.
 */

#include "ebpf/engine/check.h"
#include "ebpf/engine/helper.h"
#include "ebpf/engine/program.h"

#include <string.h>

#define MAX_DEPTH   8
#define STACK_BYTES 512

struct machine {
	const struct policy_program *program;
	struct policy_worker *worker;
	const struct policy_frame *frame;
	uint64_t packet; /* as the context said when the policy began; it can write the context */
	uint64_t packet_bytes;
	uint64_t r[11];
	uint32_t at; /* the next instruction */
	unsigned int depth;
	bool over;
	struct {
		uint64_t saved[5]; /* r6 to r10 of who called */
		uint32_t back;
	} calls[MAX_DEPTH];
	alignas(16) uint8_t stack[MAX_DEPTH + 1][STACK_BYTES];
};

static void fault(struct machine *m, enum policy_fault what)
{
	m->r[0] = WEIR_ACTION_ABORTED;
	m->over = true;
	m->worker->aborted++;
	if (m->worker->fault != POLICY_FAULT_NONE)
		return;
	m->worker->fault = what;
	m->worker->fault_insn = m->at - 1;
}

static bool within(uint64_t p, uint32_t n, const void *start, uint64_t bytes)
{
	uint64_t offset = p - (uint64_t)(uintptr_t)start;

	return offset < bytes && n <= bytes - offset;
}

static bool may_access(const struct machine *m, uint64_t p, uint32_t n, bool write)
{
	if (within(p, n, m->stack, sizeof(m->stack)) || within(p, n, m->frame, sizeof(*m->frame)))
		return true;
	if (!write && within(p, n, (void *)(uintptr_t)m->packet, m->packet_bytes))
		return true;
	for (uint32_t i = 0; i < m->program->map_count; i++)
		if (policy_map_owns(m->program->maps[i], p, n))
			return !write || !m->program->maps[i]->constant;
	return false;
}

static uint32_t size_of(const struct bpf_insn *x)
{
	switch (BPF_SIZE(x->code)) {
	case BPF_B:
		return 1;
	case BPF_H:
		return 2;
	case BPF_W:
		return 4;
	default:
		return 8;
	}
}

static uint64_t swap_bytes(uint64_t d, bool to_be, int32_t bits)
{
	if (to_be)
		return bits == 16  ? __builtin_bswap16((uint16_t)d) :
			bits == 32 ? __builtin_bswap32((uint32_t)d) :
				     __builtin_bswap64(d);
	return bits == 16 ? (uint16_t)d : bits == 32 ? (uint32_t)d : d;
}

static uint64_t arithmetic(uint8_t op, bool wide, uint64_t d, uint64_t s)
{
	switch (op) {
	case BPF_ADD:
		return d + s;
	case BPF_SUB:
		return d - s;
	case BPF_MUL:
		return d * s;
	case BPF_DIV:
		return s ? d / s : 0;
	case BPF_MOD:
		return s ? d % s : d;
	case BPF_OR:
		return d | s;
	case BPF_AND:
		return d & s;
	case BPF_XOR:
		return d ^ s;
	case BPF_LSH:
		return d << (s & (wide ? 63 : 31));
	case BPF_RSH:
		return d >> (s & (wide ? 63 : 31));
	case BPF_ARSH:
		return wide ? (uint64_t)((int64_t)d >> (s & 63)) :
			      (uint64_t)(int64_t)((int32_t)d >> (s & 31));
	case BPF_NEG:
		return -d;
	default: /* BPF_MOV */
		return s;
	}
}

static void run_arithmetic(struct machine *m, const struct bpf_insn *x)
{
	bool wide = BPF_CLASS(x->code) == BPF_ALU64;
	uint64_t d = m->r[x->dst_reg];
	uint64_t s = BPF_SRC(x->code) == BPF_X ? m->r[x->src_reg] : (uint64_t)(int64_t)x->imm;

	if (BPF_OP(x->code) == BPF_END) {
		m->r[x->dst_reg] = swap_bytes(d, BPF_SRC(x->code) == BPF_TO_BE, x->imm);
		return;
	}
	if (!wide) {
		d = (uint32_t)d;
		s = (uint32_t)s;
	}
	d = arithmetic(BPF_OP(x->code), wide, d, s);
	m->r[x->dst_reg] = wide ? d : (uint32_t)d;
}

static void run_load(struct machine *m, const struct bpf_insn *x)
{
	uint64_t p = m->r[x->src_reg] + (uint64_t)(int64_t)x->off, value = 0;
	uint32_t n = size_of(x);

	if (!may_access(m, p, n, false)) {
		fault(m, POLICY_FAULT_READ);
		return;
	}
	memcpy(&value, (const void *)(uintptr_t)p, n); /* little-endian, like BPF's */
	m->r[x->dst_reg] = value;
}

#define ATOMIC(type, p, s)                                                                       \
	({                                                                                       \
		type *at = (void *)(uintptr_t)(p);                                               \
		type was = 0;                                                                    \
		switch (x->imm & ~BPF_FETCH) {                                                   \
		case BPF_ADD:                                                                    \
			was = __atomic_fetch_add(at, (type)(s), __ATOMIC_SEQ_CST);               \
			break;                                                                   \
		case BPF_OR:                                                                     \
			was = __atomic_fetch_or(at, (type)(s), __ATOMIC_SEQ_CST);                \
			break;                                                                   \
		case BPF_AND:                                                                    \
			was = __atomic_fetch_and(at, (type)(s), __ATOMIC_SEQ_CST);               \
			break;                                                                   \
		case BPF_XOR:                                                                    \
			was = __atomic_fetch_xor(at, (type)(s), __ATOMIC_SEQ_CST);               \
			break;                                                                   \
		case BPF_XCHG & ~BPF_FETCH:                                                      \
			was = __atomic_exchange_n(at, (type)(s), __ATOMIC_SEQ_CST);              \
			break;                                                                   \
		default: /* BPF_CMPXCHG */                                                       \
			was = (type)m->r[0];                                                     \
			__atomic_compare_exchange_n(                                             \
				at, &was, (type)(s), false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); \
		}                                                                                \
		was;                                                                             \
	})

static void run_atomic(struct machine *m, const struct bpf_insn *x)
{
	uint64_t p = m->r[x->dst_reg] + (uint64_t)(int64_t)x->off;
	uint32_t n = size_of(x);
	uint64_t old;

	if (p % n != 0 || !may_access(m, p, n, true)) {
		fault(m, POLICY_FAULT_WRITE);
		return;
	}
	if (n == 8)
		old = ATOMIC(uint64_t, p, m->r[x->src_reg]);
	else
		old = ATOMIC(uint32_t, p, m->r[x->src_reg]);
	if (x->imm == BPF_CMPXCHG)
		m->r[0] = old;
	else if (x->imm & BPF_FETCH)
		m->r[x->src_reg] = old;
}

static void run_store(struct machine *m, const struct bpf_insn *x)
{
	uint64_t p = m->r[x->dst_reg] + (uint64_t)(int64_t)x->off;
	uint64_t value =
		BPF_CLASS(x->code) == BPF_ST ? (uint64_t)(int64_t)x->imm : m->r[x->src_reg];
	uint32_t n = size_of(x);

	if (BPF_MODE(x->code) == BPF_ATOMIC)
		run_atomic(m, x);
	else if (!may_access(m, p, n, true))
		fault(m, POLICY_FAULT_WRITE);
	else
		memcpy((void *)(uintptr_t)p, &value, n);
}

static bool is_true(uint8_t op, uint64_t d, uint64_t s, int64_t sd, int64_t ss)
{
	switch (op) {
	case BPF_JA:
		return true;
	case BPF_JEQ:
		return d == s;
	case BPF_JNE:
		return d != s;
	case BPF_JGT:
		return d > s;
	case BPF_JGE:
		return d >= s;
	case BPF_JLT:
		return d < s;
	case BPF_JLE:
		return d <= s;
	case BPF_JSET:
		return (d & s) != 0;
	case BPF_JSGT:
		return sd > ss;
	case BPF_JSGE:
		return sd >= ss;
	case BPF_JSLT:
		return sd < ss;
	default: /* BPF_JSLE */
		return sd <= ss;
	}
}

static void run_branch(struct machine *m, const struct bpf_insn *x)
{
	uint64_t d = m->r[x->dst_reg];
	uint64_t s = BPF_SRC(x->code) == BPF_X ? m->r[x->src_reg] : (uint64_t)(int64_t)x->imm;
	int64_t sd = (int64_t)d, ss = (int64_t)s;

	/* Counted whether it is taken or not: so does the compiled code, which is simpler for it. */
	if (x->off < 0 && --m->worker->back_edges < 0) {
		fault(m, POLICY_FAULT_LOOP);
		return;
	}
	if (BPF_CLASS(x->code) == BPF_JMP32) {
		d = (uint32_t)d;
		s = (uint32_t)s;
		sd = (int32_t)d;
		ss = (int32_t)s;
	}
	if (is_true(BPF_OP(x->code), d, s, sd, ss))
		m->at = (uint32_t)((int64_t)m->at + x->off);
}

static struct policy_map *map_of(const struct machine *m, uint64_t address)
{
	for (uint32_t i = 0; i < m->program->map_count; i++)
		if ((uint64_t)(uintptr_t)m->program->maps[i] == address)
			return m->program->maps[i];
	return NULL;
}

static bool arguments_ok(const struct machine *m, int32_t helper)
{
	if (helper != BPF_FUNC_map_lookup_elem && helper != BPF_FUNC_map_update_elem &&
		helper != BPF_FUNC_map_delete_elem)
		return true;
	const struct policy_map *map = map_of(m, m->r[1]);

	if (!map || !may_access(m, m->r[2], map->key_size, false))
		return false;
	return helper != BPF_FUNC_map_update_elem || may_access(m, m->r[3], map->value_size, false);
}

static void run_call(struct machine *m, const struct bpf_insn *x)
{
	if (x->src_reg == BPF_PSEUDO_CALL) {
		if (m->depth + 1 >= MAX_DEPTH) {
			fault(m, POLICY_FAULT_DEPTH);
			return;
		}
		memcpy(m->calls[m->depth].saved, &m->r[6], sizeof(m->calls[0].saved));
		m->calls[m->depth].back = m->at;
		m->depth++;
		m->r[10] = (uint64_t)(uintptr_t)m->stack[m->depth + 1];
		m->at = (uint32_t)((int64_t)m->at + x->imm);
		return;
	}
	if (!arguments_ok(m, x->imm)) {
		fault(m, POLICY_FAULT_MAP);
		return;
	}
	m->r[0] = policy_helper(x->imm)(m->r[1], m->r[2], m->r[3], m->r[4], m->r[5], m->worker);
}

static void run_exit(struct machine *m)
{
	if (m->depth == 0) {
		m->over = true;
		return;
	}
	m->depth--;
	memcpy(&m->r[6], m->calls[m->depth].saved, sizeof(m->calls[0].saved));
	m->at = m->calls[m->depth].back;
}

static void run_one(struct machine *m, const struct bpf_insn *x)
{
	switch (BPF_CLASS(x->code)) {
	case BPF_ALU:
	case BPF_ALU64:
		run_arithmetic(m, x);
		break;
	case BPF_LD:
		m->r[x->dst_reg] = (uint32_t)x->imm | (uint64_t)(uint32_t)x[1].imm << 32;
		m->at++;
		break;
	case BPF_LDX:
		run_load(m, x);
		break;
	case BPF_ST:
	case BPF_STX:
		run_store(m, x);
		break;
	default:
		if (BPF_OP(x->code) == BPF_CALL)
			run_call(m, x);
		else if (BPF_OP(x->code) == BPF_EXIT)
			run_exit(m);
		else
			run_branch(m, x);
	}
}

uint32_t policy_interpret(const struct policy_program *program, struct policy_frame *frame,
	struct policy_worker *worker)
{
	struct machine m;

	/* Without a verifier a policy may read registers and stack that it never wrote. */
	memset(&m, 0, sizeof(m));
	m.program = program;
	m.worker = worker;
	m.frame = frame;
	m.packet = frame->ctx.data;
	m.packet_bytes = frame->ctx.data_end - frame->ctx.data;
	m.r[1] = (uint64_t)(uintptr_t)&frame->ctx;
	m.r[10] = (uint64_t)(uintptr_t)m.stack[1];
	worker->back_edges = program->back_edges;
	/* Calls within calls can take long without jumping back; the verifier visits a million. */
	for (uint32_t left = 1000000; !m.over; left--) {
		const struct bpf_insn *x = &program->insns[m.at++];

		if (left == 0)
			fault(&m, POLICY_FAULT_LOOP);
		else
			run_one(&m, x);
	}
	return (uint32_t)m.r[0];
}
