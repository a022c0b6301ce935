/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/config/yaml_tree.h"

#include "control/config/utf8.h"

#include <yaml.h>

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Nodes and texts live in chunks that are freed together. */
struct chunk {
	struct chunk *next;
	size_t used;
	size_t size;
	_Alignas(16) char bytes[];
};

struct tree {
	struct chunk *chunks;
	struct node *root;
	size_t node_count;
};

#define CHUNK_BYTES ((size_t)64 << 10)

static void *tree_alloc(struct tree *t, size_t size)
{
	size = (size + 15) & ~(size_t)15;
	struct chunk *c = t->chunks;
	if (c == NULL || c->size - c->used < size) {
		size_t room = size > CHUNK_BYTES ? size : CHUNK_BYTES;
		c = malloc(sizeof(*c) + room);
		if (c == NULL)
			return NULL;
		*c = (struct chunk){ .next = t->chunks, .size = room };
		t->chunks = c;
	}
	void *p = c->bytes + c->used;
	c->used += size;
	return p;
}

void tree_destroy(struct tree *t)
{
	if (t == NULL)
		return;
	for (struct chunk *c = t->chunks, *next; c != NULL; c = next) {
		next = c->next;
		free(c);
	}
	free(t);
}

struct node *tree_root(const struct tree *t)
{
	return t->root;
}

struct node *node_get(const struct node *map, const char *key)
{
	if (map == NULL || map->kind != NODE_MAP)
		return NULL;
	for (struct node *n = map->first; n != NULL; n = n->next) {
		if (strcmp(n->key, key) == 0)
			return n;
	}
	return NULL;
}

bool node_is_null(const struct node *n)
{
	static const char *const words[] = { "", "~", "null", "Null", "NULL" };
	if (n->kind != NODE_SCALAR || !n->plain)
		return false;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(n->text, words[i]) == 0)
			return true;
	}
	return false;
}

const char *node_path(const struct node *n, const char *child, char *buf, size_t size)
{
	const struct node *way[TREE_MAX_DEPTH + 2];
	size_t depth = 0;
	for (; n != NULL && n->parent != NULL && depth < TREE_MAX_DEPTH + 2; n = n->parent)
		way[depth++] = n;
	size_t used = 0;
	buf[0] = '\0';
	while (depth > 0 && used < size) {
		n = way[--depth];
		int add = n->key ?
			snprintf(buf + used, size - used, "%s%.64s", used ? "." : "", n->key) :
			snprintf(buf + used, size - used, "[%zu]", n->index);
		used += add > 0 ? (size_t)add : 0;
	}
	if (child != NULL && used < size)
		snprintf(buf + used, size - used, "%s%.64s", used ? "." : "", child);
	if (buf[0] == '\0')
		snprintf(buf, size, "file");
	return buf;
}

/* libyaml's own complaint about a character has no line; so all of them are checked before. */
static int text_check(const char *text, size_t length, struct error_list *errors)
{
	unsigned int line = 1;
	unsigned int column = 1;
	const unsigned char *p = (const unsigned char *)text;
	for (size_t at = 0; at < length;) {
		size_t step = utf8_length(p + at, length - at);
		if (step == 0) {
			errors_add(errors, line, column,
				"file: has a byte 0x%02x here, expected a text in UTF-8 without "
				"control characters",
				p[at]);
			return -EINVAL;
		}
		column++;
		if (p[at] == '\n' || (p[at] == '\r' && (at + 1 == length || p[at + 1] != '\n'))) {
			line++;
			column = 1;
		}
		at += step;
	}
	return 0;
}

struct builder {
	struct tree *tree;
	struct error_list *errors;
	struct node *open; /* innermost list or mapping that is not ended */
	const char *key; /* of the next value, inside a mapping */
	unsigned int key_line; /* of that key */
	unsigned int key_column;
	unsigned int depth;
	bool ended; /* the first document is complete */
};

static int builder_refuse(struct builder *b, const yaml_mark_t *mark, const char *what)
{
	char path[256];
	errors_add(b->errors, (unsigned int)mark->line + 1, (unsigned int)mark->column + 1,
		"%s: %s", node_path(b->open, b->key, path, sizeof(path)), what);
	return -EINVAL;
}

