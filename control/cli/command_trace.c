/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/cli/command.h"
#include "control/cli/printer.h"
#include "control/cli/trace.h"

#include <string.h>

#define TRACE_COUNT_DEFAULT 10

static int records_show(struct cli *cli, void *ctx, const json_t *records)
{
	json_t *all = ctx;
	size_t i;
	json_t *record;
	json_array_foreach(records, i, record)
	{
		if (cli->json)
			json_array_append(all, record);
		else
			trace_print(cli->out, record);
	}
	return fflush(cli->out) == 0 ? CLI_DONE : CLI_FAILED;
}

int command_trace(struct cli *cli)
{
	struct trace_request request;
	uint64_t lost = 0;
	int status = trace_request_read_target(cli, TRACE_COUNT_DEFAULT, &request);
	if (status != CLI_DONE)
		return status;
	json_t *all = json_array();
	status = trace_follow(cli, &request, false, records_show, all, &lost);
	if (status == CLI_DONE || json_array_size(all) > 0)
		printer_json(cli, all);
	if (lost > 0)
		fprintf(cli->err,
			"%llu more packets could not be followed; --match and --sample choose "
			"fewer\n",
			(unsigned long long)lost);
	json_decref(all);
	trace_request_fini(&request);
	return status;
}
