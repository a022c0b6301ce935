/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/cli/command.h"
#include "control/cli/format.h"
#include "control/cli/printer.h"
#include "control/cli/rpc.h"

#include <stdlib.h>

#define FOLLOW_WAIT_S 30 /* for news; then the question is asked again */

/* One event, one line, in the machine's time zone. */
static void print_event(struct cli *cli, const json_t *e)
{
	double when = json_number_value(json_object_get(e, "time"));
	const char *object = json_string_value(json_object_get(e, "object"));
	const char *kind = json_string_value(json_object_get(e, "kind"));
	const char *text = json_string_value(json_object_get(e, "text"));
	char stamp[32];
	fprintf(cli->out, "%s  %-9s  %s%s%s\n", format_time(when, true, stamp, sizeof(stamp)),
		kind != NULL ? kind : "?", object != NULL ? object : "",
		object != NULL && object[0] != '\0' ? " " : "", text != NULL ? text : "");
}

static int list_once(struct cli *cli, double since)
{
	json_t *list;
	int status = rpc_call(
		cli, "events.list", json_pack("{s:f}", "since", since), RPC_TIMEOUT_MS, &list);
	if (status != CLI_DONE)
		return status;
	size_t i;
	json_t *e;
	if (!printer_json(cli, list)) {
		json_array_foreach(list, i, e)
		{
			print_event(cli, e);
		}
	}
	json_decref(list);
	return CLI_DONE;
}

/* With --json each event is a document of its own, on a line of its own. */
static int follow(struct cli *cli, double since)
{
	for (;;) {
		json_t *list;
		int status = rpc_call(cli, "events.list",
			json_pack("{s:f, s:i}", "since", since, "wait", FOLLOW_WAIT_S),
			FOLLOW_WAIT_S * 1000 + RPC_TIMEOUT_MS, &list);
		if (status != CLI_DONE)
			return status;
		size_t i;
		json_t *e;
		json_array_foreach(list, i, e)
		{
			if (cli->json) {
				json_dumpf(e, cli->out, JSON_COMPACT | JSON_REAL_PRECISION(15));
				fputc('\n', cli->out);
			} else {
				print_event(cli, e);
			}
			since = json_number_value(json_object_get(e, "sequence"));
		}
		json_decref(list);
		if (fflush(cli->out) != 0)
			return CLI_FAILED;
	}
}

int command_events(struct cli *cli)
{
	const char *text = cli_value(cli, "since", 0);
	double since = 0;
	if (text != NULL) {
		char *end;
		unsigned long long number = strtoull(text, &end, 10);
		if (end == text || *end != '\0' || text[0] == '-' || number > (1ull << 53))
			return cli_fail(cli, CLI_USAGE,
				"--since takes the number of an event, not \"%s\"", text);
		since = (double)number;
	}
	return cli_value(cli, "follow", 0) != NULL ? follow(cli, since) : list_once(cli, since);
}
