/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/daemon/adaptation/adaptation_kept.h"

#include "control/adapt/decision.h"

#include <jansson.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FORMAT 1

bool kept_service_is_empty(const struct kept_service *s)
{
	for (int i = 0; i < ADAPT_CONTROLLER_COUNT; i++)
		if (s->mode[i] != KEPT_MODE_NOT_SET)
			return false;
	return !s->paused;
}

void adaptation_kept_fini(struct adaptation_kept *k)
{
	free(k->services);
	*k = (struct adaptation_kept){ 0 };
}

static json_t *service_document(const struct kept_service *s)
{
	json_t *modes = json_object();

	for (int i = 0; i < ADAPT_CONTROLLER_COUNT; i++)
		if (s->mode[i] != KEPT_MODE_NOT_SET)
			json_object_set_new(modes, adapt_controller_name((enum adapt_controller)i),
				json_string(adapt_mode_name((enum adapt_mode)s->mode[i])));
	return json_pack(
		"{s:s, s:b, s:o}", "name", s->name, "paused", (int)s->paused, "modes", modes);
}

char *adaptation_kept_print(const struct adaptation_kept *k)
{
	json_t *services = json_array();
	char mark[17];

	for (size_t i = 0; i < k->count; i++)
		json_array_append_new(services, service_document(&k->services[i]));
	snprintf(mark, sizeof(mark), "%016" PRIx64, k->text_mark);
	json_t *document = json_pack("{s:i, s:s, s:b, s:o}", "format", FORMAT, "text_mark", mark,
		"paused", (int)k->paused, "services", services);
	char *bytes = document ? json_dumps(document, JSON_INDENT(1)) : NULL;

	json_decref(document);
	return bytes;
}

/* Also false when there is more than that in it. */
static bool has_keys(const json_t *object, size_t count)
{
	return json_is_object(object) && json_object_size(object) == count;
}

static bool mode_read(const json_t *value, int *ret)
{
	const char *text = json_string_value(value);

	for (int i = ADAPT_OFF; text && i <= ADAPT_ON; i++) {
		*ret = i;
		if (!strcmp(text, adapt_mode_name((enum adapt_mode)i)))
			return true;
	}
	return false;
}

static bool modes_read(const json_t *modes, struct kept_service *s)
{
	size_t known = 0;

	for (int i = 0; i < ADAPT_CONTROLLER_COUNT; i++) {
		const json_t *mode =
			json_object_get(modes, adapt_controller_name((enum adapt_controller)i));

		s->mode[i] = KEPT_MODE_NOT_SET;
		if (mode && !mode_read(mode, &s->mode[i]))
			return false;
		known += mode != NULL;
	}
	return has_keys(modes, known);
}

static const char *service_read(const json_t *document, struct kept_service *s)
{
	const json_t *name = json_object_get(document, "name");
	const json_t *paused = json_object_get(document, "paused");

	if (!has_keys(document, 3) || !json_is_boolean(paused))
		return "is not {name, paused, modes}";
	if (!json_string_length(name) || json_string_length(name) > MODEL_NAME_MAX)
		return "has a name that no service can have";
	strcpy(s->name, json_string_value(name));
	s->paused = json_is_true(paused);
	return modes_read(json_object_get(document, "modes"), s) ?
		NULL :
		"has a mode that is not a controller's off, observe or on";
}

static bool is_known(const struct adaptation_kept *k, const char *name)
{
	for (size_t i = 0; i < k->count; i++)
		if (!strcmp(k->services[i].name, name))
			return true;
	return false;
}

static int services_read(const json_t *list, struct adaptation_kept *k, char *err, size_t err_size)
{
	if (!json_is_array(list) || json_array_size(list) > WEIR_MAX_SERVICES) {
		snprintf(err, err_size, "services: expected a list of at most %d",
			WEIR_MAX_SERVICES);
		return -EINVAL;
	}
	k->services = calloc(json_array_size(list) + 1, sizeof(*k->services));
	if (!k->services) {
		snprintf(err, err_size, "out of memory");
		return -ENOMEM;
	}
	for (size_t i = 0; i < json_array_size(list); i++) {
		struct kept_service s = { 0 };
		const char *wrong = service_read(json_array_get(list, i), &s);

		if (!wrong && is_known(k, s.name))
			wrong = "has a name that another one has";
		if (wrong) {
			snprintf(err, err_size, "services: number %zu %s", i + 1, wrong);
			return -EINVAL;
		}
		k->services[k->count++] = s;
	}
	return 0;
}

static bool mark_read(const json_t *value, uint64_t *ret)
{
	const char *mark = json_string_value(value);

	if (!mark || strlen(mark) != 16 || strspn(mark, "0123456789abcdef") != 16)
		return false;
	*ret = strtoull(mark, NULL, 16);
	return true;
}

static int document_read(
	const json_t *document, struct adaptation_kept *k, char *err, size_t err_size)
{
	const json_t *paused = json_object_get(document, "paused");
	const char *wrong = NULL;

	if (json_integer_value(json_object_get(document, "format")) != FORMAT)
		wrong = "its format is not 1";
	else if (!has_keys(document, 4) || !json_is_boolean(paused))
		wrong = "expected {format, text_mark, paused, services}";
	else if (!mark_read(json_object_get(document, "text_mark"), &k->text_mark))
		wrong = "text_mark: expected 16 hexadecimal digits";
	if (wrong) {
		snprintf(err, err_size, "%s", wrong);
		return -EINVAL;
	}
	k->paused = json_is_true(paused);
	return services_read(json_object_get(document, "services"), k, err, err_size);
}

int adaptation_kept_parse(
	const char *bytes, size_t length, struct adaptation_kept *ret, char *err, size_t err_size)
{
	struct adaptation_kept k = { 0 };
	json_error_t error;
	json_t *document = json_loadb(bytes, length, JSON_REJECT_DUPLICATES, &error);

	if (!document) {
		snprintf(err, err_size, "not JSON: %s", error.text);
		return -EINVAL;
	}
	int rc = document_read(document, &k, err, err_size);

	json_decref(document);
	if (rc)
		adaptation_kept_fini(&k);
	else
		*ret = k;
	return rc;
}
