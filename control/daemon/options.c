/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/daemon/options.h"

#include "dataplane/api/telemetry.h"

#include <getopt.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
	"usage: weir-controld --config FILE [--instance NAME] [--spawn-dataplane] [--socket PATH]\n"
	"                     [--group GROUP] [--read-only-group GROUP] [--state-dir DIR]\n"
	"\n"
	"The control daemon of Weir.\n"
	"\n"
	"  --config FILE       the configuration to start with; read again on SIGHUP\n"
	"  --instance NAME     which Weir of this host this is; default \"default\"\n"
	"  --spawn-dataplane   start weir-dataplane when none runs, and stop it at the end\n"
	"  --socket PATH       where to listen; default RUN/NAME/control.sock\n"
	"  --group GROUP       who may change things beside root: may use control.sock\n"
	"  --read-only-group GROUP\n"
	"                      who may look: may use RUN/NAME/control-ro.sock\n"
	"  --state-dir DIR     keep the history of configurations in DIR/NAME;\n"
	"                      default RUN/NAME/history, which a reboot forgets\n"
	"  --help, --version\n"
	"\n"
	"RUN is /run/weir, or $WEIR_RUN_DIR.\n";

/* Names become file names. */
static bool instance_is_valid(const char *name)
{
	size_t length =
		strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-");

	return length && !name[length] && length < WEIR_NAME_SIZE && name[0] != '.' &&
		name[0] != '-';
}

/* Returns false, and has said it, when there is no such group. */
static bool group_find(const char *option, const char *name, int64_t *ret_group)
{
	const struct group *g = getgrnam(name);
	char *end;
	unsigned long number = strtoul(name, &end, 10);

	if (!g && (end == name || *end || number >= UINT32_MAX)) {
		fprintf(stderr, "weir-controld: %s: there is no group %s\n", option, name);
		return false;
	}
	*ret_group = g ? g->gr_gid : (int64_t)number;
	return true;
}

int options_parse(int argc, char **argv, struct options *ret_options)
{
	static const struct option known[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "instance", required_argument, NULL, 'i' },
		{ "socket", required_argument, NULL, 's' },
		{ "group", required_argument, NULL, 'g' },
		{ "read-only-group", required_argument, NULL, 'r' },
		{ "state-dir", required_argument, NULL, 't' },
		{ "spawn-dataplane", no_argument, NULL, 'd' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'v' },
		{ NULL, 0, NULL, 0 },
	};
	struct options o = { .instance = "default", .group = -1, .read_only_group = -1 };
	int c;

	optind = 1;
	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		switch (c) {
		case 'c':
			o.config = optarg;
			break;
		case 'i':
			o.instance = optarg;
			break;
		case 's':
			o.socket = optarg;
			break;
		case 'g':
			if (!group_find("--group", optarg, &o.group))
				return 2;
			break;
		case 'r':
			if (!group_find("--read-only-group", optarg, &o.read_only_group))
				return 2;
			break;
		case 't':
			o.state_dir = optarg;
			break;
		case 'd':
			o.spawn_dataplane = true;
			break;
		case 'h':
			fputs(usage, stdout);
			return 0;
		case 'v':
			puts("weir-controld " WEIR_VERSION);
			return 0;
		default:
			fputs("try weir-controld --help\n", stderr);
			return 2;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "weir-controld: unexpected argument %s; try --help\n",
			argv[optind]);
		return 2;
	}
	if (!o.config) {
		fputs("weir-controld: --config FILE is missing; try --help\n", stderr);
		return 2;
	}
	if (!instance_is_valid(o.instance)) {
		fprintf(stderr,
			"weir-controld: --instance %s: expected letters, digits, _ . -, at most %d\n",
			o.instance, WEIR_NAME_SIZE - 1);
		return 2;
	}
	*ret_options = o;
	return -1;
}
