/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The programs of ebpf/kernel/weir_probe.bpf.c: loaded, attached, and what they have counted. They hang on
 * links that only this process holds: however it ends, nothing stays attached. Main thread.
 */

#ifndef WEIR_PROBE_COUNTERS_H
#define WEIR_PROBE_COUNTERS_H

#include "ebpf/kernel/probe_keys.h"

#include <stddef.h>
#include <stdint.h>

struct counters;

/*
 * cgroup  a folder of a cgroup file system of version 2; NULL: the root of the one that is mounted
 *
 * On failure what is wrong has been said on standard error. Returns 0 or a negative errno.
 */
int counters_start(const char *cgroup, const struct probe_service_key *services, size_t count,
	struct counters **ret_counters);
void counters_stop(struct counters *c); /* NULL is fine */

/* The figures of service `index`, summed over CPUs. Returns 0 or a negative errno. */
int counters_read(struct counters *c, size_t index, struct probe_figures *ret_figures);

#endif
