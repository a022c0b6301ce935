/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/process/flow_store.h"

#include "dataplane/process/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <numa.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/queue.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define SEED_BYTES sizeof(uint64_t)

struct mapping {
	void *memory; /* owned; NULL: none */
	size_t bytes;
};

struct entry {
	LIST_ENTRY(entry) link;
	struct mapping own;
	struct mapping old;
	bool committed;
	char name[WEIR_NAME_SIZE];
};

struct flow_store {
	LIST_HEAD(, entry) entries;
	int dir; /* owned; files in force */
	int fresh; /* owned; files of configurations that are not in force yet */
	bool in_force; /* a configuration is: what was left is adopted, or of no use */
	char parent[PATH_MAX];
};

static const char *const folders[] = { "flows", "flows.new" };

static int folder_open(const char *parent, const char *name)
{
	char path[PATH_MAX];

	if ((size_t)snprintf(path, sizeof(path), "%s/%s", parent, name) >= sizeof(path))
		return -ENAMETOOLONG;
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return -errno;
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int flow_store_create(const char *dir, struct flow_store **ret_store)
{
	struct flow_store *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	LIST_INIT(&s->entries);
	snprintf(s->parent, sizeof(s->parent), "%s", dir);
	s->dir = folder_open(dir, folders[0]);
	s->fresh = s->dir < 0 ? s->dir : folder_open(dir, folders[1]);
	if (s->fresh < 0) {
		int rc = s->fresh;

		log_warning("cannot keep flows in %s/%s: %s; they will not outlive a restart", dir,
			folders[0], strerror(-rc));
		if (s->dir >= 0)
			close(s->dir);
		free(s);
		return rc;
	}
	*ret_store = s;
	return 0;
}

static void mapping_end(struct mapping *m)
{
	if (m->memory)
		munmap(m->memory, m->bytes);
	*m = (struct mapping){ .memory = NULL };
}

static bool name_is_open(const struct flow_store *s, const char *name)
{
	const struct entry *e;

	LIST_FOREACH(e, &s->entries, link)
		if (e->committed && !strcmp(e->name, name))
			return true;
	return false;
}

static void folder_sweep(const struct flow_store *s, int fd)
{
	int again = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = again < 0 ? NULL : fdopendir(again);
	const struct dirent *item;

	if (!d) {
		if (again >= 0)
			close(again);
		return;
	}
	while ((item = readdir(d)))
		if (strcmp(item->d_name, ".") && strcmp(item->d_name, "..") &&
			(fd == s->fresh || !name_is_open(s, item->d_name)))
			(void)unlinkat(fd, item->d_name, 0);
	closedir(d);
}

void flow_store_sweep(struct flow_store *s)
{
	if (!s)
		return;
	s->in_force = true;
	folder_sweep(s, s->dir);
	folder_sweep(s, s->fresh);
}

static void seed_path(const struct flow_store *s, char *path, size_t size)
{
	snprintf(path, size, "%.*s/seed", (int)size - 8, s->parent);
}

void flow_store_destroy(struct flow_store *s)
{
	char path[PATH_MAX];

	if (!s)
		return;
	/* One that could not even start leaves what it found to the next. */
	if (s->in_force)
		flow_store_sweep(s);
	close(s->dir);
	close(s->fresh);
	snprintf(path, sizeof(path), "%.*s/%s", PATH_MAX - 16, s->parent, folders[1]);
	(void)rmdir(path);
	snprintf(path, sizeof(path), "%.*s/%s", PATH_MAX - 16, s->parent, folders[0]);
	if (rmdir(path) == 0) {
		seed_path(s, path, sizeof(path));
		(void)unlink(path);
	}
	free(s);
}

uint64_t flow_store_seed(struct flow_store *s)
{
	char path[PATH_MAX];
	uint64_t seed;

	seed_path(s, path, sizeof(path));
	int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd >= 0 && read(fd, &seed, SEED_BYTES) == SEED_BYTES) {
		close(fd);
		return seed;
	}
	if (getrandom(&seed, SEED_BYTES, 0) != SEED_BYTES)
		seed = (uint64_t)getpid() * UINT64_C(0x9e3779b97f4a7c15);
	if (fd < 0 || pwrite(fd, &seed, SEED_BYTES, 0) != SEED_BYTES)
		log_warning("cannot write %s: %s; flows will not outlive a restart", path,
			strerror(errno));
	if (fd >= 0)
		close(fd);
	return seed;
}

