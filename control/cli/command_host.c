/* SPDX-License-Identifier: BSD-3-Clause */

/* Commands about the instance itself: status, ports, cores. */

#include "control/cli/command.h"
#include "control/cli/printer.h"
#include "control/cli/rpc.h"
#include "control/config/units.h"

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
	{ "  why not better", "steering_reason", PRINT_TEXT },
	{ "  return path", "return_path", PRINT_TEXT },
	{ "checksums by the device", "checksums", PRINT_LIST },
	{ "wakes its cores", "wakes", PRINT_TEXT },
	{ "  why they sleep", "wakes_reason", PRINT_TEXT },
	{ "kernel interface", "interface", PRINT_TEXT },
	{ "packets received", "packets_received", PRINT_COUNT },
	{ "packets transmitted", "packets_transmitted", PRINT_COUNT },
	{ "bytes received", "bytes_received", PRINT_BYTES },
	{ "bytes transmitted", "bytes_transmitted", PRINT_BYTES },
	{ "passed to the kernel", "passed_to_kernel", PRINT_COUNT },
	{ "sent by the kernel", "from_kernel", PRINT_COUNT },
	{ "made by Weir itself", "originated", PRINT_COUNT },
	{ "dropped", "dropped", PRINT_COUNTERS },
	{ "steered astray", "astray", PRINT_COUNT },
};

static const struct printer_column core_table[] = {
	{ "CPU", "cpu", PRINT_COUNT },
	{ "STATE", "state", PRINT_TEXT },
	{ "NODE", "node", PRINT_TEXT },
	{ "DISTANCE", "distance", PRINT_COUNTERS },
	{ "ROLES", "roles", PRINT_LIST },
	{ "SERVICES", "services", PRINT_LIST },
	{ "BUSY", "busy", PRINT_SHARE },
	{ "PACKETS", "packets", PRINT_COUNT },
	{ "A BURST", "packets_per_burst", PRINT_COUNT },
	{ "CYCLES A PACKET", "cycles_per_packet", PRINT_COUNT },
	{ "WOKEN LATE P99", "wakeup.p99", PRINT_SECONDS },
	{ "LONGEST GAP", "gaps.last_minute", PRINT_SECONDS },
};

static const struct printer_column core_record[] = {
	{ "CPU", "cpu", PRINT_TEXT },
	{ "NUMA node", "node", PRINT_TEXT },
	{ "distance to ports", "distance", PRINT_COUNTERS },
	{ "roles", "roles", PRINT_LIST },
	{ "services", "services", PRINT_LIST },
	{ "busy", "busy", PRINT_SHARE },
	{ "  with", "busy_with", PRINT_SHARES },
	{ "packets", "packets", PRINT_COUNT },
	{ "packets a burst", "packets_per_burst", PRINT_COUNT },
	{ "cycles a packet", "cycles_per_packet", PRINT_COUNT },
	{ "  by stage", "stages", PRINT_COUNTERS },
	{ "sleeps", "sleeps", PRINT_COUNT },
	{ "  woken late p50", "wakeup.p50", PRINT_SECONDS },
	{ "  woken late p99", "wakeup.p99", PRINT_SECONDS },
	{ "  woken late p99.99", "wakeup.p9999", PRINT_SECONDS },
	{ "gaps", "gaps.count", PRINT_COUNT },
	{ "  in all", "gaps.total", PRINT_SECONDS },
	{ "  longest of the last minute", "gaps.last_minute", PRINT_SECONDS },
};

static const struct printer_column gap_table[] = {
	{ "TIME", "time", PRINT_TIME },
	{ "LENGTH", "length", PRINT_SECONDS },
	{ "DURING", "during", PRINT_TEXT },
	{ "PACKETS", "packets", PRINT_COUNT },
};

static const struct printer_column memory_table[] = {
	{ "NODE", "node", PRINT_TEXT },
	{ "TOTAL", "total", PRINT_BYTES },
	{ "FREE", "free", PRINT_BYTES },
};

static const struct printer_column budget_table[] = {
	{ "SERVICE", "service", PRINT_TEXT },
	{ "FLOWS", "flows", PRINT_BYTES },
	{ "SOURCES", "sources", PRINT_BYTES },
	{ "POLICING", "policing", PRINT_BYTES },
	{ "PORTS", "ports", PRINT_BYTES },
	{ "POOLS", "pools", PRINT_BYTES },
	{ "WORKERS", "workers", PRINT_BYTES },
	{ "TOTAL", "total", PRINT_BYTES },
};

static const struct printer_column status_record[] = {
	{ "instance", "instance", PRINT_TEXT },
	{ "version", "version", PRINT_TEXT },
	{ "control daemon", "controld.pid", PRINT_TEXT },
	{ "  running for", "uptime", PRINT_SECONDS },
	{ "  configuration", "controld.config", PRINT_TEXT },
	{ "  starts the data plane", "controld.spawns_dataplane", PRINT_TEXT },
	{ "data plane", "dataplane.pid", PRINT_TEXT },
	{ "  state", "dataplane.state", PRINT_TEXT },
	{ "  running for", "dataplane.uptime", PRINT_SECONDS },
	{ "  restarts", "dataplane.restarts", PRINT_TEXT },
	{ "  CPUs", "dataplane.cores", PRINT_TEXT },
	{ "  when idle", "dataplane.idle", PRINT_TEXT },
	{ "  hugepages", "hugepages", PRINT_TEXT },
	{ "  budget of tables", "budget.total", PRINT_BYTES },
	{ "  used of it", "budget.used", PRINT_BYTES },
	{ "  generation", "generation", PRINT_TEXT },
	{ "  in step with the daemon", "in_step", PRINT_TEXT },
};

