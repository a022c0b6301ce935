/* SPDX-License-Identifier: BSD-3-Clause */

/* Print docs/operators/configuration.md: the schema as a page for people. */

#include "control/config/schema.h"

#include <stdio.h>
#include <string.h>

static const char intro[] =
	"# Configuration reference, version 1\n"
	"\n"
	"<!-- Made by control/config/schema_doc.c from the schema table; do not edit. -->\n"
	"\n"
	"One YAML file says all. `weirctl config check FILE` checks it without a daemon; `weirctl config\n"
	"diff FILE` shows what would change; `weirctl config apply FILE` applies it as one transaction.\n"
	"Examples of whole files: [config/](../../config/).\n"
	"\n"
	"Every error of a file is told in one run, in the order of the file, and then nothing of it is\n"
	"applied; the exit status is 1:\n"
	"\n"
	"    FILE:LINE:COLUMN: key.path: what is wrong, what is expected\n"
	"\n"
	"Unknown keys and keys given twice are errors. A file\n"
	"whose YAML cannot be read to its end has one error, the place where reading stopped.\n"
	"\n"
	"## How values are written\n"
	"\n"
	"| kind | written as |\n"
	"| --- | --- |\n"
	"| rate | a number, with `k`, `M` or `G` for powers of ten: `50k`, `1.5M` |\n"
	"| size | bytes, with `K`, `M`, `G` or `KiB`, `MiB`, `GiB` for powers of two: `512M`, `1.5GiB` |\n"
	"| time | a number with `us`, `ms`, `s`, `m` or `h`: `200ms`, `1.5s` |\n"
	"| name | 1 to 63 letters, digits, `.`, `_` and `-`; begins with a letter or digit |\n"
	"| address | IPv4 or IPv6, no loopback, link-local, multicast or unspecified address |\n"
	"| list of CPUs | `[1, 2-3]`: numbers and ranges |\n"
	"| mapping, or list of them | `policy: {object: a.o}`, or `policy: [{object: a.o}, {object: b.o}]` |\n"
	"| mapping of names to numbers | `{rate: 500, mask: 0xff}`: decimal or hexadecimal, also negative |\n"
	"\n"
	"The file is UTF-8, at most 16 MiB, one document. Anchors, aliases and tags of YAML are not\n"
	"supported. Indent with spaces.\n";

static const char rules[] =
	"\n"
	"## Rules between keys\n"
	"\n"
	"- Names of ports and of services are unique; so are the ports' devices. The name of a port on\n"
	"  a PCI device is its kernel interface's as well: at most 15 characters, and no other port's\n"
	"  device.\n"
	"- No two services have the same address, protocol and port. Where addresses overlap, the\n"
	"  longest prefix wins, then a port of its own before `any`.\n"
	"- A service has one family: its backends have it too, and `source-addresses` has at least one\n"
	"  of it.\n"
	"- `nat`, `ipip` and `gue` need `source-addresses`; `dsr` must not have them.\n"
	"- A source address is no service's address. A backend is neither at a service's address\n"
	"  (packets would come back) nor at one of its service's source addresses. No backend, source\n"
	"  address or neighbour is listed twice.\n"
	"- `health.type: http` needs a service of protocol tcp. `timeout` is less than `interval`.\n"
	"- But in `nat`, backends of a service with port `any` have no port, so there is nothing to check:\n"
	"  their health type is `none`.\n"
	"- A neighbour's `port` is a port of the file.\n"
	"- Names of a service's `classes` are unique, and so are those of its `pools`. A backend is in one of\n"
	"  `backends`, `fallback` and `pools` only; all of them together have at most 4096.\n"
	"- A service's `cores`, or their `max`, is at most the number of CPUs in `dataplane.cores`, where that is given.\n";

static void print_range(const struct schema_key *k)
{
	char low[32];
	char high[32];
	enum unit_kind kind = schema_unit(k->type);
	switch (k->type) {
	case SCHEMA_RATE:
	case SCHEMA_SIZE:
	case SCHEMA_TIME:
	case SCHEMA_NUMBER:
	case SCHEMA_SPAN:
	case SCHEMA_PORT:
	case SCHEMA_PORT_OR_ANY:
		printf(", %s..%s", unit_print(kind, k->min, low, sizeof(low)),
			unit_print(kind, k->max, high, sizeof(high)));
		break;
	case SCHEMA_LIST:
	case SCHEMA_ADDRESS_LIST:
	case SCHEMA_CPU_LIST:
		printf(", at most %s entries", unit_print(UNIT_NONE, k->max, high, sizeof(high)));
		break;
	default:
		break;
	}
	if (k->unit != NULL && k->type == SCHEMA_RATE)
		printf(", %s", k->unit);
}

static void print_default(const struct schema_key *k)
{
	if ((k->flags & SCHEMA_F_REQUIRED) != 0)
		printf("required");
	else if (k->preset != NULL && k->preset_help != NULL)
		printf("`%s`; %s", k->preset, k->preset_help);
	else if (k->preset != NULL)
		printf("`%s`", k->preset);
	else
		printf("%s", k->preset_help ? k->preset_help : "none");
}

static void print_choices(const struct schema_key *k)
{
	const char *between = " ";
	for (const struct schema_choice *c = k->choices; c != NULL && c->name != NULL; c++) {
		printf("%s`%s`", between, c->name);
		if (c->help != NULL)
			printf(" (%s)", c->help);
		between = ", ";
	}
	if (k->choices != NULL)
		printf(".");
}

static void print_keys(const struct schema_key *keys, const char *path)
{
	printf("\n## %s\n\n| key | value | default | meaning |\n| --- | --- | --- | --- |\n",
		*path != '\0' ? path : "The file");
	for (const struct schema_key *k = keys; k->name != NULL; k++) {
		printf("| `%s` | %s", k->name, schema_type_name(k));
		print_range(k);
		printf(" | ");
		print_default(k);
		printf(" | %s", k->help);
		print_choices(k);
		printf(" |\n");
	}
	for (const struct schema_key *k = keys; k->name != NULL; k++) {
		char deeper[128];
		if (k->children == NULL)
			continue;
		snprintf(deeper, sizeof(deeper), "%s%s%s%s", path, *path != '\0' ? "." : "",
			k->name, k->type == SCHEMA_LIST ? "[]" : "");
		print_keys(k->children, deeper);
	}
}

int main(void)
{
	fputs(intro, stdout);
	print_keys(schema_root, "");
	fputs(rules, stdout);
	return fflush(stdout) == 0 ? 0 : 1;
}
