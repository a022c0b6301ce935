/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/config/bind.h"

#include "dataplane/api/messages.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH_SIZE 256
#define TEXT_SIZE 512

void node_complain(
	struct error_list *errors, struct node *n, const char *child, const char *format, ...)
{
	char path[PATH_SIZE];
	char text[TEXT_SIZE];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	errors_add(errors, n->line, n->column, "%s: %s", node_path(n, child, path, sizeof(path)),
		text);
	n->bad = n->bad || child == NULL;
}

/* Edit distance of two short words; 99 for long ones. */
static unsigned int word_distance(const char *a, const char *b)
{
	size_t la = strlen(a);
	size_t lb = strlen(b);
	unsigned int row[32];
	if (la >= 32 || lb >= 32)
		return 99;
	for (size_t j = 0; j <= lb; j++)
		row[j] = (unsigned int)j;
	for (size_t i = 1; i <= la; i++) {
		unsigned int diagonal = row[0];
		row[0] = (unsigned int)i;
		for (size_t j = 1; j <= lb; j++) {
			unsigned int best = diagonal + (a[i - 1] != b[j - 1]);
			diagonal = row[j];
			best = best < row[j] + 1 ? best : row[j] + 1;
			row[j] = best < row[j - 1] + 1 ? best : row[j - 1] + 1;
		}
	}
	return row[lb];
}

static const char *key_guess(const struct schema_key *keys, const char *word)
{
	const char *guess = NULL;
	unsigned int best = strlen(word) <= 3 ? 2 : 3; /* one or two slips */
	for (const struct schema_key *k = keys; k->name != NULL; k++) {
		unsigned int distance = word_distance(k->name, word);
		if (distance < best) {
			best = distance;
			guess = k->name;
		}
	}
	return guess;
}

/* At the key, not at its value. */
static void unknown_complain(
	struct error_list *errors, struct node *n, const struct schema_key *keys)
{
	char path[PATH_SIZE];
	char names[TEXT_SIZE] = "";
	size_t used = 0;
	n->bad = true;
	if (errors->found.count >= ERRORS_MAX) {
		errors->left_out++; /* without the work of a text that nobody reads */
		return;
	}
	const char *guess = key_guess(keys, n->key);
	node_path(n, NULL, path, sizeof(path));
	if (guess != NULL) {
		errors_add(errors, n->key_line, n->key_column, "%s: unknown key, did you mean %s?",
			path, guess);
		return;
	}
	for (const struct schema_key *k = keys; k->name != NULL; k++) {
		used += (size_t)snprintf(
			names + used, sizeof(names) - used, "%s%s", used ? ", " : "", k->name);
	}
	errors_add(errors, n->key_line, n->key_column, "%s: unknown key, expected one of %s", path,
		names);
}

static void keys_check(struct error_list *errors, struct node *map, const struct schema_key *keys)
{
	unsigned int seen_line[32] = { 0 };
	for (struct node *n = map->first; n != NULL; n = n->next) {
		char path[PATH_SIZE];
		size_t i = 0;
		while (keys[i].name != NULL && strcmp(keys[i].name, n->key) != 0)
			i++;
		if (keys[i].name == NULL) {
			unknown_complain(errors, n, keys);
		} else if (seen_line[i] != 0) {
			errors_add(errors, n->key_line, n->key_column,
				"%s: given twice (first on line %u), expected once",
				node_path(n, NULL, path, sizeof(path)), seen_line[i]);
		}
		if (keys[i].name != NULL && seen_line[i] == 0)
			seen_line[i] = n->key_line;
	}
}

static bool node_is(
	struct error_list *errors, struct node *n, enum node_kind kind, const struct schema_key *k)
{
	static const char *const kinds[] = {
		[NODE_SCALAR] = "a single value", [NODE_LIST] = "a list", [NODE_MAP] = "a mapping"
	};
	char expect[TEXT_SIZE];
	const char *expected = schema_expect(k, expect, sizeof(expect));
	if (node_is_null(n))
		node_complain(errors, n, NULL, "is empty, expected %s", expected);
	else if (n->kind != kind)
		node_complain(errors, n, NULL, "is %s, expected %s", kinds[n->kind], expected);
	else
		return true;
	return false;
}