static const struct printer_column stream_record[] = {
	{ "topic", "topic", PRINT_TEXT },
	{ "sent", "sent", PRINT_COUNT },
	{ "lost", "lost", PRINT_COUNT },
	{ "queued", "queued", PRINT_COUNT },
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

static int cpu_read(struct cli *cli, const char *text, int *ret_cpu)
{
	uint64_t cpu;

	if (unit_parse(UNIT_NONE, text, &cpu) != NULL || cpu > UINT16_MAX)
		return cli_fail(cli, CLI_USAGE,
			"the number of a CPU is wanted, not \"%s\"; see core list", text);
	*ret_cpu = (int)cpu;
	return CLI_DONE;
}

int command_core_show(struct cli *cli)
{
	static const struct {
		const char *title;
		const char *path;
	} lists[] = {
		{ "longest gaps since the start", "gaps.longest" },
		{ "longest gaps, each of five seconds", "gaps.recent" },
	};
	int cpu = 0;
	json_t *result;

	if (cpu_read(cli, cli->arguments[0], &cpu) != CLI_DONE)
		return CLI_USAGE;
	int status =
		rpc_call(cli, "core.show", json_pack("{s:i}", "cpu", cpu), RPC_TIMEOUT_MS, &result);
	if (status != CLI_DONE)
		return status;
	if (!printer_json(cli, result)) {
		status = printer_record(cli, result, core_record, PRINTER_COUNT(core_record));
		for (size_t i = 0; status == CLI_DONE && i < PRINTER_COUNT(lists); i++) {
			fprintf(cli->out, "\n%s\n", lists[i].title);
			status = printer_table(cli, printer_at(result, lists[i].path), gap_table,
				PRINTER_COUNT(gap_table), "none");
		}
	}
	json_decref(result);
	return status;
}

int command_core_move(struct cli *cli)
{
	const char *const *argument = cli->arguments;
	const bool all = cli_value(cli, "all", 0) != NULL;
	const size_t cpus = all ? 1 : 2;
	int from = 0, to = 0;
	if (cli->argument_count != cpus + 2)
		return cli_fail(cli, CLI_USAGE,
			all ? "with --all there are a service and two CPUs: SERVICE --all FROM TO" :
			      "\"core move\" needs SERVICE BUCKETS FROM TO, or SERVICE --all FROM TO");
	if (cpu_read(cli, argument[cpus], &from) != CLI_DONE ||
		cpu_read(cli, argument[cpus + 1], &to) != CLI_DONE)
		return CLI_USAGE;
	json_t *result;
	json_t *buckets = all ? json_null() : json_string(argument[1]);
	int status = rpc_call(cli, "core.move",
		json_pack("{s:s, s:o, s:i, s:i}", "service", argument[0], "buckets", buckets,
			"from", from, "to", to),
		RPC_TIMEOUT_MS, &result);
	if (status != CLI_DONE)
		return status;
	if (!printer_json(cli, result)) {
		json_int_t count = json_integer_value(json_object_get(result, "buckets"));
		fprintf(cli->out,
			"%s: %" JSON_INTEGER_FORMAT " bucket%s %s from CPU %d to CPU %d%s\n",
			argument[0], count, count == 1 ? "" : "s",
			json_is_true(json_object_get(result, "done")) ? "moved" : "are moving",
			from, to,
			json_is_true(json_object_get(result, "done")) ?
				"" :
				"; \"weirctl events\" will tell the end");
	}
	json_decref(result);
	return CLI_DONE;
}

static int print_status(struct cli *cli, const json_t *status)
{
	static const struct {
		const char *key;
		const struct printer_column *columns;
		size_t count;
	} tables[] = {
		{ "ports", port_table, PRINTER_COUNT(port_table) },
		{ "cores", core_table, PRINTER_COUNT(core_table) },
		{ "memory", memory_table, PRINTER_COUNT(memory_table) },
		{ "budgets", budget_table, PRINTER_COUNT(budget_table) },
	};
	size_t i;
	json_t *warning;
	int result = printer_record(cli, status, status_record, PRINTER_COUNT(status_record));
	for (i = 0; result == CLI_DONE && i < PRINTER_COUNT(tables); i++) {
		const json_t *items = json_object_get(status, tables[i].key);
		if (json_array_size(items) == 0)
			continue;
		fprintf(cli->out, "\n%s\n", tables[i].key);
		result = printer_table(cli, items, tables[i].columns, tables[i].count, "");
	}
	const json_t *stream = json_object_get(status, "stream");
	if (result == CLI_DONE && json_is_object(stream)) {
		fputs("\nevent stream\n", cli->out);
		result = printer_record(cli, stream, stream_record, PRINTER_COUNT(stream_record));
	}
	json_array_foreach(json_object_get(status, "warnings"), i, warning)
	{
		fprintf(cli->out, "%swarning: %s\n", i == 0 ? "\n" : "",
			json_string_value(warning));
	}
	return result;
}

int command_status(struct cli *cli)
{
	json_t *result;
	int status = rpc_call(cli, "status", NULL, RPC_TIMEOUT_MS, &result);
	if (status != CLI_DONE)
		return status;
	if (!printer_json(cli, result))
		status = print_status(cli, result);
	json_decref(result);
	return status;
}
