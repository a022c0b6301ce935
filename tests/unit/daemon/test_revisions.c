/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/daemon/revision/revision_store.h"
#include "tests/unit/tap.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MARK UINT64_C(0x1234567890abcdef)

static struct revision entry(uint64_t number, bool confirmed)
{
	return (struct revision){ .number = number,
		.time_ms = UINT64_C(1700000000123),
		.how = REVISION_APPLY,
		.who = { .known = true, .uid = 1000, .pid = 4711, .user = "alice" },
		.changes = 3,
		.start_mark = MARK,
		.confirmed = confirmed,
		.until = { .ms = 5000, .boot = "boot-a" },
		.file = (char *)(uintptr_t) "web.yaml",
		.text = (char *)(uintptr_t) "version: 1\n# \xc3\xa4 \"\\\n",
		.length = 19 };
}

static const struct boot_time early = { .ms = 1000, .boot = "boot-a" };
static const struct boot_time late = { .ms = 5000, .boot = "boot-a" };
static const struct boot_time rebooted = { .ms = 1000, .boot = "boot-b" };

/* Files. */

static void expect_same(const struct revision *a, const struct revision *b)
{
	CU_ASSERT_EQUAL(a->number, b->number);
	CU_ASSERT_EQUAL(a->time_ms, b->time_ms);
	CU_ASSERT_EQUAL(a->how, b->how);
	CU_ASSERT_EQUAL(a->who.known, b->who.known);
	CU_ASSERT_EQUAL(a->who.uid, b->who.uid);
	CU_ASSERT_EQUAL(a->who.pid, b->who.pid);
	CU_ASSERT_STRING_EQUAL(a->who.user, b->who.user);
	CU_ASSERT_EQUAL(a->of, b->of);
	CU_ASSERT_EQUAL(a->changes, b->changes);
	CU_ASSERT_EQUAL(a->start_mark, b->start_mark);
	CU_ASSERT_EQUAL(a->confirmed, b->confirmed);
	CU_ASSERT_STRING_EQUAL(a->file, b->file);
	CU_ASSERT_EQUAL(a->length, b->length);
	CU_ASSERT_STRING_EQUAL(a->text, b->text);
	CU_ASSERT(a->objects ? json_equal(a->objects, b->objects) : !b->objects);
}

