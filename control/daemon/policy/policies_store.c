/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What a daemon leaves for the one that comes next: the images in force, in files of their own, so that it
 * goes on with the very same ones, whatever has become of the objects meanwhile.
 */

#include "control/daemon/daemon.h"
#include "control/daemon/log.h"
#include "control/daemon/policy/policies.h"
#include "control/daemon/policy/policies_set.h"
#include "control/daemon/policy/policy_admit.h"
#include "control/daemon/state_file.h"
#include "control/daemon/text_mark.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define FILE_NAME    "policies.json"
#define IMAGE_PREFIX "policy-"
#define NAME_SIZE    48

/* One for all that have the same image. */
static void image_name(uint64_t mark, char name[NAME_SIZE])
{
	snprintf(name, NAME_SIZE, IMAGE_PREFIX "%016" PRIx64 ".image", mark);
}

static bool mark_is_kept(const struct daemon *d, uint64_t mark)
{
	for (const struct policy_kept *k = d->policies.kept; k; k = k->next)
		if (k->bytes->mark == mark)
			return true;
	return false;
}

static json_t *number_json(uint64_t n)
{
	return json_sprintf("%" PRIx64, n);
}

static uint64_t number_at(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? strtoull(text, NULL, 16) : 0;
}

static json_t *kept_document(const struct policy_kept *k, pid_t pid)
{
	json_t *sets = json_array();

	for (size_t i = 0; i < k->set_count; i++)
		json_array_append_new(sets, json_string(k->sets[i]));
	return json_pack(
		"{s:o, s:s, s:s, s:o, s:o, s:i, s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:s, s:i, s:i, s:o}",
		"id", number_json(k->id), "path", k->path, "object", k->bytes->object, "set", sets,
		"load", number_json(k->load), "cycles_median", (int)k->cycles_median, "cycles_p99",
		(int)k->cycles_p99, "device", number_json(k->stamp.device), "inode",
		number_json(k->stamp.inode), "size", number_json(k->stamp.size), "modified",
		number_json(k->stamp.modified_ns), "changed", number_json(k->stamp.changed_ns),
		"place", number_json(k->place), "offload_why", k->offload_why, "dataplane",
		(int)pid, "kernel_cycles", (int)k->kernel_cycles, "image",
		number_json(k->bytes->mark));
}

/* Files of images that are not kept any more. */
static void images_prune(const struct daemon *d)
{
	DIR *folder = opendir(d->run.path);
	struct dirent *e;
	char name[NAME_SIZE];

	while (folder && (e = readdir(folder))) {
		if (strncmp(e->d_name, IMAGE_PREFIX, strlen(IMAGE_PREFIX)) != 0)
			continue;
		uint64_t mark = strtoull(e->d_name + strlen(IMAGE_PREFIX), NULL, 16);

		image_name(mark, name);
		if (strcmp(name, e->d_name) != 0 || !mark_is_kept(d, mark))
			rundir_unlink(&d->run, e->d_name);
	}
	if (folder)
		closedir(folder);
}

void policies_save(const struct daemon *d)
{
	json_t *list = json_array();
	char name[NAME_SIZE], path[PATH_MAX], mark[24];
	uint64_t last = 0;
	int rc = 0;

	images_prune(d);
	if (!d->policies.kept && !json_array_size(d->policies.set)) {
		rundir_unlink(&d->run, FILE_NAME);
		json_decref(list);
		return;
	}
	for (const struct policy_kept *k = d->policies.kept; k; k = k->next) {
		const struct policy_bytes *b = k->bytes;

		image_name(b->mark, name);
		rundir_path(&d->run, name, path);
		/* What is there already is the same: its name says what it is. */
		if (b->mark != last || rc)
			rc = access(path, F_OK) == 0 ?
				0 :
				rundir_write(&d->run, name, (const char *)b->image, b->image_size);
		last = b->mark;
		if (rc)
			log_error("%s cannot be written: %s", path, strerror(-rc));
		else
			json_array_append_new(list, kept_document(k, dataplane_pid(d->dataplane)));
	}
	snprintf(mark, sizeof(mark), "%" PRIx64, text_mark(d->text, d->text_length));
	state_write(&d->run, FILE_NAME,
		json_pack("{s:o, s:s, s:O}", "kept", list, "text_mark", mark, "policies_set",
			d->policies.set));
}

