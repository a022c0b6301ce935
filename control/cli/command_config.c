/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/cli/command.h"
#include "control/cli/config_policies.h"
#include "control/cli/format.h"
#include "control/cli/printer.h"
#include "control/cli/rpc.h"
#include "control/config/model.h"
#include "control/config/units.h"
#include "control/plan/plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int read_argument(struct cli *cli, char **ret_text, size_t *ret_length)
{
	const char *path = cli->arguments[0];
	int err = cli_read_file(path, ret_text, ret_length);
	if (err != 0)
		return cli_fail(cli, CLI_FAILED, "cannot read %s: %s", cli_file_label(path),
			strerror(-err));
	return CLI_DONE;
}

static json_t *complaints(const char *file, const struct model_errors *errors)
{
	json_t *list = json_array();
	for (size_t i = 0; i < errors->count; i++)
		json_array_append_new(list,
			json_sprintf("%s:%u:%u: %s", file, errors->items[i].line,
				errors->items[i].column, errors->items[i].text));
	return list;
}

/* errors and warnings are stolen. */
static int print_verdict(
	struct cli *cli, const char *file, const struct model *m, json_t *errors, json_t *warnings)
{
	bool valid = json_array_size(errors) == 0;
	size_t backends = 0;
	for (size_t i = 0; valid && i < m->service_count; i++)
		backends += model_backend_total(&m->services[i]);
	json_t *o = json_pack("{s:s, s:b, s:o, s:o}", "file", file, "valid", valid, "errors",
		errors, "warnings", warnings);
	if (!printer_json(cli, o) && valid)
		fprintf(cli->out, "%s: valid: %zu port%s, %zu service%s, %zu backend%s\n", file,
			m->port_count, m->port_count == 1 ? "" : "s", m->service_count,
			m->service_count == 1 ? "" : "s", backends, backends == 1 ? "" : "s");
	json_decref(o);
	return valid ? CLI_DONE : CLI_FAILED;
}

static void print_lines(struct cli *cli, const json_t *list)
{
	const json_t *line;
	size_t i;
	json_array_foreach(list, i, line) fprintf(cli->err, "%s\n", json_string_value(line));
}

/* What only shows when everything is put together, such as too many services for a source address. */
static void check_plan(const char *file, const struct model *m, json_t *errors)
{
	static const struct plan_world nothing_known;
	char err[512] = "";
	void *body = NULL;
	size_t length = 0;
	struct plan_ports *ports = plan_ports_create();
	int status = ports == NULL ?
		-ENOMEM :
		plan_build(m, &nothing_known, ports, false, &body, &length, err, sizeof(err));
	plan_ports_destroy(ports);
	free(body);
	if (status != 0)
		json_array_append_new(errors,
			json_sprintf("%s:1:1: file: %s", file,
				err[0] != '\0' ? err : strerror(-status)));
}

int command_config_check(struct cli *cli)
{
	const char *file = cli_file_label(cli->arguments[0]);
	char *text;
	size_t length;
	int status = read_argument(cli, &text, &length);
	if (status != CLI_DONE)
		return status;
	struct model *m = NULL;
	struct model_errors errors = { 0 };
	int err = model_parse(text, length, &m, &errors);
	free(text);
	if (err == -EINVAL) {
		model_errors_print(cli->err, file, &errors);
		print_verdict(cli, file, NULL, complaints(file, &errors), json_array());
		model_errors_fini(&errors);
		return CLI_FAILED;
	}
	json_t *wrong = json_array(), *warnings = json_array();
	if (err == 0) {
		check_plan(file, m, wrong);
		err = config_policies_check(file, m, wrong, warnings);
	}
	if (err != 0) {
		json_decref(wrong);
		json_decref(warnings);
		status = cli_fail(cli, CLI_FAILED, "cannot check %s: %s", file, strerror(-err));
	} else {
		print_lines(cli, wrong);
		print_lines(cli, warnings);
		status = print_verdict(cli, file, m, wrong, warnings);
	}
	model_destroy(m);
	return status;
}

/* Send the file to the daemon. extra: further parameters, stolen; NULL: none. */
static int send_file(struct cli *cli, const char *method, json_t *extra, json_t **ret_result)
{
	char *text;
	size_t length;
	int status = read_argument(cli, &text, &length);
	if (status != CLI_DONE) {
		json_decref(extra);
		return status;
	}
	const char *file = cli_file_label(cli->arguments[0]);
	json_t *content = json_stringn(text, length);
	free(text);
	if (content == NULL) {
		json_decref(extra);
		return cli_fail(cli, CLI_FAILED, "%s is not UTF-8 text", file);
	}
	json_t *params = json_pack("{s:s, s:o}", "file", file, "text", content);
	/* For the daemon, which does not stand where we do. */
	char *folder = getcwd(NULL, 0);
	if (folder != NULL)
		json_object_set_new(params, "folder", json_string(folder));
	free(folder);
	if (extra != NULL)
		json_object_update(params, extra);
	json_decref(extra);
	return rpc_call(cli, method, params, RPC_LONG_TIMEOUT_MS, ret_result);
}

/* Text ends with one newline, or is empty. */
static void print_text(struct cli *cli, const char *text)
{
	size_t length = text != NULL ? strlen(text) : 0;
	if (length > 0)
		fprintf(cli->out, "%s%s", text, text[length - 1] == '\n' ? "" : "\n");
}

