/* SPDX-License-Identifier: BSD-3-Clause */

/* What the parts of the check share. */

#ifndef WEIR_ENGINE_CHECK_PRIVATE_H
#define WEIR_ENGINE_CHECK_PRIVATE_H

#include "ebpf/engine/check.h"

#define CHECK_FUNCTION	  1
#define CHECK_SECOND_HALF 2

struct check {
	const struct bpf_insn *insns;
	uint32_t count;
	const struct policy_image_map *maps;
	uint32_t map_count;
	uint8_t *starts; /* owned; as policy_insns_check() returns it */
	struct policy_refusal *refusal;
};

/* Returns -EINVAL. */
__attribute__((format(printf, 3, 4))) int check_refuse(
	struct check *c, uint32_t insn, const char *format, ...);

/* Atomic operations that fetch, on what may be the stack; after all else was found sound. */
int check_stack_atomics(struct check *c);
/* Reads of stack that was never written; likewise. */
int check_unwritten_stack(struct check *c);

#endif
