/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/port/twin_notes.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NOTES_NAME "twins"

static void notes_path(const char *instance_dir, const char *suffix, char path[PATH_MAX])
{
	snprintf(path, PATH_MAX, "%s/" NOTES_NAME "%s", instance_dir, suffix);
}

bool twin_notes_have(const struct twin_notes *n, const char *name)
{
	for (size_t i = 0; i < n->count; i++)
		if (strcmp(n->name[i], name) == 0)
			return true;
	return false;
}

static void notes_append(struct twin_notes *n, const char *name)
{
	size_t length = strlen(name);

	if (n->count == TWIN_NOTES_MAX || length == 0 || length >= IFNAMSIZ ||
		strchr(name, '/') != NULL || twin_notes_have(n, name))
		return;
	memcpy(n->name[n->count++], name, length + 1);
}

void twin_notes_read(const char *instance_dir, struct twin_notes *ret_notes)
{
	char path[PATH_MAX];
	char line[256];

	ret_notes->count = 0;
	notes_path(instance_dir, "", path);
	FILE *f = fopen(path, "re");
	if (!f)
		return;
	while (fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = 0;
		notes_append(ret_notes, line);
	}
	fclose(f);
}

static int notes_write(const char *instance_dir, const struct twin_notes *n)
{
	char path[PATH_MAX], fresh[PATH_MAX];

	notes_path(instance_dir, "", path);
	if (n->count == 0)
		return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
	notes_path(instance_dir, ".new", fresh);
	FILE *f = fopen(fresh, "we");
	if (!f)
		return -errno;
	for (size_t i = 0; i < n->count; i++)
		fprintf(f, "%s\n", n->name[i]);
	if (fclose(f) != 0 || rename(fresh, path) < 0) {
		int rc = -errno;

		(void)unlink(fresh);
		return rc;
	}
	return 0;
}

int twin_notes_add(const char *instance_dir, const char *name)
{
	struct twin_notes n;

	twin_notes_read(instance_dir, &n);
	notes_append(&n, name);
	return twin_notes_have(&n, name) ? notes_write(instance_dir, &n) : -ENOSPC;
}

int twin_notes_remove(const char *instance_dir, const char *name)
{
	struct twin_notes n;
	struct twin_notes left = { .count = 0 };

	twin_notes_read(instance_dir, &n);
	for (size_t i = 0; i < n.count; i++)
		if (strcmp(n.name[i], name) != 0)
			notes_append(&left, n.name[i]);
	return notes_write(instance_dir, &left);
}
