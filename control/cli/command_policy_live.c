/* SPDX-License-Identifier: BSD-3-Clause */

/* Policies of a running service: load, show, unload. */

#include "control/cli/command.h"
#include "control/cli/printer.h"
#include "control/cli/rpc.h"
#include "control/cli/tables.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

const struct printer_column table_policies[] = {
	{ "SERVICE", "service", PRINT_TEXT },
	{ "POS", "position", PRINT_TEXT },
	{ "POLICY", "name", PRINT_TEXT },
	{ "MODE", "mode", PRINT_TEXT },
	{ "STATE", "state", PRINT_TEXT },
	{ "RUNS IN", "where", PRINT_TEXT },
	{ "PACKETS", "packets", PRINT_COUNT },
	{ "PASS", "verdicts.pass", PRINT_COUNT },
	{ "DROP", "verdicts.drop", PRINT_COUNT },
	{ "LIMIT", "verdicts.limit", PRINT_COUNT },
	{ "ROUTE", "verdicts.route", PRINT_COUNT },
	{ "ABORTED", "verdicts.aborted", PRINT_COUNT },
	{ "CYCLES", "cycles", PRINT_COUNT },
};
const size_t table_policies_count = PRINTER_COUNT(table_policies);

static const struct printer_column policy_record[] = {
	{ "policy", "name", PRINT_TEXT },
	{ "position", "position", PRINT_TEXT },
	{ "object", "path", PRINT_TEXT },
	{ "loaded", "loaded", PRINT_TEXT },
	{ "mode", "mode", PRINT_TEXT },
	{ "on error", "on_error", PRINT_TEXT },
	{ "state", "state", PRINT_TEXT },
	{ "machine code", "compiled", PRINT_TEXT },
	{ "runs in", "where", PRINT_TEXT },
	{ "  because", "kernel.why", PRINT_TEXT },
	{ "instructions", "instructions", PRINT_TEXT },
	{ "packets judged", "packets", PRINT_COUNT },
	{ "  in the kernel", "kernel.packets", PRINT_COUNT },
	{ "verdicts", "verdicts", PRINT_COUNTERS },
	{ "drops by reason", "reasons", PRINT_COUNTERS },
	{ "classes not there", "no_class", PRINT_COUNT },
	{ "pools not there", "no_pool", PRINT_COUNT },
	{ "cycles a packet", "cycles", PRINT_COUNT },
	{ "  when tried out", "trial.median", PRINT_TEXT },
	{ "  in the kernel", "kernel.cycles", PRINT_TEXT },
	{ "  allowed", "budget", PRINT_TEXT },
	{ "parameters", "parameters", PRINT_COUNTERS },
};

static const struct printer_column map_table[] = {
	{ "MAP", "name", PRINT_TEXT },
	{ "TYPE", "type", PRINT_TEXT },
	{ "KEY", "key_size", PRINT_BYTES },
	{ "VALUE", "value_size", PRINT_BYTES },
	{ "ENTRIES", "max_entries", PRINT_COUNT },
};

static const struct printer_column class_table[] = {
	{ "CLASS", "number", PRINT_TEXT },
	{ "NAME", "name", PRINT_TEXT },
	{ "LIMIT", "limit_packets", PRINT_RATE },
	{ "BITS", "limit_bits", PRINT_BITS },
	{ "NEW FLOWS", "limit_connections", PRINT_RATE },
	{ "IN FORCE", "connections_in_force", PRINT_RATE },
	{ "PACKETS", "packets", PRINT_COUNT },
	{ "DROPPED", "dropped", PRINT_SUM },
};

int command_policy_list(struct cli *cli)
{
	json_t *result;
	int status = rpc_call(cli, "policy.list", NULL, RPC_TIMEOUT_MS, &result);
	if (status != CLI_DONE)
		return status;
	status = printer_list(
		cli, result, table_policies, table_policies_count, "no service has a policy");
	json_decref(result);
	return status;
}

static int print_policies(struct cli *cli, const json_t *result)
{
	const json_t *policies = json_object_get(result, "policies");
	const json_t *classes = json_object_get(result, "classes");
	int status = CLI_DONE;

	if (json_array_size(policies) == 0)
		fprintf(cli->out, "%s has no policy\n", cli->arguments[0]);
	for (size_t i = 0; status == CLI_DONE && i < json_array_size(policies); i++) {
		const json_t *p = json_array_get(policies, i);
		const json_t *maps = json_object_get(p, "maps");

		if (i > 0)
			fputc('\n', cli->out);
		status = printer_record(cli, p, policy_record, PRINTER_COUNT(policy_record));
		if (status != CLI_DONE || json_array_size(maps) == 0)
			continue;
		fputc('\n', cli->out);
		status = printer_table(cli, maps, map_table, PRINTER_COUNT(map_table), "");
	}
	if (status != CLI_DONE || json_array_size(classes) == 0)
		return status;
	fputc('\n', cli->out);
	return printer_table(cli, classes, class_table, PRINTER_COUNT(class_table), "");
}

