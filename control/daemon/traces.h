/* SPDX-License-Identifier: BSD-3-Clause */

/* Traces, which the data plane makes: starting, reading and ending them. */

#ifndef WEIR_DAEMON_TRACES_H
#define WEIR_DAEMON_TRACES_H

struct daemon;
struct rpc_call;

/* All of them answer the call, now or later. */
void traces_start(struct daemon *d, struct rpc_call *call);
void traces_read(struct daemon *d, struct rpc_call *call);
void traces_stop(struct daemon *d, struct rpc_call *call);

#endif