/* Room for a list's elements; count is set to 0 when there is no memory. */
static void *list_create(struct error_list *errors, const struct schema_key *k, void *object,
	size_t count, size_t size)
{
	void *items = count > 0 ? calloc(count, size) : NULL;
	if (count > 0 && items == NULL) {
		errors->no_memory = true;
		count = 0;
	}
	memcpy((char *)object + k->offset, &items, sizeof(items));
	memcpy((char *)object + k->count_offset, &count, sizeof(count));
	return items;
}

static bool list_count_check(struct error_list *errors, struct node *n, const struct schema_key *k)
{
	if (n->count < k->min)
		node_complain(errors, n, NULL, "has %zu entries, expected at least %" PRIu64,
			n->count, k->min);
	else if (n->count > k->max)
		node_complain(errors, n, NULL, "has %zu entries, expected at most %" PRIu64,
			n->count, k->max);
	else
		return true;
	return false;
}

static void bind_keys(
	struct error_list *errors, struct node *map, const struct schema_key *keys, void *object);

static void bind_list(
	struct error_list *errors, struct node *n, const struct schema_key *k, void *object)
{
	if ((k->flags & SCHEMA_F_ONE_OR_LIST) != 0 && n->kind == NODE_MAP) {
		void *only = list_create(errors, k, object, 1, k->size);
		if (only != NULL)
			bind_keys(errors, n, k->children, only);
		return;
	}
	if (!node_is(errors, n, NODE_LIST, k) || !list_count_check(errors, n, k))
		return;
	char *items = list_create(errors, k, object, n->count, k->size);
	if (items == NULL)
		return;
	for (struct node *item = n->first; item != NULL; item = item->next, items += k->size) {
		static const struct schema_key element = { .type = SCHEMA_MAP };
		if (node_is(errors, item, NODE_MAP, &element))
			bind_keys(errors, item, k->children, items);
	}
}

static void bind_address_list(
	struct error_list *errors, struct node *n, const struct schema_key *k, void *object)
{
	static const struct schema_key element = { .type = SCHEMA_ADDRESS };
	char what[TEXT_SIZE];
	char expect[TEXT_SIZE];
	if (!node_is(errors, n, NODE_LIST, k) || !list_count_check(errors, n, k))
		return;
	struct address *items = list_create(errors, k, object, n->count, sizeof(*items));
	if (items == NULL)
		return;
	for (struct node *item = n->first; item != NULL; item = item->next, items++) {
		if (!node_is(errors, item, NODE_SCALAR, &element))
			continue;
		if (!schema_read(&element, item->text, items, what, sizeof(what)))
			node_complain(errors, item, NULL, "%s, expected %s", what,
				schema_expect(&element, expect, sizeof(expect)));
	}
}

static struct node *node_before(const struct node *n)
{
	for (struct node *other = n->parent->first; other != n; other = other->next) {
		if (strcmp(other->key, n->key) == 0)
			return other;
	}
	return NULL;
}

static void bind_settings(
	struct error_list *errors, struct node *n, const struct schema_key *k, void *object)
{
	char expect[TEXT_SIZE];
	if (!node_is(errors, n, NODE_MAP, k) || !list_count_check(errors, n, k))
		return;
	char **items = list_create(errors, k, object, n->count, sizeof(*items));
	for (struct node *item = n->first; items != NULL && item != NULL;
		item = item->next, items++) {
		struct node *before = node_before(item);
		const char *text = item->kind == NODE_SCALAR ? item->text : "";
		if (before != NULL)
			node_complain(errors, item, NULL,
				"given twice (first on line %u), expected once", before->key_line);
		else if (!schema_setting_is_good(item->key, text))
			node_complain(errors, item, NULL, "\"%.64s\" is no setting, expected %s",
				text, schema_expect(k, expect, sizeof(expect)));
		if (asprintf(items, "%s=%s", item->key, text) < 0) {
			*items = NULL;
			errors->no_memory = true;
		}
	}
}

