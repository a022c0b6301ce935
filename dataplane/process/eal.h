/* SPDX-License-Identifier: BSD-3-Clause */

/* Bring DPDK's environment up, quietly, over the chosen CPUs and memory. Main thread, once. */

#ifndef WEIR_PROCESS_EAL_H
#define WEIR_PROCESS_EAL_H

#include "dataplane/process/cpus.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct eal_params {
	const char *prefix; /* of all that EAL names in the host */
	struct cpu_list cores; /* packet cores; core i is lcore i + 1 */
	struct cpu_list main_cpus; /* where the main thread may run */
	uint64_t memory_bytes;
	bool hugepages;
	bool pci; /* PCI devices may be opened later; none is at the start */
};

/* Returns 0, or -errno with the reason in err. */
int eal_start(const struct eal_params *params, char *err, size_t err_size);
void eal_stop(void);

#endif
