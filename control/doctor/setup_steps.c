/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/doctor/setup.h"

#include <jansson.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define HELD_MAX 65536 /* of a file that is replaced */

extern char **environ;

/* The folders above a file. */
static int folders_make(const char *path)
{
	char folder[PATH_MAX];

	snprintf(folder, sizeof(folder), "%s", path);
	for (char *at = strchr(folder + 1, '/'); at; at = strchr(at + 1, '/')) {
		*at = '\0';
		if (mkdir(folder, 0755) && errno != EEXIST)
			return -errno;
		*at = '/';
	}
	return 0;
}

/* In one write(), as files in /sys want it. */
static int text_write(const char *path, const char *text, bool creates)
{
	size_t length = strlen(text);
	int rc = creates ? folders_make(path) : 0;

	if (rc)
		return rc;
	int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC | (creates ? O_CREAT : 0), 0644);

	if (fd < 0)
		return -errno;
	ssize_t written = write(fd, text, length);

	rc = written < 0 ? -errno : (size_t)written < length ? -EIO : 0;
	if (close(fd) && !rc)
		rc = -errno;
	return rc;
}

static int act_run(const struct setup_act *act, const char *root)
{
	char path[PATH_MAX];
	int rc = 0;

	if (!act->path)
		return 0;
	if ((size_t)snprintf(path, sizeof(path), "%s%s", root, act->path) >= sizeof(path))
		return -ENAMETOOLONG;
	if (act->text)
		rc = text_write(path, act->text, strncmp(act->path, "/sys/", 5) != 0);
	else if (unlink(path) && errno != ENOENT)
		rc = -errno;
	return act->may_fail ? 0 : rc;
}

/* By the shell: what is run are words of ours. Other roots are not this machine. */
static int command_run(const char *command, const char *root)
{
	char shell[] = "sh", option[] = "-c";
	char *const argv[] = { shell, option, (char *)(uintptr_t)command, NULL };
	pid_t pid;
	int status;

	if (!command || root[0])
		return 0;
	int rc = -posix_spawnp(&pid, "sh", NULL, NULL, argv, environ);

	if (rc)
		return rc;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -ECHILD;
}

/* What the file holds, malloc'ed; NULL when there is none. */
static int held_read(const char *root, const char *path, char **ret_text)
{
	char full[PATH_MAX];

	*ret_text = NULL;
	snprintf(full, sizeof(full), "%s%s", root, path);
	FILE *file = fopen(full, "re");

	if (!file)
		return errno == ENOENT ? 0 : -errno;
	char *text = calloc(1, HELD_MAX + 1);
	size_t length = text ? fread(text, 1, HELD_MAX + 1, file) : 0;

	fclose(file);
	if (!text || length > HELD_MAX) {
		free(text);
		return text ? -EFBIG : -ENOMEM;
	}
	*ret_text = text;
	return 0;
}

/* {path, text, may_fail, command}: how a step is taken back. */
static int undo_document(const struct setup_step *s, const char *root, json_t **ret_document)
{
	const struct setup_act *undo = &s->undo;
	char *held = NULL;
	int rc = undo->path ? 0 : held_read(root, s->act.path, &held);

	if (rc)
		return rc;
	*ret_document = json_pack("{s:s, s:s?, s:b, s:s?}", "path",
		undo->path ? undo->path : s->act.path, "text", undo->path ? undo->text : held,
		"may_fail", (int)undo->may_fail, "command", s->command);
	free(held);
	return *ret_document ? 0 : -EINVAL;
}

/* The last step first. */
static int record_make(const struct setup_plan *p, const char *root, json_t **ret_record)
{
	json_t *list = json_array();

	for (size_t i = p->count; i > 0; i--) {
		json_t *one;
		int rc = undo_document(&p->steps[i - 1], root, &one);

		if (rc) {
			json_decref(list);
			return rc;
		}
		json_array_append_new(list, one);
	}
	*ret_record = json_pack("{s:i, s:o}", "version", 1, "undo", list);
	return *ret_record ? 0 : -ENOMEM;
}

static int record_write(const json_t *record, const char *root)
{
	char path[PATH_MAX];
	char *text = json_dumps(record, JSON_INDENT(1));
	struct stat st;

	snprintf(path, sizeof(path), "%s%s", root, SETUP_RECORD);
	int rc = !text			? -ENOMEM :
		stat(path, &st) == 0	? -EEXIST :
		strlen(text) > HELD_MAX ? -EFBIG :
					  text_write(path, text, true);

	free(text);
	return rc;
}

