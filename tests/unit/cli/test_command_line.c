/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/cli/cli.h"
#include "control/cli/command.h"
#include "control/cli/help.h"
#include "control/cli/replay.h"
#include "tests/unit/tap.h"

#include <stdlib.h>
#include <string.h>

#define MAX_WORDS 32

static char error[512];

/* Split a line at its spaces and parse it. The texts live until the next call. */
static int parse(const char *line, struct cli *cli)
{
	static char copy[512];
	char *argv[MAX_WORDS] = { NULL };
	int argc = 0;
	snprintf(copy, sizeof(copy), "%s", line);
	for (char *word = strtok(copy, " "); word != NULL && argc < MAX_WORDS;
		word = strtok(NULL, " "))
		argv[argc++] = word;
	*cli = (struct cli){ .out = stdout, .err = stderr };
	error[0] = '\0';
	return cli_parse(cli, argc, argv, error, sizeof(error));
}

/* Run a whole command line; standard output as text that the caller frees. */
static char *run(const char *line, int *ret_status)
{
	static char copy[512];
	char *argv[MAX_WORDS] = { NULL }, *text = NULL, *errors = NULL;
	size_t length, errors_length;
	int argc = 0;
	snprintf(copy, sizeof(copy), "%s", line);
	for (char *word = strtok(copy, " "); word != NULL && argc < MAX_WORDS;
		word = strtok(NULL, " "))
		argv[argc++] = word;
	FILE *out = open_memstream(&text, &length);
	FILE *err = open_memstream(&errors, &errors_length);
	*ret_status = cli_main(argc, argv, out, err);
	fclose(out);
	fclose(err);
	free(errors);
	return text;
}

static void each_command_takes_its_arguments_and_no_others(void)
{
	static const struct {
		const char *line;
		const char *path;
		size_t arguments;
	} good[] = {
		{ "weirctl status", "status", 0 },
		{ "weirctl doctor", "doctor", 0 },
		{ "weirctl doctor a.yaml", "doctor", 1 },
		{ "weirctl apply a.yaml --confirm 60s", "config apply", 1 },
		{ "weirctl --json rollback", "config undo", 0 },
		{ "weirctl rollback 12", "config undo", 1 },
		{ "weirctl config check a.yaml", "config check", 1 },
		{ "weirctl config check -", "config check", 1 },
		{ "weirctl config diff a.yaml", "config diff", 1 },
		{ "weirctl config apply a.yaml", "config apply", 1 },
		{ "weirctl config show", "config show", 0 },
		{ "weirctl service list", "service list", 0 },
		{ "weirctl service show web", "service show", 1 },
		{ "weirctl backend list", "backend list", 0 },
		{ "weirctl backend list web", "backend list", 1 },
		{ "weirctl backend drain web 10.0.0.1:80", "backend drain", 2 },
		{ "weirctl backend enable web [2001:db8::1]:80", "backend enable", 2 },
		{ "weirctl flow list web --limit 5", "flow list", 1 },
		{ "weirctl flow find tcp 1.2.3.4:5 6.7.8.9:80", "flow find", 3 },
		{ "weirctl limit show web", "limit show", 1 },
		{ "weirctl limit set web packets 5", "limit set", 3 },
		{ "weirctl port list", "port list", 0 },
		{ "weirctl port show front", "port show", 1 },
		{ "weirctl setup apply a.yaml --yes --root /mnt", "setup apply", 1 },
		{ "weirctl setup undo", "setup undo", 0 },
		{ "weirctl core list", "core list", 0 },
		{ "weirctl core show 1", "core show", 1 },
		{ "weirctl core move web 0-127,200 1 2", "core move", 4 },
		{ "weirctl core move web --all 1 2", "core move", 3 },
		{ "weirctl config apply c.yaml --confirm 60s", "config apply", 1 },
		{ "weirctl config confirm", "config confirm", 0 },
		{ "weirctl config undo", "config undo", 0 },
		{ "weirctl config undo 3", "config undo", 1 },
		{ "weirctl config history", "config history", 0 },
		{ "weirctl events --follow --since 5", "events", 0 },
		{ "weirctl trace web --count 5 --sample 1/10", "trace", 1 },
		{ "weirctl trace --port front", "trace", 0 },
		{ "weirctl capture web --write a.pcapng", "capture", 1 },
		{ "weirctl policy check a.o --set a=1 --set b=2", "policy check", 1 },
		{ "weirctl policy run a.o --pcap b.pcap", "policy run", 1 },
		{ "weirctl policy load web a.o --observe --set a=1 --on-error drop", "policy load",
			2 },
		{ "weirctl policy show web", "policy show", 1 },
		{ "weirctl policy list", "policy list", 0 },
		{ "weirctl policy unload web guard", "policy unload", 2 },
		{ "weirctl policy map get web m 1", "policy map get", 3 },
		{ "weirctl policy map set web m 1 2 --policy guard", "policy map set", 4 },
		{ "weirctl policy map delete web m 1", "policy map delete", 3 },
		{ "weirctl policy map dump web m --limit 5", "policy map dump", 2 },
		{ "weirctl policy map load web m list --replace", "policy map load", 3 },
		{ "weirctl replay c.yaml --in a=b", "replay", 1 },
		{ "weirctl top --interval 2 --no-color", "top", 0 },
		{ "weirctl help service list", "help", 2 },
		{ "weirctl help", "help", 0 },
		{ "weirctl explain web --last 5", "explain", 1 },
		{ "weirctl adapt status", "adapt status", 0 },
		{ "weirctl adapt set web weights observe", "adapt set", 3 },
		{ "weirctl adapt pause", "adapt pause", 0 },
		{ "weirctl adapt resume web", "adapt resume", 1 },
		{ "weirctl adapt record web --out a.rec --for 10s", "adapt record", 1 },
		{ "weirctl adapt replay a.rec --set a=1 --set b=2", "adapt replay", 1 },
		{ "weirctl adapt constants", "adapt constants", 0 },
	};
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct cli cli;
		CU_ASSERT_EQUAL_FATAL(parse(good[i].line, &cli), 0);
		CU_ASSERT_PTR_NOT_NULL_FATAL(cli.command);
		CU_ASSERT_STRING_EQUAL(cli.command->path, good[i].path);
		CU_ASSERT_EQUAL(cli.argument_count, good[i].arguments);
	}
	static const char *const bad[] = { "weirctl status now", "weirctl config check",
		"weirctl config check a b", "weirctl service show", "weirctl backend drain web",
		"weirctl backend list web more", "weirctl flow find tcp 1.2.3.4:5",
		"weirctl replay c.yaml", "weirctl service", "weirctl service lost",
		"weirctl nothing", "weirctl", "weirctl --json" };
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct cli cli;
		CU_ASSERT_NOT_EQUAL(parse(bad[i], &cli), 0);
	}
}

