/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/daemon/revision/revision.h"

#include "control/config/fnv.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FORMAT 1

static const char *const how_names[] = { [REVISION_START] = "start",
	[REVISION_APPLY] = "apply",
	[REVISION_RELOAD] = "reload",
	[REVISION_UNDO] = "undo",
	[REVISION_ROLLBACK] = "rollback" };

const char *revision_how_name(enum revision_how how)
{
	return how_names[how];
}

void revision_fini(struct revision *r)
{
	free(r->file);
	free(r->text);
	json_decref(r->objects);
	*r = (struct revision){ 0 };
}

/* Of the document without its check sum, written in the one order that there is. */
static bool document_check(json_t *document, char ret_check[17])
{
	char *text = json_dumps(document, JSON_COMPACT | JSON_SORT_KEYS);

	snprintf(ret_check, 17, "%016" PRIx64, fnv_1a(FNV_BASIS, text, text ? strlen(text) : 0));
	free(text);
	return text != NULL;
}

static json_t *until_document(const struct revision *r)
{
	return r->confirmed ? json_null() :
			      json_pack("{s:I, s:s}", "boottime_ms", (json_int_t)r->until.ms,
				      "boot", r->until.boot);
}

char *revision_print(const struct revision *r)
{
	char mark[17], check[17];
	char *bytes = NULL;

	snprintf(mark, sizeof(mark), "%016" PRIx64, r->start_mark);
	json_t *document = json_pack(
		"{s:i, s:I, s:I, s:s, s:o, s:I, s:i, s:s, s:o, s:s, s:s%, s:O*}", "format", FORMAT,
		"number", (json_int_t)r->number, "time_ms", (json_int_t)r->time_ms, "how",
		how_names[r->how], "by", who_document(&r->who), "of", (json_int_t)r->of, "changes",
		(int)r->changes, "start_mark", mark, "confirm_until", until_document(r), "file",
		r->file, "text", r->text, r->length, "objects", r->objects);

	if (document && document_check(document, check) &&
		!json_object_set_new(document, "check", json_string(check)))
		bytes = json_dumps(document, JSON_INDENT(1));
	json_decref(document);
	return bytes;
}

/* A number that is not negative; false when it is something else. */
static bool number_read(const json_t *document, const char *key, uint64_t *ret)
{
	json_t *value = json_object_get(document, key);

	*ret = (uint64_t)json_integer_value(value);
	return json_is_integer(value) && json_integer_value(value) >= 0;
}

static bool until_read(const json_t *document, struct revision *r)
{
	json_t *until = json_object_get(document, "confirm_until");
	const char *boot = json_string_value(json_object_get(until, "boot"));

	r->confirmed = json_is_null(until);
	if (r->confirmed)
		return true;
	if (!boot || strlen(boot) >= sizeof(r->until.boot))
		return false;
	snprintf(r->until.boot, sizeof(r->until.boot), "%s", boot);
	return number_read(until, "boottime_ms", &r->until.ms);
}

static bool how_read(const json_t *document, enum revision_how *ret)
{
	const char *how = json_string_value(json_object_get(document, "how"));

	for (int i = 0; how && i < REVISION_HOW_COUNT; i++) {
		*ret = (enum revision_how)i;
		if (!strcmp(how, how_names[i]))
			return true;
	}
	return false;
}

static bool mark_read(const json_t *document, uint64_t *ret)
{
	const char *mark = json_string_value(json_object_get(document, "start_mark"));
	char *end;

	*ret = mark ? strtoull(mark, &end, 16) : 0;
	return mark && end != mark && !*end;
}

static bool is_sha256(const char *text)
{
	return text && strlen(text) == 64 && strspn(text, "0123456789abcdef") == 64;
}

const char *revision_object(const json_t *objects, const char *path)
{
	const json_t *object;
	size_t i;

	json_array_foreach(objects, i, object)
	{
		if (!strcmp(json_string_value(json_object_get(object, "path")), path))
			return json_string_value(json_object_get(object, "sha256"));
	}
	return NULL;
}

static bool objects_are_good(const json_t *objects)
{
	const json_t *object;
	size_t i;

	if (objects && !json_is_array(objects))
		return false;
	json_array_foreach(objects, i, object)
	{
		if (!json_is_string(json_object_get(object, "path")) ||
			!is_sha256(json_string_value(json_object_get(object, "sha256"))))
			return false;
	}
	return true;
}