/* What a predecessor left, read-only; nothing where there is no such file. */
static void old_map(const struct flow_store *s, const char *name, struct mapping *ret)
{
	int fd = openat(s->dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	void *memory = MAP_FAILED;

	if (fd < 0)
		return;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0)
		memory = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	if (memory != MAP_FAILED)
		*ret = (struct mapping){ .memory = memory, .bytes = (size_t)st.st_size };
}

/*
 * Every page is there before the first packet: a page fault later on would take time on the packet path,
 * and end the process when the file system has become full meanwhile.
 */
static int own_map(
	const struct flow_store *s, const char *name, size_t bytes, int node, struct mapping *ret)
{
	(void)unlinkat(s->fresh, name, 0);
	int fd = openat(s->fresh, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return -errno;
	int rc = ftruncate(fd, (off_t)bytes) < 0 ? -errno : 0;
	void *memory = MAP_FAILED;

	if (rc == 0)
		memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (rc == 0 && memory == MAP_FAILED)
		rc = -errno;
	close(fd);
	if (rc == 0 && node >= 0 && numa_available() == 0)
		numa_tonode_memory(memory, bytes, node);
	if (rc == 0 && madvise(memory, bytes, MADV_POPULATE_WRITE) < 0) {
		rc = errno == EFAULT ? -ENOSPC : -errno;
		munmap(memory, bytes);
	}
	if (rc < 0) {
		(void)unlinkat(s->fresh, name, 0);
		return rc;
	}
	*ret = (struct mapping){ .memory = memory, .bytes = bytes };
	return 0;
}

static void *store_open(void *ctx, const char *name, size_t bytes, int node, void **ret_memory,
	const void **ret_old, size_t *ret_old_bytes)
{
	struct flow_store *s = ctx;
	struct entry *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	snprintf(e->name, sizeof(e->name), "%s", name);
	int rc = own_map(s, name, bytes, node, &e->own);

	if (rc < 0) {
		log_warning("service %s: no %zu KiB in %s/%s for copies of its flows: %s; they "
			    "will not outlive a restart",
			name, bytes >> 10, s->parent, folders[0], strerror(-rc));
		free(e);
		return NULL;
	}
	/* A file of this name that is in use is of a service that this one replaces, with other flows. */
	if (!name_is_open(s, name))
		old_map(s, name, &e->old);
	LIST_INSERT_HEAD(&s->entries, e, link);
	*ret_memory = e->own.memory;
	*ret_old = e->old.memory;
	*ret_old_bytes = e->old.bytes;
	return e;
}

static void store_commit(void *ctx, void *handle)
{
	struct flow_store *s = ctx;
	struct entry *e = handle, *other;

	mapping_end(&e->old);
	if (renameat(s->fresh, e->name, s->dir, e->name) < 0)
		log_warning("service %s: %s/%s/%s: %s; its flows will not outlive a restart",
			e->name, s->parent, folders[0], e->name, strerror(errno));
	/* The name is this one's now, also where another service of the name is about to leave. */
	LIST_FOREACH(other, &s->entries, link)
		if (!strcmp(other->name, e->name))
			other->committed = false;
	e->committed = true;
}

static void store_close(void *ctx, void *handle)
{
	struct flow_store *s = ctx;
	struct entry *e = handle;

	LIST_REMOVE(e, link);
	if (e->committed)
		(void)unlinkat(s->dir, e->name, 0);
	mapping_end(&e->own);
	mapping_end(&e->old);
	free(e);
}

static void store_adopted(void *ctx, const char *name, uint32_t flows, uint32_t refused)
{
	if (flows || refused)
		log_notice("service %s: %u flows of before the restart go on, %u do not fit any "
			   "more",
			name, flows, refused);
}

struct fastpath_journal flow_store_journal(struct flow_store *store)
{
	if (!store)
		return (struct fastpath_journal){ .open = NULL };
	return (struct fastpath_journal){
		.ctx = store,
		.open = store_open,
		.commit = store_commit,
		.close = store_close,
		.adopted = store_adopted,
	};
}
