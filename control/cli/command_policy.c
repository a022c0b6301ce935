/* SPDX-License-Identifier: BSD-3-Clause */

/* Policies without a daemon: check an object, run it on a capture. */

#include "control/cli/command.h"
#include "control/cli/policy.h"
#include "control/cli/printer.h"

#include <errno.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>

static const char *const outcomes[] = {
	[POLICY_ADMITTED] = "admitted",
	[POLICY_UNVERIFIED] = "unverified",
	[POLICY_REFUSED] = "refused",
};

static const struct printer_column record[] = {
	{ "policy", "policy", PRINT_TEXT },
	{ "outcome", "outcome", PRINT_TEXT },
	{ "instructions", "instructions", PRINT_TEXT },
	{ "  seen by the verifier", "visited", PRINT_TEXT },
	{ "packets tried", "packets", PRINT_COUNT },
	{ "verdicts", "verdicts", PRINT_COUNTERS },
	{ "cycles a packet", "cycles.median", PRINT_TEXT },
	{ "  of 99 in 100", "cycles.p99", PRINT_TEXT },
	{ "  at worst", "cycles.worst", PRINT_TEXT },
	/* These two are left out when it is verified. */
	{ "  in the interpreter", "interpreted_cycles", PRINT_TEXT },
	{ "not verified because", "reason", PRINT_TEXT },
};

static const struct printer_column map_table[] = {
	{ "MAP", "name", PRINT_TEXT },
	{ "TYPE", "type", PRINT_TEXT },
	{ "KEY", "key_size", PRINT_BYTES },
	{ "VALUE", "value_size", PRINT_BYTES },
	{ "ENTRIES", "max_entries", PRINT_COUNT },
};

static const struct printer_column argument_table[] = {
	{ "VERDICT", "action", PRINT_TEXT },
	{ "ARGUMENT", "argument", PRINT_TEXT },
	{ "PACKETS", "packets", PRINT_COUNT },
};

static const struct printer_column param_table[] = {
	{ "PARAMETER", "name", PRINT_TEXT },
	{ "VALUE", "value", PRINT_TEXT },
};

static const char *const actions[WEIR_ACTION_COUNT] = { "aborted", "drop", "pass", "limit",
	"route" };

static json_t *source_json(const struct policy_admission *a)
{
	const char *file, *text;
	const struct policy_image_line *line = policy_admission_line(a, &file, &text);

	if (!line)
		return json_null();
	return json_pack("{s:s, s:i, s:i, s:s}", "file", file, "line", (int)line->line, "column",
		(int)line->column, "text", text);
}

static json_t *maps_json(const struct policy_image *image)
{
	json_t *maps = json_array();

	for (uint32_t i = 0; i < image->map_count; i++) {
		const struct policy_image_map *m = &image_maps(image)[i];

		json_array_append_new(maps,
			json_pack("{s:s, s:s, s:I, s:I, s:I}", "name", m->name, "type",
				policy_map_type_name(m->type), "key_size", (json_int_t)m->key_size,
				"value_size", (json_int_t)m->value_size, "max_entries",
				(json_int_t)m->max_entries));
	}
	return maps;
}

static json_t *params_json(const struct policy_image *image)
{
	json_t *params = json_array();

	for (uint32_t i = 0; i < image->param_count; i++) {
		const struct policy_image_param *p = &image_params(image)[i];

		json_array_append_new(params,
			json_pack("{s:s, s:I}", "name", p->name, "value",
				(json_int_t)policy_image_param(image, p)));
	}
	return params;
}

static void add_trial(json_t *document, const struct policy_trial *t)
{
	json_t *verdicts = json_object(), *arguments = json_array();

	for (uint32_t i = 0; i < WEIR_ACTION_COUNT; i++) {
		json_object_set_new(verdicts, actions[i], json_integer((json_int_t)t->actions[i]));
		for (int k = 0; k < 16; k++) {
			char label[16];

			if (i == WEIR_ACTION_ABORTED || t->arguments[i][k] == 0)
				continue;
			snprintf(label, sizeof(label), k < 15 ? "%d" : "%d or more", k);
			json_array_append_new(arguments,
				json_pack("{s:s, s:s, s:I}", "action", actions[i], "argument",
					label, "packets", (json_int_t)t->arguments[i][k]));
		}
	}
	json_object_set_new(document, "packets", json_integer((json_int_t)t->packets));
	json_object_set_new(document, "verdicts", verdicts);
	json_object_set_new(document, "arguments", arguments);
	json_object_set_new(document, "interpreted_cycles",
		t->interpreted_cycles == 0 ? json_null() :
					     json_integer((json_int_t)t->interpreted_cycles));
	if (t->cycles_worst == 0) {
		json_object_set_new(document, "cycles", json_null());
		return;
	}
	json_object_set_new(document, "cycles",
		json_pack("{s:I, s:I, s:I}", "median", (json_int_t)t->cycles_median, "p99",
			(json_int_t)t->cycles_p99, "worst", (json_int_t)t->cycles_worst));
}

