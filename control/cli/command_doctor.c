/* SPDX-License-Identifier: BSD-3-Clause */

/* `doctor`: gather the facts, have them judged, print the findings. */

#include "control/cli/command.h"
#include "control/cli/doctor_facts.h"
#include "control/cli/printer.h"
#include "control/cli/rpc.h"
#include "control/config/model.h"
#include "control/doctor/facts.h"
#include "control/doctor/findings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ASK_TIMEOUT_MS 2000
#define WIDTH	       100
#define INDENT	       9 /* below the text, behind the level */

/* Returns 0, -EINVAL (no valid configuration; said on `complain` unless it is NULL) or -ENOMEM. */
static int take_text(
	struct facts *f, const char *text, size_t length, const char *source, FILE *complain)
{
	struct model *m = NULL;
	struct model_errors errors = { 0 };
	int err = model_parse(text, length, &m, &errors);
	if (err == 0)
		err = facts_take_model(f, m, source);
	else if (err == -EINVAL && complain != NULL)
		model_errors_print(complain, source, &errors);
	model_errors_fini(&errors);
	model_destroy(m);
	return err;
}

static int take_file(struct cli *cli, struct facts *f)
{
	const char *path = cli->arguments[0];
	char *text;
	size_t length;
	int err = cli_read_file(path, &text, &length);
	if (err != 0)
		return cli_fail(cli, CLI_FAILED, "cannot read %s: %s", cli_file_label(path),
			strerror(-err));
	err = take_text(f, text, length, cli_file_label(path), cli->err);
	free(text);
	if (err == -ENOMEM)
		return cli_fail(cli, CLI_FAILED, "out of memory");
	return err == 0 ? CLI_DONE : CLI_FAILED;
}

/* A result of the daemon's, or NULL; *ret_err as of rpc_ask(). */
static json_t *ask(const struct cli *cli, struct facts *f, const char *method, int *ret_err)
{
	char path[RPC_PATH_SIZE];
	json_t *reply = NULL;
	*ret_err = rpc_ask(cli, method, NULL, ASK_TIMEOUT_MS, path, sizeof(path), &reply);
	json_t *result = *ret_err == 0 ? json_incref(json_object_get(reply, "result")) : NULL;
	f->run.read_only = result != NULL && strcmp(path, f->run.socket) != 0;
	json_decref(reply);
	return result;
}

static void take_status(struct facts *f, const json_t *status)
{
	const char *state = json_string_value(printer_at(status, "dataplane.state"));
	const char *cores = json_string_value(printer_at(status, "dataplane.cores"));
	f->run.daemon_pid = (pid_t)json_integer_value(printer_at(status, "controld.pid"));
	f->run.dataplane_pid = (pid_t)json_integer_value(printer_at(status, "dataplane.pid"));
	if (json_is_boolean(printer_at(status, "hugepages")))
		f->run.dataplane_hugepages = json_is_true(printer_at(status, "hugepages"));
	f->run.warnings = json_array_size(printer_at(status, "warnings"));
	snprintf(f->run.dataplane_state, sizeof(f->run.dataplane_state), "%s",
		state != NULL ? state : "");
	if (cores != NULL)
		facts_take_cores(f, cores);
}

/* What runs; with its configuration, unless a file was given. */
static void take_daemon(const struct cli *cli, struct facts *f)
{
	int err;
	json_t *status = ask(cli, f, "status", &f->run.error);
	if (status == NULL)
		return;
	json_t *shown = f->wanted.known ? NULL : ask(cli, f, "config.show", &err);
	const char *text = json_string_value(json_object_get(shown, "text"));
	/* A daemon of another version may have one that we do not understand: then we go on without. */
	if (text != NULL)
		(void)take_text(f, text, strlen(text), "the running configuration", NULL);
	take_status(f, status);
	json_decref(shown);
	json_decref(status);
}

