/* SPDX-License-Identifier: BSD-3-Clause */

#include "ebpf/engine/check.h"

#include "ebpf/engine/check_private.h"
#include "ebpf/engine/helper.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int check_refuse(struct check *c, uint32_t insn, const char *format, ...)
{
	va_list args;

	c->refusal->insn = insn;
	va_start(args, format);
	vsnprintf(c->refusal->reason, sizeof(c->refusal->reason), format, args);
	va_end(args);
	return -EINVAL;
}

static int check_arithmetic(struct check *c, uint32_t i, const struct bpf_insn *x)
{
	bool wide = BPF_CLASS(x->code) == BPF_ALU64;
	bool immediate = BPF_SRC(x->code) == BPF_K;
	uint8_t op = BPF_OP(x->code);

	if (x->off != 0 || (op == BPF_END && wide))
		return check_refuse(c, i, "an instruction newer than -mcpu=v3");
	if (op == BPF_END)
		return x->imm == 16 || x->imm == 32 || x->imm == 64 ?
			0 :
			check_refuse(c, i, "a byte swap of %d bits", x->imm);
	if (op > BPF_ARSH)
		return check_refuse(c, i, "unknown arithmetic %#x", x->code);
	if (immediate && (op == BPF_DIV || op == BPF_MOD) && x->imm == 0)
		return check_refuse(c, i, "a division by zero");
	if (immediate && (op == BPF_LSH || op == BPF_RSH || op == BPF_ARSH) &&
		(uint32_t)x->imm >= (wide ? 64u : 32u))
		return check_refuse(c, i, "a shift by %d bits", x->imm);
	return 0;
}

static int check_wide_load(struct check *c, uint32_t i, const struct bpf_insn *x)
{
	if (x->code != (BPF_LD | BPF_DW | BPF_IMM))
		return check_refuse(c, i,
			"a packet load of classic BPF (bpf_load_byte() and such); read through "
			"weir_at() instead");
	if (i + 1 >= c->count || x[1].code != 0 || x[1].src_reg || x[1].dst_reg || x[1].off ||
		x->off)
		return check_refuse(c, i, "half of a 64-bit load");
	if (x->src_reg == 0)
		return 0;
	if (x->src_reg != BPF_PSEUDO_MAP_IDX && x->src_reg != BPF_PSEUDO_MAP_IDX_VALUE)
		return check_refuse(
			c, i, "the address of something in the kernel, or of a function");
	if ((uint32_t)x->imm >= c->map_count)
		return check_refuse(c, i, "map %d, which the policy does not have", x->imm);
	const struct policy_image_map *m = &c->maps[x->imm];

	if (x->src_reg == BPF_PSEUDO_MAP_IDX)
		return x[1].imm == 0 ? 0 : check_refuse(c, i, "an offset to a map");
	if (m->type != BPF_MAP_TYPE_ARRAY || m->max_entries != 1 ||
		(uint32_t)x[1].imm >= m->value_size)
		return check_refuse(c, i, "an address outside of %s", m->name);
	return 0;
}

static int check_atomic(struct check *c, uint32_t i, const struct bpf_insn *x)
{
	if (BPF_SIZE(x->code) != BPF_W && BPF_SIZE(x->code) != BPF_DW)
		return check_refuse(c, i, "an atomic operation on less than 32 bits");
	switch (x->imm) {
	case BPF_ADD:
	case BPF_OR:
	case BPF_AND:
	case BPF_XOR:
	case BPF_ADD | BPF_FETCH:
	case BPF_OR | BPF_FETCH:
	case BPF_AND | BPF_FETCH:
	case BPF_XOR | BPF_FETCH:
	case BPF_XCHG:
	case BPF_CMPXCHG:
		return 0;
	default:
		return check_refuse(c, i, "unknown atomic operation %#x", x->imm);
	}
}

static int check_access(struct check *c, uint32_t i, const struct bpf_insn *x)
{
	uint8_t mode = BPF_MODE(x->code);

	if (mode == BPF_ATOMIC && BPF_CLASS(x->code) == BPF_STX)
		return check_atomic(c, i, x);
	if (mode != BPF_MEM)
		return check_refuse(c, i, "an instruction newer than -mcpu=v3");
	return 0;
}

static int check_call(struct check *c, uint32_t i, const struct bpf_insn *x)
{
	if (x->src_reg == BPF_PSEUDO_CALL) {
		int64_t to = (int64_t)i + 1 + x->imm;

		if (to <= 0 || to >= c->count || c->starts[to] == CHECK_SECOND_HALF)
			return check_refuse(c, i, "a call to nowhere");
		c->starts[to] = CHECK_FUNCTION;
		return 0;
	}
	if (x->src_reg == BPF_PSEUDO_KFUNC_CALL)
		return check_refuse(
			c, i, "a call of a kernel function; policies have helpers only");
	if (x->imm == BPF_FUNC_tail_call)
		return check_refuse(c, i, "a tail call; a policy is one program");
	if (x->src_reg != 0 || !policy_helper(x->imm))
		return check_refuse(c, i,
			"helper %d, which policies do not have; they have bpf_map_lookup_elem, "
			"bpf_map_update_elem, bpf_map_delete_elem, bpf_ktime_get_ns, "
			"bpf_get_prandom_u32, bpf_get_smp_processor_id",
			x->imm);
	return 0;
}

