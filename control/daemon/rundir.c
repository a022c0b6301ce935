/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/daemon/rundir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCK_NAME	"controld.lock"
#define LOCK_ATTEMPTS	100 /* while others end, and take the folder away */
#define FILE_MAX	(64u << 20)
#define SOCKET_PATH_MAX 107 /* of struct sockaddr_un, without the NUL */

int folder_make(const char *path, mode_t mode)
{
	char part[PATH_MAX];

	snprintf(part, sizeof(part), "%s", path);
	for (char *p = part + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = 0;
		if (mkdir(part, 0755) && errno != EEXIST)
			return -errno;
		*p = '/';
	}
	return mkdir(part, mode) && errno != EEXIST ? -errno : 0;
}

static int lock_take(struct rundir *r, const char *instance, char *err, size_t err_size)
{
	char path[PATH_MAX];
	char owner[32] = "";

	rundir_path(r, LOCK_NAME, path);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);

	if (fd < 0) {
		int rc = -errno;

		snprintf(err, err_size, "%s: %s", path, strerror(-rc));
		return rc == -ENOENT ? -EAGAIN : rc;
	}
	if (flock(fd, LOCK_EX | LOCK_NB)) {
		ssize_t n = pread(fd, owner, sizeof(owner) - 1, 0);

		owner[n > 0 ? strcspn(owner, "\n") : 0] = 0;
		snprintf(err, err_size,
			"a weir-controld of instance %s runs already (pid %s); stop it first, or "
			"choose another name with --instance",
			instance, owner[0] ? owner : "unknown");
		close(fd);
		return -EBUSY;
	}
	struct stat lock;

	/* A file that its last owner has removed meanwhile holds nobody off. */
	if (!fstat(fd, &lock) && !lock.st_nlink) {
		snprintf(err, err_size, "%s: removed again and again", path);
		close(fd);
		return -EAGAIN;
	}
	int n = snprintf(owner, sizeof(owner), "%d\n", (int)getpid());

	if (ftruncate(fd, 0) || pwrite(fd, owner, (size_t)n, 0) != n)
		owner[0] = 0; /* only the text of an error message depends on it */
	r->lock_fd = fd;
	return 0;
}

int rundir_open(const char *instance, struct rundir *ret, char *err, size_t err_size)
{
	const char *top = getenv("WEIR_RUN_DIR");
	struct rundir r = { .lock_fd = -1 };
	char resolved[PATH_MAX];

	if (!top || !*top)
		top = "/run/weir";
	int rc = folder_make(top, 0755);

	if (!rc && !realpath(top, resolved))
		rc = -errno;
	if (rc) {
		snprintf(err, err_size, "%s: %s", top, strerror(-rc));
		return rc;
	}
	/* A socket's name has to fit into a sockaddr, and is the longest that is in use. */
	if (strlen(resolved) + strlen(instance) + sizeof("//dataplane.sock") > SOCKET_PATH_MAX) {
		snprintf(err, err_size, "%s/%s: too long for a socket's path", resolved, instance);
		return -ENAMETOOLONG;
	}
	snprintf(r.top, sizeof(r.top), "%.200s", resolved);
	snprintf(r.path, sizeof(r.path), "%.200s/%s", resolved, instance);
	for (int i = 0; i < LOCK_ATTEMPTS; i++) {
		rc = folder_make(r.path, 0755);
		if (rc)
			snprintf(err, err_size, "%s: %s", r.path, strerror(-rc));
		else
			rc = lock_take(&r, instance, err, err_size);
		if (rc != -EAGAIN)
			break;
	}
	if (!rc)
		*ret = r;
	return rc;
}

void rundir_close(struct rundir *r)
{
	if (r->lock_fd >= 0)
		close(r->lock_fd);
	r->lock_fd = -1;
}

void rundir_remove(struct rundir *r)
{
	rundir_unlink(r, LOCK_NAME);
	rmdir(r->path); /* what others put there keeps it */
}

const char *rundir_path(const struct rundir *r, const char *name, char *buf)
{
	snprintf(buf, PATH_MAX, "%s/%s", r->path, name);
	return buf;
}

static int write_all(int fd, const char *text, size_t length)
{
	while (length) {
		ssize_t n = write(fd, text, length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		text += n;
		length -= (size_t)n;
	}
	return 0;
}

int file_replace(const char *path, const char *text, size_t length, bool durable)
{
	char temporary[PATH_MAX + 8];

	snprintf(temporary, sizeof(temporary), "%s.new", path);
	int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0)
		return -errno;
	int rc = write_all(fd, text, length);

	if (!rc && durable && fsync(fd))
		rc = -errno;
	if (close(fd) && !rc)
		rc = -errno;
	if (!rc && rename(temporary, path))
		rc = -errno;
	if (rc)
		unlink(temporary);
	return rc;
}

int rundir_write(const struct rundir *r, const char *name, const char *text, size_t length)
{
	char path[PATH_MAX];

	return file_replace(rundir_path(r, name, path), text, length, false);
}

void rundir_unlink(const struct rundir *r, const char *name)
{
	char path[PATH_MAX];

	unlink(rundir_path(r, name, path));
}

int file_read(const char *path, char **ret_text, size_t *ret_length)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t size = 0, capacity = 65536;
	int rc = 0;

	if (fd < 0)
		return -errno;
	char *text = malloc(capacity);

	while (text) {
		ssize_t n = read(fd, text + size, capacity - size - 1);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			rc = n < 0 ? -errno : 0;
			break;
		}
		size += (size_t)n;
		if (size > FILE_MAX) {
			rc = -EFBIG;
			break;
		}
		if (capacity - size > 1)
			continue;
		char *grown = realloc(text, capacity * 2);

		if (!grown) {
			free(text);
			text = NULL;
			break;
		}
		text = grown;
		capacity *= 2;
	}
	close(fd);
	if (!text)
		return -ENOMEM;
	if (rc) {
		free(text);
		return rc;
	}
	text[size] = 0;
	*ret_text = text;
	*ret_length = size;
	return 0;
}

int rundir_read(const struct rundir *r, const char *name, char **ret_text, size_t *ret_length)
{
	char path[PATH_MAX];

	return file_read(rundir_path(r, name, path), ret_text, ret_length);
}
