/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/process/arguments.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char arguments_help[] =
	"Usage: weir-dataplane --instance NAME [OPTION]...\n"
	"       weir-dataplane --replay --api-fd FD --in PORT=FILE... [--out PORT=FILE]...\n"
	"\n"
	"The packet process of Weir. weir-controld starts it and tells it its configuration.\n"
	"\n"
	"  --instance NAME     name of this data plane (default: default)\n"
	"  --run-dir DIR       where sockets, pins and state lie, in a folder named after the\n"
	"                      instance (default: $WEIR_RUN_DIR, else /run/weir)\n"
	"  --cores LIST        CPUs for packet work, as 1,2-3 (default: isolated CPUs, else all\n"
	"                      but the first, else the only one)\n"
	"  --memory SIZE       for packet buffers and tables, over all nodes (default: 512M)\n"
	"  --hugepages WISH    auto, required or none (default: auto)\n"
	"  --idle WHAT         sleep, spin or interrupt: what a core without packets does (default: sleep)\n"
	"  --early-drops WHERE kernel or weir: what is dropped unparsed as a core is overloaded goes in\n"
	"                      ports' XDP programs too, or in the data plane alone (default: kernel)\n"
	"  --api-fd FD         talk to the one client at this inherited socket, and end with it\n"
	"  --replay            process capture files as fast as possible, on their own clock\n"
	"  --in PORT=FILE      replay: packets that the port receives\n"
	"  --out PORT=FILE     replay: where packets go that the port sends\n"
	"  --seed N            seed of all hashes (default: random, 0 in replay)\n"
	"  --help, --version   print, and exit\n";

struct reason {
	char *text;
	size_t size;
};

__attribute__((format(printf, 2, 3))) static int refuse(
	const struct reason *r, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(r->text, r->size, format, ap);
	va_end(ap);
	return -EINVAL;
}

int memory_size_parse(const char *text, uint64_t *ret_bytes)
{
	static const struct {
		const char *unit;
		unsigned int shift;
	} units[] = {
		{ "", 0 },
		{ "K", 10 },
		{ "KiB", 10 },
		{ "M", 20 },
		{ "MiB", 20 },
		{ "G", 30 },
		{ "GiB", 30 },
	};
	char *end;

	if (!isdigit((unsigned char)text[0]))
		return -EINVAL;
	errno = 0;
	unsigned long long value = strtoull(text, &end, 10);
	if (errno)
		return -EINVAL;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(end, units[i].unit) != 0)
			continue;
		if (value > UINT64_MAX >> units[i].shift)
			return -EINVAL;
		*ret_bytes = (uint64_t)value << units[i].shift;
		return 0;
	}
	return -EINVAL;
}

static int number_parse(const char *text, uint64_t most, uint64_t *ret_value)
{
	char *end;

	if (!isdigit((unsigned char)text[0]))
		return -EINVAL;
	errno = 0;
	unsigned long long value = strtoull(text, &end, 0);
	if (errno || *end || value > most)
		return -EINVAL;
	*ret_value = value;
	return 0;
}

/* One of the words; returns its place or -EINVAL. */
static int word_find(const char *text, const char *const *words, int count)
{
	for (int i = 0; i < count; i++)
		if (strcmp(text, words[i]) == 0)
			return i;
	return -EINVAL;
}

static bool instance_is_good(const char *name)
{
	size_t length = strlen(name);

	if (length == 0 || length >= WEIR_NAME_SIZE || name[0] == '.' || name[0] == '-')
		return false;
	for (size_t i = 0; i < length; i++)
		if (!isalnum((unsigned char)name[i]) && !strchr("._-", name[i]))
			return false;
	return true;
}

static int capture_parse(const char *option, const char *text, struct capture_argument *list,
	size_t *count, const struct reason *r)
{
	const char *equals = strchr(text, '=');

	if (!equals || equals == text || !equals[1])
		return refuse(r, "--%s %s: expected PORT=FILE", option, text);
	size_t length = (size_t)(equals - text);
	if (length >= WEIR_NAME_SIZE)
		return refuse(r, "--%s %s: the port's name is too long", option, text);
	if (*count == WEIR_MAX_PORTS)
		return refuse(r, "--%s: more than %d ports", option, WEIR_MAX_PORTS);
	struct capture_argument *c = &list[*count];
	memset(c->port, 0, sizeof(c->port));
	memcpy(c->port, text, length);
	c->file = equals + 1;
	for (size_t i = 0; i < *count; i++)
		if (strcmp(list[i].port, c->port) == 0)
			return refuse(r, "--%s: port %s is named twice", option, c->port);
	++*count;
	return 0;
}

enum option_code {
	OPTION_INSTANCE = 256,
	OPTION_RUN_DIR,
	OPTION_CORES,
	OPTION_MEMORY,
	OPTION_HUGEPAGES,
	OPTION_IDLE,
	OPTION_EARLY_DROPS,
	OPTION_API_FD,
	OPTION_REPLAY,
	OPTION_IN,
	OPTION_OUT,
	OPTION_SEED,
	OPTION_HELP,
	OPTION_VERSION,
};

