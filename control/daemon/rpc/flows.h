/* SPDX-License-Identifier: BSD-3-Clause */

/* Questions about flows, which the data plane answers. */

#ifndef WEIR_DAEMON_FLOWS_H
#define WEIR_DAEMON_FLOWS_H

struct daemon;
struct model_service;
struct rpc_call;

/* Both answer the call, now or later. */
void flows_list(struct daemon *d, struct rpc_call *call, const struct model_service *s);
void flows_find(struct daemon *d, struct rpc_call *call);

#endif
