/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/port/twin_notes.h"
#include "tests/unit/tap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char dir[64];

static void file_write(const char *text)
{
	char path[sizeof(dir) + 16];

	snprintf(path, sizeof(path), "%s/twins", dir);
	FILE *f = fopen(path, "w");
	CU_ASSERT_FATAL(f != NULL);
	fputs(text, f);
	fclose(f);
}

static bool file_exists(void)
{
	char path[sizeof(dir) + 16];

	snprintf(path, sizeof(path), "%s/twins", dir);
	return access(path, F_OK) == 0;
}

static void names_are_kept_once_each(void)
{
	struct twin_notes n;

	CU_ASSERT_FATAL(tap_folder(dir, sizeof(dir)));
	twin_notes_read(dir, &n);
	CU_ASSERT_EQUAL(n.count, 0);
	CU_ASSERT_EQUAL(twin_notes_add(dir, "front"), 0);
	CU_ASSERT_EQUAL(twin_notes_add(dir, "back"), 0);
	CU_ASSERT_EQUAL(twin_notes_add(dir, "front"), 0);
	twin_notes_read(dir, &n);
	CU_ASSERT_EQUAL(n.count, 2);
	CU_ASSERT(twin_notes_have(&n, "front"));
	CU_ASSERT(!twin_notes_have(&n, "fronts"));
	CU_ASSERT_EQUAL(twin_notes_remove(dir, "front"), 0);
	CU_ASSERT_EQUAL(twin_notes_remove(dir, "never"), 0);
	twin_notes_read(dir, &n);
	CU_ASSERT_EQUAL(n.count, 1);
	CU_ASSERT_EQUAL(twin_notes_remove(dir, "back"), 0);
	CU_ASSERT(!file_exists());
}

static void what_is_no_name_is_left_out(void)
{
	struct twin_notes n;
	char many[TWIN_NOTES_MAX * 16];
	size_t at = 0;

	file_write("\n../../etc\nfront\na-name-of-16-cha\nfront\nback");
	twin_notes_read(dir, &n);
	CU_ASSERT_EQUAL(n.count, 2);
	CU_ASSERT(twin_notes_have(&n, "back"));
	for (int i = 0; i < TWIN_NOTES_MAX + 9; i++)
		at += (size_t)snprintf(many + at, sizeof(many) - at, "port%d\n", i);
	file_write(many);
	twin_notes_read(dir, &n);
	CU_ASSERT_EQUAL(n.count, TWIN_NOTES_MAX);
	CU_ASSERT(twin_notes_add(dir, "another") < 0);
	file_write("");
	CU_ASSERT_EQUAL(twin_notes_remove(dir, "x"), 0);
	CU_ASSERT(twin_notes_add("/nowhere", "front") < 0);
	rmdir(dir);
}

static const struct tap_case cases[] = {
	{ "twin notes: names are kept, once each", names_are_kept_once_each },
	{ "twin notes: what is no name is left out", what_is_no_name_is_left_out },
};

TAP_MAIN("twin notes", cases)
