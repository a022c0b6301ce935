/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/report/trace.h"

#include "control/report/report_private.h"
#include "dataplane/api/messages.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *const stage_labels[] = {
#define X(name, label) label,
	WEIR_STAGES(X)
#undef X
};

static const char *const drop_labels[] = {
#define X(name, label, help) label,
	WEIR_DROP_REASONS(X)
#undef X
};

static const char *const verdicts[] = {
	[WEIR_TRACE_TRANSMITTED] = "transmitted",
	[WEIR_TRACE_DROPPED] = "dropped",
	[WEIR_TRACE_TO_KERNEL] = "passed_to_kernel",
};

static const char *const parses[] = {
	[WEIR_TRACE_PARSE_OK] = "ok",
	[WEIR_TRACE_PARSE_NOT_OURS] = "not_ours",
	[WEIR_TRACE_PARSE_FRAGMENT] = "fragment",
	[WEIR_TRACE_PARSE_MALFORMED] = "malformed",
	[WEIR_TRACE_PARSE_UNREADABLE] = "unreadable",
	[WEIR_TRACE_PARSE_ICMP_ERROR] = "icmp_error",
};

static const char *const flows[] = {
	[WEIR_TRACE_FLOW_UNSEEN] = NULL,
	[WEIR_TRACE_FLOW_NONE] = "none",
	[WEIR_TRACE_FLOW_KNOWN] = "known",
	[WEIR_TRACE_FLOW_HOMELESS] = "homeless",
};

static const char *const flow_states[] = {
	[WEIR_FLOW_NONE] = NULL,
	[WEIR_FLOW_NEW] = "new",
	[WEIR_FLOW_ESTABLISHED] = "established",
	[WEIR_FLOW_CLOSING] = "closing",
};

static const char *const placements[] = {
	[WEIR_TRACE_PLACEMENT_NONE] = NULL,
	[WEIR_TRACE_PLACEMENT_KNOWN] = "known_flow",
	[WEIR_TRACE_PLACEMENT_NEW] = "new_flow",
	[WEIR_TRACE_PLACEMENT_JOINED] = "flow_just_opened",
	[WEIR_TRACE_PLACEMENT_MOVED] = "moved",
	[WEIR_TRACE_PLACEMENT_STATELESS] = "stateless",
	[WEIR_TRACE_PLACEMENT_REPLY] = "reply",
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* A name by its number; JSON's null where there is none. */
static json_t *label(const char *const *names, size_t count, uint32_t number)
{
	return number < count && names[number] != NULL ? json_string(names[number]) : json_null();
}

#define LABEL(names, number) label(names, COUNT(names), number)

static bool passed(const struct weir_trace_record *r, enum weir_stage stage)
{
	return r->stages >> stage & 1;
}

/* "10.0.0.1:80"; without the port where there is none; null where nothing is known. */
static json_t *endpoint(const uint8_t bytes[16], uint16_t port, bool known)
{
	struct address a;
	char text[80];
	if (!known)
		return json_null();
	memcpy(a.bytes, bytes, sizeof(a.bytes));
	if (port == 0)
		return report_address(&a);
	return json_string(address_port_print(&a, port, text, sizeof(text)));
}

static json_t *mac(const uint8_t bytes[6])
{
	return json_sprintf("%02x:%02x:%02x:%02x:%02x:%02x", bytes[0], bytes[1], bytes[2], bytes[3],
		bytes[4], bytes[5]);
}

static json_t *name_or_null(const char *name)
{
	return name[0] != '\0' ? report_text(name) : json_null();
}

/* The names of bits, the lowest first. */
static json_t *bits(uint32_t value, const char *const *names, size_t count)
{
	json_t *list = json_array();
	for (size_t i = 0; i < count; i++)
		if (value >> i & 1)
			json_array_append_new(list, json_string(names[i]));
	return list;
}

static json_t *protocol_of(const struct weir_trace_record *r)
{
	if (r->protocol == MODEL_TCP)
		return json_string("tcp");
	if (r->protocol == MODEL_UDP)
		return json_string("udp");
	return r->protocol != 0 ? json_integer(r->protocol) : json_null();
}

static json_t *tcp_flags_of(const struct weir_trace_record *r)
{
	static const char *const names[] = { "fin", "syn", "rst", "psh", "ack", "urg", "ece",
		"cwr" };
	return r->protocol == MODEL_TCP && r->parse == WEIR_TRACE_PARSE_OK ?
		bits(r->tcp_flags, names, COUNT(names)) :
		json_null();
}

static json_t *direction_of(const struct weir_trace_record *r)
{
	if (r->service[0] == '\0')
		return json_null();
	return json_string(r->flags & WEIR_TRACE_F_FROM_BACKEND ? "from_backend" : "from_client");
}

static json_t *parse_stage(const struct weir_trace_record *r)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:i, s:i, s:b, s:b, s:b, s:o}", "result",
		LABEL(parses, r->parse), "protocol", protocol_of(r), "from",
		endpoint(r->received.source, r->received.source_port, r->received.known), "to",
		endpoint(r->received.destination, r->received.destination_port, r->received.known),
		"tcp_flags", tcp_flags_of(r), "ttl", (int)r->ttl, "payload", (int)r->payload,
		"vlan", (r->flags & WEIR_TRACE_F_VLAN) != 0, "fragment",
		(r->flags & WEIR_TRACE_F_FRAGMENT) != 0, "options",
		(r->flags & WEIR_TRACE_F_OPTIONS) != 0, "ether_type",
		json_sprintf("0x%04x", r->ether_type));
}

