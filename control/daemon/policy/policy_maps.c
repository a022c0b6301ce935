/* SPDX-License-Identifier: BSD-3-Clause */

/* The methods about maps of policies: texts to records for the data plane, and back. */

#include "control/daemon/daemon.h"
#include "control/daemon/policy/policies_methods.h"
#include "control/daemon/policy/policies_set.h"
#include "control/report/map_text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAP_TIMEOUT_MS 10000
#define DUMP_DEFAULT   1000

/* A question to the data plane, until its answer. */
struct ask {
	struct daemon *d;
	struct rpc_call *call;
	struct map_shape shape;
	struct weir_policy_map *sent; /* owned; with what follows */
	uint64_t id; /* of the policy */
	json_t *document; /* owned; the answer, while the kernel's copy is changed */
};

/* A message under construction: the header and the records behind it. */
struct message {
	struct weir_policy_map *header; /* owned; with what follows */
	uint64_t id; /* of the policy */
	size_t record; /* bytes of each */
	size_t length;
};

static bool map_in(const struct daemon *d, const struct model_policy *p, const char *name,
	struct map_shape *ret_shape)
{
	const struct policy_kept *k = p->id ? policies_find(d, p->id) : NULL;

	for (uint32_t i = 0; k && i < k->image->map_count; i++) {
		const struct policy_image_map *m = &image_maps(k->image)[i];

		if (strcmp(m->name, name) != 0)
			continue;
		*ret_shape = (struct map_shape){ m->type, m->key_size, m->value_size };
		return true;
	}
	return false;
}

/*
 * The map that the call names: of the policy that it names, or of the first that has one of that name.
 * Answers the call and returns false when there is none.
 */
static bool map_find(struct daemon *d, struct rpc_call *call, struct weir_policy_map *ret_header,
	struct map_shape *ret_shape, uint64_t *ret_id)
{
	const json_t *params = rpc_call_params(call);
	const char *map = json_string_value(json_object_get(params, "map"));
	const char *policy = json_string_value(json_object_get(params, "policy"));
	const struct model_policy *policies;
	const struct model_service *s;
	uint32_t position = 0;
	size_t count;

	if (!policies_param(d, call, &s, &policies, &count))
		return false;
	if (!map) {
		rpc_call_error(call, RPC_INVALID_PARAMS, NULL, "map: expected a string");
		return false;
	}
	for (size_t i = 0; i < count; i++) {
		if ((!policy || policy_is(&policies[i], i, policy)) &&
			map_in(d, &policies[i], map, ret_shape)) {
			*ret_header = (struct weir_policy_map){ .position = position };
			*ret_id = policies[i].id;
			snprintf(ret_header->service, sizeof(ret_header->service), "%s",
				s ? s->name : "");
			snprintf(ret_header->map, sizeof(ret_header->map), "%s", map);
			return true;
		}
		position += policies[i].id != 0; /* the data plane has only those */
	}
	rpc_call_error(call, RPC_REFUSED, NULL,
		count ? "no policy of %.64s has a map %.64s; see `weirctl policy show`" :
			"%.64s has no policy; `weirctl policy load` gives it one",
		s ? s->name : "what is no service's", map);
	return false;
}

/* Room for `count` records; answers the call and returns false when there is none. */
static bool message_begin(struct message *m, struct rpc_call *call,
	const struct weir_policy_map *header, size_t count)
{
	m->record = header->key_bytes + (size_t)header->value_bytes;
	m->length = sizeof(*header) + count * m->record;
	m->header = NULL;
	if (count > WEIR_POLICY_MAX_DUMP || count * m->record > WEIR_POLICY_MAX_BYTES) {
		rpc_call_error(call, RPC_INVALID_PARAMS, NULL,
			"%zu entries are more than one request may have: at most %d, and %u bytes of "
			"keys and values",
			count, WEIR_POLICY_MAX_DUMP, WEIR_POLICY_MAX_BYTES);
		return false;
	}
	m->header = calloc(1, m->length);
	if (!m->header) {
		rpc_call_error(call, RPC_REFUSED, NULL, "out of memory");
		return false;
	}
	*m->header = *header;
	m->header->count = (uint32_t)count;
	return true;
}

static json_t *values_document(const struct map_shape *shape, const uint8_t *at, uint32_t count)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < count; i++)
		json_array_append_new(
			list, map_value_document(shape, at + (size_t)i * shape->value_size));
	return list;
}

