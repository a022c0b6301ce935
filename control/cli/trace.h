/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What `trace`, `capture` and `replay --trace` share: which packets, reading what became of them,
 * showing it to people.
 */

#ifndef WEIR_CLI_TRACE_H
#define WEIR_CLI_TRACE_H

#include "control/cli/cli.h"

#include <jansson.h>

#include <stdint.h>

/* Which packets; filter is owned. */
struct trace_request {
	const char *service; /* NULL: any */
	const char *port; /* NULL: any */
	json_t *filter; /* NULL: all */
	uint64_t count; /* 0: no bound */
	uint64_t sample;
	uint64_t snaplen;
	double for_s; /* 0: no bound */
};

/*
 * Read --match, --count, --sample, --snaplen and --for of the invocation, those that the command has, for a
 * service, a port (either may be NULL) or both. Prints the first complaint. Returns CLI_DONE (end with trace_request_fini()) or the exit status.
 */
int trace_request_read(struct cli *cli, const char *service, const char *port,
	uint64_t default_count, struct trace_request *ret_request);
/* The same for a command with the argument [SERVICE] and the option --port, at least one of them. */
int trace_request_read_target(
	struct cli *cli, uint64_t default_count, struct trace_request *ret_request);
void trace_request_fini(struct trace_request *r);

/* Given each array of records as it comes; may write on cli->out. Returns CLI_DONE to go on. */
typedef int (*trace_records_fn)(struct cli *cli, void *ctx, const json_t *records);

/*
 * Follow packets until there were enough, the time is up, or SIGINT or SIGTERM comes.
 *
 * frames    whether records carry their frames
 * ret_lost  packets that matched and could not be followed
 * Returns CLI_DONE or the exit status; what came before an error was given to fn.
 */
int trace_follow(struct cli *cli, const struct trace_request *r, bool frames, trace_records_fn fn,
	void *ctx, uint64_t *ret_lost);

/* A packet's way for people: a line that says what became of it, and one for each stage. */
void trace_print(FILE *out, const json_t *record);

#endif