static json_t *limit_stage(const struct weir_trace_record *r)
{
	static const char *const names[] = { "packets", "bits", "connections" };
	return json_pack("{s:o}", "limits", bits(r->limits, names, COUNT(names)));
}

static json_t *neighbour_stage(const struct weir_trace_record *r)
{
	bool known = passed(r, WEIR_STAGE_NEIGHBOUR);
	return json_pack("{s:o, s:o}", "port", name_or_null(r->port_out), "mac",
		known ? mac(r->mac_out) : json_null());
}

/* What the policies of the service said, in their order; what came of it, where it has one. */
static json_t *policy_stage(const struct weir_trace_record *r)
{
	json_t *list = json_array();
	for (uint32_t i = 0; i < r->policy_count && i < COUNT(r->policy); i++) {
		const struct weir_trace_policy *p = &r->policy[i];
		json_array_append_new(list,
			json_pack("{s:s, s:i, s:b}", "says", report_policy_action(p->action),
				"argument", (int)p->argument, "observed", (int)p->observed));
	}
	return json_pack("{s:o, s:i, s:i, s:I}", "policies", list, "class", (int)r->policy_class,
		"pool", (int)r->pool, "mark", (json_int_t)r->mark);
}

/* What is known of a stage beyond its verdict. */
static json_t *stage_details(const struct weir_trace_record *r, uint32_t stage)
{
	bool placed = r->placement != WEIR_TRACE_PLACEMENT_NONE;
	switch (stage) {
	case WEIR_STAGE_RECEIVE:
		return json_pack("{s:o, s:i, s:o, s:o, s:i}", "port", report_text(r->port_in),
			"length", (int)r->received_length, "from_mac", mac(r->mac_in + 6), "to_mac",
			mac(r->mac_in), "cpu", (int)r->cpu_in);
	case WEIR_STAGE_PARSE:
		return parse_stage(r);
	case WEIR_STAGE_SERVICE:
		return json_pack("{s:o, s:o, s:i}", "service", name_or_null(r->service),
			"direction", direction_of(r), "bucket", (int)r->bucket);
	case WEIR_STAGE_DISPATCH:
		return passed(r, WEIR_STAGE_DISPATCH) ?
			json_pack("{s:i}", "cpu", (int)r->cpu_work) :
			json_object();
	case WEIR_STAGE_POLICY:
		return policy_stage(r);
	case WEIR_STAGE_LIMIT:
		return limit_stage(r);
	case WEIR_STAGE_FLOW:
		return json_pack("{s:o, s:o}", "flow", LABEL(flows, r->flow), "state",
			LABEL(flow_states, r->flow_state));
	case WEIR_STAGE_BALANCE:
		return json_pack("{s:o, s:o}", "backend",
			endpoint(r->backend_address, r->backend_port, placed), "why",
			LABEL(placements, r->placement));
	case WEIR_STAGE_REWRITE:
		return json_pack("{s:o, s:o}", "from",
			endpoint(r->left.source, r->left.source_port, r->left.known), "to",
			endpoint(r->left.destination, r->left.destination_port, r->left.known));
	case WEIR_STAGE_NEIGHBOUR:
		return neighbour_stage(r);
	case WEIR_STAGE_TRANSMIT:
		return json_pack("{s:o, s:i}", "port", name_or_null(r->port_out), "length",
			(int)r->left_length);
	default:
		return json_object();
	}
}

static json_t *reason_of(const struct weir_trace_record *r)
{
	return r->verdict == WEIR_TRACE_DROPPED ? LABEL(drop_labels, r->reason) : json_null();
}

