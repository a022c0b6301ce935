/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/daemon/revision/revision_store.h"

#include "control/daemon/log.h"
#include "control/daemon/rundir.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *file_path(const struct revision_store *s, uint64_t number, char *buf)
{
	snprintf(buf, PATH_MAX, "%s/%08" PRIu64 ".json", s->path, number);
	return buf;
}

static int by_number(const void *a, const void *b)
{
	const struct revision *ra = a, *rb = b;

	return ra->number < rb->number ? 1 : -1;
}

/* "00000012.json"; 0: not one of ours. */
static uint64_t number_of(const char *name)
{
	char *end;
	uint64_t number = strtoull(name, &end, 10);

	return end != name && !strcmp(end, ".json") && name[0] >= '0' && name[0] <= '9' ? number :
											  0;
}

int revision_store_read(const struct revision_store *s, uint64_t number, struct revision *ret,
	char *err, size_t err_size)
{
	char path[PATH_MAX];
	size_t length;
	char *bytes;
	int rc = file_read(file_path(s, number, path), &bytes, &length);

	if (rc) {
		snprintf(err, err_size, "%s", strerror(-rc));
		return rc;
	}
	rc = revision_parse(bytes, length, ret, err, err_size);
	free(bytes);
	if (!rc && ret->number != number) {
		snprintf(err, err_size, "it says to be number %" PRIu64, ret->number);
		revision_fini(ret);
		rc = -EINVAL;
	}
	if (rc == -ENOMEM)
		snprintf(err, err_size, "out of memory");
	return rc;
}

static void text_drop(struct revision *r)
{
	free(r->text);
	r->text = NULL;
}

static void file_take(struct revision_store *s, uint64_t number)
{
	struct revision r;
	char err[256];

	if (number > s->last)
		s->last = number;
	if (revision_store_read(s, number, &r, err, sizeof(err))) {
		log_warning("%s/%08" PRIu64 ".json is not used: %s", s->path, number, err);
		return;
	}
	text_drop(&r);
	/* One place more than is kept, for the newest that come: the oldest goes. */
	if (s->count > REVISIONS_MAX) {
		qsort(s->list, s->count, sizeof(r), by_number);
		revision_fini(&s->list[--s->count]);
	}
	s->list[s->count++] = r;
}

int revision_store_open(struct revision_store *s, const char *path)
{
	struct dirent *entry;

	memset(s, 0, sizeof(*s));
	bool fits = snprintf(s->path, sizeof(s->path), "%s", path) < (int)sizeof(s->path);
	/* Configurations are nobody else's business. */
	int rc = fits ? folder_make(path, 0700) : -ENAMETOOLONG;
	DIR *folder = rc ? NULL : opendir(path);

	if (!folder) {
		rc = rc ? rc : -errno;
		log_error("%s: %s; the history of configurations is not kept", path, strerror(-rc));
		return rc;
	}
	while ((entry = readdir(folder)))
		if (number_of(entry->d_name))
			file_take(s, number_of(entry->d_name));
	closedir(folder);
	qsort(s->list, s->count, sizeof(s->list[0]), by_number);
	while (s->count > REVISIONS_MAX)
		revision_fini(&s->list[--s->count]);
	return 0;
}

void revision_store_close(struct revision_store *s)
{
	while (s->count)
		revision_fini(&s->list[--s->count]);
	rmdir(s->path); /* with anything in it, it stays */
}

/* On the disk before the one that it may take the place of goes. */
static int file_write(const struct revision_store *s, const struct revision *r)
{
	char path[PATH_MAX];
	char *bytes = revision_print(r);

	file_path(s, r->number, path);
	int rc = bytes ? file_replace(path, bytes, strlen(bytes), true) : -ENOMEM;

	free(bytes);
	if (rc)
		log_error("%s cannot be written: %s", path, strerror(-rc));
	return rc;
}

static void entry_remove(struct revision_store *s, size_t index)
{
	revision_fini(&s->list[index]);
	memmove(&s->list[index], &s->list[index + 1], (--s->count - index) * sizeof(s->list[0]));
}

void revision_store_skip(struct revision_store *s, size_t index)
{
	entry_remove(s, index);
}

/* The oldest goes, but not the one to go back to. Files that cannot be used go with their age. */
static void entries_prune(struct revision_store *s)
{
	char path[PATH_MAX];

	while (s->count > REVISIONS_MAX) {
		size_t oldest = s->count - 1;

		if (revision_confirmed(s->list, s->count) == (int)oldest)
			oldest--;
		unlink(file_path(s, s->list[oldest].number, path));
		entry_remove(s, oldest);
	}
	if (s->last <= REVISIONS_MAX)
		return;
	DIR *folder = opendir(s->path);
	struct dirent *entry;

	while (folder && (entry = readdir(folder))) {
		uint64_t number = number_of(entry->d_name);

		if (number && number <= s->last - REVISIONS_MAX &&
			revision_store_find(s, number) < 0)
			unlink(file_path(s, number, path));
	}
	if (folder)
		closedir(folder);
}

int revision_store_add(struct revision_store *s, const struct revision *r)
{
	struct revision kept = *r;

	kept.number = s->last + 1;
	kept.file = strdup(r->file);
	int rc = kept.file ? file_write(s, &kept) : -ENOMEM;

	if (rc) {
		free(kept.file);
		return rc;
	}
	s->last++;
	kept.text = NULL;
	kept.objects = json_incref(r->objects);
	memmove(&s->list[1], &s->list[0], s->count * sizeof(s->list[0]));
	s->list[0] = kept;
	s->count++;
	entries_prune(s);
	return 0;
}

static int newest_rewrite(
	struct revision_store *s, bool confirmed, const struct boot_time *until, json_t *objects)
{
	struct revision r;
	char err[256];

	if (!s->count)
		return -ENOENT;
	int rc = revision_store_read(s, s->list[0].number, &r, err, sizeof(err));

	if (rc) {
		log_error("%s/%08" PRIu64 ".json: %s", s->path, s->list[0].number, err);
		return rc;
	}
	r.confirmed = confirmed;
	if (until)
		r.until = *until;
	if (objects) {
		json_decref(r.objects);
		r.objects = json_incref(objects);
	}
	rc = file_write(s, &r);
	if (!rc) {
		s->list[0].confirmed = confirmed;
		s->list[0].until = r.until;
		json_decref(s->list[0].objects);
		s->list[0].objects = json_incref(r.objects);
	}
	revision_fini(&r);
	return rc;
}

int revision_store_confirm(struct revision_store *s)
{
	return newest_rewrite(s, true, NULL, NULL);
}

int revision_store_extend(struct revision_store *s, const struct boot_time *until)
{
	return newest_rewrite(s, false, until, NULL);
}

int revision_store_objects(struct revision_store *s, json_t *objects)
{
	return newest_rewrite(s, s->count && s->list[0].confirmed, NULL, objects);
}

int revision_store_find(const struct revision_store *s, uint64_t number)
{
	for (size_t i = 0; i < s->count; i++)
		if (s->list[i].number == number)
			return (int)i;
	return -1;
}