int command_policy_show(struct cli *cli)
{
	json_t *result;
	int status = rpc_call(cli, "policy.show", json_pack("{s:s}", "service", cli->arguments[0]),
		RPC_TIMEOUT_MS, &result);
	if (status != CLI_DONE)
		return status;
	if (!printer_json(cli, result))
		status = print_policies(cli, result);
	json_decref(result);
	return status;
}

/* The daemon reads the file, and does not stand where we do. */
static char *object_path(struct cli *cli)
{
	char *path = realpath(cli->arguments[1], NULL);
	if (path == NULL)
		cli_fail(cli, CLI_FAILED, "%s: %s", cli->arguments[1], strerror(errno));
	return path;
}

/* NULL: an option is wrong, which has been said. */
static json_t *load_parameters(struct cli *cli, const char *path)
{
	const char *budget = cli_value(cli, "budget", 0);
	const char *on_error = cli_value(cli, "on-error", 0);
	const char *offload = cli_value(cli, "offload", 0);
	json_t *sets = json_array();
	char *end = NULL;
	long cycles = budget != NULL ? strtol(budget, &end, 10) : 2000;
	const char *set;

	if (budget != NULL &&
		(end == budget || *end != '\0' || cycles < 1 || cycles > 1000000000)) {
		cli_fail(cli, CLI_USAGE,
			"--budget takes a number of cycles 1..1000000000, not \"%s\"", budget);
		json_decref(sets);
		return NULL;
	}
	if (on_error != NULL && strcmp(on_error, "pass") != 0 && strcmp(on_error, "drop") != 0) {
		cli_fail(cli, CLI_USAGE, "--on-error takes pass or drop, not \"%s\"", on_error);
		json_decref(sets);
		return NULL;
	}
	if (offload != NULL && strcmp(offload, "auto") != 0 && strcmp(offload, "never") != 0) {
		cli_fail(cli, CLI_USAGE, "--offload takes auto or never, not \"%s\"", offload);
		json_decref(sets);
		return NULL;
	}
	for (size_t i = 0; (set = cli_value(cli, "set", i)) != NULL; i++)
		json_array_append_new(sets, json_string(set));
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:b, s:o}", "service", cli->arguments[0],
		"object", path, "mode",
		cli_value(cli, "observe", 0) != NULL ? "observe" : "enforce", "on_error",
		on_error != NULL ? on_error : "pass", "offload", offload != NULL ? offload : "auto",
		"budget", (json_int_t)cycles, "append", cli_value(cli, "append", 0) != NULL, "set",
		sets);
}

int command_policy_load(struct cli *cli)
{
	json_t *result;
	char *path = object_path(cli);
	json_t *params = path != NULL ? load_parameters(cli, path) : NULL;
	int status = path != NULL ? CLI_USAGE : CLI_FAILED;

	free(path);
	if (params == NULL)
		return status;
	status = rpc_call(cli, "policy.load", params, RPC_LONG_TIMEOUT_MS, &result);
	if (status != CLI_DONE)
		return status;
	if (!printer_json(cli, result)) {
		const json_t *policies = json_object_get(result, "policies");
		const json_t *last = json_array_get(policies, json_array_size(policies) - 1);
		const char *name = json_string_value(json_object_get(last, "name"));

		fprintf(cli->out, "%s: policy %s is %s now, until the next config apply\n",
			cli->arguments[0], name != NULL ? name : "?",
			cli_value(cli, "observe", 0) != NULL ? "observed" : "in force");
	}
	json_decref(result);
	return CLI_DONE;
}

int command_policy_unload(struct cli *cli)
{
	const char *policy = cli->argument_count > 1 ? cli->arguments[1] : NULL;
	json_t *result;
	int status = rpc_call(cli, "policy.unload",
		json_pack("{s:s, s:s?}", "service", cli->arguments[0], "policy", policy),
		RPC_LONG_TIMEOUT_MS, &result);
	if (status != CLI_DONE)
		return status;
	if (!printer_json(cli, result)) {
		size_t left = json_array_size(json_object_get(result, "policies"));

		fprintf(cli->out,
			"%s: unloaded; it has %zu polic%s now, until the next config apply\n",
			cli->arguments[0], left, left == 1 ? "y" : "ies");
	}
	json_decref(result);
	return CLI_DONE;
}
