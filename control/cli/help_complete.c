/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/cli/cli.h"
#include "control/cli/command.h"
#include "control/cli/help.h"
#include "control/cli/printer.h"
#include "control/cli/rpc.h"

#include <jansson.h>

#include <glob.h>
#include <stdlib.h>
#include <string.h>

/* Somebody waits at the keyboard. */
#define COMPLETE_TIMEOUT_MS 500

/* What is known of the line before its last word. */
struct line {
	struct cli cli;
	const struct command_option *open; /* wants the last word as its value */
};

static void offer(FILE *to, const char *candidate, const char *last)
{
	if (strncmp(candidate, last, strlen(last)) == 0)
		fprintf(to, "%s\n", candidate);
}

static void take_option(struct line *l, const char *word)
{
	const char *name = word + strspn(word, "-");
	size_t length = strcspn(name, "=");
	const struct command_option *o = command_option_find(command_globals, name, length);
	if (o == NULL && l->cli.command != NULL)
		o = command_option_find(l->cli.command->options, name, length);
	if (o == NULL || o->value == NULL)
		return;
	if (name[length] == '=') {
		if (strcmp(o->name, "instance") == 0)
			l->cli.instance = name + length + 1;
		if (strcmp(o->name, "socket") == 0)
			l->cli.socket = name + length + 1;
		return;
	}
	l->open = o;
}

static void take_word(struct line *l, const char *word)
{
	struct cli *cli = &l->cli;
	if (l->open != NULL) {
		if (strcmp(l->open->name, "instance") == 0)
			cli->instance = word;
		if (strcmp(l->open->name, "socket") == 0)
			cli->socket = word;
		l->open = NULL;
	} else if (word[0] == '-' && word[1] != '\0') {
		take_option(l, word);
	} else if (cli->command != NULL && cli->argument_count < CLI_MAX_WORDS) {
		cli->arguments[cli->argument_count++] = word;
	} else if (cli->command == NULL && cli->word_count < CLI_MAX_WORDS) {
		cli->words[cli->word_count++] = word;
		cli->command = command_find(cli->words, cli->word_count);
	}
}

static void offer_options(FILE *to, const struct command_option *o, const char *last)
{
	for (; o != NULL && o->name != NULL; o++) {
		char text[64];
		snprintf(text, sizeof(text), "--%s", o->name);
		offer(to, text, last);
	}
}

static void offer_words(FILE *to, const char *const *words, size_t count, const char *last)
{
	char before[64] = "";
	for (size_t i = 0; i < command_count; i++) {
		const struct command *c = &command_table[i];
		if (!command_begins(c, words, count))
			continue;
		const char *p = c->path;
		for (size_t skip = 0; skip < count; skip++) {
			p += strcspn(p, " ");
			p += strspn(p, " ");
		}
		char word[64];
		snprintf(word, sizeof(word), "%.*s", (int)strcspn(p, " "), p);
		if (word[0] != '\0' && strcmp(word, before) != 0)
			offer(to, word, last);
		memcpy(before, word, sizeof(before));
	}
}

/* Names that the daemon knows; nothing where it does not answer. */
static void offer_names(FILE *to, const struct line *l, const char *method, json_t *params,
	const struct printer_column *column, const char *last)
{
	char path[RPC_PATH_SIZE];
	json_t *reply = NULL, *item;
	size_t i;
	if (rpc_ask(&l->cli, method, params, COMPLETE_TIMEOUT_MS, path, sizeof(path), &reply) != 0)
		return;
	json_array_foreach(json_object_get(reply, "result"), i, item)
	{
		char *text = printer_cell(item, column);
		if (text != NULL)
			offer(to, text, last);
		free(text);
	}
	json_decref(reply);
}

/* Instances that have a daemon's socket here. */
static void offer_instances(FILE *to, const char *last)
{
	struct line l = { .cli = { .instance = "*" } };
	char pattern[4096];
	glob_t found;
	if (cli_socket_path(&l.cli, pattern, sizeof(pattern)) != 0 ||
		glob(pattern, 0, NULL, &found) != 0)
		return;
	for (size_t i = 0; i < found.gl_pathc; i++) {
		char *path = found.gl_pathv[i];
		char *file = strrchr(path, '/');
		*file = '\0';
		offer(to, strrchr(path, '/') + 1, last);
	}
	globfree(&found);
}

/* Of the service that was named: the maps of its policies, or the policies. */
static void offer_policies(FILE *to, const struct line *l, bool maps, const char *last)
{
	static const struct printer_column by_name = { "", "name", PRINT_TEXT };
	char path[RPC_PATH_SIZE];
	json_t *reply = NULL, *policy, *map;
	size_t i, j;
	if (rpc_ask(&l->cli, "policy.show", json_pack("{s:s}", "service", l->cli.arguments[0]),
		    COMPLETE_TIMEOUT_MS, path, sizeof(path), &reply) != 0)
		return;
	json_array_foreach(json_object_get(json_object_get(reply, "result"), "policies"), i, policy)
	{
		char *text = maps ? NULL : printer_cell(policy, &by_name);
		if (text != NULL)
			offer(to, text, last);
		free(text);
		json_array_foreach(maps ? json_object_get(policy, "maps") : NULL, j, map)
		{
			text = printer_cell(map, &by_name);
			if (text != NULL)
				offer(to, text, last);
			free(text);
		}
	}
	json_decref(reply);
}

static void offer_argument(FILE *to, const struct line *l, const char *name, const char *last)
{
	static const struct printer_column by_name = { "", "name", PRINT_TEXT };
	static const struct printer_column by_endpoint = { "", "", PRINT_ENDPOINT };
	if (strcmp(name, "FILE") == 0 || strcmp(name, "CONFIG") == 0 || strcmp(name, "OBJECT") == 0)
		fprintf(to, "@file\n");
	else if (strcmp(name, "MAP") == 0 || strcmp(name, "POLICY") == 0)
		offer_policies(to, l, name[0] == 'M', last);
	else if (strcmp(name, "SERVICE") == 0)
		offer_names(to, l, "service.list", NULL, &by_name, last);
	else if (strcmp(name, "PORT") == 0)
		offer_names(to, l, "port.list", NULL, &by_name, last);
	else if (strcmp(name, "ADDRESS:PORT") == 0)
		offer_names(to, l, "backend.list",
			json_pack("{s:s}", "service", l->cli.arguments[0]), &by_endpoint, last);
	else if (strcmp(name, "PROTOCOL") == 0) {
		offer(to, "tcp", last);
		offer(to, "udp", last);
	}
}

void help_complete(FILE *to, int argc, char *const *argv)
{
	struct line l = { .cli = { .instance = "default" } };
	char name[64];
	if (argc < 1)
		return;
	const char *last = argv[argc - 1];
	for (int i = 0; i < argc - 1; i++)
		take_word(&l, argv[i]);
	const struct command *c = l.cli.command;
	if (l.open != NULL) {
		if (strcmp(l.open->name, "instance") == 0)
			offer_instances(to, last);
		else if (strcmp(l.open->name, "socket") == 0 || strchr(last, '=') != NULL)
			fprintf(to, "@file\n");
	} else if (last[0] == '-') {
		offer_options(to, command_globals, last);
		offer_options(to, c != NULL ? c->options : NULL, last);
	} else if (c == NULL) {
		offer_words(to, l.cli.words, l.cli.word_count, last);
	} else if (c->run == command_help) {
		offer_words(to, l.cli.arguments, l.cli.argument_count, last);
	} else if (command_argument_name(c, l.cli.argument_count, name, sizeof(name))) {
		offer_argument(to, &l, name, last);
	}
}
