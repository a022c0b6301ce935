/* SPDX-License-Identifier: BSD-3-Clause */

/* Adaptation: what it decided and why, what it does now, and who may stop it. */

#include "control/cli/command.h"
#include "control/cli/format.h"
#include "control/cli/printer.h"
#include "control/cli/rpc.h"
#include "control/config/units.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RECORD_PRESET_NS UINT64_C(60000000000)
#define RECORD_PAUSE_NS	 1000000000
#define RECORD_BYTES_MAX (UINT64_C(256) << 20)
#define LAST_MOST	 256

static const struct printer_column status_columns[] = {
	{ "SERVICE", "service", PRINT_TEXT },
	{ "OBJECTIVE", "objective", PRINT_SECONDS },
	{ "P99", "p99", PRINT_SECONDS },
	{ "WEIGHTS", "modes.weights", PRINT_TEXT },
	{ "SHED", "modes.shed", PRINT_TEXT },
	{ "SOURCES", "modes.sources", PRINT_TEXT },
	{ "FORECAST", "modes.forecast", PRINT_TEXT },
	{ "CORES", "modes.cores", PRINT_TEXT },
	{ "DOES NOW", "doing", PRINT_TEXT },
};

static json_t *service_parameter(const struct cli *cli)
{
	return cli->argument_count > 0 ? json_pack("{s:s}", "service", cli->arguments[0]) : NULL;
}

int command_adapt_status(struct cli *cli)
{
	json_t *result;
	int status = rpc_call(cli, "adapt.status", service_parameter(cli), RPC_TIMEOUT_MS, &result);
	if (status != CLI_DONE)
		return status;
	status = printer_list(cli, result, status_columns, PRINTER_COUNT(status_columns),
		"no service is adapted; one with an objective or a range of cores is");
	json_decref(result);
	return status;
}

static int change(struct cli *cli, const char *method, json_t *params)
{
	json_t *result;
	int status = rpc_call(cli, method, params, RPC_TIMEOUT_MS, &result);
	if (status != CLI_DONE)
		return status;
	if (!printer_json(cli, result)) {
		json_t *list =
			json_is_array(result) ? json_incref(result) : json_pack("[O]", result);
		status = printer_table(cli, list, status_columns, PRINTER_COUNT(status_columns),
			"no service is adapted");
		json_decref(list);
	}
	json_decref(result);
	return status;
}

int command_adapt_set(struct cli *cli)
{
	return change(cli, "adapt.set",
		json_pack("{s:s, s:s, s:s}", "service", cli->arguments[0], "controller",
			cli->arguments[1], "mode", cli->arguments[2]));
}

int command_adapt_pause(struct cli *cli)
{
	return change(cli, "adapt.pause", service_parameter(cli));
}

int command_adapt_resume(struct cli *cli)
{
	return change(cli, "adapt.resume", service_parameter(cli));
}

/* Newest first, a line each, in the machine's time zone. */
static void decision_print(struct cli *cli, const json_t *d)
{
	double when = json_number_value(json_object_get(d, "time"));
	const char *controller = json_string_value(json_object_get(d, "controller"));
	const char *text = json_string_value(json_object_get(d, "text"));
	char stamp[32];
	fprintf(cli->out, "%s  %-8s  %s\n", format_time(when, true, stamp, sizeof(stamp)),
		controller != NULL ? controller : "?", text != NULL ? text : "");
}

int command_explain(struct cli *cli)
{
	const char *text = cli_value(cli, "last", 0);
	long last = text != NULL ? strtol(text, NULL, 10) : 20;
	json_t *list;
	if (last < 1 || last > LAST_MOST)
		return cli_fail(cli, CLI_USAGE, "--last takes a number 1 to %d, not \"%s\"",
			LAST_MOST, text);
	int status = rpc_call(cli, "explain",
		json_pack("{s:s, s:I}", "service", cli->arguments[0], "last", (json_int_t)last),
		RPC_TIMEOUT_MS, &list);
	if (status != CLI_DONE)
		return status;
	if (!printer_json(cli, list)) {
		size_t i;
		json_t *d;
		json_array_foreach(list, i, d)
		{
			decision_print(cli, d);
		}
		if (json_array_size(list) == 0)
			fprintf(cli->out, "nothing had to be decided\n");
	}
	json_decref(list);
	return CLI_DONE;
}

static double now_s(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* A recording under way. */
struct recorder {
	struct cli *cli;
	FILE *file;
	double since; /* number of the last tick; -1: none yet */
	uint64_t bytes;
	uint64_t ticks;
	uint64_t lost;
};

static void line_write(struct recorder *r, const char *line)
{
	if (line == NULL || r->bytes > RECORD_BYTES_MAX)
		return;
	r->bytes += (uint64_t)fprintf(r->file, "%s\n", line);
}

static int record_once(struct recorder *r)
{
	json_t *result;
	int status = rpc_call(r->cli, "adapt.record",
		json_pack("{s:s, s:I}", "service", r->cli->arguments[0], "since",
			(json_int_t)r->since),
		RPC_TIMEOUT_MS, &result);
	if (status != CLI_DONE)
		return status;
	size_t i;
	json_t *tick;
	if (r->since < 0)
		line_write(r, json_string_value(json_object_get(result, "header")));
	json_array_foreach(json_object_get(result, "ticks"), i, tick)
	{
		line_write(r, json_string_value(tick));
	}
	r->ticks += json_array_size(json_object_get(result, "ticks"));
	r->lost += (uint64_t)json_integer_value(json_object_get(result, "lost"));
	r->since = json_number_value(json_object_get(result, "last"));
	json_decref(result);
	return fflush(r->file) == 0 ? CLI_DONE :
				      cli_fail(r->cli, CLI_FAILED, "%s: %s",
					      cli_value(r->cli, "out", 0), strerror(errno));
}

int command_adapt_record(struct cli *cli)
{
	const char *path = cli_value(cli, "out", 0);
	const char *text = cli_value(cli, "for", 0);
	uint64_t length_ns = RECORD_PRESET_NS;
	if (text != NULL && (unit_parse(UNIT_TIME, text, &length_ns) != NULL || length_ns == 0))
		return cli_fail(cli, CLI_USAGE, "--for takes a time such as 60s, not \"%s\"", text);
	struct recorder r = { .cli = cli, .file = fopen(path, "we"), .since = -1 };
	if (r.file == NULL)
		return cli_fail(cli, CLI_FAILED, "%s: %s", path, strerror(errno));
	double end = now_s() + (double)length_ns / 1e9;
	int status = record_once(&r);
	while (status == CLI_DONE && r.bytes <= RECORD_BYTES_MAX) {
		double left = end - now_s();
		if (left <= 0)
			break;
		long pause = left < 1 ? (long)(left * 1e9) : RECORD_PAUSE_NS - 1;
		nanosleep(&(struct timespec){ .tv_nsec = pause }, NULL);
		status = record_once(&r);
	}
	fclose(r.file);
	if (status != CLI_DONE)
		return status;
	json_t *document = json_pack("{s:s, s:s, s:I, s:I, s:b}", "file", path, "service",
		cli->arguments[0], "ticks", (json_int_t)r.ticks, "lost", (json_int_t)r.lost, "full",
		(int)(r.bytes > RECORD_BYTES_MAX));
	if (!printer_json(cli, document))
		fprintf(cli->out, "%s: %llu ticks of %s%s\n", path, (unsigned long long)r.ticks,
			cli->arguments[0], r.bytes > RECORD_BYTES_MAX ? "; ended at 256 MiB" : "");
	json_decref(document);
	return CLI_DONE;
}
