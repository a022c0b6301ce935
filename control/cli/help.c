/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/cli/help.h"

#include "control/cli/command.h"

#include <ctype.h>
#include <stdint.h>
#include <string.h>

#define COLUMN 36 /* where explanations begin */
#define WIDTH  80

static void append(char *buf, size_t size, const char *text)
{
	size_t used = strlen(buf);
	snprintf(buf + used, size - used, "%s", text);
}

const char *help_usage(const struct command *c, char *buf, size_t size)
{
	snprintf(buf, size, "weirctl %s", c->path);
	if (c->arguments[0] != '\0') {
		append(buf, size, " ");
		append(buf, size, c->arguments);
	}
	for (const struct command_option *o = c->options; o != NULL && o->name != NULL; o++) {
		append(buf, size, o->required ? " --" : " [--");
		append(buf, size, o->name);
		if (o->value != NULL) {
			append(buf, size, " ");
			append(buf, size, o->value);
		}
		append(buf, size, o->required ? "" : "]");
		append(buf, size, o->repeats ? "..." : "");
	}
	return buf;
}

/* Break text into lines; the first begins at column `at`, the others at `indent`. */
static void print_wrapped(FILE *to, const char *text, size_t at, size_t indent)
{
	size_t column = at;
	bool first = true;
	while (*text != '\0') {
		size_t length = strcspn(text, " ");
		if (!first && column + 1 + length > WIDTH) {
			fprintf(to, "\n%*s", (int)indent, "");
			column = indent;
			first = true;
		}
		fprintf(to, "%s%.*s", first ? "" : " ", (int)length, text);
		column += length + !first;
		first = false;
		text += length;
		text += strspn(text, " ");
	}
	fprintf(to, "\n");
}

static void print_line(FILE *to, const char *left, const char *right)
{
	if (strlen(left) > COLUMN - 4)
		fprintf(to, "  %s\n%*s", left, COLUMN, "");
	else
		fprintf(to, "  %-*s", COLUMN - 2, left);
	print_wrapped(to, right, COLUMN, COLUMN);
}

static void print_command(FILE *to, const struct command *c)
{
	char left[128];
	snprintf(left, sizeof(left), "%s %s", c->path, c->arguments);
	print_line(to, left, c->help);
}

static void print_options(FILE *to, const struct command_option *o)
{
	for (; o != NULL && o->name != NULL; o++) {
		char left[64];
		snprintf(left, sizeof(left), "--%s %s", o->name, o->value != NULL ? o->value : "");
		print_line(to, left, o->help);
	}
}

void help_short(FILE *to)
{
	fprintf(to,
		"usage: weirctl [--instance NAME] [--json] COMMAND [ARGUMENT...]\n"
		"Begin with \"weirctl status\" or \"weirctl service list\"; "
		"\"weirctl help\" lists all commands.\n");
}

static void print_group(FILE *to, const char *const *words, size_t count)
{
	for (size_t i = 0; i < command_count; i++) {
		const struct command *c = &command_table[i];
		if (command_begins(c, words, count))
			print_command(to, c);
	}
}

void help_main(FILE *to)
{
	fprintf(to,
		"usage: weirctl [OPTION...] COMMAND [ARGUMENT...]\n\n"
		"Asks and tells weir-controld, which runs Weir on this host.\n\nCommands:\n");
	print_group(to, NULL, 0);
	fprintf(to, "\nOptions, before or after the command:\n");
	print_options(to, command_globals);
	fprintf(to,
		"\nWithout a command, on a terminal: a shell, with completion by Tab.\n"
		"Exit status: 0 done, 1 refused or failed, 2 wrong usage, 3 no daemon.\n"
		"More on one command: weirctl help COMMAND\n");
}

