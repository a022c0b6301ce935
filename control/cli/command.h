/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The command table: the one place that says what weirctl can do. Usage, help, completion, the manual
 * page and the reference in docs/ are made from it.
 */

#ifndef WEIR_CLI_COMMAND_H
#define WEIR_CLI_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cli;

enum command_flag {
	COMMAND_F_WATCH = 1u << 0, /* --watch repeats it */
	COMMAND_F_NO_DAEMON = 1u << 1, /* works without weir-controld */
	COMMAND_F_NO_JSON = 1u << 2, /* for people only: its help does not offer --json */
};

struct command_option {
	const char *name; /* without the dashes */
	const char *value; /* what to call its value; NULL for a flag */
	const char *help;
	bool required;
	bool repeats;
};

struct command {
	const char *path; /* "service show" */
	const char *arguments; /* "SERVICE [BACKEND]"; names in brackets may be left out */
	const char *help; /* one line, no full stop */
	const char *details; /* sentences for the manual; NULL when there is no more to say */
	int (*run)(struct cli *cli); /* returns an enum cli_status */
	uint32_t flags; /* enum command_flag */
	const struct command_option *options; /* ends with a NULL name; NULL when there are none */
};

extern const struct command command_table[];
extern const size_t command_count;
extern const struct command_option command_globals[]; /* ends with a NULL name */

/* The command whose path is exactly these words, or NULL. */
const struct command *command_find(const char *const *words, size_t count);
/* True when the path begins with these words. */
bool command_begins(const struct command *c, const char *const *words, size_t count);
/* An option by name (length bytes), of the command (may be NULL) or global; or NULL. */
const struct command_option *command_option_find(
	const struct command_option *options, const char *name, size_t length);
/* How many arguments the command takes at least and at most. */
void command_arity(const struct command *c, size_t *ret_least, size_t *ret_most);
/* Copy the name of argument `index` without brackets ("SERVICE"); false when there is none. */
bool command_argument_name(const struct command *c, size_t index, char *buf, size_t size);

/* The commands. */
int command_config_check(struct cli *cli);
int command_config_apply(struct cli *cli);
int command_config_diff(struct cli *cli);
int command_config_show(struct cli *cli);
int command_config_confirm(struct cli *cli);
int command_config_undo(struct cli *cli);
int command_config_history(struct cli *cli);
int command_status(struct cli *cli);
int command_doctor(struct cli *cli);
int command_setup_apply(struct cli *cli);
int command_setup_undo(struct cli *cli);
int command_service_list(struct cli *cli);
int command_service_show(struct cli *cli);
int command_backend_list(struct cli *cli);
int command_backend_drain(struct cli *cli);
int command_backend_enable(struct cli *cli);
int command_flow_list(struct cli *cli);
int command_flow_find(struct cli *cli);
int command_limit_set(struct cli *cli);
int command_limit_show(struct cli *cli);
int command_port_list(struct cli *cli);
int command_port_show(struct cli *cli);
int command_core_list(struct cli *cli);
int command_core_show(struct cli *cli);
int command_core_move(struct cli *cli);
int command_explain(struct cli *cli);
int command_adapt_status(struct cli *cli);
int command_adapt_set(struct cli *cli);
int command_adapt_pause(struct cli *cli);
int command_adapt_resume(struct cli *cli);
int command_adapt_record(struct cli *cli);
int command_adapt_replay(struct cli *cli);
int command_adapt_constants(struct cli *cli);
int command_events(struct cli *cli);
int command_top(struct cli *cli);
int command_trace(struct cli *cli);
int command_capture(struct cli *cli);
int command_policy_check(struct cli *cli);
int command_policy_run(struct cli *cli);
int command_policy_load(struct cli *cli);
int command_policy_show(struct cli *cli);
int command_policy_unload(struct cli *cli);
int command_policy_list(struct cli *cli);
int command_policy_map_get(struct cli *cli);
int command_policy_map_set(struct cli *cli);
int command_policy_map_delete(struct cli *cli);
int command_policy_map_dump(struct cli *cli);
int command_policy_map_load(struct cli *cli);
int command_replay(struct cli *cli);
int command_help(struct cli *cli);

#endif
