/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Whether a policy reads stack that it has not written: what others have left there would get into its
 * maps and verdicts. The kernel allows that to who may load policies.
 *
 * Follows, along every path, which bytes of a function's frame are certainly written and which registers
 * are certainly a known distance from its end. Only what is certain is refused: an address that got
 * out of sight (into memory, another function, a loop that moves it) counts as having written all above it.
 */

#include "ebpf/engine/check_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FRAME_BYTES 512
#define MAX_PASSES  64

enum kind {
	UNKNOWN,
	STACK, /* r10 + offset */
	STACK_ABOUT, /* r10 + offset + something */
	CONTEXT, /* the context + offset */
	MAP, /* the map number offset */
};

struct value {
	uint8_t kind;
	int16_t offset;
};

struct frame {
	uint64_t written[FRAME_BYTES / 64]; /* bit n: the byte at r10 - 512 + n */
	struct value r[11];
	bool reached;
};

struct flow {
	struct check *check;
	struct frame *before; /* owned; of each instruction */
	bool changed;
};

static bool on_stack(const struct value *v)
{
	return v->kind == STACK || v->kind == STACK_ABOUT;
}

static void mark(struct frame *f, int offset, int bytes)
{
	for (int i = offset < -FRAME_BYTES ? -FRAME_BYTES : offset; i < offset + bytes && i < 0;
		i++)
		f->written[(i + FRAME_BYTES) / 64] |= UINT64_C(1) << ((i + FRAME_BYTES) % 64);
}

static bool is_written(const struct frame *f, int offset, int bytes)
{
	for (int i = offset; i < offset + bytes; i++) {
		unsigned int n = (unsigned int)(i + FRAME_BYTES);

		/* Outside of the frame the verifier judges. */
		if (n < FRAME_BYTES && !(f->written[n / 64] >> n % 64 & 1))
			return false;
	}
	return true;
}

static void lose(struct frame *f, const struct value *v)
{
	if (on_stack(v))
		mark(f, v->offset, -v->offset);
}

static void flow_to(struct flow *w, uint32_t to, const struct frame *from)
{
	struct frame *at = &w->before[to], joined = *from;

	if (at->reached) {
		for (unsigned int i = 0; i < FRAME_BYTES / 64; i++)
			joined.written[i] &= at->written[i];
		for (unsigned int r = 0; r < 11; r++) {
			if (memcmp(&at->r[r], &from->r[r], sizeof(at->r[r])) == 0)
				continue;
			lose(&joined, &from->r[r]);
			lose(&joined, &at->r[r]);
			joined.r[r] = (struct value){ .kind = UNKNOWN };
		}
	}
	joined.reached = true;
	if (at->reached && memcmp(at->written, joined.written, sizeof(joined.written)) == 0 &&
		memcmp(at->r, joined.r, sizeof(joined.r)) == 0)
		return;
	memcpy(at, &joined, sizeof(joined));
	w->changed = true;
}

static void set(struct frame *f, uint8_t r, uint8_t kind, int offset)
{
	/* No padding that comparisons could trip over. */
	memset(&f->r[r], 0, sizeof(f->r[r]));
	f->r[r].kind = kind;
	f->r[r].offset = (int16_t)offset;
}

static void arithmetic(struct frame *f, const struct bpf_insn *x)
{
	uint8_t op = BPF_OP(x->code), d = x->dst_reg;
	bool wide = BPF_CLASS(x->code) == BPF_ALU64, immediate = BPF_SRC(x->code) == BPF_K;
	struct value old = f->r[d];
	int64_t moved = old.offset + (op == BPF_SUB ? -(int64_t)x->imm : (int64_t)x->imm);

	if (wide && op == BPF_MOV && !immediate) {
		f->r[d] = f->r[x->src_reg];
		return;
	}
	bool moves =
		wide && (op == BPF_ADD || op == BPF_SUB) && (on_stack(&old) || old.kind == CONTEXT);

	if (moves && immediate && moved >= -1024 && moved <= 1024) {
		set(f, d, old.kind, (int)moved);
		return;
	}
	if (moves && op == BPF_ADD && !immediate && old.kind == STACK) {
		set(f, d, STACK_ABOUT, old.offset);
		return;
	}
	/* number + address */
	if (wide && op == BPF_ADD && !immediate && f->r[x->src_reg].kind == STACK) {
		set(f, d, STACK_ABOUT, f->r[x->src_reg].offset);
		return;
	}
	lose(f, &old);
	if (op != BPF_NEG && op != BPF_END && !immediate)
		lose(f, &f->r[x->src_reg]);
	set(f, d, UNKNOWN, 0);
}

static int size_of(const struct bpf_insn *x)
{
	static const uint8_t bytes[4] = { 4, 2, 1, 8 };

	return bytes[BPF_SIZE(x->code) >> 3];
}

