/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/core/arena.h"
#include "tests/unit/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define REGION_SIZE (sizeof(struct weir_telemetry) + (4u << 20))

static void region_is_sealed(void)
{
	struct arena *a;

	CU_ASSERT_EQUAL_FATAL(arena_create(REGION_SIZE, &a), 0);
	int fd = arena_fd(a);
	CU_ASSERT_EQUAL(ftruncate(fd, 4096), -1);
	CU_ASSERT_EQUAL(ftruncate(fd, REGION_SIZE * 2), -1);
	CU_ASSERT_EQUAL(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
	CU_ASSERT_PTR_EQUAL(
		mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
	CU_ASSERT_EQUAL(write(fd, "x", 1), -1);
	struct weir_telemetry *t = arena_telemetry(a);
	t->pid = 42;
	const struct weir_telemetry *seen = mmap(NULL, REGION_SIZE, PROT_READ, MAP_SHARED, fd, 0);
	CU_ASSERT_PTR_NOT_EQUAL_FATAL(seen, MAP_FAILED);
	CU_ASSERT_EQUAL(seen->magic, WEIR_TELEMETRY_MAGIC);
	CU_ASSERT_EQUAL(seen->version, WEIR_TELEMETRY_VERSION);
	CU_ASSERT_EQUAL(seen->size, REGION_SIZE);
	CU_ASSERT_EQUAL(seen->pid, 42);
	munmap((void *)(uintptr_t)seen, REGION_SIZE);
	arena_destroy(a);
}

static void large_region_costs_no_memory(void)
{
	struct arena *a;
	struct stat st;

	CU_ASSERT_EQUAL_FATAL(arena_create((size_t)8 << 30, &a), 0);
	CU_ASSERT_EQUAL_FATAL(fstat(arena_fd(a), &st), 0);
	CU_ASSERT(st.st_blocks * 512 < 1 << 20);
	CU_ASSERT_PTR_NOT_NULL(arena_alloc(a, (size_t)1 << 30));
	CU_ASSERT_EQUAL_FATAL(fstat(arena_fd(a), &st), 0);
	CU_ASSERT(st.st_blocks * 512 < 1 << 20);
	arena_destroy(a);
}

static void too_small_a_region_is_refused(void)
{
	struct arena *a = NULL;

	CU_ASSERT_EQUAL(arena_create(4096, &a), -EINVAL);
	CU_ASSERT_PTR_NULL(a);
}

static void full_region_gives_nothing_more(void)
{
	struct arena *a;

	CU_ASSERT_EQUAL_FATAL(arena_create(REGION_SIZE, &a), 0);
	CU_ASSERT_PTR_NULL(arena_alloc(a, 5u << 20));
	CU_ASSERT_PTR_NULL(arena_alloc(a, SIZE_MAX));
	CU_ASSERT_PTR_NULL(arena_alloc(a, 0));
	void *p = arena_alloc(a, 3u << 20);
	CU_ASSERT_PTR_NOT_NULL(p);
	CU_ASSERT_PTR_NULL(arena_alloc(a, 2u << 20));
	arena_free(a, p, 3u << 20);
	CU_ASSERT_PTR_NOT_NULL(arena_alloc(a, 3u << 20));
	CU_ASSERT_EQUAL(arena_offset(a, NULL), 0);
	arena_destroy(a);
}

/* Random use against a plain list of what is out. */
static void ranges_never_overlap_and_come_zeroed(void)
{
	enum {
		SLOTS = 64,
		ROUNDS = 20000
	};
	struct {
		unsigned char *p;
		size_t size;
		unsigned char mark;
	} slot[SLOTS] = { 0 };
	struct arena *a;

	CU_ASSERT_EQUAL_FATAL(arena_create(REGION_SIZE, &a), 0);
	srand(1);
	for (unsigned int round = 0; round < ROUNDS; round++) {
		unsigned int i = (unsigned int)rand() % SLOTS;

		if (slot[i].p) {
			for (size_t k = 0; k < slot[i].size; k++)
				CU_ASSERT_FATAL(slot[i].p[k] == slot[i].mark);
			arena_free(a, slot[i].p, slot[i].size);
			slot[i].p = NULL;
			continue;
		}
		slot[i].size = 1 + (size_t)rand() % 9000;
		slot[i].p = arena_alloc(a, slot[i].size);
		CU_ASSERT_PTR_NOT_NULL_FATAL(slot[i].p);
		CU_ASSERT_EQUAL((uintptr_t)slot[i].p % 64, 0);
		for (size_t k = 0; k < slot[i].size; k++)
			CU_ASSERT_FATAL(slot[i].p[k] == 0);
		slot[i].mark = (unsigned char)(1 + round % 255);
		memset(slot[i].p, slot[i].mark, slot[i].size);
	}
	for (unsigned int i = 0; i < SLOTS; i++)
		arena_free(a, slot[i].p, slot[i].size);
	/* All ranges are one again, so nearly all of the region can be had in one piece. */
	CU_ASSERT_PTR_NOT_NULL(arena_alloc(a, 300000));
	arena_destroy(a);
}

static const struct tap_case cases[] = {
	{ "nobody but the maker can write, shrink or grow the region", region_is_sealed },
	{ "a large region costs no memory until it is touched", large_region_costs_no_memory },
	{ "too small a region is refused", too_small_a_region_is_refused },
	{ "a full region gives nothing more, and again after a free",
		full_region_gives_nothing_more },
	{ "ranges never overlap, and come zeroed", ranges_never_overlap_and_come_zeroed },
};

TAP_MAIN("arena", cases)
