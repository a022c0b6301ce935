/* SPDX-License-Identifier: BSD-3-Clause */

/* core.move: buckets of a service from one CPU to another. Event loop's thread. */

#ifndef WEIR_DAEMON_MOVES_H
#define WEIR_DAEMON_MOVES_H

struct daemon;
struct model_service;
struct rpc_call;

/* Answers the call, now or later. */
void moves_start(struct daemon *d, struct rpc_call *call, const struct model_service *s);

#endif