static void help_command(FILE *to, const struct command *c)
{
	char usage[256];
	fprintf(to, "usage: %s\n\n", help_usage(c, usage, sizeof(usage)));
	fprintf(to, "%c%s.\n", toupper((unsigned char)c->help[0]), c->help + 1);
	if (c->details != NULL) {
		fprintf(to, "\n");
		print_wrapped(to, c->details, 0, 0);
	}
	fprintf(to, "\nOptions:\n");
	print_options(to, c->options);
	for (const struct command_option *o = command_globals; o->name != NULL; o++) {
		bool watch = strcmp(o->name, "watch") == 0;
		bool daemon = strcmp(o->name, "instance") == 0 || strcmp(o->name, "socket") == 0;
		bool version = strcmp(o->name, "version") == 0;
		bool json = strcmp(o->name, "json") == 0;
		if (version || (watch && !(c->flags & COMMAND_F_WATCH)) ||
			(json && (c->flags & COMMAND_F_NO_JSON)) ||
			(daemon && (c->flags & COMMAND_F_NO_DAEMON)))
			continue;
		print_options(to, (const struct command_option[]){ *o, { 0 } });
	}
}

bool help_on(FILE *to, const char *const *words, size_t count)
{
	if (count == 0) {
		help_main(to);
		return true;
	}
	const struct command *c = command_find(words, count);
	if (c != NULL) {
		help_command(to, c);
		return true;
	}
	char next[256];
	if (*help_next_words(words, count, next, sizeof(next)) == '\0')
		return false;
	fprintf(to, "usage: weirctl");
	for (size_t i = 0; i < count; i++)
		fprintf(to, " %s", words[i]);
	fprintf(to, " COMMAND [ARGUMENT...]\n\n");
	print_group(to, words, count);
	return true;
}

/* The word of c's path at `index`; false when the path is shorter. */
static bool path_word(const struct command *c, size_t index, char *buf, size_t size)
{
	const char *p = c->path;
	for (size_t i = 0; i < index; i++) {
		p += strcspn(p, " ");
		p += strspn(p, " ");
	}
	size_t length = strcspn(p, " ");
	snprintf(buf, size, "%.*s", (int)length, p);
	return length > 0;
}

const char *help_next_words(const char *const *words, size_t count, char *buf, size_t size)
{
	char word[64], last[64] = "";
	buf[0] = '\0';
	for (size_t i = 0; i < command_count; i++) {
		const struct command *c = &command_table[i];
		if (!command_begins(c, words, count) || !path_word(c, count, word, sizeof(word)) ||
			strcmp(word, last) == 0)
			continue;
		append(buf, size, buf[0] != '\0' ? ", " : "");
		append(buf, size, word);
		memcpy(last, word, sizeof(last));
	}
	return buf;
}

/*
 * How many letters must be put in, left out or changed to make b of a.
 * Source: V. Levenshtein, Binary codes capable of correcting deletions, insertions and reversals, 1966.
 */
static size_t distance(const char *a, const char *b)
{
	size_t row[64];
	size_t length = strlen(b);
	if (length >= sizeof(row) / sizeof(row[0]))
		return SIZE_MAX;
	for (size_t j = 0; j <= length; j++)
		row[j] = j;
	for (size_t i = 0; a[i] != '\0'; i++) {
		size_t diagonal = row[0];
		row[0] = i + 1;
		for (size_t j = 0; j < length; j++) {
			size_t best = diagonal + (a[i] != b[j]);
			diagonal = row[j + 1];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (diagonal + 1 < best)
				best = diagonal + 1;
			row[j + 1] = best;
		}
	}
	return row[length];
}

bool help_nearest(const char *const *words, size_t count, const char *word, char *buf, size_t size)
{
	size_t best = 3;
	char candidate[64];
	for (size_t i = 0; i < command_count; i++) {
		const struct command *c = &command_table[i];
		if (!command_begins(c, words, count) ||
			!path_word(c, count, candidate, sizeof(candidate)))
			continue;
		size_t d = distance(word, candidate);
		if (d < best) {
			best = d;
			snprintf(buf, size, "%s", candidate);
		}
	}
	return best < 3;
}
