/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/probe/host/options.h"

#include "control/config/units.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#define INTERVAL_LEAST 20 /* milliseconds */
#define INTERVAL_MOST  10000

static const char usage[] =
	"usage: weir-probe --service ADDRESS:PORT[/PROTOCOL]... --to ADDRESS:PORT... --key-file FILE\n"
	"                  [--cgroup FOLDER] [--from ADDRESS] [--interval TIME]\n"
	"\n"
	"On a backend host of dsr, ipip or gue services: measures how long they take to answer, and tells\n"
	"Weir's control daemon. Needs CAP_BPF and CAP_NET_ADMIN.\n"
	"\n"
	"  --service ADDRESS:PORT[/PROTOCOL]\n"
	"                     a service's address and port, as clients use them; PORT may be any,\n"
	"                     PROTOCOL is tcp (default) or udp; several are allowed\n"
	"  --to ADDRESS:PORT  where the daemon listens (probes: in its configuration); several are allowed\n"
	"  --key-file FILE    the key that the daemon has as well, 16 to 1024 bytes\n"
	"  --cgroup FOLDER    look only at sockets of this cgroup (version 2) and those below it;\n"
	"                     default: all\n"
	"  --from ADDRESS     the backend's address in the daemon's configuration, to send from;\n"
	"                     default: what the route to the daemon says\n"
	"  --interval TIME    how often to tell, 20ms to 10s; default 100ms\n"
	"  --help, --version\n";

static int wrong(const char *option, const char *value, const char *expected)
{
	fprintf(stderr, "weir-probe: %s %s: expected %s\n", option, value, expected);
	return 2;
}

static int service_add(struct probe_options *o, char *text)
{
	static const char expected[] =
		"ADDRESS:PORT, then nothing, /tcp or /udp; an IPv6 address in brackets";
	char copy[96];
	struct address address;
	struct probe_service_key *key = &o->services[o->service_count];

	if (o->service_count == PROBE_MAX_SERVICES)
		return wrong("--service", text, "at most 64 services");
	if (snprintf(copy, sizeof(copy), "%s", text) >= (int)sizeof(copy))
		return wrong("--service", text, expected);
	char *slash = strchr(copy, '/');
	const char *protocol = slash ? slash + 1 : "tcp";

	if (slash)
		*slash = '\0';
	*key = (struct probe_service_key){ .protocol = !strcmp(protocol, "tcp") ? 6 : 17 };
	if (strcmp(protocol, "tcp") != 0 && strcmp(protocol, "udp") != 0)
		return wrong("--service", text, expected);
	if (!address_port_parse(copy, &address, &key->port))
		return wrong("--service", text, expected);
	memcpy(key->address, address.bytes, sizeof(key->address));
	for (size_t i = 0; i < o->service_count; i++)
		if (!memcmp(&o->services[i], key, sizeof(*key)))
			return wrong("--service", text, "each service once");
	o->service_count++;
	return -1;
}

static int daemon_add(struct probe_options *o, const char *text)
{
	struct probe_peer *peer = &o->daemons[o->daemon_count];

	if (o->daemon_count == PROBE_DAEMONS_MAX)
		return wrong("--to", text, "at most 8 daemons");
	if (!address_port_parse(text, &peer->address, &peer->port) || !peer->port)
		return wrong("--to", text, "ADDRESS:PORT; an IPv6 address in brackets");
	o->daemon_count++;
	return -1;
}

static int interval_set(struct probe_options *o, const char *text)
{
	uint64_t ns;

	if (unit_parse(UNIT_TIME, text, &ns) != NULL || ns % 1000000 ||
		ns < INTERVAL_LEAST * UINT64_C(1000000) || ns > INTERVAL_MOST * UINT64_C(1000000))
		return wrong("--interval", text, "a time of whole milliseconds, 20ms to 10s");
	o->interval_ms = (uint32_t)(ns / 1000000);
	return -1;
}

static int option_take(struct probe_options *o, int option, char *value)
{
	switch (option) {
	case 'c':
		o->cgroup = value;
		return -1;
	case 's':
		return service_add(o, value);
	case 't':
		return daemon_add(o, value);
	case 'k':
		o->key_file = value;
		return -1;
	case 'f':
		o->has_from = true;
		return address_parse(value, &o->from) ? -1 : wrong("--from", value, "an address");
	case 'i':
		return interval_set(o, value);
	case 'h':
		fputs(usage, stdout);
		return 0;
	case 'v':
		puts("weir-probe " WEIR_VERSION);
		return 0;
	default:
		fputs("try weir-probe --help\n", stderr);
		return 2;
	}
}

static int families_check(const struct probe_options *o)
{
	for (size_t i = 0; o->has_from && i < o->daemon_count; i++)
		if (address_is_ipv4(&o->from) != address_is_ipv4(&o->daemons[i].address)) {
			fputs("weir-probe: --from and --to: expected both IPv4 or both IPv6\n",
				stderr);
			return 2;
		}
	return -1;
}

int probe_options_parse(int argc, char **argv, struct probe_options *ret_options)
{
	static const struct option known[] = {
		{ "cgroup", required_argument, NULL, 'c' },
		{ "service", required_argument, NULL, 's' },
		{ "to", required_argument, NULL, 't' },
		{ "key-file", required_argument, NULL, 'k' },
		{ "from", required_argument, NULL, 'f' },
		{ "interval", required_argument, NULL, 'i' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'v' },
		{ NULL, 0, NULL, 0 },
	};
	struct probe_options o = { .interval_ms = 100 };
	int c, status;

	optind = 1;
	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		status = option_take(&o, c, optarg);
		if (status >= 0)
			return status;
	}
	if (optind < argc) {
		fprintf(stderr, "weir-probe: unexpected argument %s; try --help\n", argv[optind]);
		return 2;
	}
	if (!o.service_count || !o.daemon_count || !o.key_file) {
		fprintf(stderr, "weir-probe: %s is missing; try --help\n",
			!o.service_count	? "--service ADDRESS:PORT" :
				!o.daemon_count ? "--to ADDRESS:PORT" :
						  "--key-file FILE");
		return 2;
	}
	status = families_check(&o);
	if (status < 0)
		*ret_options = o;
	return status;
}
