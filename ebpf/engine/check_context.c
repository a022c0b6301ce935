/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Whether a policy may look at what only the fast path knows: of its context the flow's hash and the numbers of
 * service and port, and of its flags whether the flow is new.
 *
 * Follows, along every path, where the address of the context and the bit of the flags may have got to:
 * registers and aligned words of the stack. What goes anywhere else is out of sight, and counts as looked at. So
 * the answer may be yes where no would be right, never the other way round.
 */

#include "ebpf/engine/check_private.h"

#include <weir/policy_abi.h>

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS	   64 /* aligned words of a frame */
#define MAX_PASSES 64
#define FLAGS_AT   ((int)offsetof(struct weir_ctx, flags))
#define FLAG_BIT   4
static_assert(WEIR_F_NEW_FLOW == 1u << FLAG_BIT, "the bit that is followed");

enum kind {
	PLAIN, /* neither of both, whatever it is */
	CONTEXT, /* its address + offset */
	FLAG, /* a number whose bit `offset` is the flag */
	STACK, /* r10 + offset */
	STACK_ABOUT, /* r10 + something */
	MAP, /* the map number offset */
	ANY, /* may be the context or have the flag */
};

struct value {
	uint8_t kind;
	uint8_t zero;
	int16_t offset;
};

struct frame {
	struct value r[11];
	struct value slot[SLOTS]; /* the word at r10 - 512 + 8 * n */
	bool reached;
};

struct follow {
	const struct bpf_insn *insns;
	const struct policy_image_map *maps;
	struct frame *before; /* owned; of each instruction */
	bool changed;
	const char *why; /* the first thing that was found */
};

static const char asks_flow[] =
	"it may ask whether a flow is new (WEIR_F_NEW_FLOW), which only the fast path knows";
static const char asks_number[] =
	"it reads flow_hash, service_id or port_id of its context, which only the fast path knows";
static const char lost[] = "what it reads of its context cannot be followed";

static void found(struct follow *w, const char *why)
{
	if (!w->why)
		w->why = why;
}

static struct value value(uint8_t kind, int offset)
{
	return (struct value){ .kind = kind, .offset = (int16_t)offset };
}

static bool same(struct value a, struct value b)
{
	return a.kind == b.kind && a.offset == b.offset;
}

static bool is_secret(struct value v)
{
	return v.kind == CONTEXT || v.kind == FLAG || v.kind == ANY;
}

static bool has_flag(struct value v)
{
	return v.kind == FLAG || v.kind == ANY;
}

static struct value join(struct value a, struct value b)
{
	if (same(a, b))
		return a;
	/* On the other path it is nothing that anybody could read by. */
	if (a.kind == FLAG && !is_secret(b))
		return a;
	if (b.kind == FLAG && !is_secret(a))
		return b;
	if (is_secret(a) || is_secret(b))
		return value(ANY, 0);
	if (a.kind == STACK || a.kind == STACK_ABOUT || b.kind == STACK || b.kind == STACK_ABOUT)
		return value(STACK_ABOUT, 0);
	return value(PLAIN, 0);
}

static void flow_to(struct follow *w, uint32_t to, const struct frame *from)
{
	struct frame *at = &w->before[to];

	if (!at->reached) {
		*at = *from;
		at->reached = true;
		w->changed = true;
		return;
	}
	for (unsigned int i = 0; i < 11 + SLOTS; i++) {
		struct value *old = i < 11 ? &at->r[i] : &at->slot[i - 11];
		struct value joined = join(*old, i < 11 ? from->r[i] : from->slot[i - 11]);

		w->changed |= !same(*old, joined);
		*old = joined;
	}
}

static int size_of(const struct bpf_insn *x)
{
	static const uint8_t bytes[4] = { 4, 2, 1, 8 };

	return bytes[BPF_SIZE(x->code) >> 3];
}

/* Bytes of the context, read by the policy or by a helper. */
static void context_read(struct follow *w, int at, int bytes)
{
	if (at < (int)offsetof(struct weir_ctx, l3_off) &&
		at + bytes > (int)offsetof(struct weir_ctx, flow_hash))
		found(w, asks_number);
}

static bool any_secret(const struct frame *f)
{
	for (unsigned int i = 0; i < SLOTS; i++)
		if (is_secret(f->slot[i]))
			return true;
	return false;
}

static struct value loaded(
	struct follow *w, const struct frame *f, struct value base, int off, int bytes)
{
	const int at = base.offset + off, slot = at + 8 * SLOTS;

	switch (base.kind) {
	case CONTEXT:
		context_read(w, at, bytes);
		if (at <= FLAGS_AT && at + bytes > FLAGS_AT)
			return value(FLAG, (FLAGS_AT - at) * 8 + FLAG_BIT);
		return value(PLAIN, 0);
	case ANY:
		found(w, lost);
		return value(PLAIN, 0);
	case STACK:
		if (slot < 0 || slot >= 8 * SLOTS)
			return value(PLAIN, 0);
		if (slot % 8 == 0)
			return f->slot[slot / 8];
		return value(is_secret(f->slot[slot / 8]) ? ANY : PLAIN, 0);
	case STACK_ABOUT:
		return value(any_secret(f) ? ANY : PLAIN, 0);
	default:
		return value(PLAIN, 0);
	}
}