static void bind_host_list(
	struct error_list *errors, struct node *n, const struct schema_key *k, void *object)
{
	char expect[TEXT_SIZE];
	if (!node_is(errors, n, NODE_LIST, k) || !list_count_check(errors, n, k))
		return;
	char **items = list_create(errors, k, object, n->count, sizeof(*items));
	for (struct node *item = n->first; items != NULL && item != NULL;
		item = item->next, items++) {
		const char *text = item->kind == NODE_SCALAR ? item->text : "";
		if (!schema_host_is_good(text))
			node_complain(errors, item, NULL, "\"%.64s\" is no host:port, expected %s",
				text, schema_expect(k, expect, sizeof(expect)));
		*items = strdup(text);
		if (*items == NULL)
			errors->no_memory = true;
	}
}

#define CPU_MAX 1023

/* "3" or "2-5". */
static bool cpu_range_read(const char *text, uint64_t *ret_first, uint64_t *ret_last)
{
	char first[16];
	const char *dash = strchr(text, '-');
	size_t length = dash ? (size_t)(dash - text) : strlen(text);
	if (length >= sizeof(first))
		return false;
	memcpy(first, text, length);
	first[length] = '\0';
	if (unit_parse(UNIT_NONE, first, ret_first) != NULL)
		return false;
	*ret_last = *ret_first;
	if (dash != NULL && unit_parse(UNIT_NONE, dash + 1, ret_last) != NULL)
		return false;
	return *ret_first <= *ret_last && *ret_last <= CPU_MAX;
}

static void bind_cpu_list(
	struct error_list *errors, struct node *n, const struct schema_key *k, void *object)
{
	static const char expected[] = "a CPU 0..1023 or a range such as 2-3";
	bool chosen[CPU_MAX + 1] = { false };
	size_t count = 0;
	if (!node_is(errors, n, NODE_LIST, k) || !list_count_check(errors, n, k))
		return;
	for (struct node *item = n->first; item != NULL; item = item->next) {
		uint64_t first;
		uint64_t last;
		if (item->kind != NODE_SCALAR || node_is_null(item)) {
			node_complain(
				errors, item, NULL, "is not a single value, expected %s", expected);
			continue;
		}
		if (!cpu_range_read(item->text, &first, &last)) {
			node_complain(errors, item, NULL, "\"%.80s\" is not a CPU, expected %s",
				item->text, expected);
			continue;
		}
		for (uint64_t cpu = first; cpu <= last; cpu++) {
			if (chosen[cpu] && !item->bad)
				node_complain(errors, item, NULL,
					"CPU %" PRIu64 " is listed twice, expected once", cpu);
			count += !chosen[cpu];
			chosen[cpu] = true;
		}
	}
	if (count > WEIR_MAX_CORES) {
		node_complain(errors, n, NULL, "has %zu CPUs, expected at most %d", count,
			WEIR_MAX_CORES);
		return;
	}
	uint16_t *cpus = list_create(errors, k, object, count, sizeof(*cpus));
	for (size_t cpu = 0; cpus != NULL && cpu <= CPU_MAX; cpu++) {
		if (chosen[cpu])
			*cpus++ = (uint16_t)cpu;
	}
}

static void bind_scalar(
	struct error_list *errors, struct node *n, const struct schema_key *k, void *object)
{
	char what[TEXT_SIZE];
	char expect[TEXT_SIZE];
	if (!node_is(errors, n, NODE_SCALAR, k) || k->type == SCHEMA_PORT_NAME)
		return;
	if (!schema_read(k, n->text, object, what, sizeof(what)))
		node_complain(errors, n, NULL, "%s, expected %s", what,
			schema_expect(k, expect, sizeof(expect)));
}

