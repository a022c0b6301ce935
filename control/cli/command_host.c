/* SPDX-License-Identifier: BSD-3-Clause */

/* Commands about the instance itself: status, ports, cores. */

#include "control/cli/command.h"
#include "control/cli/printer.h"
#include "control/cli/rpc.h"

#include <stdint.h>
#include <string.h>

static const struct printer_column port_table[] = {
	{ "NAME", "name", PRINT_TEXT },
	{ "DEVICE", "device", PRINT_TEXT },
	{ "DRIVER", "driver", PRINT_TEXT },
	{ "LINK", "link", PRINT_TEXT },
	{ "NODE", "node", PRINT_TEXT },
	{ "QUEUES", "queues.receive", PRINT_COUNT },
	{ "STEERING", "steering", PRINT_TEXT },
	{ "RECEIVED", "packets_received", PRINT_COUNT },
	{ "TRANSMITTED", "packets_transmitted", PRINT_COUNT },
	{ "TO KERNEL", "passed_to_kernel", PRINT_COUNT },
	{ "DROPPED", "dropped", PRINT_SUM },
};

static const struct printer_column port_record[] = {
	{ "port", "name", PRINT_TEXT },
	{ "device", "device", PRINT_TEXT },
	{ "driver", "driver", PRINT_TEXT },
	{ "link", "link", PRINT_TEXT },
	{ "speed", "speed", PRINT_BITS },
	{ "link address", "mac", PRINT_TEXT },
	{ "mtu", "mtu", PRINT_TEXT },
	{ "NUMA node", "node", PRINT_TEXT },
	{ "receive queues", "queues.receive", PRINT_COUNT },
	{ "transmit queues", "queues.transmit", PRINT_COUNT },
	{ "steering", "steering", PRINT_TEXT },
	{ "packets received", "packets_received", PRINT_COUNT },
	{ "packets transmitted", "packets_transmitted", PRINT_COUNT },
	{ "bytes received", "bytes_received", PRINT_BYTES },
	{ "bytes transmitted", "bytes_transmitted", PRINT_BYTES },
	{ "passed to the kernel", "passed_to_kernel", PRINT_COUNT },
	{ "made by Weir itself", "originated", PRINT_COUNT },
	{ "dropped", "dropped", PRINT_COUNTERS },
};

static const struct printer_column core_table[] = {
	{ "CPU", "cpu", PRINT_COUNT },
	{ "NODE", "node", PRINT_TEXT },
	{ "ROLES", "roles", PRINT_LIST },
	{ "SERVICES", "services", PRINT_LIST },
	{ "BUSY", "busy", PRINT_SHARE },
	{ "PACKETS", "packets", PRINT_COUNT },
	{ "A BURST", "packets_per_burst", PRINT_COUNT },
	{ "CYCLES A PACKET", "cycles_per_packet", PRINT_COUNT },
};

int command_port_list(struct cli *cli)
{
	json_t *result;
	int status = rpc_call(cli, "port.list", NULL, RPC_TIMEOUT_MS, &result);
	if (status != CLI_DONE)
		return status;
	status = printer_list(
		cli, result, port_table, PRINTER_COUNT(port_table), "no ports are configured");
	json_decref(result);
	return status;
}

int command_port_show(struct cli *cli)
{
	json_t *result;
	int status = rpc_call(cli, "port.show", json_pack("{s:s}", "port", cli->arguments[0]),
		RPC_TIMEOUT_MS, &result);
	if (status != CLI_DONE)
		return status;
	if (!printer_json(cli, result))
		status = printer_record(cli, result, port_record, PRINTER_COUNT(port_record));
	json_decref(result);
	return status;
}

int command_core_list(struct cli *cli)
{
	json_t *result;
	int status = rpc_call(cli, "core.list", NULL, RPC_TIMEOUT_MS, &result);
	if (status != CLI_DONE)
		return status;
	status = printer_list(cli, result, core_table, PRINTER_COUNT(core_table),
		"the data plane has no cores; is it running? See \"weirctl status\"");
	json_decref(result);
	return status;
}

