/* SPDX-License-Identifier: BSD-3-Clause */

/* Copies of objects beside the history. */

#include "control/daemon/policy/object_store.h"
#include "control/daemon/policy/sha256.h"
#include "tests/unit/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* FIPS 180-4's examples, and one for each way that the padding can fall. */
static void test_sha256(void)
{
	static const struct {
		const char *text;
		size_t repeat;
		const char *sha256;
	} known[] = {
		{ "", 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
		{ "abc", 1, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
		{ "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1,
			"248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
		{ "a", 55, "9f4390f8d30c2dd92ec9f095b65e2b9ae9b0a925a5258e241c9f1e910f734318" },
		{ "a", 64, "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb" },
		{ "a", 1000000,
			"cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0" },
	};
	char found[SHA256_TEXT_SIZE];

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		size_t length = strlen(known[i].text);
		char *bytes = malloc(length * known[i].repeat + 1);

		CU_ASSERT_PTR_NOT_NULL_FATAL(bytes);
		for (size_t n = 0; n < known[i].repeat; n++)
			memcpy(bytes + n * length, known[i].text, length);
		sha256_text(bytes, length * known[i].repeat, found);
		CU_ASSERT_STRING_EQUAL(found, known[i].sha256);
		free(bytes);
	}
}

static char folder[64];

static void setup(struct revision_store *s)
{
	CU_ASSERT_FATAL(tap_folder(folder, sizeof(folder)));
	CU_ASSERT_EQUAL_FATAL(revision_store_open(s, folder), 0);
}

static void teardown(struct revision_store *s)
{
	char command[128];

	revision_store_close(s);
	snprintf(command, sizeof(command), "rm -r %s", folder);
	CU_ASSERT_EQUAL(system(command), 0);
}

/* A copy of `size` bytes of one kind. */
static void put(const struct revision_store *s, char byte, size_t size, char sha256[65])
{
	int fd = memfd_create("object", MFD_CLOEXEC);
	char *bytes = malloc(size);

	CU_ASSERT_PTR_NOT_NULL_FATAL(bytes);
	memset(bytes, byte, size);
	sha256_text(bytes, size, sha256);
	CU_ASSERT_EQUAL_FATAL(write(fd, bytes, size), (ssize_t)size);
	CU_ASSERT_EQUAL(object_store_put(s, sha256, fd), 0);
	CU_ASSERT_EQUAL(object_store_put(s, sha256, fd), 0);
	close(fd);
	free(bytes);
}

static void test_damage(void)
{
	char sha256[SHA256_TEXT_SIZE], path[PATH_MAX];
	struct revision_store s;
	struct stat info;

	setup(&s);
	put(&s, 'x', 100000, sha256);
	CU_ASSERT_FATAL(object_store_find(&s, sha256, path));
	CU_ASSERT_EQUAL(stat(path, &info), 0);
	CU_ASSERT_EQUAL(info.st_size, 100000);
	CU_ASSERT_EQUAL(info.st_mode & 0777, 0600);
	CU_ASSERT_EQUAL(truncate(path, 99999), 0);
	CU_ASSERT_FALSE(object_store_find(&s, sha256, path));
	put(&s, 'x', 100000, sha256);
	CU_ASSERT(object_store_find(&s, sha256, path));
	unlink(path);
	CU_ASSERT_FALSE(object_store_find(&s, sha256, path));
	teardown(&s);
}

/* An entry whose policy is of one kind of bytes. */
static void add(struct revision_store *s, char byte, size_t size, char sha256[65])
{
	struct revision r = { .how = REVISION_APPLY,
		.confirmed = true,
		.file = (char *)(uintptr_t) "a.yaml",
		.text = (char *)(uintptr_t) "version: 1",
		.length = 10 };

	put(s, byte, size, sha256);
	r.objects = json_pack("[{s:s, s:s}]", "path", "/guard.o", "sha256", sha256);
	CU_ASSERT_EQUAL(revision_store_add(s, &r), 0);
	object_store_prune(s);
	json_decref(r.objects);
}

/* What is no copy goes by its own name, however long that is. */
static void test_others_go(void)
{
	char path[PATH_MAX + 256], sha256[SHA256_TEXT_SIZE], found[PATH_MAX], name[NAME_MAX];
	struct revision_store s;

	memset(name, 'n', sizeof(name));
	name[sizeof(name) - 1] = 0;
	setup(&s);
	add(&s, 'k', 1000, sha256);
	snprintf(path, sizeof(path), "%s/objects/%s", folder, name);
	close(open(path, O_CREAT | O_WRONLY, 0600));
	CU_ASSERT_EQUAL(access(path, F_OK), 0);
	object_store_prune(&s);
	CU_ASSERT_NOT_EQUAL(access(path, F_OK), 0);
	CU_ASSERT(object_store_find(&s, sha256, found));
	teardown(&s);
}

static void test_no_room_for_its_name(void)
{
	struct revision_store s;
	char path[PATH_MAX];

	memset(path, 'p', sizeof(path));
	path[0] = '/';
	path[sizeof(s.path)] = 0;
	CU_ASSERT_EQUAL(revision_store_open(&s, path), -ENAMETOOLONG);
	CU_ASSERT_EQUAL(s.count, 0);
	revision_store_close(&s);
}

static void test_as_long_as_needed(void)
{
	char names[REVISIONS_MAX + 5][SHA256_TEXT_SIZE], path[PATH_MAX], spare[SHA256_TEXT_SIZE];
	struct revision_store s;

	setup(&s);
	put(&s, 'z', 50, spare);
	for (int i = 0; i < REVISIONS_MAX + 5; i++)
		add(&s, (char)('A' + i / 2), 1000, names[i]);
	CU_ASSERT_FALSE(object_store_find(&s, spare, path));
	/* The last twenty have ten and a half objects; two have the same, and both find it. */
	for (int i = 0; i < REVISIONS_MAX + 5; i++)
		CU_ASSERT_EQUAL(object_store_find(&s, names[i], path), i >= 4);
	CU_ASSERT_STRING_EQUAL(revision_object(s.list[0].objects, "/guard.o"), names[24]);
	/* A daemon that comes later knows it as well. */
	snprintf(path, sizeof(path), "%s", s.path);
	revision_store_close(&s);
	CU_ASSERT_EQUAL_FATAL(revision_store_open(&s, path), 0);
	object_store_prune(&s);
	CU_ASSERT_STRING_EQUAL(revision_object(s.list[19].objects, "/guard.o"), names[5]);
	CU_ASSERT(object_store_find(&s, names[5], path));
	teardown(&s);
}

/* The oldest go when they are too much; the newest and the one to go back to stay. */
static void test_room(void)
{
	const size_t size = OBJECTS_MAX_BYTES / 8 + 1;
	char names[10][SHA256_TEXT_SIZE], path[PATH_MAX];
	struct revision_store s;
	struct stat info;
	int found = 0;

	setup(&s);
	for (int i = 0; i < 10; i++) {
		add(&s, (char)('a' + i), 1000, names[i]);
		/* As large as can be without writing it. */
		CU_ASSERT_FATAL(object_store_find(&s, names[i], path));
		CU_ASSERT_EQUAL(truncate(path, (off_t)size), 0);
	}
	object_store_prune(&s);
	for (int i = 0; i < 10; i++) {
		object_store_find(&s, names[i], path);
		bool there = stat(path, &info) == 0;

		CU_ASSERT_EQUAL(there, i >= 3);
		found += there;
	}
	CU_ASSERT_EQUAL(found, 7);
	teardown(&s);
}

static const struct tap_case cases[] = {
	{ "SHA-256 is what the standard says", test_sha256 },
	{ "a copy that is damaged is none, and is made again", test_damage },
	{ "copies stay as long as an entry of the history needs them", test_as_long_as_needed },
	{ "all copies together have their bound, and the newest stay", test_room },
	{ "what is no copy is removed", test_others_go },
	{ "a folder with too long a name is refused", test_no_room_for_its_name },
};

TAP_MAIN("objects", cases)
