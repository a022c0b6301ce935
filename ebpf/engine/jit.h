/* SPDX-License-Identifier: BSD-3-Clause */

/* The compiler of policies to machine code. Control thread. */

#ifndef WEIR_ENGINE_JIT_H
#define WEIR_ENGINE_JIT_H

#include <stdbool.h>

struct policy_program;

/* False on machines that it does not know. */
bool policy_jit_available(void);

/*
 * Compile a program that the kernel's verifier has accepted, and set its run and code. The code lies
 * between guard pages and is never writable and executable at a time. Returns 0 or -errno.
 */
int policy_jit_compile(struct policy_program *program);

#endif
