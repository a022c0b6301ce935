/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The interactive shell: weirctl without a command, on a terminal. Each command runs in a child process,
 * as if it had been typed behind "weirctl"; so Ctrl-C ends the command and not the shell, and a daemon
 * that is restarted in between is simply asked anew.
 */

#ifndef WEIR_CLI_SHELL_H
#define WEIR_CLI_SHELL_H

#include "control/cli/cli.h"

#include <histedit.h>

/*
 * Read commands until the end of input or "exit"; cli has the global options, which go for every command.
 * Returns the exit status.
 */
int shell_run(struct cli *cli);

/* True in a shell and in the commands that it runs. */
bool shell_is_running(void);

/*
 * The global options that every command of the shell begins with, "weirctl" first. Returns their count,
 * at most SHELL_GLOBALS_MAX; borrowed from cli.
 */
#define SHELL_GLOBALS_MAX 6
int shell_globals(const struct cli *cli, const char *argv[SHELL_GLOBALS_MAX]);

/* Tab: complete the word before the cursor, or show what it may become. Returns libedit's code. */
unsigned char shell_complete(EditLine *edit, const struct cli *cli);

#endif
