/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/cli/command.h"
#include "control/cli/filter.h"
#include "control/cli/trace.h"
#include "control/config/units.h"
#include "dataplane/api/trace.h"

#include <string.h>

/* A whole number from `least` to `most`; without the option, what *ret_value holds already. */
static int number_option(
	struct cli *cli, const char *option, uint64_t least, uint64_t most, uint64_t *ret_value)
{
	const char *text = cli_value(cli, option, 0);
	uint64_t value;
	if (text == NULL)
		return CLI_DONE;
	if (unit_parse(UNIT_NONE, text, &value) != NULL || value < least || value > most)
		return cli_fail(cli, CLI_USAGE, "--%s takes a number from %llu to %llu, not \"%s\"",
			option, (unsigned long long)least, (unsigned long long)most, text);
	*ret_value = value;
	return CLI_DONE;
}

static int sample_option(struct cli *cli, uint64_t *ret_sample)
{
	const char *text = cli_value(cli, "sample", 0);
	*ret_sample = 1;
	if (text == NULL)
		return CLI_DONE;
	const char *number = strncmp(text, "1/", 2) == 0 ? text + 2 : text;
	if (unit_parse(UNIT_NONE, number, ret_sample) == NULL && *ret_sample >= 1 &&
		*ret_sample <= UINT32_MAX)
		return CLI_DONE;
	return cli_fail(cli, CLI_USAGE, "--sample takes 1/N, one packet in N, not \"%s\"", text);
}

static int for_option(struct cli *cli, double *ret_s)
{
	const char *text = cli_value(cli, "for", 0);
	uint64_t ns = 0;
	*ret_s = 0;
	if (text == NULL)
		return CLI_DONE;
	const char *complaint = unit_parse(UNIT_TIME, text, &ns);
	if (complaint != NULL || ns == 0)
		return cli_fail(cli, CLI_USAGE, "--for takes a time such as 10s: \"%s\" %s", text,
			complaint != NULL ? complaint : "is none");
	*ret_s = (double)ns / 1e9;
	return CLI_DONE;
}

int trace_request_read(struct cli *cli, const char *service, const char *port,
	uint64_t default_count, struct trace_request *ret_request)
{
	struct trace_request r = { .service = service, .port = port, .count = default_count };
	const char *expression = cli_value(cli, "match", 0);
	int status = number_option(cli, "count", 1, INT64_MAX, &r.count);
	if (status == CLI_DONE)
		status = number_option(cli, "snaplen", 1, WEIR_TRACE_MAX_SNAPLEN, &r.snaplen);
	if (status == CLI_DONE)
		status = sample_option(cli, &r.sample);
	if (status == CLI_DONE)
		status = for_option(cli, &r.for_s);
	if (status == CLI_DONE && expression != NULL)
		status = filter_compile(cli, expression, &r.filter);
	if (status == CLI_DONE)
		*ret_request = r;
	return status;
}

int trace_request_read_target(
	struct cli *cli, uint64_t default_count, struct trace_request *ret_request)
{
	const char *service = cli->argument_count > 0 ? cli->arguments[0] : NULL;
	const char *port = cli_value(cli, "port", 0);
	if (service == NULL && port == NULL)
		return cli_fail(cli, CLI_USAGE, "\"%s\" takes a SERVICE, or --port PORT, or both",
			cli->command->path);
	return trace_request_read(cli, service, port, default_count, ret_request);
}

void trace_request_fini(struct trace_request *r)
{
	json_decref(r->filter);
	r->filter = NULL;
}
