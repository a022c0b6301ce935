/* SPDX-License-Identifier: BSD-3-Clause */

/* Requests about traces. Main thread. */

#ifndef WEIR_PROCESS_REQUESTS_TRACE_H
#define WEIR_PROCESS_REQUESTS_TRACE_H

#include <stddef.h>

struct process;
struct request_reply;

/* Handlers of TRACE_START, TRACE_READ and TRACE_STOP; return 0 or a negative errno. */
int request_trace_start(
	struct process *p, const void *body, size_t length, struct request_reply *r);
int request_trace_read(struct process *p, const void *body, size_t length, struct request_reply *r);
int request_trace_stop(struct process *p, const void *body, size_t length, struct request_reply *r);

/* Every 10 ms: move packets on, and end a trace that nobody reads. */
void requests_trace_tick(struct process *p);

#endif
