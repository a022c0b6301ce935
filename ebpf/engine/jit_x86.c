/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * eBPF to x86-64, instruction by instruction. Registers lie where the System V ABI wants the arguments
 * of helpers, so calls move nothing:
 *
 *	r0 rax   r1 rdi   r2 rsi   r3 rdx   r4 rcx   r5 r8   r6 rbx   r7 r13   r8 r14   r9 r15   r10 rbp
 *
 * r12 is the worker for the whole run; r9, r10, r11 are scratch. A function's frame is, downwards: return
 * address, rbp, (r12,) those of rbx, r13, r14, r15 that it uses, and eBPF's 512 bytes of stack
 * that end at rbp.
 *
 * The lengths of jumps depend on the addresses, and these on the lengths: the translation is repeated,
 * beginning with far jumps everywhere, until nothing changes any more.
 */

#include "ebpf/engine/jit_x86.h"

#include "ebpf/engine/helper.h"
#include "ebpf/engine/jit.h"
#include "ebpf/engine/program.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)

#define MAX_PASSES  32
#define STACK_BYTES 512

const uint8_t jit_register[11] = { RAX, RDI, RSI, RDX, RCX, R8, RBX, R13, R14, R15, RBP };
static const uint8_t saved_register[4] = { RBX, R13, R14, R15 }; /* r6 to r9 */

bool policy_jit_available(void)
{
	return true;
}

/*
 * Which of r6 to r9 a function must keep for who called it. The entry function keeps those of all: when
 * the budget of back edges ends in a function, that one does not restore anything.
 */
static uint32_t registers_saved(const struct jit *j, uint32_t function)
{
	const struct policy_program *p = j->program;
	uint32_t saved = 0;

	for (uint32_t i = function; i < p->insn_count; i++) {
		if (p->starts[i] == 1 && i != function && function != 0)
			break;
		if (p->starts[i] == 2)
			continue;
		for (unsigned int r = 6; r <= 9; r++)
			if (p->insns[i].dst_reg == r || p->insns[i].src_reg == r)
				saved |= 1u << (r - 6);
	}
	return saved;
}

/* How far rsp lies below rbp. The return address makes it uneven: calls want a multiple of 16. */
static int32_t frame_bytes(bool entry, uint32_t saved)
{
	unsigned int pushed = 1 + entry + (unsigned int)__builtin_popcount(saved);

	return STACK_BYTES + (pushed % 2 ? 0 : 8);
}

static void function_enter(struct jit *j)
{
	struct x86_code *c = &j->code;

	x86_push(c, RBP);
	if (j->entry)
		x86_push(c, R12);
	for (unsigned int i = 0; i < 4; i++)
		if (j->saved >> i & 1)
			x86_push(c, saved_register[i]);
	x86_move(c, true, RBP, RSP);
	x86_operate_value(c, true, X86_SUB, RSP, frame_bytes(j->entry, j->saved));
	if (j->entry) {
		x86_move(c, true, R12, RSI);
		if (j->loops)
			x86_store(c, 8, R12, offsetof(struct policy_worker, stack_pointer), RBP);
	}
}

/* rsp is at the saved registers. */
static void function_leave(struct jit *j, bool entry, uint32_t saved)
{
	struct x86_code *c = &j->code;

	for (int i = 3; i >= 0; i--)
		if (saved >> i & 1)
			x86_pop(c, saved_register[i]);
	if (entry)
		x86_pop(c, R12);
	x86_pop(c, RBP);
	x86_byte(c, 0xc3);
}

/*
 * XXX: not "mov rsp, rbp". Behind that, Zen 4 takes what the pops read from the store buffer instead of renaming
 * it, the caller's registers then hang on it from packet to packet, and a short policy takes twice as long.
 */
static void emit_exit(struct jit *j)
{
	x86_operate_value(&j->code, true, X86_ADD, RSP, frame_bytes(j->entry, j->saved));
	function_leave(j, j->entry, j->saved);
}

/* rax = value of the array's element whose number is at rsi, or NULL */
static void emit_array_lookup(struct jit *j, const struct policy_map *map)
{
	struct x86_code *c = &j->code;

	x86_load(c, 4, RAX, RSI, 0);
	x86_operate_value(c, false, X86_CMP, RAX, (int32_t)map->max_entries);
	uint32_t outside = x86_jump_ahead(c, CC_AE);

	if ((map->stride & (map->stride - 1)) == 0)
		x86_shift_value(c, true, X86_SHL, RAX, (uint32_t)__builtin_ctz(map->stride));
	else
		x86_multiply_value(c, true, RAX, (int32_t)map->stride);
	if (map->worker_count > 1) {
		x86_load(c, 4, R11, R12, offsetof(struct policy_worker, index));
		x86_multiply_value(c, true, R11, (int32_t)map->worker_stride);
		x86_operate(c, true, X86_ADD, RAX, R11);
	}
	x86_set(c, R11, (int64_t)(uintptr_t)map->values);
	x86_operate(c, true, X86_ADD, RAX, R11);
	uint32_t done = x86_jump_ahead(c, CC_ALWAYS);

	x86_land(c, outside);
	x86_clear(c, RAX);
	x86_land(c, done);
}

