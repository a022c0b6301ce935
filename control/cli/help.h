/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Texts made from the command table: usage, help, and what the build makes of it (manual page,
 * reference, completion).
 */

#ifndef WEIR_CLI_HELP_H
#define WEIR_CLI_HELP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct command;

/* "weirctl flow list SERVICE [--limit N]"; returns buf. */
const char *help_usage(const struct command *c, char *buf, size_t size);

void help_short(FILE *to); /* a few lines, for who gave no command */
void help_main(FILE *to);

/*
 * Help on what the words name: a command, a group of commands, or all when count is 0.
 * Returns false, printing nothing, when they name none.
 */
bool help_on(FILE *to, const char *const *words, size_t count);

/* What may follow the words, "list, show"; returns buf. */
const char *help_next_words(const char *const *words, size_t count, char *buf, size_t size);

/* The word after words[0..count) that is most like `word`; false when none is near. */
bool help_nearest(const char *const *words, size_t count, const char *word, char *buf, size_t size);

/* weirctl.1, docs/operators/cli.md and the bash completion. */
void help_manual(FILE *to);
void help_reference(FILE *to);
void help_bash(FILE *to);

/*
 * Print what may stand at the end of a command line, one candidate a line; "@file" asks the shell to
 * complete file names. argv are the words so far, the last one unfinished and perhaps empty.
 */
void help_complete(FILE *to, int argc, char *const *argv);

#endif
