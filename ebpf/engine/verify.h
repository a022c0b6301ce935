/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The kernel's verifier as the judge of policies. A policy is verified behind a harness of ours, as a
 * function that is called with a context of which the verifier knows nothing but the two packet
 * pointers, and as BPF_PROG_TYPE_LWT_IN, where packets can only be read. What was verified is the very
 * instructions that the engine runs.
 */

#ifndef WEIR_ENGINE_VERIFY_H
#define WEIR_ENGINE_VERIFY_H

#include "ebpf/engine/image.h"

#include <weir/policy_abi.h>

#include <stddef.h>

struct policy_verified {
	int program_fd; /* harness and policy, for BPF_PROG_TEST_RUN */
	int context_fd; /* array of one struct weir_ctx: what the harness copies */
	struct weir_ctx *context; /* its memory, owned */
	uint32_t map_count;
	int map_fds[POLICY_MAX_MAPS]; /* owned; the kernel's maps of the policy */
	uint32_t visited; /* instructions that the verifier looked at */
};

/* Why the kernel refused: the place, what it said, and how to mend it where that is known. */
struct policy_objection {
	uint32_t insn; /* of the policy; UINT32_MAX when it names none */
	char message[256];
	const char *hint; /* a sentence, or NULL */
};

/*
 * Have an image verified.
 *
 * log  malloc'ed, the verifier's own words, also when it refuses; NULL: not wanted
 *
 * Needs CAP_BPF and CAP_NET_ADMIN. Takes milliseconds to seconds. Returns 0; -EACCES (refused,
 * ret_objection is filled); -EPERM (the kernel may not be asked) or another -errno, with err.
 */
int policy_verify(const struct policy_image *image, struct policy_verified *ret_verified,
	struct policy_objection *ret_objection, char **log, char *err, size_t err_size);
void policy_verified_fini(struct policy_verified *v);

/*
 * Understand what the verifier has logged. Pure.
 *
 * before  instructions in front of the policy
 */
void policy_log_explain(const char *log, uint32_t before, struct policy_objection *ret);

/* Known faults of kernels, tried out on this one. */
struct policy_canary {
	const char *name;
	const char *meaning; /* what it means for policies */
	int rc; /* 0: could be tried */
	bool wrong; /* this kernel has the fault */
};
#define POLICY_CANARY_COUNT 3

/* Needs what policy_verify() needs. */
void policy_canaries_run(struct policy_canary ret_canaries[POLICY_CANARY_COUNT]);

#endif