int doctor_facts_take(struct cli *cli, const char *root, struct facts *f)
{
	snprintf(f->run.instance, sizeof(f->run.instance), "%s", cli->instance);
	if (cli_socket_path(cli, f->run.socket, sizeof(f->run.socket)) != 0)
		return cli_fail(cli, CLI_FAILED, "the path of the socket is too long");
	const char *slash = strrchr(f->run.socket, '/');
	snprintf(f->run.path, sizeof(f->run.path), "%.*s",
		slash != NULL ? (int)(slash - f->run.socket) : 1,
		slash != NULL ? f->run.socket : ".");
	if (cli->socket == NULL)
		snprintf(f->run.read_only_socket, sizeof(f->run.read_only_socket),
			"%s/control-ro.sock", f->run.path);
	int status = cli->argument_count > 0 ? take_file(cli, f) : CLI_DONE;
	if (status != CLI_DONE)
		return status;
	take_daemon(cli, f);
	facts_read_run(f);
	facts_read_interfaces(f);
	facts_read_files(f, root);
	facts_read_verifier(f);
	return CLI_DONE;
}

static json_t *document(const struct cli *cli, const struct facts *f, const struct findings *l)
{
	json_t *list = json_array();
	for (size_t i = 0; i < l->count; i++) {
		const struct finding *item = &l->items[i];
		json_array_append_new(list,
			json_pack("{s:s, s:s, s:s?, s:s?, s:s?}", "level",
				finding_level_label(item->level), "check", item->check, "object",
				item->object[0] != '\0' ? item->object : NULL, "text", item->text,
				"mend", item->mend));
	}
	return json_pack("{s:s, s:s?, s:i, s:i, s:i, s:i, s:o}", "instance", cli->instance,
		"configuration", f->wanted.known ? f->wanted.source : NULL, "problems",
		(int)l->levels[FINDING_PROBLEM], "warnings", (int)l->levels[FINDING_WARNING],
		"notes", (int)l->levels[FINDING_NOTE], "ok", (int)l->levels[FINDING_OK], "findings",
		list);
}

/* Words until the line is full, then the next one; a word is never broken. */
static void print_words(FILE *to, const char *text, size_t column)
{
	for (bool first = true; *text != '\0'; first = false) {
		size_t length = strcspn(text, " ");
		if (!first && column + 1 + length > WIDTH) {
			fprintf(to, "\n%*s", INDENT, "");
			column = INDENT;
			first = true;
		}
		fprintf(to, "%s%.*s", first ? "" : " ", (int)length, text);
		column += length + !first;
		text += length;
		text += strspn(text, " ");
	}
	fputc('\n', to);
}

static void print_finding(FILE *to, const struct finding *item)
{
	int n = fprintf(to, "%-*s%s%s%s: ", INDENT, finding_level_label(item->level), item->check,
		item->object[0] != '\0' ? " " : "", item->object);
	print_words(to, item->text != NULL ? item->text : "?", n > 0 ? (size_t)n : 0);
	/* A command stands on one line, to be copied. */
	if (item->mend != NULL)
		fprintf(to, "%*s-> %s\n", INDENT, "", item->mend);
}

static void print_count(FILE *to, size_t count, const char *what, const char *after)
{
	fprintf(to, "%zu %s%s%s", count, what, count == 1 ? "" : "s", after);
}

static void print_text(struct cli *cli, const struct findings *l)
{
	for (size_t i = 0; i < l->count; i++)
		print_finding(cli->out, &l->items[i]);
	fputc('\n', cli->out);
	print_count(cli->out, l->levels[FINDING_PROBLEM], "problem", ", ");
	print_count(cli->out, l->levels[FINDING_WARNING], "warning", ", ");
	print_count(cli->out, l->levels[FINDING_NOTE], "note", "\n");
}

int command_doctor(struct cli *cli)
{
	struct facts f;
	struct findings l = { 0 };
	if (facts_init(&f) != 0)
		return cli_fail(cli, CLI_FAILED, "out of memory");
	int status = doctor_facts_take(cli, "", &f);
	if (status == CLI_DONE) {
		doctor_check(&f, &l);
		json_t *o = document(cli, &f, &l);
		if (!printer_json(cli, o))
			print_text(cli, &l);
		json_decref(o);
		if (l.levels[FINDING_PROBLEM] > 0)
			status = CLI_FAILED;
	}
	findings_fini(&l);
	facts_fini(&f);
	return status;
}