static void emit_function(struct jit *j, uint64_t address)
{
	struct x86_code *c = &j->code;

	x86_move(c, true, R9, R12);
	x86_set(c, RAX, (int64_t)address);
	x86_byte(c, 0xff); /* call rax */
	x86_byte(c, 0xd0);
}

static void emit_helper(struct jit *j, int32_t number)
{
	const struct policy_map *map = j->map >= 0 ? j->program->maps[j->map] : NULL;
	bool lookup = number == BPF_FUNC_map_lookup_elem && map;

	if (lookup && map->values && map->max_entries <= INT32_MAX &&
		map->worker_stride <= INT32_MAX) {
		emit_array_lookup(j, map);
	} else if (lookup && !map->values && map->type != BPF_MAP_TYPE_LPM_TRIE) {
		/* The map is known: no need to find out at run time what it is. */
		x86_set(&j->code, RDI, (int64_t)(uintptr_t)&map->hash);
		emit_function(j, (uint64_t)(uintptr_t)hash_table_lookup);
	} else {
		emit_function(j, (uint64_t)(uintptr_t)policy_helper(number));
	}
}

static void emit_call(struct jit *j, uint32_t i, const struct bpf_insn *x)
{
	if (x->src_reg == BPF_PSEUDO_CALL)
		x86_call(&j->code, j->offset[(int64_t)i + 1 + x->imm]);
	else
		emit_helper(j, x->imm);
	j->map = -1;
}

/* Sets *ret_cc to the condition under which it is taken. */
static void emit_compare(struct jit *j, const struct bpf_insn *x, enum x86_condition *ret_cc)
{
	static const uint8_t condition[] = { [BPF_JEQ >> 4] = CC_E,
		[BPF_JGT >> 4] = CC_A,
		[BPF_JGE >> 4] = CC_AE,
		[BPF_JSET >> 4] = CC_NE,
		[BPF_JNE >> 4] = CC_NE,
		[BPF_JSGT >> 4] = CC_G,
		[BPF_JSGE >> 4] = CC_GE,
		[BPF_JLT >> 4] = CC_B,
		[BPF_JLE >> 4] = CC_BE,
		[BPF_JSLT >> 4] = CC_L,
		[BPF_JSLE >> 4] = CC_LE };
	struct x86_code *c = &j->code;
	bool wide = BPF_CLASS(x->code) == BPF_JMP;
	bool immediate = BPF_SRC(x->code) == BPF_K;
	int dst = jit_register[x->dst_reg], src = jit_register[x->src_reg];

	*ret_cc = condition[BPF_OP(x->code) >> 4];
	if (BPF_OP(x->code) != BPF_JSET) {
		if (immediate)
			x86_operate_value(c, wide, X86_CMP, dst, x->imm);
		else
			x86_operate(c, wide, X86_CMP, dst, src);
	} else if (immediate) { /* test */
		x86_op(c, wide, 0xf7, 0, dst);
		x86_word(c, (uint32_t)x->imm);
	} else {
		x86_op(c, wide, 0x85, src, dst);
	}
}

static void emit_branch(struct jit *j, uint32_t i, const struct bpf_insn *x)
{
	struct x86_code *c = &j->code;
	uint32_t to = j->offset[(int64_t)i + 1 + x->off];
	enum x86_condition cc = CC_ALWAYS;

	if (x->off < 0) {
		x86_rex(c, true, 0, R12, false); /* sub qword [r12], 1 */
		x86_byte(c, 0x83);
		x86_indirect(c, 5, R12, offsetof(struct policy_worker, back_edges));
		x86_byte(c, 1);
		x86_jump_far(c, CC_S, j->give_up);
	}
	if (BPF_OP(x->code) != BPF_JA)
		emit_compare(j, x, &cc);
	int64_t distance = (int64_t)to - (c->length + 2);

	if (!j->first_pass && distance == (int8_t)distance)
		x86_jump_near(c, cc, to);
	else
		x86_jump_far(c, cc, to);
}