static void test_file(void)
{
	char err[256];

	for (int i = 0; i < REVISION_HOW_COUNT; i++) {
		struct revision r = entry(7, i % 2), back;

		r.how = (enum revision_how)i;
		r.who.known = i != 0;
		if (!r.who.known)
			r.who = (struct who){ .known = false };
		r.of = (uint64_t)i;
		if (i % 2)
			r.objects = json_pack("[{s:s, s:s}]", "path", "/a.o", "sha256",
				"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
		char *bytes = revision_print(&r);

		CU_ASSERT_PTR_NOT_NULL_FATAL(bytes);
		CU_ASSERT_EQUAL_FATAL(
			revision_parse(bytes, strlen(bytes), &back, err, sizeof(err)), 0);
		expect_same(&r, &back);
		if (!back.confirmed) {
			CU_ASSERT_EQUAL(back.until.ms, 5000);
			CU_ASSERT_STRING_EQUAL(back.until.boot, "boot-a");
		}
		revision_fini(&back);
		json_decref(r.objects);
		free(bytes);
	}
}

/* Whatever is damaged is found out. */
static void test_damage(void)
{
	struct revision r = entry(7, false), back;
	char *bytes = revision_print(&r);
	size_t length = strlen(bytes), accepted = 0;
	char err[256];

	for (size_t i = 0; i < length; i++)
		CU_ASSERT_EQUAL(revision_parse(bytes, i, &back, err, sizeof(err)), -EINVAL);
	for (size_t i = 0; i < length; i++) {
		for (int bit = 0; bit < 8; bit++) {
			bytes[i] = (char)(bytes[i] ^ (1 << bit));
			if (!revision_parse(bytes, length, &back, err, sizeof(err))) {
				/* Only white space between the fields does not count. */
				expect_same(&r, &back);
				revision_fini(&back);
				accepted++;
			}
			bytes[i] = (char)(bytes[i] ^ (1 << bit));
		}
	}
	CU_ASSERT(accepted < length / 2);
	free(bytes);
}

/* Going back in time. */

static void test_left(void)
{
	struct revision r = entry(1, false);

	CU_ASSERT_EQUAL(revision_left_ms(&r, &early), 4000);
	CU_ASSERT_EQUAL(revision_left_ms(&r, &late), 0);
	CU_ASSERT_EQUAL(revision_left_ms(&r, &rebooted), 0);
}

static void test_choose(void)
{
	struct revision list[] = { entry(4, false), entry(3, false), entry(2, true),
		entry(1, true) };
	bool expired;

	CU_ASSERT_EQUAL(revision_choose(list, 0, MARK, &early, &expired), -1);
	CU_ASSERT_EQUAL(revision_choose(list, 4, MARK, &early, &expired), 0);
	CU_ASSERT_FALSE(expired);
	CU_ASSERT_EQUAL(revision_choose(list, 4, MARK, &late, &expired), 2);
	CU_ASSERT(expired);
	CU_ASSERT_EQUAL(revision_choose(list, 4, MARK, &rebooted, &expired), 2);
	CU_ASSERT(expired);
	CU_ASSERT_EQUAL(revision_choose(list, 2, MARK, &late, &expired), -1);
	CU_ASSERT_EQUAL(revision_choose(list + 2, 2, MARK, &late, &expired), 0);
	CU_ASSERT_FALSE(expired);
	/* The file has been edited since. */
	CU_ASSERT_EQUAL(revision_choose(list, 4, MARK + 1, &early, &expired), -1);
	CU_ASSERT_EQUAL(revision_choose(list + 2, 2, MARK + 1, &early, &expired), -1);
}

static void test_before(void)
{
	/* 1:A 2:B 3:C, undo to B, undo to A; D; undo to A. Newest first. */
	struct revision list[] = { entry(7, true), entry(6, true), entry(5, true), entry(4, true),
		entry(3, true), entry(2, true), entry(1, true) };

	list[3].of = 2;
	list[2].of = 1;
	list[0].of = 1;
	CU_ASSERT_EQUAL(revision_before(list + 6, 1), -1);
	CU_ASSERT_EQUAL(revision_before(list + 5, 2), 1); /* B: to A */
	CU_ASSERT_EQUAL(revision_before(list + 4, 3), 1); /* C: to B */
	CU_ASSERT_EQUAL(revision_before(list + 3, 4), 3); /* B again: to A, not to C */
	CU_ASSERT_EQUAL(revision_before(list + 2, 5), -1); /* A again */
	CU_ASSERT_EQUAL(revision_before(list + 1, 6), 1); /* D: to A, by its repetition */
	CU_ASSERT_EQUAL(revision_before(list, 7), -1);
	/* What waits goes to the last that is for good. */
	list[1].confirmed = list[2].confirmed = false;
	CU_ASSERT_EQUAL(revision_before(list + 1, 6), 2);
	CU_ASSERT_EQUAL(revision_before(list, 0), -1);
}

/* The folder. */

static char folder[64];

static void setup(struct revision_store *s)
{
	char path[96];

	CU_ASSERT_FATAL(tap_folder(folder, sizeof(folder)));
	snprintf(path, sizeof(path), "%s/a/b", folder);
	CU_ASSERT_EQUAL_FATAL(revision_store_open(s, path), 0);
}

static void again(struct revision_store *s)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s", s->path);
	revision_store_close(s);
	CU_ASSERT_EQUAL_FATAL(revision_store_open(s, path), 0);
}

static void teardown(struct revision_store *s)
{
	char command[128];

	revision_store_close(s);
	snprintf(command, sizeof(command), "rm -r %s", folder);
	CU_ASSERT_EQUAL(system(command), 0);
}

static void add(struct revision_store *s, int count, bool confirmed)
{
	while (count--) {
		struct revision r = entry(0, confirmed);

		CU_ASSERT_EQUAL(revision_store_add(s, &r), 0);
	}
}

static int files(const struct revision_store *s)
{
	DIR *d = opendir(s->path);
	int count = 0;

	while (readdir(d))
		count++;
	closedir(d);
	return count - 2;
}

static void expect_list(const struct revision_store *s, size_t count, uint64_t newest)
{
	CU_ASSERT_EQUAL(s->count, count);
	for (size_t i = 0; i < s->count; i++)
		CU_ASSERT_EQUAL(s->list[i].number, newest - i);
}

