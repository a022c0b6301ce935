/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Traces, which the data plane makes: starting, reading and ending them. What the kernel drops never gets to the data
 * plane, so while a service is traced its policies are not in the kernel.
 */

#ifndef WEIR_DAEMON_TRACES_H
#define WEIR_DAEMON_TRACES_H

#include "dataplane/api/telemetry.h"

#include <stdbool.h>

struct daemon;
struct event;
struct rpc_call;

struct traced {
	bool on;
	char service[WEIR_NAME_SIZE]; /* "": any */
};

struct traces {
	struct traced asked; /* the data plane has not answered yet */
	struct traced running;
	struct event *timer; /* owned; nobody reads it any more */
};

/* Is the service traced? */
bool traces_has(const struct daemon *d, const char *service);
void traces_end(struct daemon *d); /* of the daemon */

/* All of them answer the call, now or later. */
void traces_start(struct daemon *d, struct rpc_call *call);
void traces_read(struct daemon *d, struct rpc_call *call);
void traces_stop(struct daemon *d, struct rpc_call *call);

#endif
