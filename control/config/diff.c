/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What changes from one model to another, as lines for people. Both are flattened to lines in the
 * order of the schema, where list elements go by name or address instead of index; then lines are
 * looked up in the other.
 */

#include "control/config/model.h"
#include "control/config/schema.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define NO_OWNER SIZE_MAX

/* A list element (value NULL) or a key with its value. */
struct line {
	char *path;
	char *value;
	size_t owner; /* the element that it is part of, index */
	bool alone; /* the other model has no such line, or not its owner */
};

struct flat {
	const struct model *m;
	struct line *lines;
	size_t count;
	size_t capacity;
	const struct line **sorted;
	int status;
};

static void flat_fini(struct flat *f)
{
	for (size_t i = 0; i < f->count; i++) {
		free(f->lines[i].path);
		free(f->lines[i].value);
	}
	free(f->lines);
	free(f->sorted);
}

/* Takes value over. Returns the line's path, borrowed; NULL without memory. */
static const char *flat_add(struct flat *f, size_t owner, char *value, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

static const char *flat_add(struct flat *f, size_t owner, char *value, const char *format, ...)
{
	char *path = NULL;
	va_list args;
	va_start(args, format);
	int length = vasprintf(&path, format, args);
	va_end(args);
	if (length >= 0 && f->count == f->capacity) {
		size_t capacity = f->capacity ? 2 * f->capacity : 64;
		struct line *lines = realloc(f->lines, capacity * sizeof(*lines));
		if (lines == NULL) {
			free(path);
			length = -1;
		} else {
			f->lines = lines;
			f->capacity = capacity;
		}
	}
	if (length < 0) {
		free(value);
		f->status = -ENOMEM;
		return NULL;
	}
	f->lines[f->count++] = (struct line){ .path = path, .value = value, .owner = owner };
	return path;
}

/* What a list's element is called: its name, or address and port. */
static const char *element_name(const struct model *m, const struct schema_key *list,
	const void *item, size_t number, char *buf, size_t size)
{
	char address[INET6_ADDRSTRLEN];
	/* Policies go by their place, classes and pools by that and their name: it is their number. */
	if (list->children == schema_policy_keys) {
		snprintf(buf, size, "%zu", number);
		return buf;
	}
	if (list->children == schema_class_keys || list->children == schema_pool_keys) {
		snprintf(
			buf, size, "%zu-%s", number, (const char *)item + list->children[0].offset);
		return buf;
	}
	if (list->children[0].type == SCHEMA_NAME)
		return (const char *)item + list->children[0].offset;
	if (list->size == sizeof(struct model_backend)) {
		const struct model_backend *b = item;
		return address_port_print(&b->address, b->port, buf, size);
	}
	const struct model_neighbour *n = item;
	snprintf(buf, size, "%s@%s", address_print(&n->address, address, sizeof(address)),
		m->ports[n->port].name);
	return buf;
}

static void flat_keys(struct flat *f, const struct schema_key *keys, const void *object,
	const char *path, size_t owner)
{
	for (const struct schema_key *k = keys; k->name != NULL && f->status == 0; k++) {
		const char *inner = (const char *)object + k->offset;
		const char *dot = *path != '\0' ? "." : "";
		char name[INET6_ADDRSTRLEN + MODEL_NAME_MAX + 8];
		char *text;
		size_t count;
		if (k->type == SCHEMA_VERSION)
			continue;
		if (k->type == SCHEMA_MAP) {
			char *deeper;
			if (asprintf(&deeper, "%s%s%s", path, dot, k->name) < 0) {
				f->status = -ENOMEM;
				return;
			}
			flat_keys(f, k->children, inner, deeper, owner);
			free(deeper);
		} else if (k->type == SCHEMA_LIST) {
			memcpy(&count, (const char *)object + k->count_offset, sizeof(count));
			const char *item = *(const char *const *)inner;
			for (size_t at = 1; at <= count && f->status == 0; at++, item += k->size) {
				const char *element = flat_add(f, owner, NULL, "%s%s%s.%s", path,
					dot, k->name,
					element_name(f->m, k, item, at, name, sizeof(name)));
				if (element != NULL)
					flat_keys(f, k->children, item, element, f->count - 1);
			}
		} else if (schema_write(k, f->m, object, &text) > 0) {
			flat_add(f, owner, text, "%s%s%s", path, dot, k->name);
		}
	}
}

static int line_compare(const void *a, const void *b)
{
	const struct line *x = *(const struct line *const *)a;
	const struct line *y = *(const struct line *const *)b;
	int order = strcmp(x->path, y->path);
	return order != 0 ? order : (x->value != NULL) - (y->value != NULL);
}

static int flat_init(struct flat *f, const struct model *m)
{
	*f = (struct flat){ .m = m };
	if (m != NULL)
		flat_keys(f, schema_root, m, "", NO_OWNER);
	f->sorted = calloc(f->count + 1, sizeof(struct line *));
	if (f->status < 0 || f->sorted == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < f->count; i++)
		f->sorted[i] = &f->lines[i];
	qsort(f->sorted, f->count, sizeof(struct line *), line_compare);
	return 0;
}

static const struct line *flat_find(const struct flat *f, const struct line *wanted)
{
	const struct line **found =
		bsearch(&wanted, f->sorted, f->count, sizeof(struct line *), line_compare);
	return found ? *found : NULL;
}

/* Whether line i stands alone; sets it, and tells if it is worth a line of its own. */
static bool line_is_news(
	struct flat *f, size_t i, const struct flat *other, const struct line **ret_twin)
{
	struct line *l = &f->lines[i];
	bool owner_alone = l->owner != NO_OWNER && f->lines[l->owner].alone;
	*ret_twin = owner_alone ? NULL : flat_find(other, l);
	l->alone = *ret_twin == NULL;
	return !owner_alone;
}

static void diff_print(FILE *to, struct flat *before, struct flat *after)
{
	const struct line *twin;
	for (size_t i = 0; i < before->count; i++) {
		const struct line *l = &before->lines[i];
		if (line_is_news(before, i, after, &twin) && twin == NULL)
			fprintf(to, "- %s%s%s\n", l->path, l->value ? ": " : "",
				l->value ? l->value : "");
	}
	for (size_t i = 0; i < after->count; i++) {
		const struct line *l = &after->lines[i];
		if (!line_is_news(after, i, before, &twin))
			continue;
		if (twin == NULL)
			fprintf(to, "+ %s%s%s\n", l->path, l->value ? ": " : "",
				l->value ? l->value : "");
		else if (l->value != NULL && strcmp(twin->value, l->value) != 0)
			fprintf(to, "~ %s: %s -> %s\n", l->path, twin->value, l->value);
	}
}

char *model_diff(const struct model *before, const struct model *after)
{
	struct flat from;
	struct flat to;
	char *text = NULL;
	size_t size;
	int r = flat_init(&from, before);
	int r2 = flat_init(&to, after);
	FILE *stream = r == 0 && r2 == 0 ? open_memstream(&text, &size) : NULL;
	if (stream != NULL) {
		diff_print(stream, &from, &to);
		if (fclose(stream) != 0) {
			free(text);
			text = NULL;
		}
	}
	flat_fini(&from);
	flat_fini(&to);
	return text;
}
