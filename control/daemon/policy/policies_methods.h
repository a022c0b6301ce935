/* SPDX-License-Identifier: BSD-3-Clause */

/* Methods about policies and their maps; all answer the call. */

#ifndef WEIR_DAEMON_POLICIES_METHODS_H
#define WEIR_DAEMON_POLICIES_METHODS_H

#include "control/config/model.h"

#include <jansson.h>

#include <stdbool.h>
#include <stddef.h>

struct daemon;
struct rpc_call;

void policy_list(struct daemon *d, struct rpc_call *call);
void policy_show(struct daemon *d, struct rpc_call *call);
void policy_load(struct daemon *d, struct rpc_call *call);
void policy_unload(struct daemon *d, struct rpc_call *call);
void policies_map_get(struct daemon *d, struct rpc_call *call);
void policies_map_set(struct daemon *d, struct rpc_call *call);
void policies_map_delete(struct daemon *d, struct rpc_call *call);
void policies_map_dump(struct daemon *d, struct rpc_call *call);

/* What `policy show` shows of the service that a change was about; a new reference. */
json_t *policies_document_of(struct daemon *d, const json_t *change);

/*
 * The policies of the call's parameter `service`. Answers the call and returns false when there is no such
 * service.
 */
bool policies_param(struct daemon *d, struct rpc_call *call,
	const struct model_service **ret_service, const struct model_policy **ret_policies,
	size_t *ret_count);

#endif