/* {key, value}, or {key, values} where each core has its own. */
static json_t *entry_document(const struct map_shape *shape, const uint8_t *record, uint32_t values)
{
	const uint8_t *at = record + shape->key_size;

	if (values == 1)
		return json_pack("{s:o, s:o}", "key", map_key_document(shape, record), "value",
			map_value_document(shape, at));
	return json_pack("{s:o, s:o}", "key", map_key_document(shape, record), "values",
		values_document(shape, at, values));
}

static json_t *answer_document(
	const struct ask *ask, const struct weir_policy_map_reply *reply, const uint8_t *records)
{
	const uint32_t op = ask->sent->op;
	size_t record = ask->shape.key_size + (size_t)reply->values * ask->shape.value_size;
	json_t *entries = json_array();

	if (op == WEIR_POLICY_MAP_SET || op == WEIR_POLICY_MAP_DELETE) {
		json_decref(entries);
		return json_pack("{s:I}", "done", (json_int_t)reply->count);
	}
	for (uint32_t i = 0; i < reply->count; i++)
		json_array_append_new(
			entries, entry_document(&ask->shape, records + i * record, reply->values));
	json_t *document = json_pack("{s:s, s:I, s:I, s:I, s:o}", "type",
		policy_map_type_name(reply->type), "key_size", (json_int_t)reply->key_bytes,
		"value_size", (json_int_t)reply->value_bytes, "max_entries",
		(json_int_t)reply->max_entries, "entries", entries);

	if (op == WEIR_POLICY_MAP_DUMP)
		json_object_set_new(document, "next",
			reply->next ? json_sprintf("%" PRIu64, reply->next) : json_null());
	return document;
}

static void ask_free(struct ask *ask)
{
	free(ask->sent);
	free(ask);
}

/* The kernel's copy, if there is one, has it too. */
static void both_have_it(void *ctx)
{
	struct ask *ask = ctx;

	rpc_call_result(ask->call, ask->document);
	ask_free(ask);
}

static void changed(struct ask *ask, const struct weir_policy_map_reply *reply)
{
	ask->document = answer_document(ask, reply, NULL);
	policies_copies_change(ask->d, ask->id, ask->sent->map,
		ask->sent->op == WEIR_POLICY_MAP_DELETE, ask->sent + 1, ask->sent->count,
		both_have_it, ask);
}

static bool fits(const struct ask *ask, const struct weir_policy_map_reply *reply, size_t length)
{
	return reply->key_bytes == ask->shape.key_size &&
		reply->value_bytes == ask->shape.value_size && reply->values <= 1024 &&
		(length - sizeof(*reply)) /
			(reply->key_bytes + (size_t)reply->values * reply->value_bytes) >=
		reply->count;
}

static void map_reply(void *ctx, int status, const void *body, size_t length)
{
	struct ask *ask = ctx;
	const struct weir_policy_map_reply *reply = body;
	const bool reads =
		ask->sent->op == WEIR_POLICY_MAP_GET || ask->sent->op == WEIR_POLICY_MAP_DUMP;

	if (status && !reads)
		policies_copies_doubt(ask->d, ask->id, ask->sent->map);
	if (rpc_call_failed(ask->call, status, body, length)) {
		ask_free(ask);
		return;
	}
	if (length >= sizeof(*reply) && !reads) {
		changed(ask, reply);
		return;
	}
	if (length < sizeof(*reply) || !fits(ask, reply, length))
		rpc_call_error(ask->call, RPC_DATAPLANE, NULL,
			"the data plane's answer does not fit the question");
	else
		rpc_call_result(ask->call,
			answer_document(ask, reply, (const uint8_t *)body + sizeof(*reply)));
	ask_free(ask);
}

/* Takes the message. */
static void message_send(
	struct daemon *d, struct rpc_call *call, struct message *m, const struct map_shape *shape)
{
	struct ask *ask = malloc(sizeof(*ask));
	int rc = -ENOMEM;

	if (ask) {
		*ask = (struct ask){
			.d = d, .call = call, .shape = *shape, .sent = m->header, .id = m->id
		};
		rc = dataplane_request(d->dataplane, WEIR_MESSAGE_POLICY_MAP, m->header, m->length,
			MAP_TIMEOUT_MS, map_reply, ask);
	}
	if (!rc)
		return;
	free(m->header);
	free(ask);
	rpc_call_error(call, RPC_DATAPLANE, NULL,
		"the data plane cannot be asked: %s; see `weirctl status`", strerror(-rc));
}

