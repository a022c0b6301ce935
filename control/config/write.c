/* SPDX-License-Identifier: BSD-3-Clause */

/* A model as canonical YAML, and its digest. */

#include "control/config/fnv.h"
#include "control/config/model.h"
#include "control/config/schema.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct writer {
	FILE *to;
	const struct model *m;
	int status;
};

static void write_indent(struct writer *w, unsigned int depth)
{
	for (unsigned int i = 0; i < depth; i++)
		fputs("  ", w->to);
}

static bool map_is_set(const struct schema_key *k, const struct model *m, const void *object);

/* Whether the key has anything to write. */
static bool key_is_set(struct writer *w, const struct schema_key *k, const void *object)
{
	size_t count;
	char *text;
	if (k->type == SCHEMA_MAP)
		return map_is_set(k, w->m, (const char *)object + k->offset);
	if (k->type == SCHEMA_LIST) {
		memcpy(&count, (const char *)object + k->count_offset, sizeof(count));
		return count > 0;
	}
	int r = schema_write(k, w->m, object, &text);
	free(text);
	if (r < 0)
		w->status = r;
	return r > 0;
}

static bool map_is_set(const struct schema_key *k, const struct model *m, const void *object)
{
	struct writer probe = { .m = m };
	for (const struct schema_key *child = k->children; child->name != NULL; child++) {
		if (key_is_set(&probe, child, object))
			return true;
	}
	return false;
}

/*
 * The keys of a mapping. The first line of a list's element follows its dash, so it is not indented
 * (on_dash).
 */
static void write_keys(struct writer *w, const struct schema_key *keys, const void *object,
	unsigned int depth, bool on_dash)
{
	for (const struct schema_key *k = keys; k->name != NULL && w->status == 0; k++) {
		const char *inner = (const char *)object + k->offset;
		char *text = NULL;
		size_t count;
		if (!key_is_set(w, k, object))
			continue;
		if (!on_dash)
			write_indent(w, depth);
		on_dash = false;
		fprintf(w->to, "%s:", k->name);
		if (k->type == SCHEMA_MAP) {
			fputc('\n', w->to);
			write_keys(w, k->children, inner, depth + 1, false);
		} else if (k->type == SCHEMA_LIST) {
			fputc('\n', w->to);
			memcpy(&count, (const char *)object + k->count_offset, sizeof(count));
			const char *item = *(const char *const *)inner;
			for (; count > 0; count--, item += k->size) {
				write_indent(w, depth + 1);
				fputs("- ", w->to);
				write_keys(w, k->children, item, depth + 2, true);
			}
		} else {
			if (schema_write(k, w->m, object, &text) < 0)
				w->status = -ENOMEM;
			fprintf(w->to, " %s\n", text ? text : "");
			free(text);
		}
	}
}

char *model_to_yaml(const struct model *m)
{
	char *text = NULL;
	size_t size = 0;
	FILE *to = open_memstream(&text, &size);
	if (to == NULL)
		return NULL;
	struct writer w = { .to = to, .m = m };
	write_keys(&w, schema_root, m, 0, false);
	if (fclose(to) != 0 || w.status < 0) {
		free(text);
		return NULL;
	}
	return text;
}

/* Of the canonical text. */
uint64_t model_digest(const struct model *m)
{
	char *text = model_to_yaml(m);
	uint64_t hash = fnv_1a(FNV_BASIS, text, text != NULL ? strlen(text) : 0);
	free(text);
	return hash;
}
