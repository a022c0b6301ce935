/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/cli/command.h"
#include "control/cli/help.h"

#include <ctype.h>
#include <string.h>

/* roff: a hyphen that people may copy is \-, and no line of text may begin with a dot or quote. */
static void roff(FILE *to, const char *text)
{
	if (*text == '.' || *text == '\'')
		fputs("\\&", to);
	for (; *text != '\0'; text++) {
		if (*text == '-')
			fputs("\\-", to);
		else if (*text == '\\')
			fputs("\\e", to);
		else
			fputc(*text, to);
	}
}

static void roff_options(FILE *to, const struct command_option *o)
{
	for (; o != NULL && o->name != NULL; o++) {
		fputs(".TP\n\\fB\\-\\-", to);
		roff(to, o->name);
		fputs("\\fR", to);
		if (o->value != NULL)
			fprintf(to, " \\fI%s\\fR", o->value);
		fputc('\n', to);
		roff(to, o->help);
		fputs(".\n", to);
	}
}

static void roff_command(FILE *to, const struct command *c)
{
	char usage[256];
	fputs(".SS ", to);
	roff(to, help_usage(c, usage, sizeof(usage)));
	fprintf(to, "\n%c", toupper((unsigned char)c->help[0]));
	roff(to, c->help + 1);
	fputs(".\n", to);
	if (c->details != NULL) {
		fputs(".PP\n", to);
		roff(to, c->details);
		fputc('\n', to);
	}
	roff_options(to, c->options);
}

static const char *const statuses[] = {
	"Done.",
	("Refused or failed; a line on standard error says what is wrong and what to do. The errors of "
	 "a configuration are a line each: FILE:LINE:COLUMN: key: what is wrong, what is expected."),
	"Wrong usage.",
	"The daemon cannot be reached.",
};

void help_manual(FILE *to)
{
	fprintf(to, ".TH WEIRCTL 1 \"\" \"Weir %s\" \"User Commands\"\n", WEIR_VERSION);
	fputs(".SH NAME\nweirctl \\- ask and tell Weir\n.SH SYNOPSIS\n"
	      ".B weirctl\n[\\fIOPTION\\fR...] \\fICOMMAND\\fR [\\fIARGUMENT\\fR...]\n"
	      ".SH DESCRIPTION\n"
	      "Weir balances and limits the traffic of services. \\fBweirctl\\fR talks to "
	      "\\fBweir\\-controld\\fR(8), which runs it on this host, over a UNIX socket.\n"
	      "Without \\fB\\-\\-json\\fR it prints for people; what it prints then may change. "
	      "Scripts use \\fB\\-\\-json\\fR.\n.PP\n"
	      "Without a command, on a terminal, it is a shell: it reads commands, completes them "
	      "and the names that the daemon knows with Tab, explains what stands before a \\fB?\\fR, "
	      "remembers lines, and shows in its prompt the exit status of a command that failed. Options that it was started with go "
	      "for all its commands. \\fBexit\\fR or Ctrl\\-D leaves it.\n.SH OPTIONS\n"
	      "They may stand before or after the command.\n",
		to);
	roff_options(to, command_globals);
	fputs(".SH COMMANDS\n", to);
	for (size_t i = 0; i < command_count; i++)
		roff_command(to, &command_table[i]);
	fputs(".SH EXIT STATUS\n", to);
	for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
		fprintf(to, ".TP\n%zu\n", i);
		roff(to, statuses[i]);
		fputc('\n', to);
	}
	fputs(".SH ENVIRONMENT\n.TP\nWEIR_RUN_DIR\nWhere sockets and state of the instances lie, "
	      "instead of /run/weir.\n.TP\nWEIR_DATAPLANE\nThe weir\\-dataplane program that "
	      "replay runs, instead of the one beside weirctl.\n"
	      ".SH FILES\n.TP\n/run/weir/NAME/control.sock\nThe socket of instance NAME.\n"
	      ".TP\n~/.weirctl_history\nThe lines that the shell remembers.\n"
	      ".SH SEE ALSO\n.BR weir\\-controld (8),\n.BR weir\\-dataplane (8),\n"
	      ".BR weir.yaml (5)\n",
		to);
}

