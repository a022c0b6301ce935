/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/cli/command.h"
#include "control/cli/replay.h"
#include "control/cli/tables.h"
#include "control/config/model.h"
#include "control/plan/plan.h"
#include "control/report/report.h"
#include "control/telemetry/snapshot.h"
#include "dataplane/api/client.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define START_TIMEOUT_MS 30000
#define APPLY_TIMEOUT_MS 60000
#define END_TIMEOUT_MS	 10000

static const struct printer_column total_record[] = {
	{ "received", "received", PRINT_TEXT },
	{ "transmitted", "transmitted", PRINT_TEXT },
	{ "passed to the kernel", "passed_to_kernel", PRINT_TEXT },
	{ "dropped", "dropped", PRINT_COUNTERS },
	{ "made by Weir itself", "originated", PRINT_TEXT },
};

static int read_model(struct cli *cli, struct model **ret_model)
{
	const char *file = cli_file_label(cli->arguments[0]);
	char *text;
	size_t length;
	int err = cli_read_file(cli->arguments[0], &text, &length);
	if (err != 0)
		return cli_fail(cli, CLI_FAILED, "cannot read %s: %s", file, strerror(-err));
	struct model_errors errors = { 0 };
	err = model_parse(text, length, ret_model, &errors);
	free(text);
	if (err == -EINVAL) {
		model_errors_print(cli->err, file, &errors);
		model_errors_fini(&errors);
		return CLI_FAILED;
	}
	if (err != 0)
		return cli_fail(cli, CLI_FAILED, "cannot read %s: %s", file, strerror(-err));
	return CLI_DONE;
}

static int call(struct cli *cli, struct weir_client *client, enum weir_message_type type,
	const void *body, size_t length, int timeout_ms, const char *did)
{
	void *reply = NULL;
	size_t reply_length = 0;
	int err = weir_client_call(client, type, body, length, timeout_ms, &reply, &reply_length);
	int status = CLI_DONE;
	if (err == -ECONNRESET || err == -EPIPE)
		status =
			cli_fail(cli, CLI_FAILED, "the data plane ended before the replay %s", did);
	else if (err != 0)
		status = cli_fail(cli, CLI_FAILED, "the replay has not %s: %s", did,
			reply != NULL && reply_length > 0 ? (const char *)reply : strerror(-err));
	free(reply);
	return status;
}

/* CONFIG, RUN, and a snapshot of what came of it. */
static int run_captures(struct cli *cli, struct weir_client *client, struct model *m,
	struct replay_trace *trace, struct snapshot **ret)
{
	static const struct plan_world nothing_known;
	char err_text[512] = "";
	void *body = NULL;
	size_t length = 0;
	int status = replay_policies_stage(cli, client, m);
	if (status != CLI_DONE)
		return status;
	struct plan_ports *ports = plan_ports_create();
	if (ports == NULL)
		return cli_fail(cli, CLI_FAILED, "out of memory");
	int err = plan_build(
		m, &nothing_known, ports, true, &body, &length, err_text, sizeof(err_text));
	plan_ports_destroy(ports);
	if (err != 0)
		return cli_fail(cli, CLI_FAILED, "%s: %s", cli_file_label(cli->arguments[0]),
			err_text[0] != '\0' ? err_text : strerror(-err));
	status = call(cli, client, WEIR_MESSAGE_CONFIG, body, length, APPLY_TIMEOUT_MS, "begun");
	free(body);
	if (status == CLI_DONE)
		status = replay_trace_start(cli, client, trace);
	/* As long as it takes: an end of the data plane ends the wait. */
	if (status == CLI_DONE)
		status = call(cli, client, WEIR_MESSAGE_RUN, NULL, 0, INT_MAX, "come to its end");
	if (status == CLI_DONE)
		status = replay_trace_take(cli, client, trace);
	if (status != CLI_DONE)
		return status;
	err = snapshot_take(
		weir_client_telemetry(client), weir_client_hello(client)->telemetry_size, 0, ret);
	if (err != 0)
		return cli_fail(cli, CLI_FAILED, "cannot read the data plane's telemetry: %s",
			strerror(-err));
	return call(
		cli, client, WEIR_MESSAGE_STOP, NULL, 0, END_TIMEOUT_MS, "ending the data plane");
}

