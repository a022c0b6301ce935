/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/process/instance.h"

#include "dataplane/process/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_SIZE 256

struct instance {
	char dir[PATH_SIZE];
	char lock[PATH_SIZE + 32];
	char socket[PATH_SIZE + 32];
	char hugepages[PATH_SIZE + 32];
	char bpf[PATH_SIZE + 32];
	int lock_fd;
	bool mounted;
};

__attribute__((format(printf, 4, 5))) static int fail(
	int rc, char *err, size_t err_size, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(err, err_size, format, ap);
	va_end(ap);
	return rc;
}

static int directories_make(const char *path)
{
	char part[PATH_SIZE];

	snprintf(part, sizeof(part), "%s", path);
	for (char *slash = part + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = 0;
		if (mkdir(part, 0755) < 0 && errno != EEXIST)
			return -errno;
		*slash = '/';
	}
	return mkdir(part, 0755) < 0 && errno != EEXIST ? -errno : 0;
}

/* The lock goes with the process, however that ends; the number in it is for people. */
static int lock_take(struct instance *i, char *err, size_t err_size)
{
	char pid[32] = "";

	i->lock_fd = open(i->lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (i->lock_fd < 0)
		return fail(-errno, err, err_size, "%s: %s", i->lock, strerror(errno));
	if (flock(i->lock_fd, LOCK_EX | LOCK_NB) < 0) {
		if (read(i->lock_fd, pid, sizeof(pid) - 1) < 0)
			pid[0] = 0;
		pid[strcspn(pid, "\n")] = 0;
		return fail(-EBUSY, err, err_size,
			"another data plane of this instance runs already (pid %s)",
			pid[0] ? pid : "unknown");
	}
	int n = snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
	if (ftruncate(i->lock_fd, 0) < 0 || pwrite(i->lock_fd, pid, (size_t)n, 0) < 0)
		return fail(-errno, err, err_size, "%s: %s", i->lock, strerror(errno));
	return 0;
}

/* Pins live as long as their file system is mounted: taking it away removes them all. */
static void bpffs_remove(struct instance *i)
{
	while (umount2(i->bpf, MNT_DETACH) == 0)
		continue;
	(void)rmdir(i->bpf);
}

static void bpffs_mount(struct instance *i)
{
	if (mkdir(i->bpf, 0700) == 0 && mount("bpf", i->bpf, "bpf", 0, "mode=0700") == 0) {
		i->mounted = true;
		return;
	}
	log_warning("cannot mount a bpffs at %s: %s; kernel interfaces cannot be opened", i->bpf,
		strerror(errno));
}

int instance_open(const char *dir, struct instance **ret_instance, char *err, size_t err_size)
{
	struct instance *i = calloc(1, sizeof(*i));

	if (!i)
		return fail(-ENOMEM, err, err_size, "out of memory");
	i->lock_fd = -1;
	snprintf(i->dir, sizeof(i->dir), "%s", dir);
	snprintf(i->lock, sizeof(i->lock), "%s/dataplane.lock", i->dir);
	snprintf(i->socket, sizeof(i->socket), "%s/dataplane.sock", i->dir);
	snprintf(i->hugepages, sizeof(i->hugepages), "%s/hugepages", i->dir);
	snprintf(i->bpf, sizeof(i->bpf), "%s/bpf", i->dir);
	int rc = directories_make(i->dir);
	if (rc < 0)
		(void)fail(rc, err, err_size, "cannot make the folder %s: %s", dir, strerror(-rc));
	else
		rc = lock_take(i, err, err_size);
	if (rc < 0) {
		if (i->lock_fd >= 0)
			close(i->lock_fd);
		free(i);
		return rc;
	}
	/* The lock is ours, so whatever else is here is a dead one's. */
	(void)unlink(i->socket);
	bpffs_remove(i);
	bpffs_mount(i);
	*ret_instance = i;
	return 0;
}

void instance_close(struct instance *i)
{
	if (!i)
		return;
	(void)unlink(i->socket);
	bpffs_remove(i);
	(void)unlink(i->lock);
	(void)rmdir(i->dir);
	close(i->lock_fd);
	free(i);
}

const char *instance_socket_path(const struct instance *i)
{
	return i->socket;
}

const char *instance_hugepages_path(const struct instance *i)
{
	return i->hugepages;
}
