/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The whole way of an object to a policy that may run: read it, set its parameters, check it, have the
 * kernel verify it, compile it, try it out. For the daemon and for weirctl.
 */

#ifndef WEIR_ENGINE_ADMIT_H
#define WEIR_ENGINE_ADMIT_H

#include "ebpf/engine/image.h"
#include "ebpf/engine/program.h"
#include "ebpf/engine/trial.h"
#include "ebpf/engine/verify.h"

enum policy_outcome {
	POLICY_ADMITTED,
	/* All that can be said without the kernel is well; it may run in the interpreter only. */
	POLICY_UNVERIFIED,
	POLICY_REFUSED,
};

/* Who refused it. */
enum policy_judge {
	POLICY_JUDGE_NONE,
	POLICY_JUDGE_OBJECT, /* the file */
	POLICY_JUDGE_PARAMETER, /* --set */
	POLICY_JUDGE_WEIR, /* our own checks */
	POLICY_JUDGE_KERNEL, /* the verifier */
	POLICY_JUDGE_TRIAL, /* it takes too long, or does what it must not */
};

struct policy_admit_options {
	const char *const *sets; /* "name=value" each; borrowed */
	size_t set_count;
	uint32_t budget; /* cycles a packet; 0: POLICY_TRIAL_BUDGET */
	bool no_kernel; /* do not ask it */
	bool no_trial; /* the caller has packets of its own */
};

struct policy_admission {
	enum policy_outcome outcome;
	enum policy_judge judge;
	char reason[512]; /* of a refusal, or why the kernel was not asked */
	char hint[256]; /* how to mend it, or empty */
	uint32_t insn; /* where, or UINT32_MAX */
	struct policy_image *image; /* owned; NULL when there is none */
	struct policy_verified verified; /* owned */
	struct policy_program *program; /* owned; NULL when refused before it was made */
	struct policy_trial trial;
	char *log; /* owned; the verifier's own words, or NULL */
};

/* Returns 0 when ret_admission says what came of it, or -ENOMEM. */
int policy_admit(const char *path, const struct policy_admit_options *options,
	struct policy_admission *ret_admission);
void policy_admission_fini(struct policy_admission *a);

#define POLICY_SENTENCE_SIZE 1152

/*
 * The line of the author's that the refusal is about, with the name of its file and its text, which are
 * borrowed from the image; or NULL.
 */
const struct policy_image_line *policy_admission_line(
	const struct policy_admission *a, const char **ret_file, const char **ret_text);
/* "refused by the kernel's verifier: guard.c:12: R1 invalid mem access. How to mend it"; for a refusal. */
void policy_admission_sentence(const struct policy_admission *a, char *buf, size_t size);
const char *policy_judge_name(enum policy_judge judge);

#endif
