/* SPDX-License-Identifier: BSD-3-Clause */

/* What each message makes the data plane do. Main thread. */

#ifndef WEIR_PROCESS_REQUESTS_H
#define WEIR_PROCESS_REQUESTS_H

#include "dataplane/api/messages.h"

#include <stdbool.h>
#include <stddef.h>

struct process;
struct weir_stream_message;

struct request_reply {
	int status;
	void *body; /* malloc'ed, or NULL; used when status is 0 */
	size_t length;
	char text[512]; /* the body when status is not 0 */
	int pass_fd; /* borrowed, -1: none */
	bool is_hello; /* the asker has been greeted */
};

/*
 * Check a request whole, do it, fill ret_reply. Never fails itself: what goes wrong is the reply.
 *
 * client  who asks: any number, the same until requests_client_gone()
 */
void request_handle(struct process *p, const struct weir_stream_message *m, uint32_t client,
	struct request_reply *ret_reply);
/* A client has gone: what it began and did not finish is forgotten. */
void requests_client_gone(struct process *p, uint32_t client);

/* Take up again the ports whose interfaces were lost and are back. Call it now and then. */
void requests_revive_ports(struct process *p);

#endif
