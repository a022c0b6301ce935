/* SPDX-License-Identifier: BSD-3-Clause */

#include "tests/bench/policy_rte.h"

#include "ebpf/engine/admit.h"

#include <rte_bpf.h>
#include <rte_errno.h>
#include <rte_log.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_SYMBOLS 16

struct policy_rte {
	struct policy_admission admission; /* owned; its constants are used */
	struct rte_bpf *bpf; /* owned */
	struct rte_bpf_jit jit;
};

struct loading {
	struct ebpf_insn *insns; /* owned */
	struct rte_bpf_xsym symbols[MAX_SYMBOLS];
	uint32_t symbol_count;
};

static uint64_t lookup(uint64_t map, uint64_t key, uint64_t r3, uint64_t r4, uint64_t r5)
{
	return (uintptr_t)policy_map_lookup((void *)(uintptr_t)map, (void *)(uintptr_t)key, 0);
}

static uint64_t update(uint64_t map, uint64_t key, uint64_t value, uint64_t flags, uint64_t r5)
{
	return (uint64_t)(int64_t)policy_map_update(
		(void *)(uintptr_t)map, (void *)(uintptr_t)key, (void *)(uintptr_t)value, flags, 0);
}

/* The two helpers come first; sizes are those of the one map that the program changes. */
static void helpers_add(struct loading *l, const struct policy_program *p)
{
	const struct rte_bpf_arg word = { .type = RTE_BPF_ARG_RAW, .size = 8 };
	struct rte_bpf_arg key = { .type = RTE_BPF_ARG_PTR }, value = { .type = RTE_BPF_ARG_PTR };

	for (uint32_t i = 0; i < p->map_count; i++) {
		if (p->maps[i]->constant)
			continue;
		key.size = p->maps[i]->key_size;
		value.size = p->maps[i]->value_size;
	}
	/* It takes no symbol of which it cannot say how much memory that is. */
	if (!key.size || !value.size)
		return;
	l->symbols[0] = (struct rte_bpf_xsym){ .name = "lookup",
		.type = RTE_BPF_XTYPE_FUNC,
		.func = { .val = lookup, .nb_args = 2, .args = { word, key }, .ret = value } };
	l->symbols[1] = (struct rte_bpf_xsym){ .name = "update",
		.type = RTE_BPF_XTYPE_FUNC,
		.func = { .val = update,
			.nb_args = 4,
			.args = { word, key, value, word },
			.ret = word } };
	l->symbol_count = 2;
}

/* A constant by its address, with what lies behind it. */
static bool variable_add(struct loading *l, const struct policy_program *p, uint64_t address)
{
	for (uint32_t i = 0; i < p->map_count; i++) {
		const struct policy_map *m = p->maps[i];
		uint64_t first = (uintptr_t)m->values;

		if (!m->values || address < first || address >= first + m->value_size)
			continue;
		if (l->symbol_count == MAX_SYMBOLS)
			return false;
		l->symbols[l->symbol_count++] = (struct rte_bpf_xsym){ .name = "constant",
			.type = RTE_BPF_XTYPE_VAR,
			.var = { .val = (void *)(uintptr_t)address,
				.desc = { .type = RTE_BPF_ARG_PTR,
					.size = first + m->value_size - address } } };
		return true;
	}
	return true;
}

/* Maps by their address become those of `maps`, calls by number become calls of symbols. */
static bool translate(struct loading *l, const struct policy_program *p,
	struct policy_program *maps, char *why, size_t why_size)
{
	helpers_add(l, p);
	for (uint32_t i = 0; i < p->insn_count; i++) {
		struct ebpf_insn *x = &l->insns[i];

		if (x->code == (BPF_JMP | BPF_CALL)) {
			if (x->src_reg) {
				snprintf(why, why_size, "it has functions of its own");
				return false;
			}
			if (x->imm < 1 || x->imm > 2) {
				snprintf(why, why_size, "it calls more than lookup and update");
				return false;
			}
			x->imm--;
			continue;
		}
		if (x->code != (BPF_LD | BPF_DW | BPF_IMM))
			continue;
		uint64_t address = (uint32_t)x[0].imm | (uint64_t)(uint32_t)x[1].imm << 32;

		if (p->map_of[i] >= 0)
			address = (uintptr_t)policy_program_map(
				maps, p->maps[(uint8_t)p->map_of[i]]->name);
		else if (!variable_add(l, p, address))
			return false;
		x[0].imm = (int32_t)(uint32_t)address;
		x[1].imm = (int32_t)(address >> 32);
		i++;
	}
	return true;
}

/* What the engine says goes to its log. */
static struct rte_bpf *load(
	const struct loading *l, uint32_t insn_count, char *why, size_t why_size)
{
	const struct rte_bpf_prm parameters = { .ins = l->insns,
		.nb_ins = insn_count,
		.xsym = l->symbols,
		.nb_xsym = l->symbol_count,
		.prog_arg = { .type = RTE_BPF_ARG_PTR, .size = sizeof(struct weir_ctx) } };
	char *text = NULL;
	size_t size = 0;
	FILE *log = open_memstream(&text, &size);

	if (!log)
		return NULL;
	rte_openlog_stream(log);
	struct rte_bpf *bpf = rte_bpf_load(&parameters);
	int rc = rte_errno;

	rte_openlog_stream(NULL);
	fclose(log);
	if (!bpf)
		snprintf(why, why_size, "%s", text && *text ? strtok(text, "\n\"") : strerror(rc));
	free(text);
	return bpf;
}

struct policy_rte *policy_rte_load(
	const char *path, struct policy_program *maps, char *why, size_t why_size)
{
	const struct policy_admit_options options = { .no_kernel = true, .no_trial = true };
	struct policy_rte *r = calloc(1, sizeof(*r));
	struct loading l = { 0 };

	snprintf(why, why_size, "out of memory");
	if (!r || policy_admit(path, &options, &r->admission)) {
		free(r);
		return NULL;
	}
	const struct policy_program *p = r->admission.program;

	if (!p) {
		snprintf(why, why_size, "%s", r->admission.reason);
		goto refused;
	}
	static_assert(sizeof(*l.insns) == sizeof(*p->insns), "one format");
	l.insns = malloc(p->insn_count * sizeof(*l.insns));
	if (!l.insns)
		goto refused;
	memcpy(l.insns, p->insns, p->insn_count * sizeof(*l.insns));
	if (!translate(&l, p, maps, why, why_size))
		goto refused;
	r->bpf = load(&l, p->insn_count, why, why_size);
	if (!r->bpf)
		goto refused;
	if (rte_bpf_get_jit(r->bpf, &r->jit) || !r->jit.func) {
		snprintf(why, why_size, "it is accepted, and not compiled");
		goto refused;
	}
	free(l.insns);
	return r;
refused:
	free(l.insns);
	policy_rte_free(r);
	return NULL;
}

void policy_rte_free(struct policy_rte *r)
{
	if (!r)
		return;
	rte_bpf_destroy(r->bpf);
	policy_admission_fini(&r->admission);
	free(r);
}

uint32_t policy_rte_run(const struct policy_rte *r, struct weir_ctx *ctx)
{
	return (uint32_t)r->jit.func(ctx);
}