static void test_twenty(void)
{
	struct revision_store s;
	struct revision r;
	char err[256];

	setup(&s);
	CU_ASSERT_EQUAL(s.count, 0);
	add(&s, 3, true);
	again(&s);
	expect_list(&s, 3, 3);
	add(&s, 30, true);
	expect_list(&s, REVISIONS_MAX, 33);
	CU_ASSERT_EQUAL(files(&s), REVISIONS_MAX);
	again(&s);
	expect_list(&s, REVISIONS_MAX, 33);
	CU_ASSERT_EQUAL(revision_store_read(&s, 20, &r, err, sizeof(err)), 0);
	CU_ASSERT_STRING_EQUAL(r.text, entry(0, true).text);
	revision_fini(&r);
	CU_ASSERT_EQUAL(revision_store_read(&s, 2, &r, err, sizeof(err)), -ENOENT);
	teardown(&s);
}

static void test_way_back_stays(void)
{
	struct revision_store s;

	setup(&s);
	add(&s, 2, true);
	add(&s, 50, false);
	CU_ASSERT_EQUAL(s.count, REVISIONS_MAX);
	CU_ASSERT_EQUAL(s.list[0].number, 52);
	CU_ASSERT_EQUAL(s.list[REVISIONS_MAX - 1].number, 2);
	again(&s);
	CU_ASSERT_EQUAL(s.list[REVISIONS_MAX - 1].number, 2);
	CU_ASSERT_EQUAL(revision_confirmed(s.list, s.count), REVISIONS_MAX - 1);
	teardown(&s);
}

static void test_confirm(void)
{
	struct revision_store s;

	setup(&s);
	CU_ASSERT_EQUAL(revision_store_confirm(&s), -ENOENT);
	add(&s, 1, true);
	add(&s, 1, false);
	CU_ASSERT_EQUAL(revision_store_extend(&s, &(struct boot_time){ .ms = 9, .boot = "x" }), 0);
	again(&s);
	CU_ASSERT_FALSE(s.list[0].confirmed);
	CU_ASSERT_EQUAL(s.list[0].until.ms, 9);
	CU_ASSERT_EQUAL(revision_store_confirm(&s), 0);
	CU_ASSERT(s.list[0].confirmed);
	again(&s);
	CU_ASSERT(s.list[0].confirmed);
	expect_list(&s, 2, 2);
	teardown(&s);
}

static void damage(const struct revision_store *s, uint64_t number, const char *bytes)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%08" PRIu64 ".json", s->path, number);
	int fd = open(path, O_WRONLY | O_TRUNC | O_CREAT | O_CLOEXEC, 0600);

	CU_ASSERT_EQUAL(write(fd, bytes, strlen(bytes)), (ssize_t)strlen(bytes));
	close(fd);
}

static void test_damaged_files(void)
{
	struct revision_store s;
	struct revision r = entry(9, true);
	char *bytes = revision_print(&r);

	setup(&s);
	add(&s, 5, true);
	damage(&s, 5, "");
	damage(&s, 3, "{\"format\": 1}");
	damage(&s, 2, bytes); /* a good file in the wrong place */
	damage(&s, 99999999, "x");
	free(bytes);
	again(&s);
	CU_ASSERT_EQUAL(s.count, 2);
	CU_ASSERT_EQUAL(s.list[0].number, 4);
	CU_ASSERT_EQUAL(s.list[1].number, 1);
	/* Numbers go on behind all that have been seen, and nothing is written over. */
	add(&s, 1, true);
	CU_ASSERT_EQUAL(s.list[0].number, 100000000);
	again(&s);
	CU_ASSERT_EQUAL(s.list[0].number, 100000000);
	/* Files that cannot be used go with their age. */
	CU_ASSERT_EQUAL(files(&s), 4);
	teardown(&s);
}

static void test_no_folder(void)
{
	struct revision_store s;
	struct revision r = entry(0, true);

	CU_ASSERT(revision_store_open(&s, "/proc/nowhere") < 0);
	CU_ASSERT_EQUAL(s.count, 0);
	CU_ASSERT(revision_store_add(&s, &r) < 0);
	CU_ASSERT_EQUAL(s.count, 0);
	revision_store_close(&s);
}

static const struct tap_case cases[] = {
	{ "a file is read as it was written", test_file },
	{ "a damaged file is refused, whatever bit it is", test_damage },
	{ "the time to confirm ends, and does not survive a reboot", test_left },
	{ "a daemon goes on with the newest, goes back, or takes an edited file", test_choose },
	{ "undo after undo goes further back", test_before },
	{ "the last twenty are kept", test_twenty },
	{ "the one to go back to is kept, however many came after it", test_way_back_stays },
	{ "an entry is confirmed, or given more time, for good", test_confirm },
	{ "damaged files are passed over, and their numbers not used again", test_damaged_files },
	{ "without a folder nothing is kept, and nothing breaks", test_no_folder },
};

TAP_MAIN("revisions", cases)
