/* SPDX-License-Identifier: BSD-3-Clause */

#include "ebpf/engine/memory.h"

#include <errno.h>
#include <numa.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

static size_t page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

uint64_t policy_memory_available(void)
{
	char line[128];
	unsigned long long kib = 0;
	bool known = false;
	FILE *f = fopen("/proc/meminfo", "re");

	if (!f)
		return UINT64_MAX;
	while (!known && fgets(line, sizeof(line), f))
		known = sscanf(line, "MemAvailable: %llu kB", &kib) == 1;
	fclose(f);
	return known ? ((uint64_t)kib << 10) / 4 * 3 : UINT64_MAX;
}

/* Address space with a guard page at both ends. */
static int reserve(size_t bytes, struct policy_memory *ret)
{
	size_t page = page_size();
	size_t whole = (bytes + page - 1) & ~(page - 1);

	if (whole == 0 || whole < bytes || whole > SIZE_MAX - 2 * page)
		return -EINVAL;
	uint8_t *all = mmap(NULL, whole + 2 * page, PROT_NONE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (all == MAP_FAILED)
		return -errno;
	ret->at = all + page;
	ret->bytes = whole;
	return 0;
}

int policy_memory_create(size_t bytes, int node, struct policy_memory *ret_memory)
{
	struct policy_memory m;
	int rc = reserve(bytes, &m);

	if (rc < 0)
		return rc;
	/* Accounted from here on: when memory is short this fails, and not the first write. */
	if (mmap(m.at, m.bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
		    0) == MAP_FAILED) {
		rc = -errno;
		policy_memory_destroy(&m);
		return rc;
	}
	/* Large tables are hit at random: where the kernel has large pages, they take them. */
	madvise(m.at, m.bytes, MADV_HUGEPAGE);
	if (node >= 0 && numa_available() >= 0 && node <= numa_max_node())
		numa_tonode_memory(m.at, m.bytes, node);
	for (size_t i = 0; i < m.bytes; i += page_size())
		((volatile uint8_t *)m.at)[i] = 0;
	*ret_memory = m;
	return 0;
}

int policy_memory_share(int map_fd, size_t bytes, bool read_only, struct policy_memory *ret_memory)
{
	struct policy_memory m;
	int rc = reserve(bytes, &m);

	if (rc < 0)
		return rc;
	if (mmap(m.at, m.bytes, read_only ? PROT_READ : PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_FIXED | MAP_POPULATE, map_fd, 0) == MAP_FAILED) {
		rc = -errno;
		policy_memory_destroy(&m);
		return rc;
	}
	*ret_memory = m;
	return 0;
}

int policy_memory_seal(struct policy_memory *memory)
{
	return mprotect(memory->at, memory->bytes, PROT_READ | PROT_EXEC) ? -errno : 0;
}

void policy_memory_destroy(struct policy_memory *memory)
{
	size_t page = page_size();

	if (memory->at)
		munmap((uint8_t *)memory->at - page, memory->bytes + 2 * page);
	memory->at = NULL;
}
