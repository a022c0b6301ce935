/* SPDX-License-Identifier: BSD-3-Clause */

/* What a server sends to a health check. */

#include "control/health/answer.h"
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* Of its exact size, so that the sanitizers see a byte too far. */
	char *answer = malloc(size + 1);

	FUZZ_CHECK(answer);
	memcpy(answer, data, size);
	answer[size] = 0;
	int status = health_answer_status(answer);

	FUZZ_CHECK(status == -EBADMSG || (status >= 100 && status <= 999));
	FUZZ_CHECK(status < 0 || strncmp(answer, "HTTP/", 5) == 0);
	free(answer);
	return 0;
}