static void markdown_options(FILE *to, const struct command_option *o)
{
	bool first = true;
	for (; o != NULL && o->name != NULL; o++) {
		fprintf(to, "%s- `--%s%s%s`: %s\n", first ? "\n" : "", o->name,
			o->value != NULL ? " " : "", o->value != NULL ? o->value : "", o->help);
		first = false;
	}
}

void help_reference(FILE *to)
{
	char usage[256];
	fputs("# weirctl: the reference\n\n"
	      "Made from the command table of weirctl (`weirctl --generate reference`); a test sees "
	      "that it is current. The documents that `--json` prints are described in "
	      "[json.md](json.md).\n\n"
	      "Options may stand before or after the command:\n",
		to);
	markdown_options(to, command_globals);
	fputs("\nExit status:\n\n", to);
	for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++)
		fprintf(to, "- %zu: %s\n", i, statuses[i]);
	fputs("\nThe socket is `/run/weir/NAME/control.sock` (`WEIR_RUN_DIR` moves `/run/weir`).\n\n"
	      "Without a command, on a terminal, weirctl is a shell: it reads commands, completes them "
	      "and the names that the daemon knows with Tab, explains what stands before a `?`, "
	      "remembers lines in "
	      "`~/.weirctl_history`, and shows in its prompt the exit status of a command that "
	      "failed. Options that it was started with go for all its commands. `exit` or Ctrl-D "
	      "leaves it.\n",
		to);
	for (size_t i = 0; i < command_count; i++) {
		const struct command *c = &command_table[i];
		fprintf(to, "\n## %s\n\n    %s\n\n%c%s.\n", c->path,
			help_usage(c, usage, sizeof(usage)), toupper((unsigned char)c->help[0]),
			c->help + 1);
		if (c->details != NULL)
			fprintf(to, "\n%s\n", c->details);
		markdown_options(to, c->options);
	}
}

void help_bash(FILE *to)
{
	/* The program itself knows what may follow; the shell only asks and adds file names. */
	fputs("# bash completion of weirctl; made by weirctl --generate bash\n"
	      "_weirctl()\n"
	      "{\n"
	      "\tlocal line current=${COMP_LINE:0:COMP_POINT} words=()\n"
	      "\tread -ra words <<< \"$current\"\n"
	      "\t[[ $current == *[[:space:]] ]] && words+=('')\n"
	      "\tlocal last=${words[${#words[@]} - 1]}\n"
	      "\tCOMPREPLY=()\n"
	      "\twhile IFS= read -r line; do\n"
	      "\t\tif [[ $line == @file ]]; then\n"
	      "\t\t\tcompopt -o filenames 2> /dev/null\n"
	      "\t\t\twhile IFS= read -r line; do\n"
	      "\t\t\t\tCOMPREPLY+=(\"$line\")\n"
	      "\t\t\tdone < <(compgen -f -- \"${last##*=}\")\n"
	      "\t\telse\n"
	      "\t\t\tCOMPREPLY+=(\"$line\")\n"
	      "\t\tfi\n"
	      "\tdone < <(\"${words[0]}\" --complete \"${words[@]:1}\" 2> /dev/null)\n"
	      "\t# Bash takes a colon for the end of a word, and replaces only what is behind it.\n"
	      "\tif [[ $last == *:* && $COMP_WORDBREAKS == *:* ]]; then\n"
	      "\t\tlocal i head=${last%\"${last##*:}\"}\n"
	      "\t\tfor i in \"${!COMPREPLY[@]}\"; do\n"
	      "\t\t\tCOMPREPLY[i]=${COMPREPLY[i]#\"$head\"}\n"
	      "\t\tdone\n"
	      "\tfi\n"
	      "}\n"
	      "complete -F _weirctl weirctl\n",
		to);
}