static void stored(struct follow *w, struct frame *f, const struct bpf_insn *x, struct value v)
{
	const struct value to = f->r[x->dst_reg];
	const int slot = to.offset + x->off + 8 * SLOTS;
	const bool exact = to.kind == STACK && slot >= 0 && slot < 8 * SLOTS && slot % 8 == 0;

	if (exact && size_of(x) == 8)
		f->slot[slot / 8] = v;
	else if (exact && v.kind == FLAG)
		f->slot[slot / 8] = join(f->slot[slot / 8], v);
	else if (is_secret(v))
		found(w, v.kind == FLAG ? asks_flow : lost);
}

/* The flag under an operation with a constant; everything else that is done to it uses it. */
static struct value flag_changed(struct follow *w, const struct bpf_insn *x, struct value v)
{
	const int width = BPF_CLASS(x->code) == BPF_ALU64 ? 64 : 32;
	int bit = v.offset;

	switch (BPF_OP(x->code)) {
	case BPF_AND:
		return (int64_t)x->imm >> bit & 1 ? v : value(PLAIN, 0);
	case BPF_OR:
	case BPF_XOR:
		return v;
	case BPF_RSH:
		bit -= x->imm;
		break;
	case BPF_LSH:
		bit += x->imm;
		break;
	default:
		found(w, asks_flow);
		return value(PLAIN, 0);
	}
	return bit < 0 || bit >= width ? value(PLAIN, 0) : value(FLAG, bit);
}

static struct value moved(const struct bpf_insn *x, struct value v, struct value by)
{
	const bool immediate = BPF_SRC(x->code) == BPF_K;
	const uint8_t op = BPF_OP(x->code);
	const int64_t to = v.offset + (op == BPF_SUB ? -(int64_t)x->imm : (int64_t)x->imm);

	if (immediate && (op == BPF_ADD || op == BPF_SUB) && to >= -1024 && to <= 1024)
		return value(v.kind, (int)to);
	if (v.kind == CONTEXT || by.kind == CONTEXT)
		return value(ANY, 0);
	return value(STACK_ABOUT, 0);
}

static void arithmetic(struct follow *w, struct frame *f, const struct bpf_insn *x)
{
	const bool wide = BPF_CLASS(x->code) == BPF_ALU64, immediate = BPF_SRC(x->code) == BPF_K;
	const uint8_t op = BPF_OP(x->code);
	const bool unary = op == BPF_NEG || op == BPF_END;
	const struct value by = immediate || unary ? value(PLAIN, 0) : f->r[x->src_reg];
	struct value *d = &f->r[x->dst_reg];

	if (op == BPF_MOV) {
		/* Half of an address is none. */
		*d = wide || by.kind == FLAG || by.kind == ANY ? by : value(PLAIN, 0);
		return;
	}
	if (has_flag(by) || d->kind == ANY || (d->kind == FLAG && (!immediate || unary))) {
		found(w, asks_flow);
		*d = value(PLAIN, 0);
	} else if (d->kind == FLAG) {
		*d = flag_changed(w, x, *d);
	} else if (wide && !unary && (d->kind == CONTEXT || d->kind == STACK)) {
		*d = moved(x, *d, by);
	} else if (wide && op == BPF_ADD && (by.kind == CONTEXT || by.kind == STACK)) {
		*d = value(by.kind == CONTEXT ? ANY : STACK_ABOUT, 0);
	} else if (d->kind != STACK_ABOUT) {
		*d = value(PLAIN, 0);
	}
}

/* What a helper reads by a pointer. */
static void argument(struct follow *w, const struct frame *f, struct value v, uint32_t bytes)
{
	if (v.kind == CONTEXT) {
		context_read(w, v.offset, (int)bytes);
		if (v.offset <= FLAGS_AT && v.offset + (int)bytes > FLAGS_AT)
			found(w, asks_flow);
	} else if (v.kind == STACK) {
		for (int at = v.offset & ~7; at < v.offset + (int)bytes; at += 8)
			if (at >= -8 * SLOTS && at < 0 && is_secret(f->slot[(at + 8 * SLOTS) / 8]))
				found(w, asks_flow);
	} else if (v.kind == ANY || (v.kind == STACK_ABOUT && any_secret(f))) {
		found(w, lost);
	}
}