static void every_command_is_tried_above(void)
{
	/* Keeps the list above in step with the table. */
	CU_ASSERT_EQUAL(command_count, 50);
}

static void global_options_stand_anywhere(void)
{
	static const char *const lines[] = {
		"weirctl --json --instance blue --socket /x service show web",
		"weirctl service --json --instance=blue show --socket=/x web",
		"weirctl service show web --instance blue --socket /x --json",
	};
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct cli cli;
		CU_ASSERT_EQUAL_FATAL(parse(lines[i], &cli), 0);
		CU_ASSERT(cli.json);
		CU_ASSERT_STRING_EQUAL(cli.instance, "blue");
		CU_ASSERT_STRING_EQUAL(cli.socket, "/x");
		CU_ASSERT_STRING_EQUAL(cli.command->path, "service show");
		CU_ASSERT_EQUAL(cli.argument_count, 1);
	}
	struct cli cli;
	CU_ASSERT_EQUAL(parse("weirctl status", &cli), 0);
	CU_ASSERT_STRING_EQUAL(cli.instance, "default");
	CU_ASSERT_PTR_NULL(cli.socket);
	CU_ASSERT(!cli.json);
}

static void options_that_make_no_sense_are_refused(void)
{
	static const char *const bad[] = { "weirctl --nothing status", "weirctl status -x",
		"weirctl status --instance", "weirctl status --instance a/b",
		"weirctl status --instance ..",
		"weirctl status --instance=", "weirctl status --json=yes",
		"weirctl status --limit 5", "weirctl flow list web --limit",
		"weirctl flow list web --limit 1 --limit 2", "weirctl status --watch soon",
		"weirctl status --watch 0", "weirctl status --watch -1",
		"weirctl status --watch nan", "weirctl status --watch 1 --json",
		"weirctl config show --watch 1" };
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct cli cli;
		CU_ASSERT_NOT_EQUAL(parse(bad[i], &cli), 0);
		CU_ASSERT_NOT_EQUAL(error[0], '\0');
	}
	struct cli cli;
	CU_ASSERT_EQUAL(parse("weirctl status --watch 0.5", &cli), 0);
	CU_ASSERT(cli.watch_s > 0.49 && cli.watch_s < 0.51);
}