json_t *policy_document(
	const char *path, const struct policy_admission *a, const struct policy_trial *trial)
{
	json_t *document = json_pack("{s:s, s:s}", "object", path, "outcome", outcomes[a->outcome]);

	json_object_set_new(
		document, "reason", a->reason[0] ? json_string(a->reason) : json_null());
	json_object_set_new(document, "hint", a->hint[0] ? json_string(a->hint) : json_null());
	json_object_set_new(document, "refused_by",
		a->judge == POLICY_JUDGE_NONE ? json_null() :
						json_string(policy_judge_name(a->judge)));
	json_object_set_new(document, "source", source_json(a));
	if (!a->image)
		return document;
	json_object_set_new(document, "policy", json_string(a->image->name));
	json_object_set_new(
		document, "instructions", json_integer((json_int_t)a->image->insn_count));
	json_object_set_new(document, "visited",
		a->outcome == POLICY_ADMITTED ? json_integer((json_int_t)a->verified.visited) :
						json_null());
	json_object_set_new(document, "maps", maps_json(a->image));
	json_object_set_new(document, "parameters", params_json(a->image));
	if (trial && trial->packets > 0)
		add_trial(document, trial);
	return document;
}

int policy_print(struct cli *cli, const json_t *document)
{
	static const struct {
		const char *key;
		const struct printer_column *columns;
		size_t count;
	} tables[] = {
		{ "arguments", argument_table, PRINTER_COUNT(argument_table) },
		{ "parameters", param_table, PRINTER_COUNT(param_table) },
		{ "maps", map_table, PRINTER_COUNT(map_table) },
	};
	bool verified = json_is_null(json_object_get(document, "reason"));
	int status =
		printer_record(cli, document, record, PRINTER_COUNT(record) - 2 * (size_t)verified);

	for (size_t i = 0; status == CLI_DONE && i < PRINTER_COUNT(tables); i++) {
		const json_t *items = json_object_get(document, tables[i].key);

		if (json_array_size(items) == 0)
			continue;
		fputc('\n', cli->out);
		status = printer_table(cli, items, tables[i].columns, tables[i].count, "");
	}
	return status;
}

int policy_refused(struct cli *cli, const struct policy_admission *a)
{
	const char *file, *text;
	const struct policy_image_line *line = policy_admission_line(a, &file, &text);
	char sentence[POLICY_SENTENCE_SIZE];

	policy_admission_sentence(a, sentence, sizeof(sentence));
	cli_fail(cli, CLI_FAILED, "%s: %s", cli->arguments[0], sentence);
	if (line)
		fprintf(cli->err, "%8u | %s\n", line->line, text);
	if (a->log && cli_value(cli, "verbose", 0) != NULL)
		fputs(a->log, cli->err);
	return CLI_FAILED;
}

static bool budget_read(struct cli *cli, uint32_t *ret_budget)
{
	const char *text = cli_value(cli, "budget", 0);
	char *end;

	*ret_budget = 0;
	if (text == NULL)
		return true;
	errno = 0;
	unsigned long n = strtoul(text, &end, 10);

	if (end == text || *end != '\0' || errno != 0 || n == 0 || n > UINT32_MAX || text[0] == '-')
		return false;
	*ret_budget = (uint32_t)n;
	return true;
}

int policy_admit_argument(struct cli *cli, bool trial, struct policy_admission *ret_admission)
{
	const char *sets[CLI_MAX_VALUES];
	struct policy_admit_options options = {
		.sets = sets,
		.no_kernel = cli_value(cli, "unverified", 0) != NULL,
		.no_trial = !trial,
	};

	if (!budget_read(cli, &options.budget))
		return cli_fail(cli, CLI_USAGE, "--budget takes a number of cycles, not \"%s\"",
			cli_value(cli, "budget", 0));
	while (cli_value(cli, "set", options.set_count) != NULL) {
		sets[options.set_count] = cli_value(cli, "set", options.set_count);
		options.set_count++;
	}
	if (policy_admit(cli->arguments[0], &options, ret_admission) < 0)
		return cli_fail(cli, CLI_FAILED, "%s: out of memory", cli->arguments[0]);
	return CLI_DONE;
}

int command_policy_check(struct cli *cli)
{
	struct policy_admission a;
	int status = policy_admit_argument(cli, true, &a);

	if (status != CLI_DONE)
		return status;
	json_t *document = policy_document(cli->arguments[0], &a, &a.trial);

	if (!printer_json(cli, document) && a.outcome != POLICY_REFUSED)
		status = policy_print(cli, document);
	if (a.outcome == POLICY_REFUSED)
		status = policy_refused(cli, &a);
	json_decref(document);
	policy_admission_fini(&a);
	return status;
}
