/* SPDX-License-Identifier: BSD-3-Clause */

/* CORE_MOVE, for requests.c. Main thread. */

#ifndef WEIR_PROCESS_REQUESTS_MOVE_H
#define WEIR_PROCESS_REQUESTS_MOVE_H

#include <stddef.h>

struct process;
struct request_reply;

int request_core_move(struct process *p, const void *body, size_t length, struct request_reply *r);
/* With every turn of the main loop: a move that is on goes on, and its end is told. */
void requests_move_tick(struct process *p);

#endif