static void after_two_dashes_all_are_arguments(void)
{
	struct cli cli;
	CU_ASSERT_EQUAL_FATAL(parse("weirctl service show -- --json", &cli), 0);
	CU_ASSERT_STRING_EQUAL(cli.arguments[0], "--json");
	CU_ASSERT(!cli.json);
}

static void options_may_be_repeated_where_that_makes_sense(void)
{
	struct cli cli;
	CU_ASSERT_EQUAL_FATAL(
		parse("weirctl replay c --in a=1 --seed 7 --in=b=2 --out a=3", &cli), 0);
	CU_ASSERT_STRING_EQUAL(cli_value(&cli, "in", 0), "a=1");
	CU_ASSERT_STRING_EQUAL(cli_value(&cli, "in", 1), "b=2");
	CU_ASSERT_PTR_NULL(cli_value(&cli, "in", 2));
	CU_ASSERT_STRING_EQUAL(cli_value(&cli, "seed", 0), "7");
	CU_ASSERT_STRING_EQUAL(cli_value(&cli, "out", 0), "a=3");
}

static void a_near_miss_gets_a_proposal(void)
{
	struct cli cli;
	CU_ASSERT_NOT_EQUAL(parse("weirctl servcie list", &cli), 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(error, "did you mean \"service\""));
	CU_ASSERT_NOT_EQUAL(parse("weirctl service remove", &cli), 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(error, "list, show"));
	CU_ASSERT_NOT_EQUAL(parse("weirctl xxxxxxxx", &cli), 0);
	CU_ASSERT_PTR_NULL(strstr(error, "did you mean"));
}

