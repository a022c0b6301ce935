/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The control socket: many connections, one request after another on each. A reader that does not
 * take its answers is cut off; garbage is answered and forgotten. Event loop's thread; SIGPIPE has to be
 * ignored by the program.
 */

#ifndef WEIR_DAEMON_RPC_SERVER_H
#define WEIR_DAEMON_RPC_SERVER_H

#include "control/daemon/rpc/rpc_request.h"

#include <stdbool.h>
#include <stdint.h>

#define RPC_LINE_MAX	(16u << 20) /* bytes of a request, without its newline */
#define RPC_QUEUE_MAX	(64u << 20) /* bytes of answers that wait for one reader */
#define RPC_CLIENTS_MAX 256 /* of each socket: watchers cannot shut out operators */

struct event_base;
struct rpc_server;
struct rpc_call; /* one request that has not been answered */

/*
 * Handle a request: answer it now, or keep the call and answer it later, exactly once, by
 * rpc_call_result() or rpc_call_error(). The call outlives its connection.
 */
typedef void (*rpc_handler)(void *ctx, struct rpc_call *call);

struct rpc_settings {
	const char *path; /* borrowed during the start only */
	int64_t group; /* whose members may connect beside the owner; -1: that of the process */
	bool read_only; /* what it carries should change nothing; the handler sees to it */
	rpc_handler handler;
	void *ctx;
};

/* The other end of a call, as the kernel knows it. */
struct rpc_peer {
	bool known;
	bool read_only; /* came in by a socket that is */
	uint32_t uid;
	int32_t pid;
};

/*
 * Listen at a path, mode 0660; what was there is replaced as one step.
 * Returns 0 or -errno. rpc_server_stop() removes the socket.
 */
int rpc_server_start(struct event_base *base, const struct rpc_settings *settings,
	struct rpc_server **ret_server);
/* Calls that are still open may be answered afterwards, in vain. */
void rpc_server_stop(struct rpc_server *s);

const struct rpc_peer *rpc_call_peer(const struct rpc_call *call);
const char *rpc_call_method(const struct rpc_call *call);
json_t *rpc_call_params(const struct rpc_call *call); /* borrowed; an object */

void rpc_call_result(struct rpc_call *call, json_t *result); /* takes it; NULL: out of memory */
void rpc_call_error(struct rpc_call *call, int code, json_t *data, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
/* True when a reply of the data plane is an error (status is -errno, body the text): answers call. */
bool rpc_call_failed(struct rpc_call *call, int status, const void *body, size_t length);
/* The data plane's answer of a fixed layout: copies it. False: the call is answered with what is wrong. */
bool rpc_call_takes(struct rpc_call *call, int status, const void *body, size_t length,
	void *ret_answer, size_t size);
/* The data plane could not be asked. */
void rpc_call_no_dataplane(struct rpc_call *call);

#endif
