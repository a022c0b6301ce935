/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The control socket: many connections, one request after another on each. A reader that does not
 * take its answers is cut off; garbage is answered and forgotten. Event loop's thread; SIGPIPE has to be
 * ignored by the program.
 */

#ifndef WEIR_DAEMON_RPC_SERVER_H
#define WEIR_DAEMON_RPC_SERVER_H

#include "control/daemon/rpc_request.h"

#define RPC_LINE_MAX	(16u << 20) /* bytes of a request, without its newline */
#define RPC_QUEUE_MAX	(64u << 20) /* bytes of answers that wait for one reader */
#define RPC_CLIENTS_MAX 256

struct event_base;
struct rpc_server;
struct rpc_call; /* one request that has not been answered */

/*
 * Handle a request: answer it now, or keep the call and answer it later, exactly once, by
 * rpc_call_result() or rpc_call_error(). The call outlives its connection.
 */
typedef void (*rpc_handler)(void *ctx, struct rpc_call *call);

/*
 * Listen at path, mode 0660; what was there is replaced as one step.
 * Returns 0 or -errno. rpc_server_stop() removes the socket.
 */
int rpc_server_start(struct event_base *base, const char *path, rpc_handler handler, void *ctx,
	struct rpc_server **ret_server);
/* Calls that are still open may be answered afterwards, in vain. */
void rpc_server_stop(struct rpc_server *s);

const char *rpc_call_method(const struct rpc_call *call);
json_t *rpc_call_params(const struct rpc_call *call); /* borrowed; an object */

void rpc_call_result(struct rpc_call *call, json_t *result); /* takes it; NULL: out of memory */
void rpc_call_error(struct rpc_call *call, int code, json_t *data, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

#endif
