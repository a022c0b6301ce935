/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/cli/cli.h"
#include "control/cli/command.h"
#include "control/cli/help.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

struct parser {
	struct cli *cli;
	int argc;
	char *const *argv;
	int next;
	bool only_arguments; /* "--" has been seen */
	char *err;
	size_t err_size;
};

static int wrong(struct parser *p, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int wrong(struct parser *p, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vsnprintf(p->err, p->err_size, format, args);
	va_end(args);
	return -EINVAL;
}

static int set_watch(struct parser *p, const char *value)
{
	char *end;
	double seconds = strtod(value, &end);
	if (end == value || *end != '\0' || !isfinite(seconds) || seconds < 0.1 || seconds > 86400)
		return wrong(p, "--watch takes seconds, 0.1 to 86400, not \"%s\"", value);
	p->cli->watch_s = seconds;
	return 0;
}

static int set_instance(struct parser *p, const char *value)
{
	size_t length = strlen(value);
	if (length == 0 || length > 63 || strchr(value, '/') != NULL || value[0] == '.')
		return wrong(p, "\"%s\" is not the name of an instance", value);
	p->cli->instance = value;
	return 0;
}

static int set_global(struct parser *p, const struct command_option *o, const char *value)
{
	struct cli *cli = p->cli;
	if (strcmp(o->name, "instance") == 0)
		return set_instance(p, value);
	if (strcmp(o->name, "watch") == 0)
		return set_watch(p, value);
	if (strcmp(o->name, "socket") == 0)
		cli->socket = value;
	else if (strcmp(o->name, "json") == 0)
		cli->json = true;
	else if (strcmp(o->name, "help") == 0)
		cli->help = true;
	else if (strcmp(o->name, "version") == 0)
		cli->version = true;
	return 0;
}

static int set_own(struct parser *p, const struct command_option *o, const char *value)
{
	struct cli *cli = p->cli;
	if (!o->repeats && cli_value(cli, o->name, 0) != NULL)
		return wrong(p, "--%s was given twice", o->name);
	if (cli->value_count == CLI_MAX_VALUES)
		return wrong(p, "too many options");
	cli->values[cli->value_count++] = (struct cli_value){ o, value };
	return 0;
}

/* word begins with "-" and is not "-" alone. */
static int parse_option(struct parser *p, const char *word)
{
	const struct command *c = p->cli->command;
	if (strcmp(word, "-h") == 0)
		word = "--help";
	const char *name = word + 2;
	const char *equals = strchr(word, '=');
	size_t length = equals != NULL ? (size_t)(equals - name) : strlen(name);
	const struct command_option *o = NULL;
	bool global = true;
	if (word[1] == '-') {
		o = command_option_find(command_globals, name, length);
		global = o != NULL;
		if (o == NULL && c != NULL)
			o = command_option_find(c->options, name, length);
	}
	if (o == NULL && c != NULL)
		return wrong(p, "\"%s\" has no option %s", c->path, word);
	if (o == NULL)
		return wrong(p, "unknown option %s", word);

	const char *value = NULL;
	if (equals != NULL && o->value == NULL)
		return wrong(p, "--%s takes no value", o->name);
	if (equals != NULL)
		value = equals + 1;
	else if (o->value != NULL && p->next < p->argc)
		value = p->argv[p->next++];
	if (o->value != NULL && value == NULL)
		return wrong(p, "--%s needs a value: --%s %s", o->name, o->name, o->value);
	return global ? set_global(p, o, value) : set_own(p, o, value);
}

/* A word of the command's path; the command is set when it is complete. */
static int parse_word(struct parser *p, const char *word)
{
	struct cli *cli = p->cli;
	if (cli->word_count == CLI_MAX_WORDS)
		return wrong(p, "too many words");
	cli->words[cli->word_count] = word;
	for (size_t i = 0; i < command_count; i++) {
		if (!command_begins(&command_table[i], cli->words, cli->word_count + 1))
			continue;
		cli->word_count++;
		cli->command = command_find(cli->words, cli->word_count);
		return 0;
	}
	char near[64];
	bool is_near = help_nearest(cli->words, cli->word_count, word, near, sizeof(near));
	if (cli->word_count == 0 && is_near)
		return wrong(p, "there is no command \"%s\"; did you mean \"%s\"?", word, near);
	if (cli->word_count == 0)
		return wrong(p, "there is no command \"%s\"", word);
	char verbs[256];
	help_next_words(cli->words, cli->word_count, verbs, sizeof(verbs));
	return wrong(p, "\"%s\" has no \"%s\"; it has: %s", cli->words[cli->word_count - 1], word,
		verbs);
}

/* A word where the command's name stands; some commands have one of a single word as well. */
static int parse_name(struct parser *p, const char *word)
{
	static const struct {
		const char *word;
		const char *path[2];
	} short_names[] = {
		{ "apply", { "config", "apply" } },
		{ "rollback", { "config", "undo" } },
	};
	for (size_t i = 0; i < sizeof(short_names) / sizeof(*short_names); i++) {
		if (p->cli->word_count > 0 || strcmp(word, short_names[i].word) != 0)
			continue;
		int r = parse_word(p, short_names[i].path[0]);
		return r != 0 ? r : parse_word(p, short_names[i].path[1]);
	}
	return parse_word(p, word);
}

static int parse_argument(struct parser *p, const char *word)
{
	struct cli *cli = p->cli;
	size_t least, most;
	command_arity(cli->command, &least, &most);
	if (cli->argument_count >= most && most == 0)
		return wrong(p, "\"%s\" takes no argument, but \"%s\" was given",
			cli->command->path, word);
	if (cli->argument_count >= most || cli->argument_count == CLI_MAX_WORDS)
		return wrong(p, "one argument too many: \"%s\"", word);
	cli->arguments[cli->argument_count++] = word;
	return 0;
}

static int check_complete(struct parser *p)
{
	struct cli *cli = p->cli;
	const struct command *c = cli->command;
	if (cli->help || cli->version)
		return 0;
	if (c == NULL && cli->word_count == 0) {
		p->err[0] = '\0'; /* nothing was wrong: nothing was asked */
		return -EINVAL;
	}
	if (c == NULL) {
		char verbs[256];
		help_next_words(cli->words, cli->word_count, verbs, sizeof(verbs));
		return wrong(p, "\"%s\" needs one of: %s", cli->words[cli->word_count - 1], verbs);
	}
	size_t least, most;
	char name[64];
	command_arity(c, &least, &most);
	if (cli->argument_count < least &&
		command_argument_name(c, cli->argument_count, name, sizeof(name)))
		return wrong(p, "\"%s\" needs %s", c->path, name);
	for (const struct command_option *o = c->options; o != NULL && o->name != NULL; o++)
		if (o->required && cli_value(cli, o->name, 0) == NULL)
			return wrong(p, "\"%s\" needs --%s %s", c->path, o->name, o->value);
	if (cli->watch_s > 0 && !(c->flags & COMMAND_F_WATCH))
		return wrong(p, "--watch is for lists and status, not for \"%s\"", c->path);
	if (cli->watch_s > 0 && cli->json)
		return wrong(p, "--json prints one document; it does not go with --watch");
	return 0;
}

/* Help is for those who do not know yet: what comes with it need not be right. */
static bool asks_for_help(int argc, char *const *argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			return true;
	return false;
}

int cli_parse(struct cli *cli, int argc, char *const *argv, char *err, size_t err_size)
{
	struct parser p = {
		.cli = cli, .argc = argc, .argv = argv, .next = 1, .err = err, .err_size = err_size
	};
	cli->instance = "default";
	cli->help = asks_for_help(argc, argv);
	while (p.next < argc) {
		const char *word = argv[p.next++];
		int status;
		if (!p.only_arguments && strcmp(word, "--") == 0) {
			p.only_arguments = true;
			continue;
		}
		if (!p.only_arguments && word[0] == '-' && word[1] != '\0')
			status = parse_option(&p, word);
		else if (cli->command == NULL)
			status = parse_name(&p, word);
		else
			status = parse_argument(&p, word);
		if (status != 0 && !(cli->help && cli->word_count > 0))
			return status;
	}
	return check_complete(&p);
}

const char *cli_value(const struct cli *cli, const char *option, size_t n)
{
	for (size_t i = 0; i < cli->value_count; i++) {
		if (strcmp(cli->values[i].option->name, option) != 0)
			continue;
		if (n-- == 0)
			return cli->values[i].value != NULL ? cli->values[i].value : "";
	}
	return NULL;
}
