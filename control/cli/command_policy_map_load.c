/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A file into a map. All of it is read before anything is sent, so that a bad line changes nothing; and kept as
 * bytes, because a list may have a million lines.
 */

#include "control/cli/command.h"
#include "control/cli/policy_map.h"
#include "control/cli/printer.h"
#include "control/cli/rpc.h"
#include "control/report/map_text.h"

#include <linux/bpf.h>

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BATCH 8192 /* entries in one request */

struct entries {
	struct map_shape shape;
	size_t size; /* of one: key and value */
	uint8_t *bytes; /* owned */
	size_t count;
	size_t capacity;
	size_t most; /* entries that the map has room for */
};

static const uint8_t *entry_at(const struct entries *e, size_t i)
{
	return e->bytes + i * e->size;
}

/* What the map looks like; also tells at once when there is none. */
static int shape_ask(struct cli *cli, struct entries *e)
{
	json_t *part;
	int status = policy_map_part(cli, NULL, 1, &part);
	if (status != CLI_DONE)
		return status;
	const char *type = json_string_value(json_object_get(part, "type"));

	if (type != NULL && strstr(type, "array") != NULL && cli_value(cli, "replace", 0) != NULL)
		status = cli_fail(cli, CLI_FAILED,
			"%s is an array, which always has all of its entries: leave out --replace",
			cli->arguments[1]);
	e->shape.type = type != NULL && strcmp(type, "lpm_trie") == 0 ? BPF_MAP_TYPE_LPM_TRIE :
									BPF_MAP_TYPE_HASH;
	e->shape.key_size = (uint32_t)json_integer_value(json_object_get(part, "key_size"));
	e->shape.value_size = (uint32_t)json_integer_value(json_object_get(part, "value_size"));
	e->size = e->shape.key_size + (size_t)e->shape.value_size;
	e->most = (size_t)json_integer_value(json_object_get(part, "max_entries"));
	json_decref(part);
	return status;
}

/* Room for one more; NULL: there is no memory. */
static uint8_t *entry_add(struct entries *e)
{
	if (e->count == e->capacity) {
		size_t capacity = e->capacity > 0 ? 2 * e->capacity : 1024;
		uint8_t *bytes = realloc(e->bytes, capacity * e->size);
		if (bytes == NULL)
			return NULL;
		e->bytes = bytes;
		e->capacity = capacity;
	}
	return e->bytes + e->count++ * e->size;
}

/* Cut a line into key and value; NULL: there is none. */
static char *line_cut(char *line, char **ret_value)
{
	line[strcspn(line, "#\r\n")] = '\0';
	char *key = line + strspn(line, " \t");
	char *behind = key + strcspn(key, " \t");
	char *value = behind + strspn(behind, " \t");
	size_t length = strlen(value);

	while (length > 0 && isspace((unsigned char)value[length - 1]))
		value[--length] = '\0';
	*behind = '\0';
	*ret_value = *value != '\0' ? value : NULL;
	return *key != '\0' ? key : NULL;
}

/* One line; false when it is wrong, which is told. */
static bool line_read(struct cli *cli, char *line, size_t number, struct entries *e)
{
	char err[256], *value;
	char *key = line_cut(line, &value);

	if (key == NULL)
		return true;
	uint8_t *entry = entry_add(e);
	const char *preset = cli_value(cli, "value", 0);

	if (value == NULL)
		value = (char *)(uintptr_t)(preset != NULL ? preset : "1");
	if (entry == NULL)
		snprintf(err, sizeof(err), "out of memory");
	else if (e->count > e->most)
		snprintf(err, sizeof(err), "the map has room for %zu entries", e->most);
	else if (map_key_read(&e->shape, key, entry, err, sizeof(err)) &&
		map_value_read(&e->shape, value, entry + e->shape.key_size, err, sizeof(err)))
		return true;
	fprintf(cli->err, "%s:%zu: %s\n", cli_file_label(cli->arguments[2]), number, err);
	return false;
}

/* Line by line, for the file may be large. Every one that is wrong is told, up to a screenful. */
static int lines_read(struct cli *cli, FILE *file, struct entries *e)
{
	char *line = NULL;
	size_t room = 0, number = 0;
	unsigned int wrong = 0;

	while (wrong < 20 && e->count <= e->most && getline(&line, &room, file) >= 0)
		wrong += !line_read(cli, line, ++number, e);
	free(line);
	if (ferror(file))
		return cli_fail(cli, CLI_FAILED, "cannot read %s: %s",
			cli_file_label(cli->arguments[2]), strerror(errno));
	return wrong == 0 ? CLI_DONE : CLI_FAILED;
}

static int file_read_entries(struct cli *cli, struct entries *e)
{
	if (strcmp(cli->arguments[2], "-") == 0)
		return lines_read(cli, stdin, e);
	FILE *file = fopen(cli->arguments[2], "re");
	if (file == NULL)
		return cli_fail(
			cli, CLI_FAILED, "cannot read %s: %s", cli->arguments[2], strerror(errno));
	int status = lines_read(cli, file, e);

	fclose(file);
	return status;
}

