/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Verify where memory really is: packet buffers on their port's node, services' tables and rings on their
 * cores'. The kernel is asked page by page; main thread, when a configuration has been applied.
 */

#ifndef WEIR_PROCESS_PLACEMENT_H
#define WEIR_PROCESS_PLACEMENT_H

struct process;

/* Writes placement_* of the telemetry, and tells once per change what lies elsewhere. */
void placement_check(struct process *p);

#endif
