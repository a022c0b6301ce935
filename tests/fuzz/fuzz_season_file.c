/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What is known of the day, from its file. What is read is printed as the same bytes. As no input keeps its
 * check sum by chance, bytes behind the magic are also taken as a profile with the right one.
 */

#include "control/daemon/adaptation/season_file.h"
#include "tests/fuzz/fuzz.h"

#include <math.h>
#include <string.h>

static void check(const char *bytes, size_t size)
{
	char again[SEASON_FILE_SIZE];
	struct season_profile p;
	const char *wrong = season_file_parse(bytes, size, &p);

	if (wrong) {
		FUZZ_CHECK(wrong[0] != 0);
		return;
	}
	for (int i = 0; i < SEASON_BINS; i++)
		FUZZ_CHECK(isfinite(p.usual[i]) && p.usual[i] >= 0);
	season_file_print(&p, again);
	FUZZ_CHECK(size == sizeof(again) && !memcmp(bytes, again, size));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct season_profile p = { 0 };
	char bytes[SEASON_FILE_SIZE];

	check((const char *)data, size);
	memcpy(p.usual, data, size < sizeof(p.usual) ? size : sizeof(p.usual));
	season_file_print(&p, bytes);
	check(bytes, sizeof(bytes));
	return 0;
}
