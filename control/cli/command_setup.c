/* SPDX-License-Identifier: BSD-3-Clause */

/* `setup`: show what the machine lacks, and give it that, or take it back. */

#include "control/cli/command.h"
#include "control/cli/doctor_facts.h"
#include "control/cli/printer.h"
#include "control/doctor/facts.h"
#include "control/doctor/setup.h"

#include <string.h>
#include <unistd.h>

static const char *root_of(const struct cli *cli)
{
	const char *root = cli_value(cli, "root", 0);

	return root != NULL ? root : "";
}

static json_t *plan_document(const struct setup_plan *p, bool done)
{
	json_t *list = json_array();
	for (size_t i = 0; i < p->count; i++) {
		const struct setup_step *s = &p->steps[i];
		json_array_append_new(list,
			json_pack("{s:s?, s:s?, s:s, s:s, s:s?}", "what", s->what, "why", s->why,
				"path", s->act.path, "text", s->act.text, "command", s->command));
	}
	return json_pack(
		"{s:o, s:b, s:b}", "steps", list, "reboot", (int)p->reboot, "done", (int)done);
}

static void print_text(FILE *to, const char *text)
{
	for (const char *end; *text != '\0'; text = end + (*end != '\0')) {
		end = text + strcspn(text, "\n");
		fprintf(to, "           %.*s\n", (int)(end - text), text);
	}
}

static void print_plan(FILE *to, const struct setup_plan *p)
{
	for (size_t i = 0; i < p->count; i++) {
		const struct setup_step *s = &p->steps[i];
		if (s->what != NULL)
			fprintf(to, "%s%s\n   why     %s\n", i > 0 ? "\n" : "", s->what, s->why);
		fprintf(to, "   write   %s\n", s->act.path);
		print_text(to, s->act.text);
		if (s->command != NULL)
			fprintf(to, "   run     %s\n", s->command);
	}
	fputs("\nundo: weirctl setup undo puts back what is there now\n", to);
}

static bool is_wanted(struct cli *cli)
{
	char answer[16];

	if (cli_value(cli, "yes", 0) != NULL)
		return true;
	if (cli->json || !isatty(STDIN_FILENO))
		return false;
	fputs("\nGo ahead? [y/N] ", cli->out);
	fflush(cli->out);
	return fgets(answer, sizeof(answer), stdin) != NULL &&
		(answer[0] == 'y' || answer[0] == 'Y');
}

static int carry_out(struct cli *cli, const struct setup_plan *p)
{
	char err[1024];

	if (p->count > 0 && !cli->json)
		print_plan(cli->out, p);
	bool wanted = p->count > 0 && is_wanted(cli);
	if (wanted && setup_apply(p, root_of(cli), err, sizeof(err)) != 0)
		return cli_fail(cli, CLI_FAILED, "%s", err);
	json_t *o = plan_document(p, wanted);
	if (!printer_json(cli, o)) {
		if (p->count == 0)
			fputs("the machine has all that could be set up\n", cli->out);
		else if (!wanted)
			fputs("\nnothing was changed: weirctl setup apply --yes does it\n",
				cli->out);
		else
			fprintf(cli->out, "\ndone%s\n",
				p->reboot ? "; CPUs are kept free after the next boot" : "");
	}
	json_decref(o);
	return CLI_DONE;
}

int command_setup_apply(struct cli *cli)
{
	struct setup_plan plan = { 0 };
	struct facts f;

	if (facts_init(&f) != 0)
		return cli_fail(cli, CLI_FAILED, "out of memory");
	int status = doctor_facts_take(cli, root_of(cli), &f);
	if (status == CLI_DONE && !f.wanted.known)
		status = cli_fail(cli, CLI_USAGE,
			"no configuration is in force: name the file that is to be, as in weirctl "
			"setup apply weir.yaml");
	if (status == CLI_DONE && setup_plan_make(&f, &plan) != 0)
		status = cli_fail(cli, CLI_FAILED, "out of memory");
	if (status == CLI_DONE) {
		setup_plan_prune(&plan, root_of(cli));
		status = carry_out(cli, &plan);
	}
	setup_plan_fini(&plan);
	facts_fini(&f);
	return status;
}

int command_setup_undo(struct cli *cli)
{
	char err[1024];

	if (setup_undo(root_of(cli), err, sizeof(err)) != 0)
		return cli_fail(cli, CLI_FAILED, "%s", err);
	json_t *o = json_pack("{s:b}", "undone", 1);
	if (!printer_json(cli, o))
		fputs("taken back; a change of the kernel's command line with the next boot\n",
			cli->out);
	json_decref(o);
	return CLI_DONE;
}
