/* SPDX-License-Identifier: BSD-3-Clause */

/* Buckets as an operator names them: what is taken names some, and only by digits, dashes and commas. */

#include "control/config/buckets.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t buckets[BUCKETS_COUNT / 8];
	char *text = strndup((const char *)data, size);
	uint32_t any = 0;

	FUZZ_CHECK(text != NULL);
	if (buckets_parse(text, buckets)) {
		for (size_t i = 0; i < sizeof(buckets); i++)
			any |= buckets[i];
		FUZZ_CHECK(any != 0);
		FUZZ_CHECK(strspn(text, "0123456789-,") == strlen(text));
	}
	free(text);
	return 0;
}
