/* SPDX-License-Identifier: BSD-3-Clause */

/* Tab in the shell: the candidates are those of help_complete(), as for bash. */

#include "control/cli/help.h"
#include "control/cli/shell.h"

#include <glob.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define WORDS_MAX      64
#define CANDIDATES_MAX 1000
#define SHOWN_MAX      200
#define WIDTH_DEFAULT  80

struct candidates {
	char **items; /* owned */
	size_t count;
};

static void add(struct candidates *c, const char *text)
{
	if (c->count == CANDIDATES_MAX)
		return;
	char **more = realloc(c->items, (c->count + 1) * sizeof(*more));
	if (more == NULL)
		return;
	c->items = more;
	more[c->count] = strdup(text);
	c->count += more[c->count] != NULL;
}

static void candidates_free(struct candidates *c)
{
	for (size_t i = 0; i < c->count; i++)
		free(c->items[i]);
	free(c->items);
}

/* File names; `last` may have "PORT=" before the name. */
static void add_files(struct candidates *c, const char *last)
{
	const char *equals = strrchr(last, '=');
	const char *name = equals != NULL ? equals + 1 : last;
	char pattern[1024], text[1024];
	glob_t found;
	snprintf(pattern, sizeof(pattern), "%s*", name);
	if (glob(pattern, GLOB_MARK | GLOB_TILDE, NULL, &found) != 0)
		return;
	for (size_t i = 0; i < found.gl_pathc; i++) {
		snprintf(text, sizeof(text), "%.*s%s", (int)(name - last), last, found.gl_pathv[i]);
		add(c, text);
	}
	globfree(&found);
}

static void gather(struct candidates *c, int argc, char *const *argv, const char *last)
{
	char *text = NULL, *at = NULL;
	size_t length;
	FILE *to = open_memstream(&text, &length);
	if (to == NULL)
		return;
	help_complete(to, argc - 1, argv + 1);
	fclose(to);
	for (char *line = strtok_r(text, "\n", &at); line != NULL;
		line = strtok_r(NULL, "\n", &at)) {
		if (strcmp(line, "@file") == 0)
			add_files(c, last);
		else
			add(c, line);
	}
	free(text);
}

/* How many bytes all candidates begin with. */
static size_t common(const struct candidates *c)
{
	size_t length = strlen(c->items[0]);
	for (size_t i = 1; i < c->count; i++) {
		size_t same = 0;
		while (same < length && c->items[i][same] == c->items[0][same])
			same++;
		length = same;
	}
	return length;
}

static void show(const struct candidates *c)
{
	struct winsize size;
	size_t width = 1, columns = WIDTH_DEFAULT;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
		columns = size.ws_col;
	for (size_t i = 0; i < c->count; i++)
		if (strlen(c->items[i]) + 2 > width)
			width = strlen(c->items[i]) + 2;
	size_t in_line = columns / width > 0 ? columns / width : 1;
	fputc('\n', stdout);
	for (size_t i = 0; i < c->count && i < SHOWN_MAX; i++) {
		bool ends = i % in_line == in_line - 1 || i + 1 == c->count;
		printf("%-*s%s", ends ? 0 : (int)width, c->items[i], ends ? "\n" : "");
	}
	if (c->count > SHOWN_MAX)
		printf("\n... and %zu more\n", c->count - SHOWN_MAX);
	fflush(stdout);
}

/* Put what is certain behind the cursor. */
static unsigned char advance(EditLine *edit, const struct candidates *c, size_t have)
{
	char text[1024];
	size_t certain = common(c);
	size_t length = certain > have ? certain - have : 0;
	bool done =
		c->count == 1 && c->items[0][certain - 1] != '/' && c->items[0][certain - 1] != '=';
	if (length == 0 && !done) {
		show(c);
		return CC_REDISPLAY;
	}
	snprintf(text, sizeof(text), "%.*s%s", (int)length, c->items[0] + have, done ? " " : "");
	if (el_insertstr(edit, text) != 0)
		return CC_REFRESH_BEEP;
	return CC_REFRESH;
}

unsigned char shell_complete(EditLine *edit, const struct cli *cli)
{
	const LineInfo *line = el_line(edit);
	size_t length = (size_t)(line->cursor - line->buffer);
	const char *argv[SHELL_GLOBALS_MAX + WORDS_MAX];
	struct candidates c = { 0 };
	char *text = strndup(line->buffer, length), *at = NULL;
	int before = shell_globals(cli, argv), argc = before;
	if (text == NULL)
		return CC_ERROR;
	bool fresh = length == 0 || text[length - 1] == ' ';
	for (char *word = strtok_r(text, " ", &at); word != NULL && argc < before + WORDS_MAX - 1;
		word = strtok_r(NULL, " ", &at))
		if (argc > before || strcmp(word, "weirctl") != 0 || (*at == '\0' && !fresh))
			argv[argc++] = word;
	if (fresh || argc == before)
		argv[argc++] = "";
	const char *last = argv[argc - 1];
	gather(&c, argc, (char *const *)(uintptr_t)argv, last);
	if (argc == before + 1 && last[0] != '\0' && strncmp("exit", last, strlen(last)) == 0)
		add(&c, "exit");
	unsigned char result =
		c.count > 0 ? advance(edit, &c, strlen(last)) : (unsigned char)CC_REFRESH_BEEP;
	candidates_free(&c);
	free(text);
	return result;
}