static void helper(struct follow *w, const struct frame *f, const struct bpf_insn *x)
{
	const struct value map = f->r[1];
	const bool known = map.kind == MAP;

	switch (x->imm) {
	case BPF_FUNC_map_update_elem:
		argument(w, f, f->r[3], known ? w->maps[map.offset].value_size : POLICY_MAX_VALUE);
		if (has_flag(f->r[4]))
			found(w, asks_flow);
		__attribute__((fallthrough));
	case BPF_FUNC_map_lookup_elem:
	case BPF_FUNC_map_delete_elem:
		argument(w, f, f->r[2], known ? w->maps[map.offset].key_size : POLICY_MAX_KEY);
		break;
	default: /* those without arguments */
		break;
	}
}

static void call(struct follow *w, uint32_t i, const struct bpf_insn *x, struct frame *f)
{
	if (x->src_reg == BPF_PSEUDO_CALL) {
		struct frame callee = { .reached = true };

		for (unsigned int r = 1; r <= 5; r++) {
			const struct value v = f->r[r];
			const bool address = v.kind == STACK || v.kind == STACK_ABOUT;

			if (address && any_secret(f))
				found(w, lost);
			callee.r[r] = address ? value(PLAIN, 0) : v;
		}
		callee.r[10] = value(STACK, 0);
		flow_to(w, (uint32_t)((int64_t)i + 1 + x->imm), &callee);
	} else {
		helper(w, f, x);
	}
	for (unsigned int r = 0; r <= 5; r++)
		f->r[r] = value(PLAIN, 0);
}

static void branch(struct follow *w, const struct frame *f, const struct bpf_insn *x)
{
	const struct value d = f->r[x->dst_reg];
	const bool immediate = BPF_SRC(x->code) == BPF_K;

	if (BPF_OP(x->code) == BPF_JA)
		return;
	if (BPF_OP(x->code) == BPF_JSET && immediate && d.kind == FLAG &&
		!((int64_t)x->imm >> d.offset & 1))
		return;
	if (has_flag(d) || (!immediate && has_flag(f->r[x->src_reg])))
		found(w, asks_flow);
}

static void write(struct follow *w, struct frame *f, const struct bpf_insn *x)
{
	const struct value v = BPF_CLASS(x->code) == BPF_ST ? value(PLAIN, 0) : f->r[x->src_reg];

	if (BPF_CLASS(x->code) != BPF_STX || BPF_MODE(x->code) != BPF_ATOMIC) {
		stored(w, f, x, v);
		return;
	}
	if (is_secret(v) || f->r[x->dst_reg].kind == ANY ||
		(x->imm == BPF_CMPXCHG && is_secret(f->r[0])))
		found(w, lost);
	if (f->r[x->dst_reg].kind == CONTEXT)
		found(w, lost);
	if (x->imm & BPF_FETCH)
		f->r[x->imm == BPF_CMPXCHG ? 0 : x->src_reg] = value(PLAIN, 0);
}

static void step(struct follow *w, uint32_t i)
{
	const struct bpf_insn *x = &w->insns[i];
	struct frame f = w->before[i];
	uint32_t next = i + 1;

	switch (BPF_CLASS(x->code)) {
	case BPF_ALU:
	case BPF_ALU64:
		arithmetic(w, &f, x);
		break;
	case BPF_LD:
		f.r[x->dst_reg] = value(x->src_reg == BPF_PSEUDO_MAP_IDX ? MAP : PLAIN,
			x->src_reg == BPF_PSEUDO_MAP_IDX ? x->imm : 0);
		next++;
		break;
	case BPF_LDX:
		f.r[x->dst_reg] = loaded(w, &f, f.r[x->src_reg], x->off, size_of(x));
		break;
	case BPF_ST:
	case BPF_STX:
		write(w, &f, x);
		break;
	default:
		if (BPF_OP(x->code) == BPF_EXIT) {
			if (is_secret(f.r[0]))
				found(w, asks_flow);
			return;
		}
		if (BPF_OP(x->code) == BPF_CALL) {
			call(w, i, x, &f);
			break;
		}
		branch(w, &f, x);
		flow_to(w, (uint32_t)((int64_t)i + 1 + x->off), &f);
		if (BPF_OP(x->code) == BPF_JA)
			return;
	}
	flow_to(w, next, &f);
}

int policy_context_check(const struct bpf_insn *insns, uint32_t count,
	const struct policy_image_map *maps, const char **ret_why)
{
	struct follow w = { .insns = insns, .maps = maps, .changed = true };

	w.before = calloc(count, sizeof(*w.before));
	if (!w.before)
		return -ENOMEM;
	w.before[0].reached = true;
	w.before[0].r[1] = value(CONTEXT, 0);
	w.before[0].r[10] = value(STACK, 0);
	for (unsigned int pass = 0; w.changed && !w.why && pass < MAX_PASSES; pass++) {
		w.changed = false;
		for (uint32_t i = 0; i < count && !w.why; i++)
			if (w.before[i].reached)
				step(&w, i);
	}
	if (w.changed)
		found(&w, lost);
	free(w.before);
	*ret_why = w.why;
	return w.why ? -EINVAL : 0;
}
