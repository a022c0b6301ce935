/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A policy in DPDK's own eBPF engine, librte_bpf, for comparison. It knows neither 32-bit jumps, so the object is
 * one that was compiled for them to be missing (-mcpu=v2), nor pointers that come out of memory.
 */

#ifndef WEIR_TESTS_BENCH_POLICY_RTE_H
#define WEIR_TESTS_BENCH_POLICY_RTE_H

#include "ebpf/engine/program.h"

#include <stddef.h>

struct policy_rte;

/*
 * Load and compile it.
 *
 * path    of the object
 * maps    whose maps it uses, found by their names; borrowed as long as it runs
 * why     when it is refused: the engine's own words
 * Returns NULL when it is refused.
 */
struct policy_rte *policy_rte_load(
	const char *path, struct policy_program *maps, char *why, size_t why_size);
void policy_rte_free(struct policy_rte *r); /* NULL is fine */
uint32_t policy_rte_run(const struct policy_rte *r, struct weir_ctx *ctx);

#endif