static void emit_one(struct jit *j, uint32_t i)
{
	const struct bpf_insn *x = &j->program->insns[i];
	bool writes_r1 = x->dst_reg == 1;

	switch (BPF_CLASS(x->code)) {
	case BPF_ALU:
	case BPF_ALU64:
		jit_emit_arithmetic(j, x);
		break;
	case BPF_LD:
		x86_set(&j->code, jit_register[x->dst_reg],
			(int64_t)((uint32_t)x->imm | (uint64_t)(uint32_t)x[1].imm << 32));
		if (writes_r1)
			j->map = j->program->map_of[i];
		return;
	case BPF_LDX:
		jit_emit_access(j, x);
		break;
	case BPF_ST:
	case BPF_STX:
		jit_emit_access(j, x);
		writes_r1 = BPF_MODE(x->code) == BPF_ATOMIC && x->src_reg == 1;
		break;
	default:
		if (BPF_OP(x->code) == BPF_CALL)
			emit_call(j, i, x);
		else if (BPF_OP(x->code) == BPF_EXIT)
			emit_exit(j);
		else
			emit_branch(j, i, x);
		return;
	}
	if (writes_r1)
		j->map = -1;
}

static void emit_all(struct jit *j)
{
	const struct policy_program *p = j->program;

	j->code.length = 0;
	for (uint32_t i = 0; i < p->insn_count; i++) {
		j->offset[i] = j->code.length;
		if (p->starts[i] == 2)
			continue;
		if (p->starts[i] == 1) {
			j->entry = i == 0;
			j->saved = registers_saved(j, i);
			function_enter(j);
		}
		if (p->starts[i] == 1 || j->target[i])
			j->map = -1;
		emit_one(j, i);
	}
	if (!j->loops)
		return;
	/* From any depth back to who called the policy. */
	j->give_up = j->code.length;
	x86_load(&j->code, 8, RBP, R12, offsetof(struct policy_worker, stack_pointer));
	x86_rex(&j->code, false, 0, R12, false); /* add dword [r12 + aborted], 1 */
	x86_byte(&j->code, 0x83);
	x86_indirect(&j->code, 0, R12, offsetof(struct policy_worker, aborted));
	x86_byte(&j->code, 1);
	x86_clear(&j->code, RAX);
	x86_move(&j->code, true, RSP, RBP);
	function_leave(j, true, j->entry_saved);
}

static void find_targets(struct jit *j)
{
	const struct policy_program *p = j->program;

	for (uint32_t i = 0; i < p->insn_count; i++) {
		const struct bpf_insn *x = &p->insns[i];
		uint8_t class = BPF_CLASS(x->code), op = BPF_OP(x->code);

		if (p->starts[i] == 2 || (class != BPF_JMP && class != BPF_JMP32) ||
			op == BPF_CALL || op == BPF_EXIT)
			continue;
		j->target[(int64_t)i + 1 + x->off] = 1;
		j->loops |= x->off < 0;
	}
	j->entry_saved = registers_saved(j, 0);
}

/* Returns the length, or 0 when it does not settle. */
static uint32_t settle(struct jit *j)
{
	j->first_pass = true;
	for (unsigned int pass = 0, same = 0; pass < MAX_PASSES; pass++) {
		uint32_t before = j->code.length, give_up = j->give_up;

		emit_all(j);
		j->first_pass = false;
		same = j->code.length == before && j->give_up == give_up ? same + 1 : 0;
		if (same == 2) /* one more than needed: offsets have settled as well */
			return j->code.length;
	}
	return 0;
}

static int code_write(struct jit *j, struct policy_program *program)
{
	uint32_t length = settle(j);
	struct policy_memory code;

	if (length == 0)
		return -ERANGE;
	int rc = policy_memory_create(length, -1, &code);
	if (rc < 0)
		return rc;
	memset(code.at, 0xcc, code.bytes); /* int3 */
	j->code.bytes = code.at;
	emit_all(j);
	rc = j->code.length == length ? policy_memory_seal(&code) : -ERANGE;
	if (rc < 0) {
		policy_memory_destroy(&code);
		return rc;
	}
	program->code = code;
	program->code_bytes = length;
	program->run = (policy_function)(uintptr_t)code.at;
	return 0;
}

int policy_jit_compile(struct policy_program *program)
{
	struct jit j = {
		.program = program,
		.offset = calloc(program->insn_count + 1, sizeof(*j.offset)),
		.target = calloc(program->insn_count + 1, 1),
	};
	int rc = -ENOMEM;

	if (j.offset && j.target) {
		find_targets(&j);
		rc = code_write(&j, program);
	}
	free(j.offset);
	free(j.target);
	return rc;
}

#else

bool policy_jit_available(void)
{
	return false;
}

int policy_jit_compile(struct policy_program *program)
{
	return -ENOTSUP;
}

#endif
