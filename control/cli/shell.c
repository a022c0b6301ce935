/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/cli/shell.h"

#include <errno.h>
#include <limits.h>
#include <locale.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define HISTORY_SIZE 1000
#define WORDS_MAX    256

struct shell {
	struct cli *cli;
	EditLine *edit;
	History *history;
	HistEvent event;
	char history_path[PATH_MAX]; /* "": nowhere to keep it */
	int status; /* of the last command */
	bool leave;
};

static bool running;
static struct termios terminal_before;

bool shell_is_running(void)
{
	return running;
}

int shell_globals(const struct cli *cli, const char *argv[SHELL_GLOBALS_MAX])
{
	int argc = 0;
	argv[argc++] = "weirctl";
	argv[argc++] = "--instance";
	argv[argc++] = cli->instance;
	if (cli->socket != NULL) {
		argv[argc++] = "--socket";
		argv[argc++] = cli->socket;
	}
	if (cli->json)
		argv[argc++] = "--json";
	return argc;
}

/* Ended from outside while a line is edited: the terminal must not stay as the editor has set it. */
static void end_by_signal(int number)
{
	(void)tcsetattr(STDIN_FILENO, TCSANOW, &terminal_before);
	(void)signal(number, SIG_DFL);
	(void)raise(number);
}

static char *prompt(EditLine *edit)
{
	static char text[128];
	struct shell *s;
	el_get(edit, EL_CLIENTDATA, &s);
	bool is_default = strcmp(s->cli->instance, "default") == 0;
	size_t used = (size_t)snprintf(text, sizeof(text), "weir%s%s", is_default ? "" : " ",
		is_default ? "" : s->cli->instance);
	if (s->status != 0)
		used += (size_t)snprintf(text + used, sizeof(text) - used, " [%d]", s->status);
	snprintf(text + used, sizeof(text) - used, "> ");
	return text;
}

/* Ctrl-C while a line is edited: begin a new one. */
static unsigned char drop_line(EditLine *edit, int key)
{
	const LineInfo *line = el_line(edit);
	int length = (int)(line->lastchar - line->buffer);
	el_cursor(edit, (int)(line->lastchar - line->cursor));
	el_deletestr(edit, length);
	printf("^C\n");
	fflush(stdout);
	return CC_REDISPLAY;
}

static unsigned char complete(EditLine *edit, int key)
{
	struct shell *s;
	el_get(edit, EL_CLIENTDATA, &s);
	return shell_complete(edit, s->cli);
}

static void history_open(struct shell *s)
{
	const char *home = getenv("HOME");
	s->history = history_init();
	if (s->history == NULL)
		return;
	history(s->history, &s->event, H_SETSIZE, HISTORY_SIZE);
	history(s->history, &s->event, H_SETUNIQUE, 1);
	el_set(s->edit, EL_HIST, history, s->history);
	if (home == NULL || home[0] != '/')
		return;
	snprintf(s->history_path, sizeof(s->history_path), "%s/.weirctl_history", home);
	history(s->history, &s->event, H_LOAD, s->history_path);
}

/* After each line: who is cut off finds it again. */
static void history_keep(struct shell *s, const char *line)
{
	if (s->history == NULL || line[strspn(line, " \t\n")] == '\0')
		return;
	history(s->history, &s->event, H_ENTER, line);
	mode_t before = umask(077);
	if (s->history_path[0] != '\0')
		history(s->history, &s->event, H_SAVE, s->history_path);
	umask(before);
}

