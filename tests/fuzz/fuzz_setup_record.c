/* SPDX-License-Identifier: BSD-3-Clause */

/* The record of `setup apply`, of which files are written as root: whatever is accepted names absolute paths. */

#include "control/doctor/setup.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_t *record = setup_record_parse((const char *)data, size);
	json_t *one;
	size_t i;

	json_array_foreach(json_object_get(record, "undo"), i, one)
	{
		const char *path = json_string_value(json_object_get(one, "path"));

		FUZZ_CHECK(path != NULL && path[0] == '/' && strstr(path, "/..") == NULL);
	}
	json_decref(record);
	return 0;
}
