/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * JSON-RPC 2.0 over the daemon's UNIX socket, one request a connection. See
 * docs/developers/control-api.md.
 */

#ifndef WEIR_CLI_RPC_H
#define WEIR_CLI_RPC_H

#include "control/cli/cli.h"

#include <jansson.h>

#include <stddef.h>

#define RPC_TIMEOUT_MS	    5000
#define RPC_LONG_TIMEOUT_MS 60000 /* applying builds tables */
#define RPC_PATH_SIZE	    4096

/*
 * Ask, and wait timeout_ms at most for everything together.
 *
 * params     stolen, also on errors; NULL for none
 * ret_reply  the whole reply object, with either result or error; new reference
 *
 * Returns 0; -ETIMEDOUT; -ENAMETOOLONG; -EPROTO (the answer is not JSON-RPC); or the -errno of
 * connecting, writing or reading (-ECONNRESET: closed without an answer).
 */
int rpc_request(const char *socket_path, const char *method, json_t *params, int timeout_ms,
	json_t **ret_reply);

/*
 * The same on the socket of cli's instance; where that may not be opened, on the read-only one beside it.
 *
 * path  of the socket that was asked last, RPC_PATH_SIZE bytes
 */
int rpc_ask(const struct cli *cli, const char *method, json_t *params, int timeout_ms, char *path,
	size_t size, json_t **ret_reply);

/*
 * The same for a command: prints what went wrong. Returns CLI_DONE with *ret_result set (new
 * reference), or the exit status.
 */
int rpc_call(
	struct cli *cli, const char *method, json_t *params, int timeout_ms, json_t **ret_result);

#endif