/* A file as a memfd that nobody can change. Returns it, or -1. */
static int image_open(const struct daemon *d, uint64_t image, size_t *ret_size)
{
	const int seals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
	char name[NAME_SIZE];
	char *text;
	int fd;

	image_name(image, name);
	if (rundir_read(&d->run, name, &text, ret_size))
		return -1;
	fd = memfd_create("weir policy", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	for (size_t done = 0; fd >= 0 && done < *ret_size;) {
		ssize_t n = write(fd, text + done, *ret_size - done);

		if (n <= 0) {
			close(fd);
			fd = -1;
			break;
		}
		done += (size_t)n;
	}
	free(text);
	if (fd >= 0 && fcntl(fd, F_ADD_SEALS, seals)) {
		close(fd);
		fd = -1;
	}
	return fd;
}

static bool kept_continue(struct daemon *d, const json_t *document)
{
	const json_t *sets = json_object_get(document, "set");
	const char *path = json_string_value(json_object_get(document, "path"));
	uint64_t id = number_at(document, "id");
	struct model_policy p = { .load = number_at(document, "load"),
		.set_count = json_array_size(sets),
		.place = number_at(document, "place") };
	const char *why = json_string_value(json_object_get(document, "offload_why"));
	const struct policy_stamp stamp = { number_at(document, "device"),
		number_at(document, "inode"), number_at(document, "size"),
		number_at(document, "modified"), number_at(document, "changed") };
	const char *named = json_string_value(json_object_get(document, "object"));
	const char *object = named ? named : "";
	const uint64_t mark = number_at(document, "image");
	struct policy_answer a = { .admitted = true,
		.object_fd = -1,
		.cycles_median =
			(uint32_t)json_integer_value(json_object_get(document, "cycles_median")),
		.cycles_p99 = (uint32_t)json_integer_value(json_object_get(document, "cycles_p99")),
		.kernel_cycles =
			(uint32_t)json_integer_value(json_object_get(document, "kernel_cycles")) };

	p.sets = calloc(p.set_count + 1, sizeof(*p.sets));
	if (!p.sets || !path || !id)
		goto bad;
	for (size_t i = 0; i < p.set_count; i++) {
		p.sets[i] = (char *)(uintptr_t)json_string_value(json_array_get(sets, i));
		if (!p.sets[i])
			goto bad;
	}
	snprintf(a.offload_why, sizeof(a.offload_why), "%s", why ? why : "");
	/* Those that have the same one stand beside each other. */
	const struct policy_kept *last = d->policies.kept;
	bool same = last && last->bytes->mark == mark && !strcmp(last->bytes->object, object);

	if (!same)
		a.image_fd = image_open(d, mark, &a.image_size);
	if (!same && a.image_fd < 0)
		goto bad;
	struct policy_kept *k = same ? policies_keep_bytes(d, path, &p, &stamp, &a, last->bytes) :
				       policies_keep(d, path, &p, &stamp, &a);

	if (k && !same)
		snprintf(k->bytes->object, sizeof(k->bytes->object), "%s", object);
	free(p.sets);
	if (k)
		k->from_before = (pid_t)json_integer_value(json_object_get(document, "dataplane"));
	/* Its content says what it is called: a file that somebody has changed is not that. */
	return k && k->id == id;
bad:
	free(p.sets);
	return false;
}

void policies_continue(struct daemon *d)
{
	json_t *document = state_read(&d->run, FILE_NAME);
	json_t *list = json_object_get(document, "kept");
	const char *text = json_string_value(json_object_get(document, "text_mark"));
	char mark[24];

	/* What is found first is the newest: each goes in front of those before. */
	for (size_t i = json_array_size(list); i-- > 0;)
		if (!kept_continue(d, json_array_get(list, i)))
			log_warning(
				"a policy's image in %s is not usable: its object is read again",
				d->run.path);
	snprintf(mark, sizeof(mark), "%" PRIx64, text_mark(d->text, d->text_length));
	if (text && !strcmp(text, mark))
		policies_set_continue(d, json_object_get(document, "policies_set"));
	json_decref(document);
}

void policies_forget(const struct daemon *d)
{
	DIR *folder = opendir(d->run.path);
	struct dirent *e;

	while (folder && (e = readdir(folder)))
		if (!strncmp(e->d_name, IMAGE_PREFIX, strlen(IMAGE_PREFIX)))
			rundir_unlink(&d->run, e->d_name);
	if (folder)
		closedir(folder);
	rundir_unlink(&d->run, FILE_NAME);
}
