/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A trace's start message and its filter, run on a frame: the first byte says how long the frame is,
 * which follows; the rest is the message. What is accepted must be harmless on any frame.
 */

#include "dataplane/api/validate.h"
#include "dataplane/net/filter.h"
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char err[256] = "";

	if (size < 1 || size > 65536)
		return 0;
	uint32_t frame_bytes = data[0] < size ? data[0] : (uint32_t)size - 1;
	size_t length = size - 1 - frame_bytes;
	/* In memory of their exact sizes. */
	uint8_t *frame = malloc(frame_bytes ? frame_bytes : 1);
	struct weir_trace_start *start = malloc(length ? length : 1);

	FUZZ_CHECK(frame && start);
	memcpy(frame, data + 1, frame_bytes);
	memcpy(start, data + 1 + frame_bytes, length);
	int rc = weir_trace_start_validate(start, length, err, sizeof(err));
	FUZZ_CHECK(rc == 0 || rc == -EINVAL || rc == -E2BIG);
	FUZZ_CHECK((rc == 0) == (err[0] == '\0'));
	if (rc == 0) {
		const void *behind = start + 1;

		FUZZ_CHECK(memchr(start->service, '\0', sizeof(start->service)) != NULL);
		FUZZ_CHECK(start->sample >= 1 && start->snaplen <= WEIR_TRACE_MAX_SNAPLEN);
		rc = filter_check(behind, start->instruction_count, err, sizeof(err));
		FUZZ_CHECK(rc == 0 || err[0] != '\0');
		if (rc == 0 && start->instruction_count)
			FUZZ_CHECK(filter_run(behind, frame, frame_bytes, frame_bytes) ==
				filter_run(behind, frame, frame_bytes, frame_bytes));
	}
	free(frame);
	free(start);
	return 0;
}