static const char *builder_text(struct builder *b, const yaml_event_t *event)
{
	size_t length = event->data.scalar.length;
	char *text = tree_alloc(b->tree, length + 1);
	if (text == NULL)
		return NULL;
	memcpy(text, event->data.scalar.value, length);
	text[length] = '\0';
	return text;
}

/* A value that begins here: put in its place in the tree. */
static int builder_add(
	struct builder *b, enum node_kind kind, const yaml_event_t *event, struct node **ret_node)
{
	if (++b->tree->node_count > TREE_MAX_NODES)
		return builder_refuse(b, &event->start_mark,
			"the file has more than 1048576 values, expected fewer");
	struct node *n = tree_alloc(b->tree, sizeof(*n));
	if (n == NULL)
		return -ENOMEM;
	*n = (struct node){
		.kind = kind,
		.line = (unsigned int)event->start_mark.line + 1,
		.column = (unsigned int)event->start_mark.column + 1,
		.parent = b->open,
	};
	if (b->open == NULL) {
		b->tree->root = n;
	} else {
		n->index = b->open->count++;
		n->key = b->key;
		n->key_line = b->key_line;
		n->key_column = b->key_column;
		if (b->open->last != NULL)
			b->open->last->next = n;
		else
			b->open->first = n;
		b->open->last = n;
	}
	b->key = NULL;
	*ret_node = n;
	return 0;
}

static int builder_scalar(struct builder *b, const yaml_event_t *event)
{
	const char *text = builder_text(b, event);
	if (text == NULL)
		return -ENOMEM;
	if (strlen(text) != event->data.scalar.length)
		return builder_refuse(b, &event->start_mark, "has a zero byte, expected text");
	if (b->open != NULL && b->open->kind == NODE_MAP && b->key == NULL) {
		b->key = text;
		b->key_line = (unsigned int)event->start_mark.line + 1;
		b->key_column = (unsigned int)event->start_mark.column + 1;
		return 0;
	}
	struct node *n;
	int r = builder_add(b, NODE_SCALAR, event, &n);
	if (r < 0)
		return r;
	n->text = text;
	n->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	return 0;
}

static int builder_begin(struct builder *b, const yaml_event_t *event, enum node_kind kind)
{
	if (b->open != NULL && b->open->kind == NODE_MAP && b->key == NULL)
		return builder_refuse(b, &event->start_mark,
			"a list or mapping stands as a key, expected a word");
	if (++b->depth > TREE_MAX_DEPTH)
		return builder_refuse(
			b, &event->start_mark, "is nested too deep, expected at most 32 levels");
	struct node *n;
	int r = builder_add(b, kind, event, &n);
	if (r == 0)
		b->open = n;
	return r;
}

static void builder_end(struct builder *b)
{
	struct node *ended = b->open;
	b->open = ended->parent;
	b->depth--;
}

static bool event_has_anchor(const yaml_event_t *event)
{
	switch (event->type) {
	case YAML_SCALAR_EVENT:
		return event->data.scalar.anchor != NULL;
	case YAML_SEQUENCE_START_EVENT:
		return event->data.sequence_start.anchor != NULL;
	case YAML_MAPPING_START_EVENT:
		return event->data.mapping_start.anchor != NULL;
	default:
		return false;
	}
}

static bool event_has_tag(const yaml_event_t *event)
{
	switch (event->type) {
	case YAML_SCALAR_EVENT:
		return event->data.scalar.tag != NULL;
	case YAML_SEQUENCE_START_EVENT:
		return event->data.sequence_start.tag != NULL;
	case YAML_MAPPING_START_EVENT:
		return event->data.mapping_start.tag != NULL;
	default:
		return false;
	}
}