static void store(struct frame *f, const struct bpf_insn *x)
{
	const struct value *to = &f->r[x->dst_reg];

	if (BPF_CLASS(x->code) == BPF_STX)
		lose(f, &f->r[x->src_reg]);
	if (to->kind == STACK)
		mark(f, to->offset + x->off, size_of(x));
	else if (to->kind == STACK_ABOUT)
		mark(f, to->offset + x->off, -(to->offset + x->off));
	if (BPF_CLASS(x->code) != BPF_STX || BPF_MODE(x->code) != BPF_ATOMIC ||
		!(x->imm & BPF_FETCH))
		return;
	set(f, x->imm == BPF_CMPXCHG ? 0 : x->src_reg, UNKNOWN, 0);
}

static void call(struct flow *w, uint32_t i, const struct bpf_insn *x, struct frame *f)
{
	if (x->src_reg == BPF_PSEUDO_CALL) {
		struct frame callee = { .reached = true };

		set(&callee, 10, STACK, 0);
		flow_to(w, (uint32_t)((int64_t)i + 1 + x->imm), &callee);
		for (uint8_t r = 1; r <= 5; r++)
			lose(f, &f->r[r]);
	}
	for (uint8_t r = 0; r <= 5; r++)
		set(f, r, UNKNOWN, 0);
}

static void step(struct flow *w, uint32_t i)
{
	const struct bpf_insn *x = &w->check->insns[i];
	struct frame f = w->before[i];
	uint8_t class = BPF_CLASS(x->code), op = BPF_OP(x->code);
	uint32_t next = i + 1;

	switch (class) {
	case BPF_ALU:
	case BPF_ALU64:
		arithmetic(&f, x);
		break;
	case BPF_LD:
		set(&f, x->dst_reg, x->src_reg == BPF_PSEUDO_MAP_IDX ? MAP : UNKNOWN, x->imm);
		next++;
		break;
	case BPF_LDX:
		set(&f, x->dst_reg, UNKNOWN, 0);
		break;
	case BPF_ST:
	case BPF_STX:
		store(&f, x);
		break;
	default:
		if (op == BPF_EXIT)
			return;
		if (op == BPF_CALL)
			call(w, i, x, &f);
		else
			flow_to(w, (uint32_t)((int64_t)i + 1 + x->off), &f);
		if (op == BPF_JA)
			return;
	}
	flow_to(w, next, &f);
}

static int judge_bytes(struct check *c, uint32_t i, const struct frame *f, const struct value *v,
	int offset, int bytes)
{
	if (v->kind == CONTEXT && v->offset + offset < 0)
		return check_refuse(c, i, "reads memory below the context, which is not its own");
	if (!on_stack(v) || is_written(f, v->offset + offset, bytes))
		return 0;
	return check_refuse(c, i,
		"reads a variable that it has not written, or not all of it; give it a value where it "
		"is declared, as in struct key k = {}");
}

/* Keys and values of helpers. */
static int judge_call(struct check *c, uint32_t i, const struct frame *f, const struct bpf_insn *x)
{
	bool has_map = x->imm == BPF_FUNC_map_lookup_elem || x->imm == BPF_FUNC_map_update_elem ||
		x->imm == BPF_FUNC_map_delete_elem;

	if (x->src_reg != 0 || !has_map || f->r[1].kind != MAP)
		return 0;
	const struct policy_image_map *m = &c->maps[f->r[1].offset];
	int rc = judge_bytes(c, i, f, &f->r[2], 0, (int)m->key_size);

	if (rc == 0 && x->imm == BPF_FUNC_map_update_elem)
		rc = judge_bytes(c, i, f, &f->r[3], 0, (int)m->value_size);
	return rc;
}

static int judge(struct check *c, uint32_t i, const struct frame *f)
{
	const struct bpf_insn *x = &c->insns[i];
	bool atomic = BPF_CLASS(x->code) == BPF_STX && BPF_MODE(x->code) == BPF_ATOMIC;

	if (BPF_CLASS(x->code) == BPF_LDX)
		return judge_bytes(c, i, f, &f->r[x->src_reg], x->off, size_of(x));
	if (atomic)
		return judge_bytes(c, i, f, &f->r[x->dst_reg], x->off, size_of(x));
	if (x->code == (BPF_JMP | BPF_CALL))
		return judge_call(c, i, f, x);
	return 0;
}

int check_unwritten_stack(struct check *c)
{
	struct flow w = { .check = c, .changed = true };
	int rc = 0;

	w.before = calloc(c->count, sizeof(*w.before));
	if (!w.before)
		return -ENOMEM;
	w.before[0].reached = true;
	set(&w.before[0], 1, CONTEXT, 0);
	set(&w.before[0], 10, STACK, 0);
	for (unsigned int pass = 0; w.changed && pass < MAX_PASSES; pass++) {
		w.changed = false;
		for (uint32_t i = 0; i < c->count; i++)
			if (w.before[i].reached)
				step(&w, i);
	}
	/* When it does not settle nothing is certain. */
	for (uint32_t i = 0; rc == 0 && !w.changed && i < c->count; i++)
		if (w.before[i].reached)
			rc = judge(c, i, &w.before[i]);
	free(w.before);
	return rc;
}
