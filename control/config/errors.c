/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/config/errors.h"

#include "control/config/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool list_grow(struct error_list *e)
{
	if (e->found.count < e->capacity)
		return true;
	size_t capacity = e->capacity ? e->capacity * 2 : 16;
	struct model_error *items = realloc(e->found.items, capacity * sizeof(*items));
	if (items == NULL)
		return false;
	e->found.items = items;
	e->capacity = capacity;
	return true;
}

/*
 * Text of a file may stand in a complaint: control characters would break the one-line rule, and a
 * character that was cut in two would not be UTF-8, which JSON needs.
 */
static void text_make_printable(char *text)
{
	unsigned char *p = (unsigned char *)text;
	for (size_t left = strlen(text), step; left > 0; p += step, left -= step) {
		step = utf8_length(p, left);
		if (step == 0 || *p < 0x20) {
			*p = '?';
			step = 1;
		}
	}
}

void errors_add(
	struct error_list *e, unsigned int line, unsigned int column, const char *format, ...)
{
	if (e->found.count >= ERRORS_MAX) {
		e->left_out++;
		return;
	}
	char *text;
	va_list args;
	va_start(args, format);
	int length = vasprintf(&text, format, args);
	va_end(args);
	if (length < 0) {
		e->no_memory = true;
		return;
	}
	if (!list_grow(e)) {
		e->no_memory = true;
		free(text);
		return;
	}
	text_make_printable(text);
	e->found.items[e->found.count++] =
		(struct model_error){ .line = line, .column = column, .text = text };
}

struct ranked {
	struct model_error error;
	size_t rank; /* makes the sort stable */
};

static int ranked_compare(const void *a, const void *b)
{
	const struct ranked *x = a;
	const struct ranked *y = b;
	if (x->error.line != y->error.line)
		return x->error.line < y->error.line ? -1 : 1;
	if (x->error.column != y->error.column)
		return x->error.column < y->error.column ? -1 : 1;
	return x->rank < y->rank ? -1 : 1;
}

void errors_finish(struct error_list *e, struct model_errors *ret_errors)
{
	size_t count = e->found.count;
	struct ranked *ranked = count ? calloc(count, sizeof(*ranked)) : NULL;
	if (ranked != NULL) {
		for (size_t i = 0; i < count; i++)
			ranked[i] = (struct ranked){ .error = e->found.items[i], .rank = i };
		qsort(ranked, count, sizeof(*ranked), ranked_compare);
		for (size_t i = 0; i < count; i++)
			e->found.items[i] = ranked[i].error;
		free(ranked);
	}
	if (e->left_out > 0 && list_grow(e)) {
		struct model_error last = e->found.items[count - 1];
		if (asprintf(&last.text,
			    "file: has %zu more errors that are not shown, expected fewer",
			    e->left_out) >= 0)
			e->found.items[e->found.count++] = last;
	}
	*ret_errors = e->found;
	*e = (struct error_list){ .no_memory = e->no_memory };
}

void model_errors_fini(struct model_errors *e)
{
	for (size_t i = 0; i < e->count; i++)
		free(e->items[i].text);
	free(e->items);
	*e = (struct model_errors){ 0 };
}

void model_errors_print(FILE *to, const char *file, const struct model_errors *e)
{
	for (size_t i = 0; i < e->count; i++)
		fprintf(to, "%s:%u:%u: %s\n", file, e->items[i].line, e->items[i].column,
			e->items[i].text);
}