static const struct option options[] = {
	{ "instance", required_argument, NULL, OPTION_INSTANCE },
	{ "run-dir", required_argument, NULL, OPTION_RUN_DIR },
	{ "cores", required_argument, NULL, OPTION_CORES },
	{ "memory", required_argument, NULL, OPTION_MEMORY },
	{ "hugepages", required_argument, NULL, OPTION_HUGEPAGES },
	{ "idle", required_argument, NULL, OPTION_IDLE },
	{ "early-drops", required_argument, NULL, OPTION_EARLY_DROPS },
	{ "api-fd", required_argument, NULL, OPTION_API_FD },
	{ "replay", no_argument, NULL, OPTION_REPLAY },
	{ "in", required_argument, NULL, OPTION_IN },
	{ "out", required_argument, NULL, OPTION_OUT },
	{ "seed", required_argument, NULL, OPTION_SEED },
	{ "help", no_argument, NULL, OPTION_HELP },
	{ "version", no_argument, NULL, OPTION_VERSION },
	{ 0 },
};

static int cores_take(struct arguments *a, const char *value, const struct reason *r)
{
	int rc = cpu_list_parse(value, &a->cores);

	if (rc == -E2BIG)
		return refuse(r, "--cores %s: more than %d CPUs", value, WEIR_MAX_CORES);
	if (rc < 0 || a->cores.count == 0)
		return refuse(r, "--cores %s: expected a list such as 1,2-3", value);
	return 0;
}

static int memory_take(struct arguments *a, const char *value, const struct reason *r)
{
	if (memory_size_parse(value, &a->memory_bytes) < 0)
		return refuse(r, "--memory %s: expected a size such as 512M", value);
	if (a->memory_bytes < MINIMUM_MEMORY_BYTES || a->memory_bytes > UINT64_C(1) << 44)
		return refuse(r, "--memory %s: expected 32M or more", value);
	a->memory_given = true;
	return 0;
}

static int option_take(struct arguments *a, int code, const char *value, const char **run_dir,
	const struct reason *r)
{
	static const char *const hugepages[] = { "auto", "required", "none" };
	static const char *const idle[] = { "sleep", "spin", "interrupt" };
	static const char *const early_drops[] = { "kernel", "weir" };
	uint64_t number = 0;
	int word;

	switch (code) {
	case OPTION_INSTANCE:
		if (!instance_is_good(value))
			return refuse(r,
				"--instance %s: expected letters, digits, '.', '_' and '-'", value);
		strcpy(a->instance, value);
		return 0;
	case OPTION_RUN_DIR:
		*run_dir = value;
		return 0;
	case OPTION_CORES:
		return cores_take(a, value, r);
	case OPTION_MEMORY:
		return memory_take(a, value, r);
	case OPTION_HUGEPAGES:
		word = word_find(value, hugepages, 3);
		if (word < 0)
			return refuse(r, "--hugepages %s: expected auto, required or none", value);
		a->hugepages = (enum hugepages_wish)word;
		return 0;
	case OPTION_IDLE:
		word = word_find(value, idle, 3);
		if (word < 0)
			return refuse(r, "--idle %s: expected sleep, spin or interrupt", value);
		a->idle = (enum weir_idle)word;
		return 0;
	case OPTION_EARLY_DROPS:
		word = word_find(value, early_drops, 2);
		if (word < 0)
			return refuse(r, "--early-drops %s: expected kernel or weir", value);
		a->early_drops_only_here = word == 1;
		return 0;
	case OPTION_API_FD:
		if (number_parse(value, INT_MAX, &number) < 0)
			return refuse(r, "--api-fd %s: expected a descriptor's number", value);
		a->api_fd = (int)number;
		return 0;
	case OPTION_REPLAY:
		a->replay = true;
		return 0;
	case OPTION_IN:
		return capture_parse("in", value, a->in, &a->in_count, r);
	case OPTION_OUT:
		return capture_parse("out", value, a->out, &a->out_count, r);
	case OPTION_SEED:
		if (number_parse(value, UINT64_MAX, &a->seed) < 0)
			return refuse(r, "--seed %s: expected a number", value);
		a->seed_given = true;
		return 0;
	case OPTION_HELP:
		a->help = true;
		return 0;
	default:
		a->version = true;
		return 0;
	}
}

static int together_check(const struct arguments *a, const struct reason *r)
{
	if (a->replay && a->api_fd < 0)
		return refuse(
			r, "--replay needs --api-fd; use: weirctl replay CONFIG --in PORT=FILE");
	if (!a->replay && (a->in_count || a->out_count))
		return refuse(r, "--in and --out are for --replay");
	return 0;
}

int arguments_parse(int argc, char **argv, const char *run_dir, struct arguments *ret_arguments,
	char *err, size_t err_size)
{
	const struct reason r = { err, err_size };
	struct arguments a = {
		.instance = "default",
		.memory_bytes = DEFAULT_MEMORY_BYTES,
		.api_fd = -1,
	};
	int code;

	optind = 0; /* also forgets where an earlier parse stood */
	opterr = 0;
	while ((code = getopt_long(argc, argv, "+:", options, NULL)) != -1) {
		if (code == ':')
			return refuse(&r, "%s needs a value; see --help", argv[optind - 1]);
		if (code == '?')
			return refuse(&r, "unknown option %s; see --help", argv[optind - 1]);
		int rc = option_take(&a, code, optarg, &run_dir, &r);
		if (rc < 0)
			return rc;
	}
	if (optind < argc)
		return refuse(&r, "unexpected argument %s; see --help", argv[optind]);
	int rc = together_check(&a, &r);
	if (rc < 0)
		return rc;
	if (!run_dir || !*run_dir)
		run_dir = "/run/weir";
	/* Socket paths have 108 bytes, of which the file's name takes some. */
	int n = snprintf(a.instance_dir, sizeof(a.instance_dir), "%s/%s", run_dir, a.instance);
	if (n < 0 || n > 90)
		return refuse(&r, "%s/%s: path is too long for sockets in it", run_dir, a.instance);
	*ret_arguments = a;
	return 0;
}
