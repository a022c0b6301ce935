/* SPDX-License-Identifier: BSD-3-Clause */

#include "ebpf/engine/program.h"

#include "ebpf/engine/check.h"
#include "ebpf/engine/jit.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_WORKERS 1024

const char *policy_fault_text(enum policy_fault fault)
{
	static const char *const texts[POLICY_FAULT_COUNT] = {
		[POLICY_FAULT_NONE] = "is well",
		[POLICY_FAULT_READ] = "reads memory that is not its own",
		[POLICY_FAULT_WRITE] = "writes memory that is not its own",
		[POLICY_FAULT_MAP] = "gives a helper a map, key or value that is none",
		[POLICY_FAULT_LOOP] = "jumps back too often",
		[POLICY_FAULT_DEPTH] = "calls functions too deep",
	};

	return fault < POLICY_FAULT_COUNT ? texts[fault] : "is broken";
}

static int shared_fd(
	const struct policy_image *image, const struct policy_program_options *o, uint32_t map)
{
	return o->map_fds && image_maps(image)[map].type == BPF_MAP_TYPE_ARRAY ? o->map_fds[map] :
										 -1;
}

int policy_maps_fit(const struct policy_image *image, const struct policy_program_options *o,
	char *err, size_t err_size)
{
	uint64_t limit = o->memory_bytes ? o->memory_bytes : policy_memory_available();
	uint64_t wanted = 0;

	for (uint32_t i = 0; i < image->map_count; i++)
		if (shared_fd(image, o, i) < 0)
			wanted += policy_map_bytes(&image_maps(image)[i], o->workers);
	if (wanted <= limit)
		return 0;
	snprintf(err, err_size, "its maps take %" PRIu64 " MiB, and it can have %" PRIu64 " MiB",
		(wanted + (1 << 20) - 1) >> 20, limit >> 20);
	return -ENOMEM;
}

static int maps_create(struct policy_program *p, const struct policy_image *image,
	const struct policy_program_options *o, char *err, size_t err_size)
{
	int rc = policy_maps_fit(image, o, err, err_size);

	if (rc < 0)
		return rc;
	for (uint32_t i = 0; i < image->map_count; i++) {
		const struct policy_image_map *m = &image_maps(image)[i];

		rc = policy_map_create(image, m, shared_fd(image, o, i), o->workers, o->node,
			o->seed + i, &p->maps[i]);
		if (rc < 0) {
			snprintf(err, err_size, "map %s: %s", m->name, strerror(-rc));
			return rc;
		}
		p->map_count++;
	}
	return 0;
}

/* Put addresses where the image has map indexes. */
static void relocate(struct policy_program *p)
{
	for (uint32_t i = 0; i < p->insn_count; i++) {
		struct bpf_insn *x = &p->insns[i];
		uint64_t address;

		p->map_of[i] = -1;
		if (x->code != (BPF_LD | BPF_DW | BPF_IMM))
			continue;
		p->map_of[i + 1] = -1;
		if (x->src_reg == BPF_PSEUDO_MAP_IDX) {
			p->map_of[i] = (int8_t)x->imm;
			address = (uint64_t)(uintptr_t)p->maps[x->imm];
		} else if (x->src_reg == BPF_PSEUDO_MAP_IDX_VALUE) {
			address = (uint64_t)(uintptr_t)p->maps[x->imm]->values + (uint32_t)x[1].imm;
		} else {
			i++;
			continue;
		}
		x[0].src_reg = 0;
		x[0].imm = (int32_t)(uint32_t)address;
		x[1].imm = (int32_t)(address >> 32);
		i++;
	}
}

static int insns_create(
	struct policy_program *p, const struct policy_image *image, char *err, size_t err_size)
{
	uint32_t n = image->insn_count;
	struct policy_refusal refusal;

	p->insn_count = n;
	p->insns = malloc(n * sizeof(*p->insns));
	p->starts = malloc(n);
	p->map_of = malloc(n);
	if (!p->insns || !p->starts || !p->map_of)
		return -ENOMEM;
	memcpy(p->insns, image_insns(image), n * sizeof(*p->insns));
	int rc = policy_insns_check(
		p->insns, n, image_maps(image), image->map_count, p->starts, &refusal);
	if (rc == -EINVAL)
		snprintf(err, err_size, "instruction %u: %s", refusal.insn, refusal.reason);
	return rc;
}

static int program_fill(struct policy_program *p, const struct policy_image *image,
	const struct policy_program_options *o, char *err, size_t err_size)
{
	memcpy(p->name, image->name, sizeof(p->name));
	p->back_edges = o->back_edges ? o->back_edges : POLICY_BACK_EDGES;
	int rc = insns_create(p, image, err, err_size);
	if (rc == 0)
		rc = maps_create(p, image, o, err, err_size);
	if (rc < 0)
		return rc;
	relocate(p);
	if (!o->verified || o->interpret || !policy_jit_available())
		return 0;
	rc = policy_jit_compile(p);
	if (rc < 0)
		snprintf(err, err_size, "cannot compile the policy: %s", strerror(-rc));
	return rc;
}

int policy_program_create(const void *image, size_t size,
	const struct policy_program_options *options, struct policy_program **ret_program,
	char *err, size_t err_size)
{
	int rc = policy_image_check(image, size, err, err_size);

	if (rc < 0)
		return rc;
	if (options->workers == 0 || options->workers > MAX_WORKERS) {
		snprintf(err, err_size, "a policy runs on 1 to %d workers", MAX_WORKERS);
		return -EINVAL;
	}
	struct policy_program *p = calloc(1, sizeof(*p));
	if (!p) {
		snprintf(err, err_size, "out of memory");
		return -ENOMEM;
	}
	snprintf(err, err_size, "out of memory");
	rc = program_fill(p, image, options, err, err_size);
	if (rc < 0) {
		policy_program_destroy(p);
		return rc;
	}
	*ret_program = p;
	return 0;
}

void policy_program_destroy(struct policy_program *program)
{
	if (!program)
		return;
	policy_memory_destroy(&program->code);
	for (uint32_t i = 0; i < program->map_count; i++)
		policy_map_destroy(program->maps[i]);
	free(program->insns);
	free(program->starts);
	free(program->map_of);
	free(program);
}

struct policy_map *policy_program_map(struct policy_program *program, const char *name)
{
	for (uint32_t i = 0; i < program->map_count; i++)
		if (strcmp(program->maps[i]->name, name) == 0)
			return program->maps[i];
	return NULL;
}
