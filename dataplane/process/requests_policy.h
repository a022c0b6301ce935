/* SPDX-License-Identifier: BSD-3-Clause */

/* Requests about policies. Main thread. */

#ifndef WEIR_PROCESS_REQUESTS_POLICY_H
#define WEIR_PROCESS_REQUESTS_POLICY_H

#include <stddef.h>
#include <stdint.h>

struct process;
struct request_reply;
struct weir_stream_message;

/* POLICY_STAGE, the only request that descriptors come with. client: who asks. */
int request_policy_stage(struct process *p, const struct weir_stream_message *m, uint32_t client,
	struct request_reply *r);
/* Every 10 ms: a policy that takes too long is detached. */
void requests_policy_tick(struct process *p);
int request_policy_map(struct process *p, const void *body, size_t length, struct request_reply *r);

#endif
