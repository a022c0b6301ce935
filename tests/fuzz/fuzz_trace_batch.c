/* SPDX-License-Identifier: BSD-3-Clause */

/* What the data plane tells of traced packets, as control and weirctl read it. The bytes are a whole reply. */

#include "control/report/trace.h"
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* In memory of its exact size, aligned as a message's body is. */
	uint64_t *body = malloc(size + 8);
	json_t *document = NULL;

	FUZZ_CHECK(body);
	memcpy(body, data, size);
	int rc = report_trace_batch(body, size, size % 2, &document);
	FUZZ_CHECK(rc == 0 || rc == -EPROTO);
	if (rc == 0) {
		char *text = json_dumps(document, 0);

		FUZZ_CHECK(text != NULL);
		free(text);
		json_decref(document);
	}
	free(body);
	return 0;
}
