/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/cli/command.h"
#include "control/cli/printer.h"
#include "control/cli/rpc.h"

#include <stdlib.h>
#include <string.h>

#define FLOW_LIMIT_DEFAULT 100
#define FLOW_LIMIT_MAX	   65536

static const struct printer_column flow_table[] = {
	{ "PROTO", "protocol", PRINT_TEXT },
	{ "CLIENT", "client", PRINT_TEXT },
	{ "SERVICE", "address", PRINT_TEXT },
	{ "SOURCE", "source", PRINT_TEXT },
	{ "BACKEND", "backend", PRINT_TEXT },
	{ "STATE", "state", PRINT_TEXT },
	{ "BUCKET", "bucket", PRINT_TEXT },
	{ "IDLE", "idle", PRINT_SECONDS },
};

static const struct printer_column flow_record[] = {
	{ "service", "service", PRINT_TEXT },
	{ "flow exists", "existing", PRINT_TEXT },
	{ "protocol", "protocol", PRINT_TEXT },
	{ "client", "client", PRINT_TEXT },
	{ "address", "address", PRINT_TEXT },
	{ "source", "source", PRINT_TEXT },
	{ "backend", "backend", PRINT_TEXT },
	{ "state", "state", PRINT_TEXT },
	{ "bucket", "bucket", PRINT_TEXT },
	{ "idle", "idle", PRINT_SECONDS },
};

int command_flow_list(struct cli *cli)
{
	const char *text = cli_value(cli, "limit", 0);
	long limit = FLOW_LIMIT_DEFAULT;
	if (text != NULL) {
		char *end;
		limit = strtol(text, &end, 10);
		if (end == text || *end != '\0' || limit < 1 || limit > FLOW_LIMIT_MAX)
			return cli_fail(cli, CLI_USAGE, "--limit takes 1 to %d, not \"%s\"",
				FLOW_LIMIT_MAX, text);
	}
	json_t *result;
	int status = rpc_call(cli, "flow.list",
		json_pack("{s:s, s:i}", "service", cli->arguments[0], "limit", (int)limit),
		RPC_TIMEOUT_MS, &result);
	if (status != CLI_DONE)
		return status;
	status = printer_list(
		cli, result, flow_table, PRINTER_COUNT(flow_table), "the service has no flows");
	/* On standard error: it is no flow. */
	if (status == CLI_DONE && text == NULL && json_array_size(result) >= FLOW_LIMIT_DEFAULT)
		fprintf(cli->err, "only the first %d flows; more with --limit N\n",
			FLOW_LIMIT_DEFAULT);
	json_decref(result);
	return status;
}

int command_flow_find(struct cli *cli)
{
	const char *protocol = cli->arguments[0];
	if (strcmp(protocol, "tcp") != 0 && strcmp(protocol, "udp") != 0)
		return cli_fail(cli, CLI_USAGE, "the protocol is tcp or udp, not \"%s\"", protocol);
	for (size_t i = 1; i <= 2; i++)
		if (cli_check_endpoint(cli, cli->arguments[i]) != CLI_DONE)
			return CLI_USAGE;
	json_t *result;
	json_t *tuple = json_pack("{s:s, s:s, s:s}", "protocol", protocol, "client",
		cli->arguments[1], "service", cli->arguments[2]);
	int status = rpc_call(
		cli, "flow.find", json_pack("{s:o}", "tuple", tuple), RPC_TIMEOUT_MS, &result);
	if (status != CLI_DONE)
		return status;
	if (!printer_json(cli, result))
		status = printer_record(cli, result, flow_record, PRINTER_COUNT(flow_record));
	json_decref(result);
	return status;
}
