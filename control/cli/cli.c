/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/cli/cli.h"

#include "control/cli/command.h"
#include "control/cli/help.h"
#include "control/cli/shell.h"
#include "control/config/model.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define FILE_MAX (16u << 20)

int cli_fail(struct cli *cli, enum cli_status status, const char *format, ...)
{
	va_list args;
	fputs("weirctl: ", cli->err);
	va_start(args, format);
	vfprintf(cli->err, format, args);
	va_end(args);
	fputc('\n', cli->err);
	return status;
}

int cli_socket_path(const struct cli *cli, char *buf, size_t size)
{
	const char *run = getenv("WEIR_RUN_DIR");
	int length;
	if (cli->socket != NULL)
		length = snprintf(buf, size, "%s", cli->socket);
	else
		length = snprintf(buf, size, "%s/%s/control.sock",
			run != NULL && run[0] != '\0' ? run : "/run/weir", cli->instance);
	return length < 0 || (size_t)length >= size ? -ENAMETOOLONG : 0;
}

int cli_check_endpoint(struct cli *cli, const char *text)
{
	struct address address;
	uint16_t port;
	if (address_port_parse(text, &address, &port))
		return CLI_DONE;
	return cli_fail(cli, CLI_USAGE,
		"\"%s\" is not ADDRESS:PORT, such as 10.0.0.1:80 or [2001:db8::1]:80", text);
}

const char *cli_file_label(const char *path)
{
	return strcmp(path, "-") == 0 ? "<stdin>" : path;
}

static int read_all(int fd, char **ret_text, size_t *ret_length)
{
	char *text = NULL;
	size_t length = 0, room = 0;
	for (;;) {
		if (length + 1 >= room) {
			room = room != 0 ? 2 * room : 65536;
			char *more = realloc(text, room);
			if (more == NULL) {
				free(text);
				return -ENOMEM;
			}
			text = more;
		}
		ssize_t n = read(fd, text + length, room - length - 1);
		if (n < 0 && errno == EINTR)
			continue;
		int err = n < 0 ? -errno : length + (size_t)n > FILE_MAX ? -EFBIG : 0;
		if (err != 0) {
			free(text);
			return err;
		}
		if (n == 0)
			break;
		length += (size_t)n;
	}
	text[length] = '\0';
	*ret_text = text;
	*ret_length = length;
	return 0;
}

int cli_read_file(const char *path, char **ret_text, size_t *ret_length)
{
	if (strcmp(path, "-") == 0)
		return read_all(STDIN_FILENO, ret_text, ret_length);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	int err = read_all(fd, ret_text, ret_length);
	close(fd);
	return err;
}

int command_help(struct cli *cli)
{
	if (help_on(cli->out, cli->arguments, cli->argument_count))
		return CLI_DONE;
	return cli_fail(cli, CLI_USAGE, "there is no such command; \"weirctl help\" lists all");
}

/* What the build and the shell ask for; not for people, so not in the table. */
static bool run_hidden(int argc, char *const *argv, FILE *out)
{
	if (argc >= 2 && strcmp(argv[1], "--complete") == 0) {
		help_complete(out, argc - 2, argv + 2);
		return true;
	}
	if (argc != 3 || strcmp(argv[1], "--generate") != 0)
		return false;
	if (strcmp(argv[2], "manual") == 0)
		help_manual(out);
	else if (strcmp(argv[2], "reference") == 0)
		help_reference(out);
	else if (strcmp(argv[2], "bash") == 0)
		help_bash(out);
	else
		return false;
	return true;
}

static int run_watched(struct cli *cli)
{
	struct timespec pause = { .tv_sec = (time_t)cli->watch_s };
	pause.tv_nsec = (long)((cli->watch_s - (double)pause.tv_sec) * 1e9);
	bool terminal = isatty(fileno(cli->out));
	for (;;) {
		if (terminal)
			fputs("\033[H\033[J", cli->out); /* cursor home, clear what is below */
		int status = cli->command->run(cli);
		if (status != CLI_DONE)
			return status;
		if (!terminal)
			fputc('\n', cli->out);
		if (fflush(cli->out) != 0)
			return CLI_FAILED;
		nanosleep(&pause, NULL);
	}
}

static int usage_error(struct cli *cli, const char *what)
{
	char usage[256];
	if (what[0] == '\0') { /* nothing was asked */
		if (!shell_is_running() && isatty(STDIN_FILENO) && isatty(fileno(cli->out)))
			return shell_run(cli);
		help_short(cli->err);
		return CLI_USAGE;
	}
	cli_fail(cli, CLI_USAGE, "%s", what);
	if (cli->command != NULL)
		fprintf(cli->err, "usage: %s\n", help_usage(cli->command, usage, sizeof(usage)));
	else
		fprintf(cli->err, "\"weirctl help\" lists all commands\n");
	return CLI_USAGE;
}

static int run_command(struct cli *cli)
{
	const struct command *c = cli->command;
	return cli->watch_s > 0 ? run_watched(cli) : c->run(cli);
}

int cli_main(int argc, char *const *argv, FILE *out, FILE *err)
{
	struct cli cli = { .out = out, .err = err };
	char what[512];
	int status = CLI_DONE;
	if (run_hidden(argc, argv, out))
		;
	else if (cli_parse(&cli, argc, argv, what, sizeof(what)) != 0)
		status = usage_error(&cli, what);
	else if (cli.help)
		help_on(out, cli.words, cli.word_count);
	else if (cli.version)
		fprintf(out, "weirctl %s\n", WEIR_VERSION);
	else
		status = run_command(&cli);
	/* A full disk or a closed pipe must not look like success. */
	if (fflush(out) != 0 && status == CLI_DONE)
		status = cli_fail(&cli, CLI_FAILED, "cannot write: %s", strerror(errno));
	return status;
}
