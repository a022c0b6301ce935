/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/process/hugepages.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

void hugepage_state_print(const struct hugepage_state *s, char *buf, size_t size)
{
	size_t at = 0;
	int n = 0;

	buf[0] = 0;
	for (unsigned int i = 0; i < WEIR_MAX_NODES; i++) {
		if (!s->added.node[i])
			continue;
		n = snprintf(buf + at, size - at, "%u %u\n", i, s->added.node[i]);
		if (n < 0 || (size_t)n >= size - at)
			return;
		at += (size_t)n;
	}
	if (s->plan_count)
		snprintf(buf + at, size - at, "plan %u %u %u\n", s->plan_node, s->plan_count,
			s->plan_before);
}

int hugepage_state_parse(const char *text, struct hugepage_state *ret_state)
{
	struct hugepage_state s = { 0 };

	while (*text) {
		unsigned long node, count, before = 0;
		int used = 0;
		bool is_plan =
			sscanf(text, "plan %lu %lu %lu\n%n", &node, &count, &before, &used) == 3;

		if (!is_plan && sscanf(text, "%lu %lu\n%n", &node, &count, &used) != 2)
			return -EINVAL;
		if (!used || node >= WEIR_MAX_NODES || count > INT_MAX || before > INT_MAX)
			return -EINVAL;
		if (is_plan) {
			s.plan_node = (uint32_t)node;
			s.plan_count = (uint32_t)count;
			s.plan_before = (uint32_t)before;
		} else {
			s.added.node[node] = (uint32_t)count;
		}
		text += used;
	}
	*ret_state = s;
	return 0;
}

void hugepage_state_settle(struct hugepage_state *s, uint32_t node_has)
{
	uint32_t grown = node_has > s->plan_before ? node_has - s->plan_before : 0;

	if (s->plan_count)
		s->added.node[s->plan_node] += grown < s->plan_count ? grown : s->plan_count;
	s->plan_count = 0;
}

uint32_t hugepages_missing(uint32_t wanted, uint32_t free_now)
{
	return wanted > free_now ? wanted - free_now : 0;
}

static int text_read(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	ssize_t n = read(fd, buf, size - 1);
	int rc = n < 0 ? -errno : 0;
	close(fd);
	buf[n > 0 ? n : 0] = 0;
	return rc;
}

static int text_write(const char *path, const char *text, int flags)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC | flags, 0600);

	if (fd < 0)
		return -errno;
	ssize_t n = write(fd, text, strlen(text));
	int rc = n < 0 ? -errno : 0;
	if (close(fd) < 0 && rc == 0)
		rc = -errno;
	return rc;
}

static int node_file(
	const char *sys_dir, unsigned int node, const char *file, char *path, size_t size)
{
	int n = snprintf(
		path, size, "%s/node%u/hugepages/hugepages-2048kB/%s", sys_dir, node, file);

	return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

static int node_read(const char *sys_dir, unsigned int node, const char *file, uint32_t *ret_value)
{
	char path[PATH_MAX];
	char text[32];
	int rc = node_file(sys_dir, node, file, path, sizeof(path));

	if (rc == 0)
		rc = text_read(path, text, sizeof(text));
	if (rc == 0)
		*ret_value = (uint32_t)strtoul(text, NULL, 10);
	return rc;
}

static int node_set(const char *sys_dir, unsigned int node, uint32_t value)
{
	char path[PATH_MAX];
	char text[32];
	int rc = node_file(sys_dir, node, "nr_hugepages", path, sizeof(path));

	snprintf(text, sizeof(text), "%u\n", value);
	return rc < 0 ? rc : text_write(path, text, 0);
}

static void state_read(
	const char *sys_dir, const char *state_file, struct hugepage_state *ret_state)
{
	char text[256];
	uint32_t count = 0;

	if (text_read(state_file, text, sizeof(text)) < 0 ||
		hugepage_state_parse(text, ret_state) < 0)
		memset(ret_state, 0, sizeof(*ret_state));
	if (ret_state->plan_count &&
		node_read(sys_dir, ret_state->plan_node, "nr_hugepages", &count) < 0)
		count = 0;
	hugepage_state_settle(ret_state, count);
}

static int state_write(const char *state_file, const struct hugepage_state *state)
{
	char text[256];

	hugepage_state_print(state, text, sizeof(text));
	if (!text[0])
		return unlink(state_file) < 0 && errno != ENOENT ? -errno : 0;
	return text_write(state_file, text, O_CREAT | O_TRUNC);
}

/*
 * The count of a node is read, changed and written by every instance on the host, so one lock serves
 * them all. Without it (no /run/lock) we go on: the race is narrow.
 */
static int host_lock(void)
{
	int fd = open("/run/lock/weir-hugepages", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd >= 0)
		(void)flock(fd, LOCK_EX);
	return fd;
}

static void host_unlock(int fd)
{
	if (fd >= 0)
		close(fd);
}

/* Add pages on one node. The state file says it before the kernel does, for the case of a kill. */
static int node_add(const char *sys_dir, const char *state_file, unsigned int node, uint32_t count,
	struct hugepage_state *state)
{
	uint32_t before, after;

	int rc = node_read(sys_dir, node, "nr_hugepages", &before);
	if (rc < 0)
		return rc;
	state->plan_node = node;
	state->plan_count = count;
	state->plan_before = before;
	rc = state_write(state_file, state);
	if (rc == 0)
		rc = node_set(sys_dir, node, before + count);
	after = before;
	(void)node_read(sys_dir, node, "nr_hugepages", &after);
	hugepage_state_settle(state, after);
	int state_rc = state_write(state_file, state);
	return rc < 0 ? rc : state_rc;
}

int hugepages_take(const char *sys_dir, const char *state_file,
	const struct hugepage_counts *wanted, struct hugepage_counts *ret_free)
{
	struct hugepage_state state;
	struct hugepage_counts free_now = { 0 };
	int rc = 0;

	int lock = host_lock();
	state_read(sys_dir, state_file, &state);
	for (unsigned int node = 0; node < WEIR_MAX_NODES; node++) {
		if (!wanted->node[node])
			continue;
		int node_rc = node_read(sys_dir, node, "free_hugepages", &free_now.node[node]);
		uint32_t missing = hugepages_missing(wanted->node[node], free_now.node[node]);
		if (node_rc == 0 && missing) {
			node_rc = node_add(sys_dir, state_file, node, missing, &state);
			(void)node_read(sys_dir, node, "free_hugepages", &free_now.node[node]);
		}
		if (node_rc < 0)
			rc = node_rc;
	}
	host_unlock(lock);
	*ret_free = free_now;
	return rc;
}

void hugepages_give_back(const char *sys_dir, const char *state_file)
{
	struct hugepage_state state;

	int lock = host_lock();
	state_read(sys_dir, state_file, &state);
	for (unsigned int node = 0; node < WEIR_MAX_NODES; node++) {
		uint32_t added = state.added.node[node];
		uint32_t count;

		if (!added || node_read(sys_dir, node, "nr_hugepages", &count) < 0)
			continue;
		(void)node_set(sys_dir, node, count - (added < count ? added : count));
	}
	(void)unlink(state_file);
	host_unlock(lock);
}