/* What the check sum cannot tell: written by another version, or by hand. Texts are still borrowed. */
static const char *fields_read(const json_t *document, struct revision *r)
{
	uint64_t changes;

	if (!number_read(document, "number", &r->number) || !r->number)
		return "number";
	if (!number_read(document, "time_ms", &r->time_ms))
		return "time_ms";
	if (!number_read(document, "of", &r->of) || r->of >= r->number)
		return "of";
	if (!number_read(document, "changes", &changes) || changes > UINT32_MAX)
		return "changes";
	r->changes = (uint32_t)changes;
	if (!how_read(document, &r->how))
		return "how";
	if (!who_read(json_object_get(document, "by"), &r->who))
		return "by";
	if (!mark_read(document, &r->start_mark))
		return "start_mark";
	if (!until_read(document, r))
		return "confirm_until";
	if (!json_is_string(json_object_get(document, "file")))
		return "file";
	if (!json_is_string(json_object_get(document, "text")))
		return "text";
	if (!objects_are_good(json_object_get(document, "objects")))
		return "objects";
	return NULL;
}

static int document_read(json_t *document, struct revision *ret, char *err, size_t err_size)
{
	json_t *stated = json_incref(json_object_get(document, "check"));
	const char *text = json_string_value(stated);
	char check[17];

	json_object_del(document, "check");
	bool damaged = !text || !document_check(document, check) || strcmp(text, check) != 0;

	json_decref(stated);
	if (damaged) {
		snprintf(err, err_size, "its check sum is wrong: it is damaged");
		return -EINVAL;
	}
	if (json_integer_value(json_object_get(document, "format")) != FORMAT) {
		snprintf(err, err_size, "its format is not %d", FORMAT);
		return -EINVAL;
	}
	struct revision r = { 0 };
	const char *wrong = fields_read(document, &r);

	if (wrong) {
		snprintf(err, err_size, "%s is missing or wrong", wrong);
		return -EINVAL;
	}
	json_t *content = json_object_get(document, "text");

	r.file = strdup(json_string_value(json_object_get(document, "file")));
	r.length = json_string_length(content);
	r.text = malloc(r.length + 1);
	if (!r.file || !r.text) {
		revision_fini(&r);
		return -ENOMEM;
	}
	memcpy(r.text, json_string_value(content), r.length + 1);
	r.objects = json_incref(json_object_get(document, "objects"));
	*ret = r;
	return 0;
}

int revision_parse(
	const char *bytes, size_t length, struct revision *ret, char *err, size_t err_size)
{
	json_error_t error;
	json_t *document = json_loadb(bytes, length, JSON_REJECT_DUPLICATES, &error);

	if (!document) {
		snprintf(err, err_size, "not JSON: %s", error.text);
		return -EINVAL;
	}
	int rc = -EINVAL;

	if (json_is_object(document))
		rc = document_read(document, ret, err, err_size);
	else
		snprintf(err, err_size, "not an object");
	json_decref(document);
	return rc;
}

uint64_t revision_left_ms(const struct revision *r, const struct boot_time *now)
{
	if (strcmp(r->until.boot, now->boot) || now->ms >= r->until.ms)
		return 0;
	return r->until.ms - now->ms;
}

int revision_confirmed(const struct revision *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (list[i].confirmed)
			return (int)i;
	return -1;
}

int revision_choose(const struct revision *list, size_t count, uint64_t start_mark,
	const struct boot_time *now, bool *ret_expired)
{
	*ret_expired = false;
	if (!count || list[0].start_mark != start_mark)
		return -1;
	if (list[0].confirmed || revision_left_ms(&list[0], now))
		return 0;
	*ret_expired = true;
	return revision_confirmed(list, count);
}

int revision_before(const struct revision *list, size_t count)
{
	if (!count)
		return -1;
	if (!list[0].confirmed)
		return revision_confirmed(list, count);
	uint64_t place = list[0].of ? list[0].of : list[0].number;

	for (size_t i = 1; i < count; i++)
		if (list[i].number < place)
			return (int)i;
	return -1;
}