static json_t *stages(const struct weir_trace_record *r)
{
	json_t *list = json_array();
	for (uint32_t i = 0; i < WEIR_STAGE_COUNT; i++) {
		bool last = i == r->stage;
		if (!passed(r, (enum weir_stage)i) && !last)
			continue;
		json_t *one = json_pack("{s:s, s:o}", "stage", stage_labels[i], "verdict",
			last ? LABEL(verdicts, r->verdict) : json_string("passed"));
		if (last && r->verdict == WEIR_TRACE_DROPPED)
			json_object_set_new(one, "reason", reason_of(r));
		json_t *details = stage_details(r, i);
		json_object_update(one, details);
		json_decref(details);
		json_array_append_new(list, one);
	}
	return list;
}

static json_t *hexadecimal(const uint8_t *bytes, size_t count)
{
	static const char digits[] = "0123456789abcdef";
	char *text = malloc(2 * count + 1);
	if (text == NULL)
		return NULL;
	for (size_t i = 0; i < count; i++) {
		text[2 * i] = digits[bytes[i] >> 4];
		text[2 * i + 1] = digits[bytes[i] & 15];
	}
	json_t *s = json_stringn(text, 2 * count);
	free(text);
	return s;
}

static void frames_add(json_t *document, const struct weir_trace_record *r)
{
	const uint8_t *frame = (const uint8_t *)(r + 1);
	json_object_set_new(document, "received_frame", hexadecimal(frame, r->received_bytes));
	json_object_set_new(
		document, "left_frame", hexadecimal(frame + r->received_bytes, r->left_bytes));
}

static json_t *record_document(const struct weir_trace_record *r, bool frames)
{
	bool placed = r->placement != WEIR_TRACE_PLACEMENT_NONE;
	json_t *document = json_pack(
		"{s:f, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:s, s:o, s:f, s:i, s:i, s:o, s:o}",
		"time", (double)r->received_ns / 1e9, "time_ns", report_count(r->received_ns),
		"service", name_or_null(r->service), "direction", direction_of(r), "protocol",
		protocol_of(r), "from",
		endpoint(r->received.source, r->received.source_port, r->received.known), "to",
		endpoint(r->received.destination, r->received.destination_port, r->received.known),
		"tcp_flags", tcp_flags_of(r), "verdict", LABEL(verdicts, r->verdict), "reason",
		reason_of(r), "stage", stage_labels[r->stage], "backend",
		endpoint(r->backend_address, r->backend_port, placed), "residence",
		(double)r->residence_ns / 1e9, "length", (int)r->received_length, "left_length",
		(int)r->left_length, "port", report_text(r->port_in), "port_out",
		name_or_null(r->port_out));
	if (document == NULL)
		return NULL;
	json_object_set_new(document, "residence_ns", report_count(r->residence_ns));
	json_object_set_new(document, "stages", stages(r));
	if (frames)
		frames_add(document, r);
	return document;
}

static bool text_ends(const char text[WEIR_NAME_SIZE])
{
	return memchr(text, '\0', WEIR_NAME_SIZE) != NULL;
}

/* The record at `at` is whole and says nothing that would lead astray. */
static bool record_is_good(const void *at, size_t left)
{
	const struct weir_trace_record *r = at;
	return left >= sizeof(*r) && r->size >= sizeof(*r) && r->size <= left && r->size % 8 == 0 &&
		(uint64_t)r->received_bytes + r->left_bytes <= r->size - sizeof(*r) &&
		text_ends(r->service) && text_ends(r->port_in) && text_ends(r->port_out) &&
		r->stage < WEIR_STAGE_COUNT && r->verdict >= WEIR_TRACE_TRANSMITTED &&
		r->verdict <= WEIR_TRACE_TO_KERNEL && r->received_length <= INT32_MAX &&
		r->left_length <= INT32_MAX;
}

int report_trace_batch(const void *body, size_t length, bool frames, json_t **ret_document)
{
	struct weir_trace_batch batch;
	if (length < sizeof(batch))
		return -EPROTO;
	memcpy(&batch, body, sizeof(batch));
	json_t *records = json_array();
	const char *at = (const char *)body + sizeof(batch);
	size_t left = length - sizeof(batch);
	for (uint32_t i = 0; i < batch.count; i++) {
		if (!record_is_good(at, left)) {
			json_decref(records);
			return -EPROTO;
		}
		const struct weir_trace_record *r = (const void *)at;
		if (json_array_append_new(records, record_document(r, frames)) != 0) {
			json_decref(records);
			return -ENOMEM;
		}
		at += r->size;
		left -= r->size;
	}
	*ret_document = json_pack("{s:o, s:o, s:b}", "records", records, "lost",
		report_count(batch.lost), "ended", (batch.flags & WEIR_TRACE_F_ENDED) != 0);
	return *ret_document != NULL ? 0 : -ENOMEM;
}
