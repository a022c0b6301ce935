/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The controllers on a recording, without a daemon: what they decide, and with other constants. The
 * recording does not react: after the first decision that differs from what was done then, it shows what
 * would have been decided, not what would have come of it.
 */

#include "control/adapt/decision.h"
#include "control/adapt/recording.h"
#include "control/adapt/service.h"
#include "control/adapt/signals.h"
#include "control/cli/command.h"
#include "control/cli/printer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct play {
	struct cli *cli;
	char service[WEIR_NAME_SIZE];
	uint64_t begun_ns;
	uint64_t ended_ns;
	uint64_t ticks;
	json_t *decisions; /* owned */
};

static void decide(void *ctx, const struct adapt_decision *d)
{
	struct play *p = ctx;
	double at_s = (double)(d->at_ns - p->begun_ns) / 1e9;
	char text[512];
	json_array_append_new(p->decisions, decision_document(d, p->service, at_s));
	if (p->cli->json)
		return;
	decision_sentence(d, text, sizeof(text));
	fprintf(p->cli->out, "%8.1f s  %-8s  %s\n", at_s, adapt_controller_name(d->controller),
		text);
}

/* NAME=VALUE of each --set. */
static int gains_set(struct cli *cli, struct adapt_gains *g)
{
	for (size_t i = 0; cli_value(cli, "set", i) != NULL; i++) {
		const char *text = cli_value(cli, "set", i);
		const char *equals = strchr(text, '=');
		char name[64], *end;
		if (equals == NULL || (size_t)(equals - text) >= sizeof(name))
			return cli_fail(cli, CLI_USAGE, "--set takes NAME=VALUE, not \"%s\"", text);
		snprintf(name, sizeof(name), "%.*s", (int)(equals - text), text);
		double value = strtod(equals + 1, &end);
		if (*end == '\0' && end != equals + 1 && adapt_gain_set(g, name, value))
			continue;
		for (size_t j = 0; j < adapt_gain_count; j++)
			if (strcmp(adapt_gain_rows[j].name, name) == 0)
				return cli_fail(cli, CLI_USAGE,
					"--set %s: expected a number %g..%g", name,
					adapt_gain_rows[j].least, adapt_gain_rows[j].most);
		return cli_fail(cli, CLI_USAGE,
			"--set: there is no constant %s; `weirctl adapt constants` lists them",
			name);
	}
	return CLI_DONE;
}

static int line_wrong(struct cli *cli, unsigned long number, const char *what)
{
	return cli_fail(cli, CLI_FAILED, "%s:%lu: %s; see `weirctl adapt record`",
		cli_file_label(cli->arguments[0]), number, what);
}

static int play_line(struct play *p, struct adapt_service *a, const struct adapt_settings *settings,
	const char *line, size_t length, unsigned long number)
{
	const struct adapt_log log = { p, decide };
	struct adapt_signals signals;
	char err[160];
	if (recording_read_tick(line, length, &signals, err, sizeof(err)) != 0)
		return line_wrong(p->cli, number, err);
	if (p->ticks++ == 0)
		p->begun_ns = signals.now_ns;
	if (signals.now_ns < p->ended_ns || signals.now_ns < p->begun_ns) {
		signals_free(&signals);
		return line_wrong(p->cli, number, "goes back in time");
	}
	p->ended_ns = signals.now_ns;
	adapt_service_step(a, &signals, settings, false, &log);
	signals_free(&signals);
	return CLI_DONE;
}

static int play_all(struct play *p, struct adapt_service *a, char *text, size_t size)
{
	struct adapt_settings settings = { 0 };
	unsigned long number = 0;
	int status = CLI_DONE;
	char err[160];
	for (char *line = text; status == CLI_DONE && line < text + size;) {
		char *end = memchr(line, '\n', (size_t)(text + size - line));
		size_t length = (size_t)((end != NULL ? end : text + size) - line);
		number++;
		if (number == 1) {
			if (recording_read_header(
				    line, length, p->service, &settings, err, sizeof(err)) != 0)
				return line_wrong(p->cli, number, err);
			status = gains_set(p->cli, &settings.gains);
		} else if (length > 0) {
			status = play_line(p, a, &settings, line, length, number);
		}
		line += length + 1;
	}
	if (status == CLI_DONE && number == 0)
		return line_wrong(p->cli, 1, "is empty");
	return status;
}

int command_adapt_replay(struct cli *cli)
{
	struct play p = { .cli = cli, .decisions = json_array() };
	struct adapt_service *a = adapt_service_create();
	char *text;
	size_t size;
	int rc = cli_read_file(cli->arguments[0], &text, &size);
	if (rc != 0 || a == NULL) {
		json_decref(p.decisions);
		adapt_service_destroy(a);
		return cli_fail(cli, CLI_FAILED, "%s: %s", cli_file_label(cli->arguments[0]),
			strerror(rc != 0 ? -rc : ENOMEM));
	}
	int status = play_all(&p, a, text, size);
	if (status == CLI_DONE) {
		double seconds = (double)(p.ended_ns - p.begun_ns) / 1e9;
		json_t *document = json_pack("{s:s, s:I, s:f, s:O}", "service", p.service, "ticks",
			(json_int_t)p.ticks, "seconds", seconds, "decisions", p.decisions);
		if (!printer_json(cli, document))
			fprintf(cli->out, "%zu decisions in %.1f s of %s\n",
				json_array_size(p.decisions), seconds, p.service);
		json_decref(document);
	}
	free(text);
	json_decref(p.decisions);
	adapt_service_destroy(a);
	return status;
}

int command_adapt_constants(struct cli *cli)
{
	static const struct printer_column columns[] = {
		{ "NAME", "name", PRINT_TEXT },
		{ "VALUE", "value", PRINT_TEXT },
		{ "FROM", "least", PRINT_TEXT },
		{ "TO", "most", PRINT_TEXT },
		{ "MEANING", "help", PRINT_TEXT },
	};
	json_t *list = json_array();
	for (size_t i = 0; i < adapt_gain_count; i++) {
		const struct adapt_gain_row *r = &adapt_gain_rows[i];
		json_array_append_new(list,
			json_pack("{s:s, s:f, s:f, s:f, s:s}", "name", r->name, "value", r->preset,
				"least", r->least, "most", r->most, "help", r->help));
	}
	int status = printer_list(cli, list, columns, PRINTER_COUNT(columns), "none");
	json_decref(list);
	return status;
}
