/* SPDX-License-Identifier: BSD-3-Clause */

/* From arguments to a running data plane, and back. Main thread. */

#ifndef WEIR_PROCESS_START_H
#define WEIR_PROCESS_START_H

#include <stddef.h>

struct process;

/* Returns 0, or -errno with the reason in err; process_end() is right after either. */
int process_start(struct process *p, char *err, size_t err_size);
void process_end(struct process *p);

#endif
