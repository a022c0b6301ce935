/* SPDX-License-Identifier: BSD-3-Clause */

/* Replay: the capture ports' packets through the fast path, on the captures' own clock. */

#ifndef WEIR_PROCESS_REPLAY_H
#define WEIR_PROCESS_REPLAY_H

#include <stddef.h>

struct process;

/* The clock of replay: nanoseconds of the capture. */
#define REPLAY_TSC_HZ 1000000000u

/* Files of --in and --out by port name; ctx is the struct process. */
const char *replay_file_in(void *process, const char *port);
const char *replay_file_out(void *process, const char *port);

/* Process all captures to their end. Returns 0, or -errno with the reason in err. */
int replay_run(struct process *p, char *err, size_t err_size);

#endif
