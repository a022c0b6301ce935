/* SPDX-License-Identifier: BSD-3-Clause */

/* What the two halves of the compiler share. */

#ifndef WEIR_ENGINE_JIT_X86_H
#define WEIR_ENGINE_JIT_X86_H

#include "ebpf/engine/x86.h"

#include <linux/bpf.h>

#include <stdbool.h>
#include <stdint.h>

struct policy_program;

struct jit {
	struct x86_code code;
	const struct policy_program *program;
	uint32_t *offset; /* owned; of each instruction, and of the end */
	uint8_t *target; /* owned; 1: somebody jumps here */
	bool loops; /* it jumps back somewhere: a budget can end */
	uint32_t give_up; /* where the budget of back edges ends */
	uint32_t entry_saved; /* bits of saved_register of the entry function */
	uint32_t saved; /* of the current one */
	bool entry;
	bool first_pass;
	int map; /* whose address r1 certainly is, -1: unknown */
};

extern const uint8_t jit_register[11]; /* where r0 to r10 lie */

void jit_emit_arithmetic(struct jit *j, const struct bpf_insn *x);
void jit_emit_access(struct jit *j, const struct bpf_insn *x);

#endif
