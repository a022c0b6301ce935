/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Admission of a policy beside the event loop: in a child process with bounded time and memory, because it
 * takes up to seconds, and because what it reads may have been damaged on purpose. Event loop's thread.
 */

#ifndef WEIR_DAEMON_POLICY_ADMIT_H
#define WEIR_DAEMON_POLICY_ADMIT_H

#include "ebpf/engine/image.h"
#include "ebpf/engine/offload.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct event_base;
struct policy_job;

#define POLICY_ANSWER_TEXT 1152

struct policy_answer {
	bool admitted;
	char text
		[POLICY_ANSWER_TEXT]; /* why not: "refused by the kernel's verifier: guard.c:12: ..." */
	char line[256]; /* that line, or "" */
	uint32_t cycles_median; /* of the trial; 0: not compiled */
	uint32_t cycles_p99;
	char offload_why
		[POLICY_OFFLOAD_WHY]; /* why the kernel cannot run it; "": it can, if that was asked */
	uint32_t kernel_cycles; /* what it takes there; 0: not known */
	/* When it is admitted: a memfd that nobody can change any more; the callback's to close. */
	int image_fd;
	size_t image_size;
	int object_fd; /* the object that it was made of, likewise */
};

/* Called once, from the loop. */
typedef void (*policy_answer_cb)(void *ctx, const struct policy_answer *answer);

/*
 * Begin. path and sets ("name=value") are borrowed for the call; budget in cycles a packet; offload: find out
 * whether the kernel can run it as well.
 *
 * Returns 0, or -errno: then the callback is not called.
 */
int policy_job_start(struct event_base *base, const char *path, char *const *sets, size_t set_count,
	uint32_t budget, bool offload, policy_answer_cb cb, void *ctx, struct policy_job **ret_job);
/* End it without a callback; NULL is fine. Not after the callback. */
void policy_job_cancel(struct policy_job *job);

#endif
