/* SPDX-License-Identifier: BSD-3-Clause */

#include "tests/tools/weir_origin.h"

#include <arpa/inet.h>
#include <err.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void usage(FILE *to)
{
	fputs("usage: weir-origin [options] FIRST_ADDRESS:PORT\n"
	      "  -n, --count N     backends, at consecutive addresses (1)\n"
	      "  -c, --slots N     requests that one does at once (4)\n"
	      "  -m, --mean S      time that a request takes (0.01)\n"
	      "  -g, --sigma F     of its lognormal distribution (0.6)\n"
	      "  -b, --backlog N   connections that one holds, beside the kernel's queue (1024)\n"
	      "  -x, --change AT,FIRST-LAST,slow=F|dead|alive  backends of these numbers, from 0\n"
	      "  -s, --seed N      (1)\n"
	      "  -S, --start NS    CLOCK_MONOTONIC of time 0 (now); -: to be read from standard input\n"
	      "Prints a line of JSON every 100 ms; ends with SIGTERM and a line about itself.\n",
		to);
}

static void wrong(const char *what)
{
	warnx("cannot use %s", what);
	usage(stderr);
	exit(2);
}

static void change_add(struct origin_options *o, const char *text)
{
	struct origin_change c = { 0 };
	char what[16];
	if (o->changes == ORIGIN_CHANGES ||
		sscanf(text, "%lf,%u-%u,%15s", &c.at, &c.first, &c.last, what) != 4 ||
		c.first > c.last || (o->changes && o->change[o->changes - 1].at > c.at))
		wrong(text);
	c.what = what[0];
	if (sscanf(what, "slow=%lf", &c.slow) != 1 && strcmp(what, "dead") != 0 &&
		strcmp(what, "alive") != 0)
		wrong(text);
	o->change[o->changes++] = c;
}

void origin_options_read(struct origin_options *o, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "count", required_argument, NULL, 'n' },
		{ "slots", required_argument, NULL, 'c' },
		{ "mean", required_argument, NULL, 'm' },
		{ "sigma", required_argument, NULL, 'g' },
		{ "backlog", required_argument, NULL, 'b' },
		{ "change", required_argument, NULL, 'x' },
		{ "seed", required_argument, NULL, 's' },
		{ "start", required_argument, NULL, 'S' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	*o = (struct origin_options){
		.count = 1, .slots = 4, .mean = 0.01, .sigma = 0.6, .backlog = 1024, .seed = 1
	};
	int option;
	while ((option = getopt_long(argc, argv, "n:c:m:g:b:x:s:S:h", longs, NULL)) != -1) {
		switch (option) {
		case 'n':
			o->count = (unsigned int)strtoul(optarg, NULL, 10);
			break;
		case 'c':
			o->slots = (unsigned int)strtoul(optarg, NULL, 10);
			break;
		case 'm':
			o->mean = strtod(optarg, NULL);
			break;
		case 'g':
			o->sigma = strtod(optarg, NULL);
			break;
		case 'b':
			o->backlog = (unsigned int)strtoul(optarg, NULL, 10);
			break;
		case 'x':
			change_add(o, optarg);
			break;
		case 's':
			o->seed = strtoull(optarg, NULL, 10);
			break;
		case 'S':
			o->start_later = strcmp(optarg, "-") == 0;
			o->start_ns = strtoull(optarg, NULL, 10);
			break;
		case 'h':
			usage(stdout);
			exit(0);
		default:
			usage(stderr);
			exit(2);
		}
	}
	char address[16];
	if (optind != argc - 1 || !o->count || o->count > ORIGIN_BACKENDS || !o->slots ||
		!o->backlog || sscanf(argv[optind], "%15[0-9.]:%" SCNu16, address, &o->port) != 2 ||
		inet_pton(AF_INET, address, &o->first) != 1)
		wrong("these arguments");
	for (unsigned int i = 0; i < o->changes; i++)
		if (o->change[i].last >= o->count)
			wrong("a change of a backend that is not there");
}
