/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * JSON-RPC 2.0 as documents: a line becomes a request or the error that answers it. Pure functions.
 *
 * Source: JSON-RPC 2.0 Specification, sections 4 and 5.
 */

#ifndef WEIR_DAEMON_RPC_REQUEST_H
#define WEIR_DAEMON_RPC_REQUEST_H

#include <jansson.h>

#include <stddef.h>

enum rpc_error {
	RPC_PARSE_ERROR = -32700,
	RPC_INVALID_REQUEST = -32600,
	RPC_METHOD_NOT_FOUND = -32601,
	RPC_INVALID_PARAMS = -32602,
	RPC_REFUSED = 1,
	RPC_DATAPLANE = 2,
	RPC_READ_ONLY = 3, /* this socket carries no changes */
};

struct rpc_request {
	json_t *document; /* owned */
	const char *method;
	json_t *params; /* an object, possibly empty; owned */
	json_t *id; /* borrowed from the document; NULL: wants no answer */
};

/*
 * Returns NULL and fills ret_request (end with rpc_request_fini()), or the answer to what was wrong,
 * a new reference.
 */
json_t *rpc_request_parse(const char *line, size_t length, struct rpc_request *ret_request);
void rpc_request_fini(struct rpc_request *r);

/* Answers; NULL when out of memory. result and data are taken over; id and data may be NULL. */
json_t *rpc_answer_result(json_t *id, json_t *result);
json_t *rpc_answer_error(json_t *id, int code, const char *message, json_t *data);

#endif
