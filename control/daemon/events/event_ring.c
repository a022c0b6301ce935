/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/daemon/events/event_ring.h"

#include <stdbool.h>
#include <string.h>

const char *event_kind_name(enum event_kind kind)
{
	static const char *const names[] = {
#define X(name, label, help) label,
		EVENT_KINDS(X)
#undef X
	};

	return names[kind];
}

void event_ring_clear(struct event_ring *r)
{
	for (size_t i = 0; i < EVENT_RING_SIZE; i++)
		json_decref(r->items[i]);
	memset(r, 0, sizeof(*r));
}

/* Texts quote what came from elsewhere, and jansson refuses what is not UTF-8. */
static json_t *text_or_mark(const char *text)
{
	json_t *s = json_string(text);

	return s ? s : json_string("?");
}

static json_t *document(uint64_t sequence, double time_s, const char *kind, const char *object,
	const char *text, json_t *inputs)
{
	return json_pack("{s:I, s:f, s:s, s:o, s:o, s:o}", "sequence", (json_int_t)sequence, "time",
		time_s, "kind", kind, "object", text_or_mark(object), "text", text_or_mark(text),
		"inputs", inputs ? inputs : json_object());
}

void event_ring_add(struct event_ring *r, double time_s, enum event_kind kind, const char *object,
	const char *text, json_t *inputs)
{
	json_t **place = &r->items[++r->last % EVENT_RING_SIZE];

	r->counts[kind]++;
	json_decref(*place);
	*place = document(r->last, time_s, event_kind_name(kind), object, text, inputs);
}

json_t *event_ring_since(const struct event_ring *r, uint64_t since, size_t limit)
{
	uint64_t oldest = r->last < EVENT_RING_SIZE ? 1 : r->last - EVENT_RING_SIZE + 1;
	json_t *list = json_array();

	if (since > r->last)
		since = 0;
	if (since && since + 1 < oldest) {
		json_int_t lost = (json_int_t)(oldest - 1 - since);
		double when = json_number_value(
			json_object_get(r->items[oldest % EVENT_RING_SIZE], "time"));
		char text[96];

		snprintf(text, sizeof(text),
			"%lld events were lost: they came faster than they were read",
			(long long)lost);
		json_array_append_new(list,
			document(oldest - 1, when, "lost", "", text,
				json_pack("{s:I}", "lost", lost)));
	}
	if (since + 1 < oldest)
		since = oldest - 1;
	while (list && since < r->last && limit--) {
		json_t *item = r->items[++since % EVENT_RING_SIZE];

		if (item && json_array_append(list, item)) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static bool has_text(const json_t *item, const char *key, const char *text)
{
	const char *has = json_string_value(json_object_get(item, key));

	return has && !strcmp(has, text);
}

json_t *event_ring_last(
	const struct event_ring *r, enum event_kind kind, const char *object, size_t most)
{
	uint64_t kept = r->last < EVENT_RING_SIZE ? r->last : EVENT_RING_SIZE;
	json_t *list = json_array();

	for (uint64_t i = 0; i < kept && json_array_size(list) < most; i++) {
		json_t *item = r->items[(r->last - i) % EVENT_RING_SIZE];

		if (has_text(item, "kind", event_kind_name(kind)) &&
			has_text(item, "object", object))
			json_array_append(list, item);
	}
	return list;
}