/* A list of keys; answers the call and returns false when one is none. */
static bool keys_fill(
	struct rpc_call *call, const json_t *keys, struct message *m, const struct map_shape *shape)
{
	uint8_t *at = (uint8_t *)(m->header + 1);
	char err[256] = "expected a string";
	json_t *key;
	size_t i;

	json_array_foreach(keys, i, key)
	{
		const char *text = json_string_value(key);

		if (text && map_key_read(shape, text, at + i * m->record, err, sizeof(err)))
			continue;
		rpc_call_error(call, RPC_REFUSED, NULL, "key %zu: %s", i + 1, err);
		return false;
	}
	return true;
}

static void with_keys(struct daemon *d, struct rpc_call *call, enum weir_policy_map_op op)
{
	const json_t *keys = json_object_get(rpc_call_params(call), "keys");
	struct weir_policy_map header;
	struct map_shape shape;
	struct message m;

	if (!json_array_size(keys)) {
		rpc_call_error(call, RPC_INVALID_PARAMS, NULL, "keys: expected a list of strings");
		return;
	}
	if (!map_find(d, call, &header, &shape, &m.id))
		return;
	header.op = op;
	header.key_bytes = shape.key_size;
	if (!message_begin(&m, call, &header, json_array_size(keys)))
		return;
	if (keys_fill(call, keys, &m, &shape))
		message_send(d, call, &m, &shape);
	else
		free(m.header);
}

void policies_map_get(struct daemon *d, struct rpc_call *call)
{
	with_keys(d, call, WEIR_POLICY_MAP_GET);
}

void policies_map_delete(struct daemon *d, struct rpc_call *call)
{
	with_keys(d, call, WEIR_POLICY_MAP_DELETE);
}

/* A list of [key, value]. */
static bool entries_fill(struct rpc_call *call, const json_t *entries, struct message *m,
	const struct map_shape *shape)
{
	uint8_t *at = (uint8_t *)(m->header + 1);
	char err[256] = "expected [key, value], two strings";
	json_t *entry;
	size_t i;

	json_array_foreach(entries, i, entry)
	{
		const char *key = json_string_value(json_array_get(entry, 0));
		const char *value = json_string_value(json_array_get(entry, 1));
		uint8_t *record = at + i * m->record;

		if (key && value && map_key_read(shape, key, record, err, sizeof(err)) &&
			map_value_read(shape, value, record + shape->key_size, err, sizeof(err)))
			continue;
		rpc_call_error(call, RPC_REFUSED, NULL, "entry %zu: %s", i + 1, err);
		return false;
	}
	return true;
}

void policies_map_set(struct daemon *d, struct rpc_call *call)
{
	const json_t *entries = json_object_get(rpc_call_params(call), "entries");
	struct weir_policy_map header;
	struct map_shape shape;
	struct message m;

	if (!json_array_size(entries)) {
		rpc_call_error(
			call, RPC_INVALID_PARAMS, NULL, "entries: expected a list of [key, value]");
		return;
	}
	if (!map_find(d, call, &header, &shape, &m.id))
		return;
	header.op = WEIR_POLICY_MAP_SET;
	header.key_bytes = shape.key_size;
	header.value_bytes = shape.value_size;
	if (!message_begin(&m, call, &header, json_array_size(entries)))
		return;
	if (entries_fill(call, entries, &m, &shape))
		message_send(d, call, &m, &shape);
	else
		free(m.header);
}

void policies_map_dump(struct daemon *d, struct rpc_call *call)
{
	const json_t *params = rpc_call_params(call);
	const char *cursor = json_string_value(json_object_get(params, "cursor"));
	const json_t *limit = json_object_get(params, "limit");
	json_int_t count = limit ? json_integer_value(limit) : DUMP_DEFAULT;
	struct weir_policy_map header;
	struct map_shape shape;
	struct message m;

	if (count < 1 || count > WEIR_POLICY_MAX_DUMP) {
		rpc_call_error(call, RPC_INVALID_PARAMS, NULL, "limit: expected a number 1..%d",
			WEIR_POLICY_MAX_DUMP);
		return;
	}
	if (!map_find(d, call, &header, &shape, &m.id))
		return;
	header.op = WEIR_POLICY_MAP_DUMP;
	header.count = (uint32_t)count;
	header.cursor = cursor ? strtoull(cursor, NULL, 10) : 0;
	m.header = malloc(sizeof(header));
	m.length = sizeof(header);
	if (!m.header) {
		rpc_call_error(call, RPC_REFUSED, NULL, "out of memory");
		return;
	}
	*m.header = header;
	message_send(d, call, &m, &shape);
}
