/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/daemon/rpc/rpc_request.h"

#include <stdio.h>
#include <string.h>

json_t *rpc_answer_result(json_t *id, json_t *result)
{
	return json_pack("{s:s, s:O?, s:o}", "jsonrpc", "2.0", "id", id, "result", result);
}

json_t *rpc_answer_error(json_t *id, int code, const char *message, json_t *data)
{
	json_t *text = json_string(message);

	/* Texts quote what the asker sent; jansson refuses what is not UTF-8. */
	if (!text)
		text = json_string("the reason cannot be shown: it holds bytes that are not UTF-8");
	json_t *error = json_pack("{s:i, s:o}", "code", code, "message", text);

	if (data)
		json_object_set_new(error, "data", data);
	json_t *answer = json_object();

	json_object_set_new(answer, "jsonrpc", json_string("2.0"));
	if (id)
		json_object_set(answer, "id", id);
	else
		json_object_set_new(answer, "id", json_null());
	if (!answer || json_object_set_new(answer, "error", error)) {
		json_decref(answer);
		return NULL;
	}
	return answer;
}

static json_t *wrong(json_t *document, json_t *id, int code, const char *message)
{
	json_t *answer = rpc_answer_error(id, code, message, NULL);

	json_decref(document);
	return answer;
}

static json_t *invalid(json_t *document, json_t *id, const char *message)
{
	return wrong(document, id, RPC_INVALID_REQUEST, message);
}

json_t *rpc_request_parse(const char *line, size_t length, struct rpc_request *ret_request)
{
	json_error_t error;
	json_t *document = json_loadb(line, length, JSON_REJECT_DUPLICATES, &error);

	if (!document) {
		char message[JSON_ERROR_TEXT_LENGTH + 64];

		snprintf(message, sizeof(message), "not JSON: %s (byte %d)", error.text,
			error.position);
		return rpc_answer_error(NULL, RPC_PARSE_ERROR, message, NULL);
	}
	if (!json_is_object(document))
		return invalid(document, NULL, "a request is an object");
	json_t *id = json_object_get(document, "id");

	if (id && !json_is_string(id) && !json_is_number(id) && !json_is_null(id))
		return invalid(document, NULL, "id: expected a string, a number or null");
	const char *version = json_string_value(json_object_get(document, "jsonrpc"));

	if (!version || strcmp(version, "2.0"))
		return invalid(document, id, "jsonrpc: expected \"2.0\"");
	const char *method = json_string_value(json_object_get(document, "method"));

	if (!method)
		return invalid(document, id, "method: expected a string");
	json_t *params = json_object_get(document, "params");

	if (json_is_array(params))
		return wrong(document, id, RPC_INVALID_PARAMS,
			"params: expected an object: parameters go by their names");
	if (params && !json_is_object(params))
		return invalid(document, id, "params: expected an object");
	params = params ? json_incref(params) : json_object();
	if (!params)
		return invalid(document, id, "out of memory");
	*ret_request = (struct rpc_request){
		.document = document, .method = method, .params = params, .id = id
	};
	return NULL;
}

void rpc_request_fini(struct rpc_request *r)
{
	json_decref(r->params);
	json_decref(r->document);
	*r = (struct rpc_request){ 0 };
}
