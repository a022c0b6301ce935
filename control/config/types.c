/* SPDX-License-Identifier: BSD-3-Clause */

/* What the schema says about its types: for complaints and for the reference page. */

#include "control/config/schema.h"

#include <inttypes.h>
#include <stdio.h>

enum unit_kind schema_unit(enum schema_type type)
{
	return type == SCHEMA_RATE  ? UNIT_RATE :
		type == SCHEMA_SIZE ? UNIT_SIZE :
		type == SCHEMA_TIME ? UNIT_TIME :
				      UNIT_NONE;
}

static const char *expect_choice(const struct schema_key *k, char *buf, size_t size)
{
	size_t count = 0;
	size_t used = 0;
	buf[0] = '\0';
	for (const struct schema_choice *c = k->choices; c->name != NULL; c++)
		count++;
	size_t at = 0;
	for (const struct schema_choice *c = k->choices; c->name != NULL && used < size; c++) {
		const char *between = at == 0 ? "" : at + 1 == count ? " or " : ", ";
		used += (size_t)snprintf(buf + used, size - used, "%s%s", between, c->name);
		at++;
	}
	return buf;
}

static const char *expect_number(const struct schema_key *k, char *buf, size_t size)
{
	char low[32];
	char high[32];
	enum unit_kind kind = schema_unit(k->type);
	if (k->type == SCHEMA_TIME && k->min == 0)
		snprintf(low, sizeof(low), "0s");
	else
		unit_print(kind, k->min, low, sizeof(low));
	unit_print(kind, k->max, high, sizeof(high));
	snprintf(buf, size, "%s %s..%s%s%s",
		k->type == SCHEMA_TIME	       ? "a time" :
			k->type == SCHEMA_SIZE ? "a size" :
			k->unit != NULL	       ? k->unit :
						 "a whole number",
		low, high, k->example ? " such as " : "", k->example ? k->example : "");
	return buf;
}

const char *schema_expect(const struct schema_key *k, char *buf, size_t size)
{
	switch (k->type) {
	case SCHEMA_CHOICE:
		return expect_choice(k, buf, size);
	case SCHEMA_NUMBER:
	case SCHEMA_RATE:
	case SCHEMA_SIZE:
	case SCHEMA_TIME:
		return expect_number(k, buf, size);
	case SCHEMA_SPAN:
		snprintf(buf, size,
			"a whole number %" PRIu64 "..%" PRIu64
			" or a range such as {min: 1, max: 4}",
			k->min, k->max);
		return buf;
	case SCHEMA_MAP:
		return "a mapping of keys";
	case SCHEMA_LIST:
		return (k->flags & SCHEMA_F_ONE_OR_LIST) != 0 ? "a mapping or a list of them" :
								"a list of mappings";
	case SCHEMA_ADDRESS_LIST:
		return "a list of addresses such as [10.0.0.1]";
	case SCHEMA_CPU_LIST:
		return "a list of CPUs such as [1, 2-3]";
	case SCHEMA_VERSION:
		return "1";
	case SCHEMA_NAME:
		return "a name of 1 to 63 letters, digits, '.', '_' and '-' that begins with a "
		       "letter or digit";
	case SCHEMA_DEVICE:
		return "the name of a network interface such as eth1, or 0000:3b:00.0";
	case SCHEMA_ADDRESS:
		return "an address such as 10.0.0.1 or 2001:db8::1";
	case SCHEMA_PREFIX:
		return "an address or prefix such as 203.0.113.10 or 2001:db8::/64";
	case SCHEMA_PORT:
		return "a port 1..65535";
	case SCHEMA_PORT_OR_ANY:
		return "a port 1..65535 or any";
	case SCHEMA_PORT_NAME:
		return "the name of a port of this file";
	case SCHEMA_URL_PATH:
		return "a path such as /healthz";
	case SCHEMA_FILE:
		return "a path such as policies/guard.o";
	case SCHEMA_SETTINGS:
		return "a mapping of names to whole numbers such as {rate: 500}";
	case SCHEMA_HOST_LIST:
		return "a list of host:port such as [\"kafka1:9092\"]";
	case SCHEMA_MAC:
		return "a MAC address such as \"02:00:00:00:00:11\"";
	case SCHEMA_LISTEN:
		return "ADDRESS:PORT such as \"127.0.0.1:9464\" or \"[::1]:9464\"";
	}
	return "";
}

const char *schema_type_name(const struct schema_key *k)
{
	static const char *const names[] = {
		[SCHEMA_MAP] = "mapping",
		[SCHEMA_LIST] = "list of mappings",
		[SCHEMA_ADDRESS_LIST] = "list of addresses",
		[SCHEMA_CPU_LIST] = "list of CPUs",
		[SCHEMA_VERSION] = "number",
		[SCHEMA_NAME] = "name",
		[SCHEMA_DEVICE] = "interface name",
		[SCHEMA_ADDRESS] = "address",
		[SCHEMA_PREFIX] = "address or prefix",
		[SCHEMA_PORT] = "port",
		[SCHEMA_PORT_OR_ANY] = "port or `any`",
		[SCHEMA_PORT_NAME] = "name of a port",
		[SCHEMA_CHOICE] = "choice",
		[SCHEMA_NUMBER] = "number",
		[SCHEMA_SPAN] = "number or `{min, max}`",
		[SCHEMA_RATE] = "rate",
		[SCHEMA_SIZE] = "size",
		[SCHEMA_TIME] = "time",
		[SCHEMA_URL_PATH] = "path",
		[SCHEMA_FILE] = "path of a file",
		[SCHEMA_SETTINGS] = "mapping of names to numbers",
		[SCHEMA_HOST_LIST] = "list of host:port",
		[SCHEMA_MAC] = "MAC address",
		[SCHEMA_LISTEN] = "address:port",
	};
	if ((k->flags & SCHEMA_F_ONE_OR_LIST) != 0)
		return "mapping, or list of them";
	return names[k->type];
}
