/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/cli/command.h"
#include "control/cli/rpc.h"
#include "control/cli/tables.h"

#include <stdlib.h>
#include <string.h>

const struct printer_column table_services[] = {
	{ "NAME", "name", PRINT_TEXT },
	{ "ADDRESS", "", PRINT_ENDPOINT },
	{ "PROTO", "protocol", PRINT_TEXT },
	{ "MODE", "mode", PRINT_TEXT },
	{ "CORES", "cores", PRINT_LIST },
	{ "RECEIVED", "packets_received", PRINT_COUNT },
	{ "TRANSMITTED", "packets_transmitted", PRINT_COUNT },
	{ "DROPPED", "dropped", PRINT_SUM },
	{ "FLOWS", "flows", PRINT_COUNT },
	{ "NEW FLOWS", "new_flows", PRINT_COUNT },
	{ "P50", "residence.p50", PRINT_SECONDS },
	{ "P99", "residence.p99", PRINT_SECONDS },
	{ "P99.9", "residence.p999", PRINT_SECONDS },
	{ "P99.99", "residence.p9999", PRINT_SECONDS },
};
const size_t table_services_count = PRINTER_COUNT(table_services);

const struct printer_column table_backends[] = {
	{ "SERVICE", "service", PRINT_TEXT },
	{ "BACKEND", "", PRINT_ENDPOINT },
	{ "STATE", "state", PRINT_TEXT },
	{ "WEIGHT", "weight", PRINT_COUNT },
	{ "IN FORCE", "weight_in_force", PRINT_COUNT },
	{ "FLOWS", "flows", PRINT_COUNT },
	{ "NEW FLOWS", "new_flows", PRINT_COUNT },
	{ "PACKETS", "packets", PRINT_COUNT },
	{ "CONNECT P50", "connect.p50", PRINT_SECONDS },
	{ "P99", "connect.p99", PRINT_SECONDS },
	{ "FIRST BYTE P50", "first_byte.p50", PRINT_SECONDS },
	{ "P99", "first_byte.p99", PRINT_SECONDS },
	{ "HEALTH", "health.reason", PRINT_TEXT },
};
const size_t table_backends_count = PRINTER_COUNT(table_backends);

static const struct printer_column service_record[] = {
	{ "service", "name", PRINT_TEXT },
	{ "address", "", PRINT_ENDPOINT },
	{ "protocol", "protocol", PRINT_TEXT },
	{ "mode", "mode", PRINT_TEXT },
	{ "cores", "cores", PRINT_LIST },
	{ "cores configured", "cores_range.min", PRINT_COUNT },
	{ "cores at most", "cores_range.max", PRINT_COUNT },
	{ "cores wanted", "cores_range.wanted", PRINT_COUNT },
	{ "cores not to be had", "cores_range.lacking", PRINT_COUNT },
	{ "cores busy now", "rates.cores_busy", PRINT_SHARE },
	{ "buckets", "buckets", PRINT_COUNTERS },
	{ "packets received", "packets_received", PRINT_COUNT },
	{ "packets transmitted", "packets_transmitted", PRINT_COUNT },
	{ "bytes received", "bytes_received", PRINT_BYTES },
	{ "bytes transmitted", "bytes_transmitted", PRINT_BYTES },
	{ "packets now", "rates.packets_received", PRINT_RATE },
	{ "bits now", "rates.bits_received", PRINT_BITS },
	{ "new flows now", "rates.new_flows", PRINT_RATE },
	{ "drops now", "rates.dropped", PRINT_RATE },
	{ "flows", "flows", PRINT_COUNT },
	{ "room for flows", "flow_capacity", PRINT_COUNT },
	{ "memory of flows", "memory.flows", PRINT_BYTES },
	{ "memory of sources", "memory.sources", PRINT_BYTES },
	{ "memory of policing", "memory.policing", PRINT_BYTES },
	{ "memory of ports", "memory.ports", PRINT_BYTES },
	{ "memory of pools", "memory.pools", PRINT_BYTES },
	{ "memory of workers", "memory.workers", PRINT_BYTES },
	{ "packets waiting", "waiting", PRINT_COUNT },
	{ "new flows", "new_flows", PRINT_COUNT },
	{ "dropped", "dropped", PRINT_COUNTERS },
	{ "time in Weir p50", "residence.p50", PRINT_SECONDS },
	{ "time in Weir p99", "residence.p99", PRINT_SECONDS },
	{ "time in Weir p99.9", "residence.p999", PRINT_SECONDS },
	{ "time in Weir p99.99", "residence.p9999", PRINT_SECONDS },
	{ "limit of packets", "limits.packets.in_force", PRINT_RATE },
	{ "limit of bits", "limits.bits.in_force", PRINT_BITS },
	{ "limit of new flows", "limits.connections.in_force", PRINT_RATE },
	{ "packets per source", "limits.per_source.packets.in_force", PRINT_RATE },
	{ "new flows per source", "limits.per_source.connections.in_force", PRINT_RATE },
	{ "room for sources", "sources.entries", PRINT_COUNT },
	{ "sources tracked", "sources.tracked", PRINT_COUNT },
	{ "sources known", "sources.known", PRINT_COUNT },
	{ "packets of others", "sources.overflow", PRINT_COUNT },
};

