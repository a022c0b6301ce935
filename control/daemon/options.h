/* SPDX-License-Identifier: BSD-3-Clause */

/* The command line of weir-controld. */

#ifndef WEIR_DAEMON_OPTIONS_H
#define WEIR_DAEMON_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

struct options {
	const char *config;
	const char *instance;
	const char *socket; /* NULL: RUN/NAME/control.sock */
	const char *state_dir; /* NULL: beside the sockets */
	/* Groups whose members may use the sockets; -1: that of the process. */
	int64_t group;
	int64_t read_only_group;
	bool spawn_dataplane;
};

/*
 * Returns -1 to go on, or the exit status of the program: 0 after --help and --version, 2 when the
 * usage is wrong, which has been said on standard error. Strings are borrowed from argv.
 */
int options_parse(int argc, char **argv, struct options *ret_options);

#endif