static int print_report(struct cli *cli, const json_t *report)
{
	size_t i;
	json_t *service;
	if (printer_json(cli, report))
		return CLI_DONE;
	int status = printer_record(cli, report, total_record, PRINTER_COUNT(total_record));
	const json_t *services = json_object_get(report, "services");
	fputc('\n', cli->out);
	if (status == CLI_DONE)
		status = printer_table(cli, services, table_services, table_services_count,
			"no services are configured");
	json_t *backends = json_array();
	json_array_foreach(services, i, service)
	{
		json_array_extend(backends, json_object_get(service, "backends"));
	}
	if (status == CLI_DONE && json_array_size(backends) > 0) {
		fputc('\n', cli->out);
		/* Without the last column, the health: nothing is checked in a replay. */
		status = printer_table(cli, backends, table_backends, table_backends_count - 1, "");
	}
	json_decref(backends);
	return status;
}

/* Nothing may disappear unaccounted; if it does, that is a defect of Weir and must be heard. */
static int check_balance(struct cli *cli, const json_t *report)
{
	const char *reason;
	json_t *count;
	json_int_t dropped = 0;
	json_object_foreach(json_object_get(report, "dropped"), reason, count)
	{
		dropped += json_integer_value(count);
	}
	json_int_t received = json_integer_value(json_object_get(report, "received"));
	json_int_t transmitted = json_integer_value(json_object_get(report, "transmitted"));
	json_int_t passed = json_integer_value(json_object_get(report, "passed_to_kernel"));
	if (received == transmitted + passed + dropped)
		return CLI_DONE;
	return cli_fail(cli, CLI_FAILED,
		"the figures do not balance: received %" JSON_INTEGER_FORMAT
		" is not transmitted %" JSON_INTEGER_FORMAT
		" + passed to kernel %" JSON_INTEGER_FORMAT " + dropped %" JSON_INTEGER_FORMAT
		"; this is a defect of Weir, please report it",
		received, transmitted, passed, dropped);
}

/* With the data plane running: everything up to the snapshot. */
static int talk(struct cli *cli, struct replay_process *process, struct model *m,
	struct replay_trace *trace, struct snapshot **ret_snapshot)
{
	struct weir_client *client;
	char err_text[256] = "";
	int err = weir_client_attach(
		process->api_fd, START_TIMEOUT_MS, &client, err_text, sizeof(err_text));
	if (err != 0)
		return cli_fail(cli, CLI_FAILED, "the data plane did not start: %s",
			err_text[0] != '\0' ? err_text : strerror(-err));
	int status = run_captures(cli, client, m, trace, ret_snapshot);
	weir_client_close(client);
	return status;
}

static int replay(struct cli *cli, struct model *m, struct replay_trace *trace)
{
	struct replay_process process;
	struct snapshot *now = NULL;
	int status = replay_check_files(cli, m);
	if (status == CLI_DONE)
		status = replay_process_start(cli, &process);
	if (status != CLI_DONE)
		return status;
	status = talk(cli, &process, m, trace, &now);
	/* Its output files are whole only when it has ended. */
	bool ended_well = replay_process_end(&process, status == CLI_DONE ? END_TIMEOUT_MS : 1000);
	if (status == CLI_DONE && !ended_well)
		status = cli_fail(cli, CLI_FAILED, "the data plane did not end well");
	replay_process_log(cli, &process, status != CLI_DONE);
	if (status == CLI_DONE) {
		json_t *report = report_replay(m, now);
		if (report != NULL && trace->wanted)
			json_object_set(report, "trace", trace->records);
		status = report != NULL ? print_report(cli, report) :
					  cli_fail(cli, CLI_FAILED, "out of memory");
		if (status == CLI_DONE)
			status = check_balance(cli, report);
		if (trace->wanted && !cli->json) {
			fputc('\n', cli->out);
			replay_trace_print(cli, trace);
		}
		json_decref(report);
	}
	snapshot_destroy(now);
	return status;
}

int command_replay(struct cli *cli)
{
	const char *seed = cli_value(cli, "seed", 0);
	if (seed != NULL) {
		char *end;
		errno = 0;
		strtoull(seed, &end, 0);
		if (end == seed || *end != '\0' || errno != 0 || seed[0] == '-')
			return cli_fail(cli, CLI_USAGE, "--seed takes a number, not \"%s\"", seed);
	}
	struct model *m = NULL;
	struct replay_trace trace;
	int status = replay_trace_read(cli, &trace);
	if (status != CLI_DONE)
		return status;
	status = read_model(cli, &m);
	if (status == CLI_DONE)
		status = replay(cli, m, &trace);
	model_destroy(m);
	replay_trace_fini(&trace);
	return status;
}
