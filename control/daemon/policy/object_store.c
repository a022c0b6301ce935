/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/daemon/policy/object_store.h"

#include "control/daemon/log.h"
#include "control/daemon/policy/sha256.h"
#include "control/daemon/rundir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER "objects"

#define NAME_SIZE (SHA256_TEXT_SIZE + sizeof(".o"))

static const char *copy_name(const char *sha256, char name[NAME_SIZE])
{
	snprintf(name, NAME_SIZE, "%.64s.o", sha256);
	return name;
}

static const char *folder_path(const struct revision_store *s, char buf[PATH_MAX])
{
	snprintf(buf, PATH_MAX, "%s/" FOLDER, s->path);
	return buf;
}

static const char *copy_path(const struct revision_store *s, const char *sha256, char buf[PATH_MAX])
{
	snprintf(buf, PATH_MAX, "%s/" FOLDER "/%.64s.o", s->path, sha256);
	return buf;
}

/* From the beginning of one file to another that is new. */
static int copy_bytes(int from, int to)
{
	struct stat info;
	off_t at = 0;

	if (fstat(from, &info))
		return -errno;
	while (at < info.st_size) {
		ssize_t n = sendfile(to, from, &at, (size_t)(info.st_size - at));

		if (n < 0 && errno != EINTR)
			return -errno;
		if (!n)
			return -EIO;
	}
	return fsync(to) ? -errno : 0;
}

int object_store_put(const struct revision_store *s, const char *sha256, int fd)
{
	char path[PATH_MAX], temporary[PATH_MAX + 8];

	if (object_store_find(s, sha256, path))
		return 0;
	int rc = folder_make(folder_path(s, path), 0700);

	snprintf(temporary, sizeof(temporary), "%s.new", copy_path(s, sha256, path));
	int to = rc ? -1 : open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (!rc)
		rc = to < 0 ? -errno : copy_bytes(fd, to);
	if (to >= 0)
		close(to);
	if (!rc && rename(temporary, path))
		rc = -errno;
	if (rc) {
		unlink(temporary);
		log_error("%s cannot be written: %s; going back to this configuration will not "
			  "find the policy as it is now",
			path, strerror(-rc));
	}
	return rc;
}

bool object_store_find(const struct revision_store *s, const char *sha256, char ret_path[PATH_MAX])
{
	char found[SHA256_TEXT_SIZE];
	size_t length;
	char *bytes;

	if (file_read(copy_path(s, sha256, ret_path), &bytes, &length))
		return false;
	sha256_text(bytes, length, found);
	free(bytes);
	return !strcmp(found, sha256);
}

/* Note what an entry names, as long as there is room. */
static void needed_add(
	const struct revision_store *s, const struct revision *r, json_t *needed, uint64_t *room)
{
	char path[PATH_MAX], name[NAME_SIZE];
	const json_t *object;
	struct stat info;
	size_t i;

	json_array_foreach(r->objects, i, object)
	{
		const char *sha256 = json_string_value(json_object_get(object, "sha256"));

		if (json_object_get(needed, copy_name(sha256, name)) ||
			stat(copy_path(s, sha256, path), &info) || (uint64_t)info.st_size > *room)
			continue;
		*room -= (uint64_t)info.st_size;
		json_object_set_new(needed, name, json_true());
	}
}

void object_store_prune(const struct revision_store *s)
{
	int confirmed = revision_confirmed(s->list, s->count);
	uint64_t room = OBJECTS_MAX_BYTES;
	json_t *needed = json_object();
	char path[PATH_MAX];
	struct dirent *e;
	DIR *folder = needed ? opendir(folder_path(s, path)) : NULL;

	if (s->count)
		needed_add(s, &s->list[0], needed, &room);
	if (confirmed >= 0)
		needed_add(s, &s->list[confirmed], needed, &room);
	for (size_t i = 1; i < s->count; i++)
		needed_add(s, &s->list[i], needed, &room);
	while (folder && (e = readdir(folder)))
		if (e->d_name[0] != '.' && !json_object_get(needed, e->d_name))
			unlinkat(dirfd(folder), e->d_name, 0);
	if (folder)
		closedir(folder);
	json_decref(needed);
}
