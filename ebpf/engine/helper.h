/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The functions that policies may call, by the kernel's numbers. Compiled code calls them with the five
 * argument registers and the worker.
 */

#ifndef WEIR_ENGINE_HELPER_H
#define WEIR_ENGINE_HELPER_H

#include <stdint.h>

struct policy_worker;

typedef uint64_t (*policy_helper_function)(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4,
	uint64_t r5, struct policy_worker *worker);

/* NULL when policies do not have it. */
policy_helper_function policy_helper(int32_t number);

#endif