static int builder_event(struct builder *b, const yaml_event_t *event)
{
	if (event->type == YAML_ALIAS_EVENT)
		return builder_refuse(b, &event->start_mark,
			"aliases (*name) are not supported, expected the value itself");
	if (event_has_anchor(event))
		return builder_refuse(b, &event->start_mark,
			"anchors (&name) are not supported, expected the value alone");
	if (event_has_tag(event))
		return builder_refuse(b, &event->start_mark,
			"tags (!name) are not supported, expected the value alone");
	switch (event->type) {
	case YAML_DOCUMENT_START_EVENT:
		if (b->ended)
			return builder_refuse(b, &event->start_mark,
				"a second document begins, expected one document in the file");
		return 0;
	case YAML_DOCUMENT_END_EVENT:
		b->ended = true;
		return 0;
	case YAML_SCALAR_EVENT:
		return builder_scalar(b, event);
	case YAML_SEQUENCE_START_EVENT:
		return builder_begin(b, event, NODE_LIST);
	case YAML_MAPPING_START_EVENT:
		return builder_begin(b, event, NODE_MAP);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		builder_end(b);
		return 0;
	default:
		return 0;
	}
}

/* libyaml's complaint, with the place where it stopped. */
static int builder_syntax_error(
	struct builder *b, const yaml_parser_t *parser, const char *text, size_t length)
{
	if (parser->error == YAML_MEMORY_ERROR)
		return -ENOMEM;
	const yaml_mark_t *mark = &parser->problem_mark;
	const char *problem = parser->problem ? parser->problem : "cannot be read";
	/* Marks count characters; the tab is looked for in the line, from its start. */
	size_t at = 0;
	for (size_t line = 0; line < mark->line && at < length; at++)
		line += text[at] == '\n';
	size_t indent = at;
	while (indent < length && (text[indent] == ' ' || text[indent] == '\t'))
		indent++;
	const char *tab = memchr(text + at, '\t', indent - at);
	if (tab != NULL)
		errors_add(b->errors, (unsigned int)mark->line + 1,
			(unsigned int)(tab - text - (long)at) + 1,
			"yaml: a tab stands in the indentation, expected spaces");
	else if (parser->context != NULL && parser->context_mark.line != mark->line)
		errors_add(b->errors, (unsigned int)mark->line + 1, (unsigned int)mark->column + 1,
			"yaml: %s (%s that begins on line %zu), expected valid YAML", problem,
			parser->context, parser->context_mark.line + 1);
	else
		errors_add(b->errors, (unsigned int)mark->line + 1, (unsigned int)mark->column + 1,
			"yaml: %s%s%s, expected valid YAML", problem, parser->context ? " " : "",
			parser->context ? parser->context : "");
	return -EINVAL;
}

static int builder_run(struct builder *b, const char *text, size_t length)
{
	yaml_parser_t parser;
	if (!yaml_parser_initialize(&parser))
		return -ENOMEM;
	yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, length);
	int r = 0;
	for (bool end = false; !end && r == 0;) {
		yaml_event_t event;
		if (!yaml_parser_parse(&parser, &event)) {
			r = builder_syntax_error(b, &parser, text, length);
			break;
		}
		end = event.type == YAML_STREAM_END_EVENT;
		r = builder_event(b, &event);
		yaml_event_delete(&event);
	}
	yaml_parser_delete(&parser);
	return r;
}

int tree_parse(const char *text, size_t length, struct error_list *errors, struct tree **ret_tree)
{
	if (length > TREE_MAX_BYTES) {
		errors_add(errors, 1, 1, "file: has %zu bytes, expected at most 16 MiB", length);
		return -EINVAL;
	}
	if (length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
		text += 3;
		length -= 3;
	}
	int r = text_check(text, length, errors);
	if (r < 0)
		return r;
	struct tree *t = calloc(1, sizeof(*t));
	if (t == NULL)
		return -ENOMEM;
	struct builder b = { .tree = t, .errors = errors };
	r = builder_run(&b, text, length);
	if (r == 0 && t->root == NULL) {
		errors_add(errors, 1, 1, "file: is empty, expected a configuration");
		r = -EINVAL;
	}
	if (r < 0) {
		tree_destroy(t);
		return r;
	}
	*ret_tree = t;
	return 0;
}
