/* SPDX-License-Identifier: BSD-3-Clause */

/* The requests of the control socket: every line becomes a request or an answer that says why not. */

#include "control/daemon/rpc/rpc_request.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

static void answer_check(json_t *answer)
{
	char *text = json_dumps(answer, JSON_COMPACT);

	FUZZ_CHECK(text != NULL);
	FUZZ_CHECK(strchr(text, '\n') == NULL); /* an answer is one line */
	json_t *again = json_loads(text, 0, NULL);

	FUZZ_CHECK(again != NULL);
	FUZZ_CHECK(json_equal(answer, again));
	json_decref(again);
	free(text);
}

static void line_check(const char *line, size_t length)
{
	struct rpc_request request;
	json_t *answer = rpc_request_parse(line, length, &request);

	if (!answer) {
		FUZZ_CHECK(request.method != NULL);
		FUZZ_CHECK(json_is_object(request.params));
		answer = rpc_answer_result(request.id, json_incref(request.params));
		FUZZ_CHECK(answer != NULL);
		answer_check(answer);
		json_decref(answer);
		answer = rpc_answer_error(request.id, RPC_METHOD_NOT_FOUND, request.method, NULL);
		rpc_request_fini(&request);
	}
	FUZZ_CHECK(
		json_integer_value(json_object_get(json_object_get(answer, "error"), "code")) != 0);
	answer_check(answer);
	json_decref(answer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *at = (const char *)data;

	while (size) {
		const char *end = memchr(at, '\n', size);
		size_t length = end ? (size_t)(end - at) : size;

		line_check(at, length);
		length += end != NULL;
		at += length;
		size -= length;
	}
	return 0;
}