static const struct printer_column limit_lines[] = {
	{ "LIMIT", "limit", PRINT_TEXT },
	{ "CONFIGURED", "configured", PRINT_TEXT },
	{ "IN FORCE", "in_force", PRINT_TEXT },
};

static json_t *service_parameter(const struct cli *cli)
{
	return cli->argument_count > 0 ? json_pack("{s:s}", "service", cli->arguments[0]) : NULL;
}

/* Ask without or with the service that was named, and list what comes. */
static int list(struct cli *cli, const char *method, const struct printer_column *columns,
	size_t count, const char *empty)
{
	json_t *result;
	int status = rpc_call(cli, method, service_parameter(cli), RPC_TIMEOUT_MS, &result);
	if (status != CLI_DONE)
		return status;
	status = printer_list(cli, result, columns, count, empty);
	json_decref(result);
	return status;
}

int command_service_list(struct cli *cli)
{
	return list(cli, "service.list", table_services, table_services_count,
		"no services are configured");
}

int command_backend_list(struct cli *cli)
{
	return list(cli, "backend.list", table_backends, table_backends_count,
		"no backends are configured");
}

int command_service_show(struct cli *cli)
{
	json_t *result;
	int status = rpc_call(cli, "service.show", service_parameter(cli), RPC_TIMEOUT_MS, &result);
	if (status != CLI_DONE)
		return status;
	if (!printer_json(cli, result)) {
		status = printer_record(cli, result, service_record, PRINTER_COUNT(service_record));
		fputc('\n', cli->out);
		if (status == CLI_DONE &&
			json_array_size(json_object_get(result, "policies")) > 0) {
			status = printer_table(cli, json_object_get(result, "policies"),
				table_policies + 1, table_policies_count - 1, "");
			fputc('\n', cli->out);
		}
		/* The service's own name need not stand in each line. */
		if (status == CLI_DONE)
			status = printer_table(cli, json_object_get(result, "backends"),
				table_backends + 1, table_backends_count - 1, "no backends");
	}
	json_decref(result);
	return status;
}