/* What apply and undo have done. */
static void print_applied(struct cli *cli, const json_t *result)
{
	bool changed = json_is_true(json_object_get(result, "changed"));
	double within = json_number_value(json_object_get(result, "confirm_within"));
	char time[32];
	print_text(cli, json_string_value(json_object_get(result, "diff")));
	fprintf(cli->out,
		changed ? "applied: generation %" JSON_INTEGER_FORMAT "\n" :
			  "nothing to change: generation %" JSON_INTEGER_FORMAT " stays\n",
		json_integer_value(json_object_get(result, "generation")));
	if (within > 0)
		fprintf(cli->out, "goes back in %s unless \"weirctl config confirm\" follows\n",
			format_seconds(within, time, sizeof(time)));
}

#define CONFIRM_MIN_NS UINT64_C(100000000)
#define CONFIRM_MAX_NS (UINT64_C(86400) * 1000000000)

int command_config_apply(struct cli *cli)
{
	json_t *result, *extra = NULL;
	const char *confirm = cli_value(cli, "confirm", 0);
	if (confirm != NULL) {
		uint64_t ns = 0;
		const char *wrong = unit_parse(UNIT_TIME, confirm, &ns);
		if (wrong == NULL && (ns < CONFIRM_MIN_NS || ns > CONFIRM_MAX_NS))
			wrong = "is out of range";
		if (wrong != NULL)
			return cli_fail(cli, CLI_USAGE,
				"--confirm: \"%s\" %s; it takes a time from 100ms to 24h, such as 60s",
				confirm, wrong);
		extra = json_pack("{s:f}", "confirm", (double)ns / 1e9);
	}
	int status = send_file(cli, "config.apply", extra, &result);
	if (status != CLI_DONE)
		return status;
	if (!printer_json(cli, result))
		print_applied(cli, result);
	json_decref(result);
	return CLI_DONE;
}

int command_config_confirm(struct cli *cli)
{
	json_t *result;
	int status = rpc_call(cli, "config.confirm", NULL, RPC_TIMEOUT_MS, &result);
	if (status != CLI_DONE)
		return status;
	if (!printer_json(cli, result))
		fprintf(cli->out, "confirmed: configuration %" JSON_INTEGER_FORMAT " stays\n",
			json_integer_value(json_object_get(result, "number")));
	json_decref(result);
	return CLI_DONE;
}

int command_config_undo(struct cli *cli)
{
	json_t *result, *params = NULL;
	if (cli->argument_count > 0) {
		char *end;
		unsigned long number = strtoul(cli->arguments[0], &end, 10);
		if (end == cli->arguments[0] || *end != '\0' || cli->arguments[0][0] == '-' ||
			number == 0 || number > INT32_MAX)
			return cli_fail(cli, CLI_USAGE,
				"NUMBER is one of \"config history\", not \"%s\"",
				cli->arguments[0]);
		params = json_pack("{s:i}", "number", (int)number);
	}
	int status = rpc_call(cli, "config.undo", params, RPC_LONG_TIMEOUT_MS, &result);
	if (status != CLI_DONE)
		return status;
	if (!printer_json(cli, result))
		print_applied(cli, result);
	json_decref(result);
	return CLI_DONE;
}

static const struct printer_column history_table[] = {
	{ "NUMBER", "number", PRINT_TEXT },
	{ "TIME", "time", PRINT_TIME },
	{ "HOW", "how", PRINT_TEXT },
	{ "OF", "of", PRINT_TEXT },
	{ "USER", "by.user", PRINT_TEXT },
	{ "PID", "by.pid", PRINT_TEXT },
	{ "CHANGES", "changes", PRINT_TEXT },
	{ "STATE", "state", PRINT_TEXT },
	{ "FILE", "file", PRINT_TEXT },
};

int command_config_history(struct cli *cli)
{
	json_t *list;
	int status = rpc_call(cli, "config.history", NULL, RPC_TIMEOUT_MS, &list);
	if (status != CLI_DONE)
		return status;
	status = printer_list(cli, list, history_table, PRINTER_COUNT(history_table),
		"nothing is kept; see the log of weir-controld");
	json_decref(list);
	return status;
}

int command_config_diff(struct cli *cli)
{
	json_t *result;
	int status = send_file(cli, "config.diff", NULL, &result);
	if (status != CLI_DONE)
		return status;
	if (!printer_json(cli, result)) {
		const char *diff = json_string_value(json_object_get(result, "diff"));
		print_text(cli, diff != NULL && diff[0] != '\0' ? diff : "no difference");
	}
	json_decref(result);
	return CLI_DONE;
}

/* Beside the text, so that the text is still what was applied. */
static void note_limits(const json_t *set)
{
	json_t *item;
	size_t i;
	json_array_foreach(set, i, item)
	{
		fprintf(stderr,
			"weirctl: not in this text: limit of %s of service %s is %s, set by hand\n",
			json_string_value(json_object_get(item, "key")),
			json_string_value(json_object_get(item, "service")),
			json_string_value(json_object_get(item, "value")));
	}
}

int command_config_show(struct cli *cli)
{
	json_t *result;
	int status = rpc_call(cli, "config.show", NULL, RPC_TIMEOUT_MS, &result);
	if (status != CLI_DONE)
		return status;
	if (!printer_json(cli, result)) {
		print_text(cli, json_string_value(json_object_get(result, "text")));
		note_limits(json_object_get(result, "limits_set"));
	}
	json_decref(result);
	return CLI_DONE;
}