static int check_jump(struct check *c, uint32_t i, const struct bpf_insn *x)
{
	uint8_t op = BPF_OP(x->code);
	bool narrow = BPF_CLASS(x->code) == BPF_JMP32;

	if (narrow && (op == BPF_JA || op == BPF_CALL || op == BPF_EXIT))
		return check_refuse(c, i, "an instruction newer than -mcpu=v3");
	if (op == BPF_CALL)
		return BPF_SRC(x->code) == BPF_K ? check_call(c, i, x) :
						   check_refuse(c, i, "an indirect call");
	if (op > BPF_JSLE)
		return check_refuse(c, i, "unknown jump %#x", x->code);
	return 0;
}

static int check_one(struct check *c, uint32_t i, const struct bpf_insn *x)
{
	if (x->dst_reg > 10 || (BPF_CLASS(x->code) != BPF_LD && x->src_reg > 10))
		return check_refuse(c, i, "a register that does not exist");
	switch (BPF_CLASS(x->code)) {
	case BPF_ALU:
	case BPF_ALU64:
		return x->dst_reg == 10 ? check_refuse(c, i, "a write to r10") :
					  check_arithmetic(c, i, x);
	case BPF_LD:
		return x->dst_reg == 10 ? check_refuse(c, i, "a write to r10") :
					  check_wide_load(c, i, x);
	case BPF_LDX:
		if (x->dst_reg == 10)
			return check_refuse(c, i, "a write to r10");
		return check_access(c, i, x);
	case BPF_ST:
	case BPF_STX:
		return check_access(c, i, x);
	default:
		return check_jump(c, i, x);
	}
}

static bool is_branch(const struct bpf_insn *x)
{
	uint8_t class = BPF_CLASS(x->code);

	return (class == BPF_JMP || class == BPF_JMP32) && BPF_OP(x->code) != BPF_CALL &&
		BPF_OP(x->code) != BPF_EXIT;
}

/* Jumps stay in their function, and a function ends with an exit or a jump back. */
static int check_flow(struct check *c)
{
	uint32_t start = 0;

	for (uint32_t end = 1; end <= c->count; end++) {
		if (end < c->count && c->starts[end] != CHECK_FUNCTION)
			continue;
		const struct bpf_insn *last = &c->insns[end - 1];

		if (c->starts[end - 1] == CHECK_SECOND_HALF ||
			(last->code != (BPF_JMP | BPF_EXIT) && last->code != (BPF_JMP | BPF_JA)))
			return check_refuse(c, end - 1, "a function that ends without return");
		for (uint32_t i = start; i < end; i++) {
			const struct bpf_insn *x = &c->insns[i];
			int64_t to = (int64_t)i + 1 + x->off;

			if (c->starts[i] == CHECK_SECOND_HALF || !is_branch(x))
				continue;
			if (to < start || to >= end || c->starts[to] == CHECK_SECOND_HALF)
				return check_refuse(c, i, "a jump to nowhere");
		}
		start = end;
	}
	return 0;
}

static int check_all(struct check *c)
{
	/* Second halves first: a call may go forward. */
	for (uint32_t i = 0; i + 1 < c->count; i++)
		if (c->insns[i].code == (BPF_LD | BPF_DW | BPF_IMM))
			c->starts[++i] = CHECK_SECOND_HALF;
	c->starts[0] = CHECK_FUNCTION;
	for (uint32_t i = 0; i < c->count; i++) {
		if (c->starts[i] == CHECK_SECOND_HALF)
			continue;
		int rc = check_one(c, i, &c->insns[i]);
		if (rc < 0)
			return rc;
	}
	int rc = check_flow(c);
	if (rc == 0)
		rc = check_stack_atomics(c);
	return rc < 0 ? rc : check_unwritten_stack(c);
}

int policy_insns_check(const struct bpf_insn *insns, uint32_t insn_count,
	const struct policy_image_map *maps, uint32_t map_count, uint8_t *starts,
	struct policy_refusal *ret_refusal)
{
	struct check c = {
		.insns = insns,
		.count = insn_count,
		.maps = maps,
		.map_count = map_count,
		.starts = calloc(insn_count, 1),
		.refusal = ret_refusal,
	};

	if (!c.starts)
		return -ENOMEM;
	int rc = check_all(&c);

	if (starts)
		memcpy(starts, c.starts, insn_count);
	free(c.starts);
	return rc;
}