static void record_remove(const char *root)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s%s", root, SETUP_RECORD);
	unlink(path);
}

/* A path of the record's: absolute, and without a way up. */
static bool path_is_sound(const char *path)
{
	return path && path[0] == '/' && !strstr(path, "/..");
}

static bool record_is_sound(const json_t *record)
{
	json_t *one;
	size_t i;

	if (json_integer_value(json_object_get(record, "version")) != 1 ||
		!json_is_array(json_object_get(record, "undo")))
		return false;
	json_array_foreach(json_object_get(record, "undo"), i, one)
	{
		const json_t *text = json_object_get(one, "text");
		const json_t *command = json_object_get(one, "command");

		if (!path_is_sound(json_string_value(json_object_get(one, "path"))) ||
			(!json_is_string(text) && !json_is_null(text)) ||
			(!json_is_string(command) && !json_is_null(command)))
			return false;
	}
	return true;
}

json_t *setup_record_parse(const char *text, size_t length)
{
	json_t *record = json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL);

	if (record && !record_is_sound(record)) {
		json_decref(record);
		record = NULL;
	}
	return record;
}

/* From the first-th on; all of them, whatever fails. Returns the first error. */
static int record_undo(
	const json_t *record, size_t first, const char *root, char *err, size_t err_size)
{
	const json_t *list = json_object_get(record, "undo");
	int result = 0;

	for (size_t i = first; i < json_array_size(list); i++) {
		const json_t *one = json_array_get(list, i);
		const char *path = json_string_value(json_object_get(one, "path"));
		const char *text = json_string_value(json_object_get(one, "text"));
		const struct setup_act act = { .path = (char *)(uintptr_t)path,
			.text = (char *)(uintptr_t)text,
			.may_fail = json_is_true(json_object_get(one, "may_fail")) };
		const char *command = json_string_value(json_object_get(one, "command"));
		int rc = act_run(&act, root);

		/* A module stays loaded: it does no harm, and others may use it. */
		if (!rc && command && strncmp(command, "modprobe", 8) != 0)
			rc = command_run(command, root);
		if (rc && !result) {
			result = rc;
			snprintf(err, err_size, "cannot take back %s: %s", path, strerror(-rc));
		}
	}
	return result;
}

int setup_apply(const struct setup_plan *p, const char *root, char *err, size_t err_size)
{
	json_t *record = NULL;
	int rc = record_make(p, root, &record);

	if (!rc)
		rc = record_write(record, root);
	if (rc) {
		snprintf(err, err_size,
			rc == -EEXIST ?
				"%s%s is there: weirctl setup undo takes back what was done" :
				"cannot write %s%s: nothing was changed",
			root, SETUP_RECORD);
		json_decref(record);
		return rc;
	}
	for (size_t i = 0; i < p->count; i++) {
		const struct setup_step *s = &p->steps[i];
		char why[512];

		rc = act_run(&s->act, root);
		if (!rc)
			rc = command_run(s->command, root);
		if (!rc)
			continue;
		snprintf(err, err_size, "%s: %s; what was done is taken back",
			s->command && rc == -ECHILD ? s->command : s->act.path, strerror(-rc));
		if (!record_undo(record, p->count - 1 - i, root, why, sizeof(why)))
			record_remove(root);
		break;
	}
	json_decref(record);
	return rc;
}

int setup_undo(const char *root, char *err, size_t err_size)
{
	char *text;
	int rc = held_read(root, SETUP_RECORD, &text);

	if (!rc && !text)
		rc = -ENOENT;
	if (rc) {
		snprintf(err, err_size, "there is nothing to take back: %s%s: %s", root,
			SETUP_RECORD, strerror(-rc));
		return rc;
	}
	json_t *record = setup_record_parse(text, strlen(text));

	free(text);
	if (!record) {
		snprintf(err, err_size, "%s%s is no record of weirctl setup apply", root,
			SETUP_RECORD);
		return -EINVAL;
	}
	rc = record_undo(record, 0, root, err, err_size);

	if (!rc)
		record_remove(root);
	json_decref(record);
	return rc;
}