/* {packets: {configured, in_force}, ...} as a list of {limit, configured, in_force}. */
static json_t *limits_as_lines(const json_t *limits)
{
	static const struct {
		const char *key;
		const char *label;
		enum printer_format format;
	} kinds[] = {
		{ "packets", "packets", PRINT_RATE },
		{ "bits", "bits", PRINT_BITS },
		{ "connections", "new flows", PRINT_RATE },
		{ "per_source.packets", "packets per source", PRINT_RATE },
		{ "per_source.connections", "new flows per source", PRINT_RATE },
	};
	json_t *lines = json_array();
	const json_t *class;
	size_t n;
	for (size_t i = 0; i < PRINTER_COUNT(kinds); i++) {
		const json_t *limit = printer_at(limits, kinds[i].key);
		char *cell[2];
		for (size_t j = 0; j < 2; j++)
			cell[j] = printer_cell(limit,
				&(struct printer_column){
					"", j == 0 ? "configured" : "in_force", kinds[i].format });
		json_array_append_new(lines,
			json_pack("{s:s, s:s, s:s}", "limit", kinds[i].label, "configured",
				cell[0] != NULL ? cell[0] : "?", "in_force",
				cell[1] != NULL ? cell[1] : "?"));
		free(cell[0]);
		free(cell[1]);
	}
	json_array_foreach(json_object_get(limits, "classes"), n, class)
	{
		char *configured = printer_cell(
			class, &(struct printer_column){ "", "limit_connections", PRINT_RATE });
		char *in_force = printer_cell(
			class, &(struct printer_column){ "", "connections_in_force", PRINT_RATE });
		json_array_append_new(lines,
			json_pack("{s:o, s:s, s:s}", "limit",
				json_sprintf("new flows of class %s",
					json_string_value(json_object_get(class, "name"))),
				"configured", configured != NULL ? configured : "?", "in_force",
				in_force != NULL ? in_force : "?"));
		free(configured);
		free(in_force);
	}
	return lines;
}

int command_limit_show(struct cli *cli)
{
	json_t *result;
	int status = rpc_call(cli, "limit.show", service_parameter(cli), RPC_TIMEOUT_MS, &result);
	if (status != CLI_DONE)
		return status;
	if (!printer_json(cli, result)) {
		json_t *lines = limits_as_lines(result);
		status = printer_table(
			cli, lines, limit_lines, PRINTER_COUNT(limit_lines), "no limits");
		json_decref(lines);
	}
	json_decref(result);
	return status;
}

int command_limit_set(struct cli *cli)
{
	const char *const *argument = cli->arguments;
	json_t *result;
	int status = rpc_call(cli, "limit.set",
		json_pack("{s:s, s:s, s:s}", "service", argument[0], "key", argument[1], "value",
			argument[2]),
		RPC_LONG_TIMEOUT_MS, &result);
	if (status != CLI_DONE)
		return status;
	if (!printer_json(cli, result))
		fprintf(cli->out, "%s: limit of %s is %s now, until the next config apply\n",
			argument[0], argument[1], argument[2]);
	json_decref(result);
	return CLI_DONE;
}

static int change_backend(struct cli *cli, const char *method, const char *done)
{
	json_t *result;
	if (cli_check_endpoint(cli, cli->arguments[1]) != CLI_DONE)
		return CLI_USAGE;
	int status = rpc_call(cli, method,
		json_pack("{s:s, s:s}", "service", cli->arguments[0], "backend", cli->arguments[1]),
		RPC_TIMEOUT_MS, &result);
	if (status != CLI_DONE)
		return status;
	if (!printer_json(cli, result)) {
		char *flows =
			printer_cell(result, &(struct printer_column){ "", "flows", PRINT_COUNT });
		char *state =
			printer_cell(result, &(struct printer_column){ "", "state", PRINT_TEXT });
		fprintf(cli->out, "%s %s: %s; it is %s and has %s flows\n", cli->arguments[0],
			cli->arguments[1], done, state != NULL ? state : "?",
			flows != NULL ? flows : "?");
		free(flows);
		free(state);
	}
	json_decref(result);
	return CLI_DONE;
}

int command_backend_drain(struct cli *cli)
{
	return change_backend(cli, "backend.drain", "gets no new flows");
}

int command_backend_enable(struct cli *cli)
{
	return change_backend(cli, "backend.enable", "enabled");
}
