/* SPDX-License-Identifier: BSD-3-Clause */

/* Maps of policies of a running service. */

#include "control/cli/command.h"
#include "control/cli/policy_map.h"
#include "control/cli/printer.h"
#include "control/cli/rpc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DUMP_BATCH 16384 /* entries in one answer */

static const struct printer_column entry_table[] = {
	{ "KEY", "key", PRINT_TEXT },
	{ "VALUE", "value", PRINT_TEXT },
};

static const struct printer_column worker_table[] = {
	{ "KEY", "key", PRINT_TEXT },
	{ "VALUES", "values", PRINT_LIST },
};

json_t *policy_map_parameters(const struct cli *cli)
{
	return json_pack("{s:s, s:s, s:s?}", "service", cli->arguments[0], "map", cli->arguments[1],
		"policy", cli_value(cli, "policy", 0));
}

static json_t *with(json_t *params, const char *name, json_t *value)
{
	json_object_set_new(params, name, value);
	return params;
}

static int print_entries(struct cli *cli, const json_t *entries)
{
	bool workers = json_object_get(json_array_get(entries, 0), "values") != NULL;

	return printer_table(cli, entries, workers ? worker_table : entry_table,
		workers ? PRINTER_COUNT(worker_table) : PRINTER_COUNT(entry_table),
		"the map is empty");
}

int command_policy_map_get(struct cli *cli)
{
	json_t *result;
	int status = rpc_call(cli, "policy.map.get",
		with(policy_map_parameters(cli), "keys", json_pack("[s]", cli->arguments[2])),
		RPC_TIMEOUT_MS, &result);
	if (status != CLI_DONE)
		return status;
	const json_t *entry = json_array_get(json_object_get(result, "entries"), 0);

	if (entry == NULL) {
		status = cli_fail(cli, CLI_FAILED, "map %s of %s has no entry %s",
			cli->arguments[1], cli->arguments[0], cli->arguments[2]);
	} else if (!printer_json(cli, entry)) {
		bool workers = json_object_get(entry, "values") != NULL;
		char *text = printer_cell(entry, workers ? &worker_table[1] : &entry_table[1]);

		fprintf(cli->out, "%s\n", text != NULL ? text : "?");
		free(text);
	}
	json_decref(result);
	return status;
}

/* Send a change, and say what was done. */
static int change(struct cli *cli, const char *method, json_t *params, const char *done)
{
	json_t *result;
	int status = rpc_call(cli, method, params, RPC_TIMEOUT_MS, &result);
	if (status != CLI_DONE)
		return status;
	if (!printer_json(cli, result))
		fprintf(cli->out, "%s %s: %s %s\n", cli->arguments[0], cli->arguments[1],
			cli->arguments[2], done);
	json_decref(result);
	return CLI_DONE;
}

int command_policy_map_set(struct cli *cli)
{
	return change(cli, "policy.map.set",
		with(policy_map_parameters(cli), "entries",
			json_pack("[[s, s]]", cli->arguments[2], cli->arguments[3])),
		"is set");
}

int command_policy_map_delete(struct cli *cli)
{
	return change(cli, "policy.map.delete",
		with(policy_map_parameters(cli), "keys", json_pack("[s]", cli->arguments[2])),
		"is deleted");
}

int policy_map_part(struct cli *cli, const json_t *cursor, size_t most, json_t **ret_part)
{
	json_t *params = with(policy_map_parameters(cli), "limit",
		json_integer((json_int_t)(most < DUMP_BATCH ? most : DUMP_BATCH)));

	if (json_is_string(cursor))
		json_object_set(params, "cursor", (json_t *)(uintptr_t)cursor);
	return rpc_call(cli, "policy.map.dump", params, RPC_LONG_TIMEOUT_MS, ret_part);
}

/* At most so many entries, in the document of the last part. */
static int dump(struct cli *cli, size_t most, json_t **ret_document)
{
	json_t *all = json_array(), *part = NULL, *next = NULL;

	do {
		int status = policy_map_part(cli, next, most - json_array_size(all), &part);

		json_decref(next);
		if (status != CLI_DONE) {
			json_decref(all);
			return status;
		}
		json_array_extend(all, json_object_get(part, "entries"));
		next = json_incref(json_object_get(part, "next"));
		if (!json_is_string(next) || json_array_size(all) >= most)
			break;
		json_decref(part);
	} while (true);
	json_decref(next);
	json_object_set_new(part, "entries", all);
	*ret_document = part;
	return CLI_DONE;
}

int command_policy_map_dump(struct cli *cli)
{
	const char *limit = cli_value(cli, "limit", 0);
	unsigned long most = 1ul << 32;
	json_t *result;
	char *end;

	if (limit != NULL) {
		errno = 0;
		most = strtoul(limit, &end, 10);
		if (end == limit || *end != '\0' || errno != 0 || most == 0 || limit[0] == '-')
			return cli_fail(cli, CLI_USAGE,
				"--limit takes a number of entries, not \"%s\"", limit);
	}
	int status = dump(cli, most, &result);
	if (status != CLI_DONE)
		return status;
	if (!printer_json(cli, result))
		status = print_entries(cli, json_object_get(result, "entries"));
	json_decref(result);
	return status;
}
