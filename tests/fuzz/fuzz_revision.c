/* SPDX-License-Identifier: BSD-3-Clause */

/* The files of the configurations' history: damaged ones are refused, and what is read can be written. */

#include "control/daemon/revision/revision.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct revision r, again;
	char err[256] = "";

	if (revision_parse((const char *)data, size, &r, err, sizeof(err))) {
		FUZZ_CHECK(err[0] != 0);
		return 0;
	}
	FUZZ_CHECK(r.number > 0 && r.of < r.number && r.how < REVISION_HOW_COUNT);
	char *bytes = revision_print(&r);

	FUZZ_CHECK(bytes != NULL);
	FUZZ_CHECK(!revision_parse(bytes, strlen(bytes), &again, err, sizeof(err)));
	FUZZ_CHECK(again.number == r.number && again.length == r.length);
	FUZZ_CHECK(!memcmp(again.text, r.text, r.length));
	FUZZ_CHECK(r.objects ? json_equal(r.objects, again.objects) : !again.objects);
	FUZZ_CHECK(!revision_object(r.objects, "no path"));
	free(bytes);
	revision_fini(&again);
	revision_fini(&r);
	return 0;
}
