/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What Weir refuses by itself, whatever the kernel says: the engine must be able to run each
 * instruction with the kernel's meaning. Needs no kernel; a pure function, for any thread.
 *
 * Refused: what is no instruction of `-mcpu=v3`; jumps out of a function or into the middle of an
 * instruction; functions that run into the next; helpers outside the list; kernel functions; tail calls;
 * packet loads of classic BPF; addresses other than of the policy's own maps; and atomic operations
 * that fetch from the stack, because the kernel's verifier prunes them wrongly (seen in 6.18); and reads of stack that was certainly never written.
 */

#ifndef WEIR_ENGINE_CHECK_H
#define WEIR_ENGINE_CHECK_H

#include "ebpf/engine/image.h"

#include <linux/bpf.h>

struct policy_refusal {
	uint32_t insn; /* which is refused */
	char reason[192];
};

/*
 * starts  insn_count bytes, set to 1 where a function begins and to 2 in the second half of a 64-bit
 *         load, else 0; may be NULL
 *
 * Returns 0, -EINVAL with ret_refusal filled, or -ENOMEM.
 */
int policy_insns_check(const struct bpf_insn *insns, uint32_t insn_count,
	const struct policy_image_map *maps, uint32_t map_count, uint8_t *starts,
	struct policy_refusal *ret_refusal);

/*
 * Whether a policy, which has passed policy_insns_check(), may look at what only the fast path can tell it.
 *
 * ret_why  the end of a sentence that begins with "the kernel does not run it: "
 *
 * Returns 0 (it does not), -EINVAL (it may) or -ENOMEM.
 */
int policy_context_check(const struct bpf_insn *insns, uint32_t count,
	const struct policy_image_map *maps, const char **ret_why);

#endif
