/* SPDX-License-Identifier: BSD-3-Clause */

/* Which of a model's policies the kernel should have now, and what stands in the way of the others. */

#ifndef WEIR_DAEMON_POLICIES_WANTS_H
#define WEIR_DAEMON_POLICIES_WANTS_H

#include "ebpf/kernel/judges.h"

#include <stddef.h>

struct daemon;
struct model;

/* Stands in kernel_why of what is wanted and not there yet. */
extern const char policies_coming[];

/*
 * Of each service the first policies, as far as they can, or that it has none; kernel_why of all is told. Event
 * loop's thread.
 *
 * ret_wants  set on success; the caller's to free()
 *
 * Returns 0 or -ENOMEM.
 */
int policies_wants_build(
	struct daemon *d, const struct model *m, struct judge_want **ret_wants, size_t *ret_count);

#endif
