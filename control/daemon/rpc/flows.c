/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/daemon/rpc/flows.h"

#include "control/daemon/daemon.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FLOW_TIMEOUT_MS	   5000
#define FLOW_LIMIT_DEFAULT 1000
#define FLOW_LIMIT_MAX	   65536

static json_t *endpoint(const uint8_t address[16], uint16_t port)
{
	struct address a;
	char text[80];

	memcpy(a.bytes, address, sizeof(a.bytes));
	return json_string(address_port_print(&a, port, text, sizeof(text)));
}

static const char *state_name(uint8_t state)
{
	static const char *const names[] = { [WEIR_FLOW_NONE] = "none",
		[WEIR_FLOW_NEW] = "new",
		[WEIR_FLOW_ESTABLISHED] = "established",
		[WEIR_FLOW_CLOSING] = "closing" };

	return state < sizeof(names) / sizeof(names[0]) ? names[state] : "unknown";
}

static json_t *flow_document(const struct weir_flow_record *r)
{
	static const uint8_t zero[16];
	char service[WEIR_NAME_SIZE];

	memcpy(service, r->service, sizeof(service));
	service[sizeof(service) - 1] = 0;
	json_t *source = memcmp(r->source_address, zero, sizeof(zero)) ?
		endpoint(r->source_address, r->source_port) :
		json_null();
	json_t *backend =
		r->has_backend ? endpoint(r->backend_address, r->backend_port) : json_null();

	return json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:s, s:i, s:f}", "service", service,
		"protocol", r->protocol == MODEL_TCP ? "tcp" : "udp", "client",
		endpoint(r->client_address, r->client_port), "address",
		endpoint(r->service_address, r->service_port), "source", source, "backend", backend,
		"state", state_name(r->state), "bucket", (int)r->bucket, "idle",
		(double)r->idle_ms / 1e3);
}

static void list_reply(void *ctx, int status, const void *body, size_t length)
{
	struct rpc_call *call = ctx;

	if (rpc_call_failed(call, status, body, length))
		return;
	json_t *list = json_array();

	for (size_t at = 0; at + sizeof(struct weir_flow_record) <= length;
		at += sizeof(struct weir_flow_record)) {
		struct weir_flow_record r;

		memcpy(&r, (const char *)body + at, sizeof(r));
		json_array_append_new(list, flow_document(&r));
	}
	rpc_call_result(call, list);
}

static void find_reply(void *ctx, int status, const void *body, size_t length)
{
	struct rpc_call *call = ctx;
	struct weir_flow_record r;

	if (!rpc_call_takes(call, status, body, length, &r, sizeof(r)))
		return;
	json_t *document = flow_document(&r);

	if (document)
		json_object_set_new(document, "existing", json_boolean(r.state != WEIR_FLOW_NONE));
	rpc_call_result(call, document);
}

static void query_send(struct daemon *d, struct rpc_call *call, enum weir_message_type type,
	const struct weir_flow_query *query, weir_reply_cb cb)
{
	int rc = dataplane_request(
		d->dataplane, type, query, sizeof(*query), FLOW_TIMEOUT_MS, cb, call);

	if (rc)
		rpc_call_no_dataplane(call);
}

void flows_list(struct daemon *d, struct rpc_call *call, const struct model_service *s)
{
	json_t *limit = json_object_get(rpc_call_params(call), "limit");
	struct weir_flow_query query = { .limit = FLOW_LIMIT_DEFAULT };

	if (limit && !json_is_null(limit)) {
		json_int_t wanted = json_integer_value(limit);

		if (!json_is_integer(limit) || wanted < 1 || wanted > FLOW_LIMIT_MAX) {
			rpc_call_error(call, RPC_INVALID_PARAMS, NULL, "limit: expected 1..%d",
				FLOW_LIMIT_MAX);
			return;
		}
		query.limit = (uint32_t)wanted;
	}
	memcpy(query.service, s->name, sizeof(query.service));
	query_send(d, call, WEIR_MESSAGE_FLOW_LIST, &query, list_reply);
}

static bool endpoint_read(
	json_t *tuple, const char *name, uint8_t ret_address[16], uint16_t *ret_port)
{
	const char *text = json_string_value(json_object_get(tuple, name));
	struct address a;

	if (!text || !address_port_parse(text, &a, ret_port))
		return false;
	memcpy(ret_address, a.bytes, sizeof(a.bytes));
	return true;
}

void flows_find(struct daemon *d, struct rpc_call *call)
{
	json_t *tuple = json_object_get(rpc_call_params(call), "tuple");
	const char *protocol = json_string_value(json_object_get(tuple, "protocol"));
	struct weir_flow_query query = { .limit = 1 };

	if (protocol && !strcmp(protocol, "tcp"))
		query.protocol = MODEL_TCP;
	else if (protocol && !strcmp(protocol, "udp"))
		query.protocol = MODEL_UDP;
	if (!query.protocol ||
		!endpoint_read(tuple, "client", query.client_address, &query.client_port) ||
		!endpoint_read(tuple, "service", query.service_address, &query.service_port)) {
		rpc_call_error(call, RPC_INVALID_PARAMS, NULL,
			"tuple: expected {protocol: tcp or udp, client: ADDRESS:PORT, service: "
			"ADDRESS:PORT}");
		return;
	}
	query_send(d, call, WEIR_MESSAGE_FLOW_FIND, &query, find_reply);
}
