/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * One invocation of weirctl: what was asked, where to print, how to fail. A single thread; nothing here
 * outlives the process.
 */

#ifndef WEIR_CLI_CLI_H
#define WEIR_CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct command;
struct command_option;

#define CLI_MAX_WORDS  8
#define CLI_MAX_VALUES 64

enum cli_status {
	CLI_DONE = 0,
	CLI_FAILED = 1, /* refused or failed: one line on standard error says what and what to do */
	CLI_USAGE = 2, /* wrong usage */
	CLI_UNREACHABLE = 3, /* nobody answers on the daemon's socket */
};

/* An option of the command as it was given; value is NULL for a flag. Both borrowed. */
struct cli_value {
	const struct command_option *option;
	const char *value;
};

struct cli {
	FILE *out;
	FILE *err;
	const char *instance; /* borrowed from argv, like all texts here */
	const char *socket; /* NULL: derived from the instance */
	bool json;
	bool help;
	bool version;
	double watch_s; /* 0: print once */
	/* The words of the command, also when they are only the beginning of one ("service"). */
	const char *words[CLI_MAX_WORDS];
	size_t word_count;
	const struct command *command; /* NULL when the words name none */
	const char *arguments[CLI_MAX_WORDS];
	size_t argument_count;
	struct cli_value values[CLI_MAX_VALUES];
	size_t value_count;
};

/*
 * Understand a command line. Global options may stand anywhere; those of a command after its words.
 *
 * cli  out and err must be set; the rest is filled in
 * Returns 0, or -EINVAL with what is wrong in err (empty when there was no command at all). With cli->help set the command line need not be
 * complete, and 0 is returned for all that names a beginning of a command.
 */
int cli_parse(struct cli *cli, int argc, char *const *argv, char *err, size_t err_size);

/* Parse, run, print. Returns the exit status. */
int cli_main(int argc, char *const *argv, FILE *out, FILE *err);

/* The n-th value given for an option ("in"), NULL when there are not so many. */
const char *cli_value(const struct cli *cli, const char *option, size_t n);

/* Print "weirctl: ..." on cli->err; returns status. */
int cli_fail(struct cli *cli, enum cli_status status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Path of the daemon's socket. Returns 0 or -ENAMETOOLONG. */
int cli_socket_path(const struct cli *cli, char *buf, size_t size);

/* CLI_DONE when text is ADDRESS:PORT, else it says so and returns CLI_USAGE. */
int cli_check_endpoint(struct cli *cli, const char *text);

/*
 * Read a whole file; "-" is standard input. ret_text is malloc'ed and has a NUL behind its end.
 * Returns 0, -EFBIG, -ENOMEM or another -errno of reading.
 */
int cli_read_file(const char *path, char **ret_text, size_t *ret_length);
/* What to call it in messages. */
const char *cli_file_label(const char *path);

#endif