static void help_can_be_asked_for_anywhere(void)
{
	static const struct {
		const char *line;
		const char *expected;
	} cases[] = {
		{ "weirctl --help", "Commands:" },
		{ "weirctl help", "Commands:" },
		{ "weirctl -h", "Commands:" },
		{ "weirctl service --help", "service show SERVICE" },
		{ "weirctl help service", "service show SERVICE" },
		{ "weirctl service show --help", "usage: weirctl service show SERVICE" },
		{ "weirctl --help flow list", "[--limit N]" },
		{ "weirctl help flow list", "[--limit N]" },
		{ "weirctl explain --help", "[--last N]" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int status;
		char *text = run(cases[i].line, &status);
		CU_ASSERT_EQUAL(status, 0);
		CU_ASSERT_PTR_NOT_NULL(strstr(text, cases[i].expected));
		free(text);
	}
	int status;
	free(run("weirctl help nothing", &status));
	CU_ASSERT_EQUAL(status, CLI_USAGE);
}

static bool is_capital_or_dot(const char *text)
{
	return (text[0] >= 'A' && text[0] <= 'Z') || text[strlen(text) - 1] == '.';
}

static void every_command_has_help_and_stands_in_the_manual(void)
{
	int status;
	char *manual = run("weirctl --generate manual", &status);
	char *reference = run("weirctl --generate reference", &status);
	char *all = run("weirctl help", &status);
	for (size_t i = 0; i < command_count; i++) {
		const struct command *c = &command_table[i];
		char line[256], heading[256];
		CU_ASSERT(strlen(c->help) > 10 && !is_capital_or_dot(c->help));
		CU_ASSERT_PTR_NOT_NULL(c->run);
		snprintf(line, sizeof(line), "weirctl %s --help", c->path);
		char *text = run(line, &status);
		CU_ASSERT_EQUAL(status, 0);
		CU_ASSERT_PTR_NOT_NULL(strstr(text, c->help + 1));
		free(text);
		snprintf(heading, sizeof(heading), ".SS weirctl %s", c->path);
		CU_ASSERT_PTR_NOT_NULL(strstr(manual, heading));
		snprintf(heading, sizeof(heading), "\n## %s\n", c->path);
		CU_ASSERT_PTR_NOT_NULL(strstr(reference, heading));
		CU_ASSERT_PTR_NOT_NULL(strstr(all, c->help));
	}
	free(manual);
	free(reference);
	free(all);
}

static void no_path_is_the_beginning_of_another(void)
{
	/* The parser takes the first path that is complete. */
	for (size_t i = 0; i < command_count; i++)
		for (size_t j = 0; j < command_count; j++) {
			size_t length = strlen(command_table[i].path);
			if (i != j &&
				strncmp(command_table[i].path, command_table[j].path, length) == 0)
				CU_ASSERT_NOT_EQUAL(command_table[j].path[length], ' ');
		}
}

static void completion_offers_what_may_follow(void)
{
	/* The word to complete is the last one; "''" stands for an empty one. */
	static const struct {
		const char *words[6];
		const char *expected;
	} cases[] = {
		{ { "sta" }, "status\n" },
		{ { "service", "" }, "list\nshow\n" },
		{ { "service", "s" }, "show\n" },
		{ { "--instance", "x", "--json", "core", "" }, "list\nshow\nmove\n" },
		{ { "config", "apply", "" }, "@file\n" },
		{ { "replay", "" }, "@file\n" },
		{ { "replay", "c", "--i" }, "--instance\n--in\n" },
		{ { "replay", "c", "--in", "front=" }, "@file\n" },
		{ { "flow", "find", "" }, "tcp\nudp\n" },
		{ { "help", "serv" }, "service\n" },
		{ { "flow", "list", "web", "--l" }, "--limit\n" },
		{ { "explain", "" }, "" },
		{ { "exp" }, "explain\n" },
		{ { "status", "" }, "" },
		{ { "--socket", "/nowhere", "service", "show", "" }, "" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *words[6], *text = NULL;
		size_t length;
		int count = 0;
		while (count < 6 && cases[i].words[count] != NULL) {
			words[count] = strdup(cases[i].words[count]);
			count++;
		}
		FILE *to = open_memstream(&text, &length);
		help_complete(to, count, words);
		fclose(to);
		CU_ASSERT_STRING_EQUAL(text, cases[i].expected);
		free(text);
		while (count > 0)
			free(words[--count]);
	}
}

static void the_socket_follows_instance_and_environment(void)
{
	struct cli cli;
	char path[256], small[8];
	setenv("WEIR_RUN_DIR", "/tmp/run", 1);
	CU_ASSERT_EQUAL(parse("weirctl status", &cli), 0);
	CU_ASSERT_EQUAL(cli_socket_path(&cli, path, sizeof(path)), 0);
	CU_ASSERT_STRING_EQUAL(path, "/tmp/run/default/control.sock");
	CU_ASSERT(cli_socket_path(&cli, small, sizeof(small)) < 0);
	unsetenv("WEIR_RUN_DIR");
	CU_ASSERT_EQUAL(parse("weirctl status --instance blue", &cli), 0);
	CU_ASSERT_EQUAL(cli_socket_path(&cli, path, sizeof(path)), 0);
	CU_ASSERT_STRING_EQUAL(path, "/run/weir/blue/control.sock");
	CU_ASSERT_EQUAL(parse("weirctl status --socket s", &cli), 0);
	CU_ASSERT_EQUAL(cli_socket_path(&cli, path, sizeof(path)), 0);
	CU_ASSERT_STRING_EQUAL(path, "s");
}

static void replay_files_are_port_and_path(void)
{
	struct replay_file f;
	CU_ASSERT(replay_file_parse("front=/a/b=c.pcap", &f));
	CU_ASSERT_STRING_EQUAL(f.port, "front");
	CU_ASSERT_STRING_EQUAL(f.path, "/a/b=c.pcap");
	CU_ASSERT(!replay_file_parse("front", &f));
	CU_ASSERT(!replay_file_parse("=x", &f));
	CU_ASSERT(!replay_file_parse("front=", &f));
}

static const struct tap_case cases[] = {
	{ "each command takes its arguments and no others",
		each_command_takes_its_arguments_and_no_others },
	{ "every command is tried", every_command_is_tried_above },
	{ "global options stand anywhere", global_options_stand_anywhere },
	{ "options that make no sense are refused", options_that_make_no_sense_are_refused },
	{ "after two dashes all are arguments", after_two_dashes_all_are_arguments },
	{ "options may be repeated where that makes sense",
		options_may_be_repeated_where_that_makes_sense },
	{ "a near miss gets a proposal", a_near_miss_gets_a_proposal },
	{ "help can be asked for anywhere", help_can_be_asked_for_anywhere },
	{ "every command has help and stands in the manual",
		every_command_has_help_and_stands_in_the_manual },
	{ "no path is the beginning of another", no_path_is_the_beginning_of_another },
	{ "completion offers what may follow", completion_offers_what_may_follow },
	{ "the socket follows instance and environment",
		the_socket_follows_instance_and_environment },
	{ "replay files are port and path", replay_files_are_port_and_path },
};

TAP_MAIN("command line", cases)
