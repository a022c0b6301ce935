/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/cli/command.h"

#include <string.h>

/* Length of the word at `text`. */
static size_t word_length(const char *text)
{
	return strcspn(text, " ");
}

static const char *next_word(const char *text)
{
	text += word_length(text);
	return text + strspn(text, " ");
}

bool command_begins(const struct command *c, const char *const *words, size_t count)
{
	const char *path = c->path;
	for (size_t i = 0; i < count; i++) {
		size_t length = word_length(path);
		if (length == 0 || strlen(words[i]) != length ||
			memcmp(words[i], path, length) != 0)
			return false;
		path = next_word(path);
	}
	return true;
}

const struct command *command_find(const char *const *words, size_t count)
{
	for (size_t i = 0; i < command_count; i++) {
		const struct command *c = &command_table[i];
		size_t length = 0;
		for (const char *p = c->path; *p != '\0'; p = next_word(p))
			length++;
		if (length == count && command_begins(c, words, count))
			return c;
	}
	return NULL;
}

const struct command_option *command_option_find(
	const struct command_option *options, const char *name, size_t length)
{
	for (; options != NULL && options->name != NULL; options++)
		if (strlen(options->name) == length && memcmp(options->name, name, length) == 0)
			return options;
	return NULL;
}

void command_arity(const struct command *c, size_t *ret_least, size_t *ret_most)
{
	*ret_least = 0;
	*ret_most = 0;
	for (const char *p = c->arguments; *p != '\0'; p = next_word(p)) {
		*ret_most = strstr(p, "...") != NULL ? SIZE_MAX : *ret_most + 1;
		if (*p != '[')
			*ret_least += 1;
	}
}

bool command_argument_name(const struct command *c, size_t index, char *buf, size_t size)
{
	const char *p = c->arguments;
	for (size_t i = 0; i < index && *p != '\0'; i++)
		p = next_word(p);
	size_t length = word_length(p);
	if (length > 0 && *p == '[') {
		p++;
		length -= 2;
	}
	if (length == 0 || length >= size)
		return false;
	memcpy(buf, p, length);
	buf[length] = '\0';
	return true;
}
