/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Reading objects, wherever that is done.
 *
 *	test_policy_object FOLDER
 */

#include "ebpf/engine/object.h"
#include "tests/unit/tap.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

static const char *folder;

static void read_one(void)
{
	struct policy_image *image = NULL;
	char path[4096], err[512] = "";

	snprintf(path, sizeof(path), "%s/tls_route.o", folder);
	int rc = policy_object_read(path, &image, err, sizeof(err));

	if (rc)
		printf("# %s: %s\n", path, err);
	CU_ASSERT_EQUAL(rc, 0);
	free(image);
}

/* As EAL does, which reserves room for all the memory that there could be. */
static void beside_reserved_room(void)
{
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	const size_t size = (size_t)64 << 30;
	void *room = mmap(NULL, size, PROT_NONE, flags, -1, 0);

	CU_ASSERT_PTR_NOT_EQUAL_FATAL(room, MAP_FAILED);
	read_one();
	munmap(room, size);
}

static const struct tap_case cases[] = {
	{ "an object is read", read_one },
	{ "an object is read by a process that has reserved much room", beside_reserved_room },
};

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
		return 2;
	}
	folder = argv[1];
	return tap_run("policy object", cases, sizeof(cases) / sizeof(cases[0]));
}