static int send_part(struct cli *cli, const char *method, const char *name, json_t *list)
{
	json_t *params = policy_map_parameters(cli), *result;

	json_object_set_new(params, name, list);
	int status = rpc_call(cli, method, params, RPC_LONG_TIMEOUT_MS, &result);
	if (status == CLI_DONE)
		json_decref(result);
	return status;
}

/* A text that reads back as the value, also where a document has a number. */
static json_t *value_text(const struct map_shape *shape, const uint8_t *value)
{
	json_t *document = map_value_document(shape, value);

	if (!json_is_integer(document))
		return document;
	json_t *text = json_sprintf("%" JSON_INTEGER_FORMAT, json_integer_value(document));

	json_decref(document);
	return text;
}

static int entries_send(struct cli *cli, const struct entries *e)
{
	int status = CLI_DONE;

	for (size_t at = 0; status == CLI_DONE && at < e->count; at += BATCH) {
		json_t *list = json_array();

		for (size_t i = at; i < at + BATCH && i < e->count; i++) {
			const uint8_t *entry = entry_at(e, i);

			json_array_append_new(list,
				json_pack("[o, o]", map_key_document(&e->shape, entry),
					value_text(&e->shape, entry + e->shape.key_size)));
		}
		status = send_part(cli, "policy.map.set", "entries", list);
	}
	return status;
}

static int key_compare(const void *a, const void *b, void *size)
{
	return memcmp(a, b, *(const uint32_t *)size);
}

static bool entries_have(const struct entries *e, const uint8_t *key)
{
	size_t low = 0, high = e->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = memcmp(entry_at(e, middle), key, e->shape.key_size);

		if (order == 0)
			return true;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}

/* Keys of the map that the sorted entries do not have. */
static int find_gone(struct cli *cli, const struct entries *e, json_t *gone)
{
	json_t *next = NULL;
	int status = CLI_DONE;

	do {
		uint8_t key[256];
		char err[256];
		json_t *part, *entry;
		size_t i;

		status = policy_map_part(cli, next, SIZE_MAX, &part);
		json_decref(next);
		if (status != CLI_DONE)
			return status;
		json_array_foreach(json_object_get(part, "entries"), i, entry)
		{
			json_t *text = json_object_get(entry, "key");

			if (e->shape.key_size <= sizeof(key) &&
				map_key_read(&e->shape, json_string_value(text), key, err,
					sizeof(err)) &&
				!entries_have(e, key))
				json_array_append(gone, text);
		}
		next = json_incref(json_object_get(part, "next"));
		json_decref(part);
	} while (json_is_string(next));
	json_decref(next);
	return status;
}

static int keys_delete(struct cli *cli, const json_t *keys)
{
	int status = CLI_DONE;

	for (size_t at = 0; status == CLI_DONE && at < json_array_size(keys); at += BATCH) {
		json_t *list = json_array();

		for (size_t i = at; i < at + BATCH && i < json_array_size(keys); i++)
			json_array_append(list, json_array_get(keys, i));
		status = send_part(cli, "policy.map.delete", "keys", list);
	}
	return status;
}

/*
 * A source that both lists cover, be it by other prefixes, must not be without one meanwhile: the new entries come
 * before the old ones go. Only where a map has no room for both it is the other way round.
 */
static int entries_replace(struct cli *cli, struct entries *e, size_t *ret_deleted)
{
	json_t *gone = json_array();
	qsort_r(e->bytes, e->count, e->size, key_compare, &e->shape.key_size);
	int status = find_gone(cli, e, gone);
	bool both = e->count + json_array_size(gone) <= e->most;

	if (status == CLI_DONE)
		status = both ? entries_send(cli, e) : keys_delete(cli, gone);
	if (status == CLI_DONE)
		status = both ? keys_delete(cli, gone) : entries_send(cli, e);
	*ret_deleted = json_array_size(gone);
	json_decref(gone);
	return status;
}

int command_policy_map_load(struct cli *cli)
{
	struct entries e = { 0 };
	size_t deleted = 0;
	int status = shape_ask(cli, &e);

	if (status == CLI_DONE)
		status = file_read_entries(cli, &e);
	if (status == CLI_DONE && cli_value(cli, "replace", 0) != NULL)
		status = entries_replace(cli, &e, &deleted);
	else if (status == CLI_DONE)
		status = entries_send(cli, &e);
	if (status == CLI_DONE) {
		json_t *result = json_pack(
			"{s:I, s:I}", "set", (json_int_t)e.count, "deleted", (json_int_t)deleted);

		if (!printer_json(cli, result))
			fprintf(cli->out, "%s %s: %zu entries set, %zu deleted\n",
				cli->arguments[0], cli->arguments[1], e.count, deleted);
		json_decref(result);
	}
	free(e.bytes);
	return status;
}