static bool ends_with(const char *text, const char *end)
{
	size_t length = strlen(text), tail = strlen(end);
	return length >= tail && strcmp(text + length - tail, end) == 0;
}

/* The document's keys are for programs; what a figure is shows in the key's end. */
static enum printer_format format_of(const char *key, const json_t *value)
{
	if (json_is_array(value))
		return PRINT_LIST;
	if (ends_with(key, "bytes") || strcmp(key, "memory") == 0)
		return PRINT_BYTES;
	if (ends_with(key, "uptime") || ends_with(key, "age") || ends_with(key, "seconds"))
		return PRINT_SECONDS;
	return PRINT_TEXT;
}

static bool is_list_of_objects(const json_t *value)
{
	return json_is_object(json_array_get(value, 0));
}

static void titled(char *to, size_t size, const char *prefix, const char *key)
{
	snprintf(to, size, "%s%s%s", prefix, prefix[0] != '\0' ? " " : "", key);
	for (char *c = to; *c != '\0'; c++)
		if (*c == '_')
			*c = ' ';
}

/* Lines "key: value" of an object, with those of objects inside it. */
static int print_scalars(struct cli *cli, const json_t *object)
{
	struct printer_column columns[64];
	char titles[64][64], paths[64][64];
	size_t count = 0;
	const char *key, *inner_key;
	json_t *value, *inner;
	json_object_foreach((json_t *)(uintptr_t)object, key, value)
	{
		if (strcmp(key, "warnings") == 0 || is_list_of_objects(value))
			continue;
		if (!json_is_object(value)) {
			if (count == 64)
				break;
			snprintf(paths[count], sizeof(paths[0]), "%s", key);
			titled(titles[count], sizeof(titles[0]), "", key);
			columns[count] = (struct printer_column){ titles[count], paths[count],
				format_of(key, value) };
			count++;
			continue;
		}
		json_object_foreach(value, inner_key, inner)
		{
			if (count == 64 || json_is_object(inner) || is_list_of_objects(inner))
				continue;
			snprintf(paths[count], sizeof(paths[0]), "%.30s.%.30s", key, inner_key);
			titled(titles[count], sizeof(titles[0]), key, inner_key);
			columns[count] = (struct printer_column){ titles[count], paths[count],
				format_of(inner_key, inner) };
			count++;
		}
	}
	return printer_record(cli, object, columns, count);
}

/* A table of objects with the keys of the first one as columns. */
static int print_objects(struct cli *cli, const char *title, const json_t *items)
{
	struct printer_column columns[32];
	size_t count = 0;
	const char *key;
	json_t *value;
	json_object_foreach(json_array_get(items, 0), key, value)
	{
		if (count == 32 || json_is_object(value))
			continue;
		columns[count++] = (struct printer_column){ key, key, format_of(key, value) };
	}
	fprintf(cli->out, "\n%s:\n", title);
	return printer_table(cli, items, columns, count, "none");
}

int command_status(struct cli *cli)
{
	json_t *result;
	int status = rpc_call(cli, "status", NULL, RPC_TIMEOUT_MS, &result);
	if (status != CLI_DONE)
		return status;
	if (!printer_json(cli, result)) {
		const char *key;
		json_t *value;
		size_t i;
		status = print_scalars(cli, result);
		json_object_foreach(result, key, value)
		{
			if (status == CLI_DONE && is_list_of_objects(value))
				status = print_objects(cli, key, value);
		}
		json_array_foreach(json_object_get(result, "warnings"), i, value)
		{
			fprintf(cli->out, "%swarning: %s\n", i == 0 ? "\n" : "",
				json_string_value(value));
		}
	}
	json_decref(result);
	return status;
}