static int edit_open(struct shell *s)
{
	s->edit = el_init("weirctl", stdin, stdout, stderr);
	if (s->edit == NULL)
		return -ENOMEM;
	el_set(s->edit, EL_CLIENTDATA, s);
	el_set(s->edit, EL_PROMPT, prompt);
	el_set(s->edit, EL_EDITOR, "emacs");
	history_open(s);
	/* The wide form: the other one copies these texts and never frees them. */
	el_wset(s->edit, EL_ADDFN, L"weir-complete", L"complete commands and names", complete);
	el_wset(s->edit, EL_ADDFN, L"weir-drop", L"drop the line", drop_line);
	el_source(s->edit, NULL); /* ~/.editrc */
	/* Keys, not signals, while a line is edited. */
	el_set(s->edit, EL_SETTY, "-d", "-isig", NULL);
	el_set(s->edit, EL_BIND, "^I", "weir-complete", NULL);
	el_set(s->edit, EL_BIND, "^C", "weir-drop", NULL);
	el_set(s->edit, EL_BIND, "^R", "em-inc-search-prev", NULL);
	return 0;
}

static void run_child(int argc, char **argv)
{
	(void)signal(SIGINT, SIG_DFL);
	(void)signal(SIGQUIT, SIG_DFL);
	(void)signal(SIGTERM, SIG_DFL);
	(void)signal(SIGHUP, SIG_DFL);
	_exit(cli_main(argc, argv, stdout, stderr));
}

static int wait_child(pid_t pid)
{
	int status;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return CLI_FAILED;
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	/* The prompt begins a line of its own. */
	fputc('\n', stdout);
	return 128 + WTERMSIG(status);
}

static void run_words(struct shell *s, int count, const char **words)
{
	const char *argv[SHELL_GLOBALS_MAX + WORDS_MAX + 1];
	int argc = shell_globals(s->cli, argv);
	/* A habit. */
	if (count > 0 && strcmp(words[0], "weirctl") == 0) {
		words++;
		count--;
	}
	if (count == 0)
		return;
	if (strcmp(words[0], "exit") == 0 || strcmp(words[0], "quit") == 0) {
		s->leave = true;
		return;
	}
	/* As on a router. */
	if (strcmp(words[count - 1], "?") == 0) {
		count--;
		argv[argc++] = "help";
	}
	for (int i = 0; i < count && i < WORDS_MAX - 1; i++)
		argv[argc++] = words[i];
	argv[argc] = NULL;
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0)
		run_child(argc, (char **)(uintptr_t)argv);
	s->status = pid > 0 ?
		wait_child(pid) :
		cli_fail(s->cli, CLI_FAILED, "cannot start a process: %s", strerror(errno));
}

static void run_line(struct shell *s, const char *line)
{
	Tokenizer *tokens = tok_init(NULL);
	int count;
	const char **words;
	if (tokens == NULL)
		return;
	if (tok_str(tokens, line, &count, &words) != 0)
		s->status = cli_fail(s->cli, CLI_USAGE, "a quote is not closed");
	else
		run_words(s, count, words);
	tok_end(tokens);
}

static void signals_set(void)
{
	(void)signal(SIGINT, SIG_IGN);
	(void)signal(SIGQUIT, SIG_IGN);
	(void)signal(SIGTERM, end_by_signal);
	(void)signal(SIGHUP, end_by_signal);
}

int shell_run(struct cli *cli)
{
	struct shell s = { .cli = cli };
	int count;
	(void)setlocale(LC_CTYPE, "");
	if (tcgetattr(STDIN_FILENO, &terminal_before) != 0 || edit_open(&s) != 0)
		return cli_fail(cli, CLI_FAILED, "cannot use this terminal: %s", strerror(errno));
	running = true;
	signals_set();
	printf("weirctl %s. \"help\" lists the commands, Tab completes, Ctrl-D leaves. The number "
	       "before > is\nthe exit status of the last command when it is not 0.\n",
		WEIR_VERSION);
	while (!s.leave) {
		el_resize(s.edit);
		const char *line = el_gets(s.edit, &count);
		if (line == NULL || count <= 0)
			break;
		/* The editor reuses its buffer. */
		char *copy = strdup(line);
		if (copy == NULL)
			break;
		history_keep(&s, copy);
		run_line(&s, copy);
		free(copy);
	}
	if (!s.leave)
		fputc('\n', stdout);
	if (s.history != NULL)
		history_end(s.history);
	el_end(s.edit);
	return CLI_DONE;
}
