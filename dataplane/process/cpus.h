/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Which CPUs there are, which of them packets get, and on which NUMA node each lies. Main thread,
 * before packets flow.
 */

#ifndef WEIR_PROCESS_CPUS_H
#define WEIR_PROCESS_CPUS_H

#include "dataplane/api/telemetry.h"

#include <stddef.h>
#include <stdint.h>

/* Ascending CPU numbers without repeats. */
struct cpu_list {
	uint32_t cpu[WEIR_MAX_CORES];
	uint32_t count;
};

/*
 * Read "1,2-3". An empty text is an empty list.
 *
 * Returns 0, -EINVAL (no such list, or a CPU above 1023) or -E2BIG (more than WEIR_MAX_CORES).
 */
int cpu_list_parse(const char *text, struct cpu_list *ret_list);

/* "1-3,5"; buf is always ended. */
void cpu_list_print(const struct cpu_list *list, char *buf, size_t size);

/*
 * The packet cores when nobody chose: the isolated ones, else all allowed but the lowest, else the
 * only one. Pure.
 */
void cpu_list_default(
	const struct cpu_list *allowed, const struct cpu_list *isolated, struct cpu_list *ret_list);

/* CPUs that this process may run on (the first WEIR_MAX_CORES of them). Returns 0 or -errno. */
int cpus_allowed(struct cpu_list *ret_list);

/* CPUs kept from the scheduler (isolcpus=), empty when there are none. */
void cpus_isolated(struct cpu_list *ret_list);

/* NUMA node of a CPU, 0 where the kernel knows of none. */
int cpu_node(uint32_t cpu);

int node_last(
	void); /* the highest node's number; 0 where there is one, or the kernel knows of none */
/* 10 to the node itself, more to others; 0 where the kernel does not say. */
int node_distance(int from, int to);

#endif
