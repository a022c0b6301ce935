/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The parts of `weirctl replay`: what is asked, checked before anything starts, and the data plane that
 * runs as a child of weirctl.
 */

#ifndef WEIR_CLI_REPLAY_H
#define WEIR_CLI_REPLAY_H

#include "control/cli/cli.h"
#include "control/cli/trace.h"

#include <stdint.h>
#include <sys/types.h>

struct model;
struct weir_client;

/* "front=a.pcap" taken apart. */
struct replay_file {
	char port[64];
	const char *path; /* borrowed from the option's value */
};

/*
 * Check the --in and --out options of the invocation against the configuration: known ports, one file
 * each, readable captures, nothing that would be overwritten by mistake. Prints the first complaint.
 * Returns CLI_DONE or the exit status.
 */
int replay_check_files(struct cli *cli, const struct model *m);

/* Take "PORT=FILE" apart; false when it has not that form. */
bool replay_file_parse(const char *text, struct replay_file *ret_file);

/* A data plane as a child. */
struct replay_process {
	pid_t pid;
	int api_fd; /* our end; the caller's */
	int log_fd; /* a file with the child's standard error */
};

/*
 * Start weir-dataplane --replay with the options of the invocation: that of $WEIR_DATAPLANE, or beside
 * weirctl, or in ../sbin. Prints what went wrong. Returns CLI_DONE or the exit status.
 */
int replay_process_start(struct cli *cli, struct replay_process *ret_process);

/*
 * Wait for the end, or end it after timeout_ms. Returns true when it ended by itself with status 0.
 */
bool replay_process_end(struct replay_process *p, int timeout_ms);

/*
 * Read the objects of the configuration's policies, unverified: they run in the interpreter, which checks every
 * access. Gives each policy of the model its id, and hands the images to the data plane.
 */
int replay_policies_stage(struct cli *cli, struct weir_client *client, struct model *m);

/* What --trace asks for, and what it gave. */
struct replay_trace {
	bool wanted;
	uint32_t session;
	uint64_t lost;
	struct trace_request request; /* owned */
	json_t *records; /* owned; NULL before replay_trace_take() */
};

/* Read --trace, --match and --count. Returns CLI_DONE or the exit status. */
int replay_trace_read(struct cli *cli, struct replay_trace *t);
/* Before and after the captures are run. Nothing is done without --trace. */
int replay_trace_start(struct cli *cli, struct weir_client *client, struct replay_trace *t);
int replay_trace_take(struct cli *cli, struct weir_client *client, struct replay_trace *t);
void replay_trace_print(struct cli *cli, const struct replay_trace *t);
void replay_trace_fini(struct replay_trace *t);

/* Print the last lines that it said on standard error; for when it failed. Closes log_fd. */
void replay_process_log(struct cli *cli, struct replay_process *p, bool show);

#endif
