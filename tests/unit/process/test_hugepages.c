/* SPDX-License-Identifier: BSD-3-Clause */

/* Against a folder that looks like the kernel's: a count that is written is the count there is. */

#include "dataplane/process/hugepages.h"
#include "tests/unit/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char top[64];
static char state[128];

static void file_path(char *path, size_t size, unsigned int node, const char *file)
{
	snprintf(path, size, "%s/node%u/hugepages/hugepages-2048kB/%s", top, node, file);
}

static void file_set(unsigned int node, const char *file, unsigned int value)
{
	char path[256];

	file_path(path, sizeof(path), node, file);
	FILE *f = fopen(path, "we");
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	fprintf(f, "%u\n", value);
	fclose(f);
}

static unsigned int file_get(unsigned int node, const char *file)
{
	char path[256];
	unsigned int value = 99999;

	file_path(path, sizeof(path), node, file);
	FILE *f = fopen(path, "re");
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	CU_ASSERT_EQUAL(fscanf(f, "%u", &value), 1);
	fclose(f);
	return value;
}

static void state_set(const char *text)
{
	FILE *f = fopen(state, "we");

	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	fputs(text, f);
	fclose(f);
}

static bool state_is(const char *text)
{
	char have[256] = "";
	FILE *f = fopen(state, "re");

	if (!f)
		return text[0] == 0;
	size_t n = fread(have, 1, sizeof(have) - 1, f);
	have[n] = 0;
	fclose(f);
	return strcmp(have, text) == 0;
}

/* Two nodes with `total` pages each, of which `free_pages` are free. */
static void world_make(unsigned int total, unsigned int free_pages)
{
	CU_ASSERT_FATAL(tap_folder(top, sizeof(top)));
	snprintf(state, sizeof(state), "%s/state", top);
	for (unsigned int node = 0; node < 2; node++) {
		static const char *const parts[] = { "", "/hugepages",
			"/hugepages/hugepages-2048kB" };
		char path[256];

		for (size_t i = 0; i < 3; i++) {
			snprintf(path, sizeof(path), "%s/node%u%s", top, node, parts[i]);
			CU_ASSERT_EQUAL_FATAL(mkdir(path, 0700), 0);
		}
		file_set(node, "nr_hugepages", total);
		file_set(node, "free_hugepages", free_pages);
	}
}

static void world_end(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -r %s", top);
	CU_ASSERT_EQUAL(system(command), 0);
}

static void taken_and_given_back(void)
{
	const struct hugepage_counts wanted = { .node = { 100, 20 } };
	struct hugepage_counts got;

	world_make(64, 30);
	CU_ASSERT_EQUAL(hugepages_take(top, state, &wanted, &got), 0);
	CU_ASSERT_EQUAL(file_get(0, "nr_hugepages"), 64 + 70);
	CU_ASSERT_EQUAL(file_get(1, "nr_hugepages"), 64); /* had enough free ones */
	CU_ASSERT_TRUE(state_is("0 70\n"));
	CU_ASSERT_EQUAL(got.node[1], 30);
	file_set(1, "nr_hugepages", 7); /* somebody else's change stays */
	hugepages_give_back(top, state);
	CU_ASSERT_EQUAL(file_get(0, "nr_hugepages"), 64);
	CU_ASSERT_EQUAL(file_get(1, "nr_hugepages"), 7);
	CU_ASSERT_TRUE(state_is(""));
	hugepages_give_back(top, state); /* nothing more to give */
	CU_ASSERT_EQUAL(file_get(0, "nr_hugepages"), 64);
	world_end();
}

static void taken_over_after_a_kill(void)
{
	const struct hugepage_counts wanted = { .node = { 100 } };
	struct hugepage_counts got;

	world_make(64, 0);
	CU_ASSERT_EQUAL(hugepages_take(top, state, &wanted, &got), 0);
	CU_ASSERT_EQUAL(file_get(0, "nr_hugepages"), 164);
	/* Killed: its pages are free now, and what it added stands in the file. */
	file_set(0, "free_hugepages", 90);
	CU_ASSERT_EQUAL(hugepages_take(top, state, &wanted, &got), 0);
	CU_ASSERT_EQUAL(file_get(0, "nr_hugepages"), 174);
	CU_ASSERT_TRUE(state_is("0 110\n"));
	hugepages_give_back(top, state);
	CU_ASSERT_EQUAL(file_get(0, "nr_hugepages"), 64);
	world_end();
}

static void killed_within_an_addition(void)
{
	world_make(164, 0);
	state_set("0 20\nplan 0 1000 84\n"); /* 1000 were asked for at 84, and 80 came */
	hugepages_give_back(top, state);
	CU_ASSERT_EQUAL(file_get(0, "nr_hugepages"), 64);
	state_set("plan 0 1000 64\n"); /* nothing had come yet */
	hugepages_give_back(top, state);
	CU_ASSERT_EQUAL(file_get(0, "nr_hugepages"), 64);
	world_end();
}

static void damaged_state_changes_nothing(void)
{
	static const char *const bad[] = { "x", "0", "9 1\n", "0 -1\n", "plan 0 1\n",
		"0 5\nrubbish", "0 99999999999\n" };
	struct hugepage_state s;

	world_make(64, 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		CU_ASSERT_EQUAL(hugepage_state_parse(bad[i], &s), -EINVAL);
		state_set(bad[i]);
		hugepages_give_back(top, state);
		CU_ASSERT_EQUAL(file_get(0, "nr_hugepages"), 64);
	}
	CU_ASSERT_EQUAL(hugepage_state_parse("", &s), 0);
	world_end();
}

static void machine_without_hugepages(void)
{
	const struct hugepage_counts wanted = { .node = { 1 } };
	struct hugepage_counts got;

	CU_ASSERT_EQUAL(
		hugepages_take("/nonexistent", "/nonexistent/state", &wanted, &got), -ENOENT);
	CU_ASSERT_EQUAL(got.node[0], 0);
	hugepages_give_back("/nonexistent", "/nonexistent/state");
}

static void state_prints_as_it_parses(void)
{
	const struct hugepage_state s = {
		.added = { .node = { 0, 5, 0, 7 } },
		.plan_node = 2,
		.plan_count = 9,
		.plan_before = 11,
	};
	struct hugepage_state back;
	char text[256];

	hugepage_state_print(&s, text, sizeof(text));
	CU_ASSERT_STRING_EQUAL(text, "1 5\n3 7\nplan 2 9 11\n");
	CU_ASSERT_EQUAL_FATAL(hugepage_state_parse(text, &back), 0);
	CU_ASSERT_EQUAL(memcmp(&s, &back, sizeof(s)), 0);
	CU_ASSERT_EQUAL(hugepages_missing(10, 4), 6);
	CU_ASSERT_EQUAL(hugepages_missing(10, 40), 0);
}

static const struct tap_case cases[] = {
	{ "what is missing is added, and given back exactly", taken_and_given_back },
	{ "what a killed predecessor added counts as ours", taken_over_after_a_kill },
	{ "a kill within an addition is made good", killed_within_an_addition },
	{ "a damaged state file changes nothing", damaged_state_changes_nothing },
	{ "a machine without hugepages is told so", machine_without_hugepages },
	{ "the state prints as it parses", state_prints_as_it_parses },
};

TAP_MAIN("hugepages", cases)
