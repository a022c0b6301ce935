/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Memory of policies: whole pages with an inaccessible page before and behind, on a NUMA node, all of
 * it there before a worker sees it. Control thread.
 */

#ifndef WEIR_ENGINE_MEMORY_H
#define WEIR_ENGINE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct policy_memory {
	void *at; /* owned; NULL when there is none */
	size_t bytes; /* usable, whole pages */
};

/* What the machine can spare for policies, in bytes: it takes no memory that others are about to need. */
uint64_t policy_memory_available(void);
/* Zeroed memory; node -1: any. Returns 0 or -errno. */
int policy_memory_create(size_t bytes, int node, struct policy_memory *ret_memory);
/* The memory of a BPF_F_MMAPABLE array, shared with the kernel. Returns 0 or -errno. */
int policy_memory_share(int map_fd, size_t bytes, bool read_only, struct policy_memory *ret_memory);
/* Make memory that was written into code: executable, and never again writable. */
int policy_memory_seal(struct policy_memory *memory);
void policy_memory_destroy(struct policy_memory *memory);

#endif