static void bind_span(
	struct error_list *errors, struct node *n, const struct schema_key *k, void *object)
{
	struct model_span *span = (void *)((char *)object + k->offset);
	const struct schema_key end = {
		.type = SCHEMA_NUMBER, .size = sizeof(span->min), .min = k->min, .max = k->max
	};
	struct schema_key ends[] = { end, end, { 0 } };
	if (n->kind == NODE_SCALAR) {
		bind_scalar(errors, n, k, object);
		return;
	}
	if (!node_is(errors, n, NODE_MAP, k))
		return;
	ends[0].name = "min";
	ends[0].offset = offsetof(struct model_span, min);
	ends[1].name = "max";
	ends[1].offset = offsetof(struct model_span, max);
	ends[0].flags = ends[1].flags = SCHEMA_F_REQUIRED;
	bind_keys(errors, n, ends, span);
	struct node *max = node_get(n, "max");
	if (node_is_good(node_get(n, "min")) && node_is_good(max) && span->max < span->min)
		node_complain(errors, max, NULL, "%u is less than min, expected at least %u",
			span->max, span->min);
	for (struct node *child = n->first; child != NULL; child = child->next)
		n->bad = n->bad || child->bad;
}

/* n is NULL where the file does not have the key. */
static void bind_key(
	struct error_list *errors, struct node *n, const struct schema_key *k, void *object)
{
	char what[TEXT_SIZE];
	void *inner = (char *)object + k->offset;
	if (k->type == SCHEMA_RATE)
		memset(inner, 0xff, k->size); /* unlimited unless the file says else */
	if (k->preset != NULL && !schema_read(k, k->preset, object, what, sizeof(what)))
		errors->no_memory = true;
	if (k->type == SCHEMA_MAP) {
		if (n != NULL && !node_is(errors, n, NODE_MAP, k))
			n = NULL;
		bind_keys(errors, n, k->children, inner);
	} else if (n == NULL) {
		return;
	} else if (k->type == SCHEMA_LIST) {
		bind_list(errors, n, k, object);
	} else if (k->type == SCHEMA_ADDRESS_LIST) {
		bind_address_list(errors, n, k, object);
	} else if (k->type == SCHEMA_SETTINGS) {
		bind_settings(errors, n, k, object);
	} else if (k->type == SCHEMA_HOST_LIST) {
		bind_host_list(errors, n, k, object);
	} else if (k->type == SCHEMA_CPU_LIST) {
		bind_cpu_list(errors, n, k, object);
	} else if (k->type == SCHEMA_SPAN) {
		bind_span(errors, n, k, object);
	} else {
		bind_scalar(errors, n, k, object);
	}
}

static void bind_keys(
	struct error_list *errors, struct node *map, const struct schema_key *keys, void *object)
{
	char expect[TEXT_SIZE];
	if (map != NULL)
		keys_check(errors, map, keys);
	for (const struct schema_key *k = keys; k->name != NULL; k++) {
		struct node *n = node_get(map, k->name);
		if (n == NULL && map != NULL && (k->flags & SCHEMA_F_REQUIRED) != 0)
			node_complain(errors, map, k->name, "is missing, expected %s",
				schema_expect(k, expect, sizeof(expect)));
		bind_key(errors, n, k, object);
	}
}

bool bind_model(struct node *root, struct model *m, struct error_list *errors)
{
	static const struct schema_key top = { .type = SCHEMA_MAP };
	struct node *version = node_get(root, "version");
	if (!node_is(errors, root, NODE_MAP, &top))
		return false;
	/* In another version everything else may mean something else. */
	if (version != NULL && version->kind == NODE_SCALAR && strcmp(version->text, "1") != 0) {
		bind_scalar(errors, version, &schema_root[0], m);
		return false;
	}
	bind_keys(errors, root, schema_root, m);
	return true;
}
