/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/adapt/recording.h"

#include "control/adapt/signals.h"

#include <jansson.h>

#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SOURCES_MOST (WEIR_MAX_CORES * WEIR_HEAVY_SETS * WEIR_HEAVY_WAYS)

/* The numbers of a tick and of a backend in it: written and read by the same tables. */
struct field {
	const char *name;
	size_t offset;
	bool real; /* a double, else a uint64_t */
	bool may_lack; /* recordings of older versions do not have it: 0 */
};

#define WHOLE(name, type, member)                                 \
	{                                                         \
		name, offsetof(struct type, member), false, false \
	}
#define REAL(name, type, member)                                 \
	{                                                        \
		name, offsetof(struct type, member), true, false \
	}
#define LATER(name, type, member, real)                         \
	{                                                       \
		name, offsetof(struct type, member), real, true \
	}

static const struct field tick_fields[] = {
	WHOLE("now_ns", adapt_signals, now_ns),
	WHOLE("elapsed_ns", adapt_signals, elapsed_ns),
	WHOLE("age_ns", adapt_signals, age_ns),
	WHOLE("packets", adapt_signals, packets),
	WHOLE("bits", adapt_signals, bits),
	WHOLE("offered", adapt_signals, offered),
	WHOLE("forwarded", adapt_signals, forwarded),
	WHOLE("shed", adapt_signals, shed),
	WHOLE("policed", adapt_signals, policed),
	WHOLE("ring_full", adapt_signals, ring_full),
	REAL("busy", adapt_signals, busy),
	WHOLE("sources_ns", adapt_signals, sources_ns),
	LATER("day_s", adapt_signals, day_s, false),
	LATER("cores", adapt_signals, cores, false),
	LATER("cores_wanted", adapt_signals, cores_wanted, false),
	LATER("cores_short", adapt_signals, cores_short, false),
	LATER("cores_sought", adapt_signals, cores_sought, false),
	LATER("cores_busy", adapt_signals, cores_busy, true),
	LATER("cores_load", adapt_signals, cores_load, true),
};

static const struct field backend_fields[] = {
	WHOLE("probes_good", adapt_backend_signals, probes_good),
	REAL("in_flight", adapt_backend_signals, in_flight),
	REAL("in_flight_peak", adapt_backend_signals, in_flight_peak),
	WHOLE("requests", adapt_backend_signals, requests),
	WHOLE("answered", adapt_backend_signals, answered),
	REAL("answered_s", adapt_backend_signals, answered_s),
	WHOLE("new_flows", adapt_backend_signals, new_flows),
	WHOLE("syn_sent", adapt_backend_signals, syn_sent),
	WHOLE("syn_answered", adapt_backend_signals, syn_answered),
	LATER("unheard", adapt_backend_signals, unheard, false),
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void fields_write(json_t *to, const struct field *fields, size_t count, const void *object)
{
	for (size_t i = 0; i < count; i++) {
		const char *at = (const char *)object + fields[i].offset;
		double real;
		uint64_t whole;
		memcpy(&real, at, sizeof(real));
		memcpy(&whole, at, sizeof(whole));
		json_object_set_new(to, fields[i].name,
			fields[i].real ? json_real(isfinite(real) ? real : 0) :
					 json_integer((json_int_t)(whole & INT64_MAX)));
	}
}

static bool fields_read(const json_t *from, const struct field *fields, size_t count, void *object)
{
	for (size_t i = 0; i < count; i++) {
		const json_t *value = json_object_get(from, fields[i].name);
		char *at = (char *)object + fields[i].offset;
		double real = json_number_value(value);
		uint64_t whole = (uint64_t)json_integer_value(value);
		if (value == NULL && fields[i].may_lack)
			continue;
		if (!json_is_number(value) || real < 0 ||
			(!fields[i].real && !json_is_integer(value)))
			return false;
		memcpy(at, fields[i].real ? (void *)&real : (void *)&whole, sizeof(whole));
	}
	return true;
}

static json_t *address_write(const uint8_t address[16])
{
	char text[INET6_ADDRSTRLEN] = "";
	inet_ntop(AF_INET6, address, text, sizeof(text));
	return json_string(text);
}

static bool address_read(const json_t *from, uint8_t ret_address[16])
{
	const char *text = json_string_value(from);
	return text != NULL && inet_pton(AF_INET6, text, ret_address) == 1;
}

/* Pairs of bucket and count, of those that are not empty. */
static json_t *tail_write(const struct adapt_histogram *h)
{
	json_t *list = json_array();
	for (uint32_t i = 0; i < ADAPT_HIST_BUCKETS; i++) {
		if (h->bucket[i] == 0)
			continue;
		json_array_append_new(list, json_integer(i));
		json_array_append_new(list, json_integer(h->bucket[i]));
	}
	return list;
}

static bool tail_read(const json_t *from, struct adapt_histogram *h)
{
	size_t count = json_array_size(from);
	for (size_t i = 0; i + 1 < count; i += 2) {
		json_int_t bucket = json_integer_value(json_array_get(from, i));
		json_int_t n = json_integer_value(json_array_get(from, i + 1));
		if (bucket < 0 || bucket >= ADAPT_HIST_BUCKETS || n < 0 || n > UINT32_MAX)
			return false;
		h->bucket[bucket] = (uint32_t)n;
	}
	for (uint32_t i = 0; i < ADAPT_HIST_BUCKETS; i++)
		h->count += h->bucket[i];
	return json_is_array(from) && count % 2 == 0;
}

/* Class, count and sum of seconds, of those that are not empty. Recordings of earlier times have none. */
static json_t *found_write(const struct adapt_found *f)
{
	json_t *list = json_array();
	for (uint32_t i = 0; i < WEIR_FOUND_CLASSES; i++) {
		if (f->count[i] <= 0)
			continue;
		json_array_append_new(list, json_integer(i));
		json_array_append_new(list, json_real(f->count[i]));
		json_array_append_new(list, json_real(f->sum_s[i]));
	}
	return list;
}

static bool found_read(const json_t *from, struct adapt_found *f)
{
	size_t count = json_array_size(from);
	for (size_t i = 0; i + 2 < count; i += 3) {
		json_int_t found = json_integer_value(json_array_get(from, i));
		double n = json_number_value(json_array_get(from, i + 1));
		double sum_s = json_number_value(json_array_get(from, i + 2));
		if (found < 0 || found >= WEIR_FOUND_CLASSES || n < 0 || sum_s < 0)
			return false;
		f->count[found] = n;
		f->sum_s[found] = sum_s;
	}
	return json_is_array(from) && count % 3 == 0;
}

/* Name, new flows, and how many may come per second or null. Recordings of earlier times have none. */
static json_t *classes_write(const struct adapt_signals *s)
{
	json_t *list = json_array();
	for (size_t i = 0; i < s->class_count; i++) {
		const struct adapt_class_signals *c = &s->classes[i];
		json_array_append_new(list,
			json_pack("[s, I, o]", c->name, (json_int_t)(c->new_flows & INT64_MAX),
				c->configured == WEIR_UNLIMITED ?
					json_null() :
					json_integer((json_int_t)(c->configured & INT64_MAX))));
	}
	return list;
}

static bool class_read(const json_t *from, struct adapt_class_signals *c)
{
	const char *name = json_string_value(json_array_get(from, 0));
	json_int_t flows = json_integer_value(json_array_get(from, 1));
	const json_t *configured = json_array_get(from, 2);
	json_int_t most = json_integer_value(configured);
	if (name == NULL || *name == '\0' || strlen(name) >= sizeof(c->name) || flows < 0 ||
		most < 0)
		return false;
	snprintf(c->name, sizeof(c->name), "%s", name);
	c->new_flows = (uint64_t)flows;
	c->configured = json_is_integer(configured) ? (uint64_t)most : WEIR_UNLIMITED;
	return json_array_size(from) == 3;
}

static const char *classes_read(const json_t *from, struct adapt_signals *s)
{
	size_t count = json_array_size(from);
	if (count > WEIR_MAX_CLASSES_PER_SERVICE)
		return "has too many classes";
	s->classes = calloc(count + 1, sizeof(*s->classes));
	if (s->classes == NULL)
		return "does not fit into memory";
	for (; s->class_count < count; s->class_count++)
		if (!class_read(json_array_get(from, s->class_count), &s->classes[s->class_count]))
			return "has a bad class";
	return NULL;
}

static char *line_of(json_t *document)
{
	char *line = document ? json_dumps(document, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
	json_decref(document);
	return line;
}

char *recording_header(const char *service, const struct adapt_settings *settings)
{
	json_t *modes = json_object();
	for (int i = 0; i < ADAPT_CONTROLLER_COUNT; i++)
		json_object_set_new(modes, adapt_controller_name((enum adapt_controller)i),
			json_string(adapt_mode_name(settings->mode[i])));
	return line_of(json_pack("{s:i, s:s, s:f, s:b, s:b, s:b, s:b, s:i, s:i, s:o}",
		"weir_recording", RECORDING_VERSION, "service", service, "objective",
		settings->objective_s, "probed", (int)settings->probed, "sees_replies",
		(int)settings->sees_replies, "tcp", (int)settings->is_tcp, "sticks",
		(int)settings->sticks, "cores_min", (int)settings->cores_min, "cores_max",
		(int)settings->cores_max, "modes", modes));
}

char *recording_tick(const struct adapt_signals *s)
{
	json_t *tick = json_object();
	json_t *backends = json_array();
	json_t *sources = json_array();
	fields_write(tick, tick_fields, COUNT(tick_fields), s);
	for (size_t i = 0; i < s->backend_count; i++) {
		const struct adapt_backend_signals *b = &s->backends[i];
		json_t *o = json_pack("{s:o, s:i, s:i, s:i, s:b, s:b, s:b}", "address",
			address_write(b->address), "port", (int)b->port, "weight", (int)b->weight,
			"whole", (int)b->whole, "usable", (int)b->usable, "probed", (int)b->probed,
			"blind", (int)b->blind);
		fields_write(o, backend_fields, COUNT(backend_fields), b);
		if (b->tail != NULL)
			json_object_set_new(o, "tail", tail_write(b->tail));
		if (b->found != NULL)
			json_object_set_new(o, "found", found_write(b->found));
		json_array_append_new(backends, o);
	}
	for (size_t i = 0; i < s->source_count; i++)
		json_array_append_new(sources,
			json_pack("[o, f, f]", address_write(s->sources[i].prefix),
				s->sources[i].rate[ADAPT_FLOWS],
				s->sources[i].rate[ADAPT_PACKETS]));
	json_object_set_new(tick, "backends", backends);
	json_object_set_new(tick, "sources", sources);
	if (s->class_count > 0)
		json_object_set_new(tick, "classes", classes_write(s));
	return line_of(tick);
}

static json_t *line_read(const char *line, size_t length, char *err, size_t err_size)
{
	json_error_t what;
	json_t *document = json_loadb(line, length, JSON_REJECT_DUPLICATES, &what);
	if (document == NULL)
		snprintf(err, err_size, "is not JSON: %s", what.text);
	else if (!json_is_object(document))
		snprintf(err, err_size, "is not an object");
	if (document != NULL && !json_is_object(document)) {
		json_decref(document);
		return NULL;
	}
	return document;
}

static bool mode_read(const json_t *from, enum adapt_mode *ret)
{
	const char *text = json_string_value(from);
	for (int m = ADAPT_OFF; text != NULL && m <= ADAPT_ON; m++) {
		if (strcmp(adapt_mode_name((enum adapt_mode)m), text) != 0)
			continue;
		*ret = (enum adapt_mode)m;
		return true;
	}
	return false;
}

static const char *header_read(
	const json_t *from, char ret_service[WEIR_NAME_SIZE], struct adapt_settings *ret)
{
	const char *service = json_string_value(json_object_get(from, "service"));
	const json_t *objective = json_object_get(from, "objective");
	if (json_integer_value(json_object_get(from, "weir_recording")) != RECORDING_VERSION)
		return "is not a recording of this version";
	if (service == NULL || strlen(service) >= WEIR_NAME_SIZE)
		return "names no service";
	ret->objective_s = json_number_value(objective);
	if (!json_is_number(objective) || ret->objective_s < 0 || ret->objective_s > 3600)
		return "has no objective";
	ret->sees_replies = json_is_true(json_object_get(from, "sees_replies"));
	ret->probed = json_is_true(json_object_get(from, "probed"));
	ret->is_tcp = json_is_true(json_object_get(from, "tcp"));
	ret->sticks = json_is_true(json_object_get(from, "sticks"));
	for (int i = 0; i < ADAPT_CONTROLLER_COUNT; i++) {
		const json_t *mode = json_object_get(json_object_get(from, "modes"),
			adapt_controller_name((enum adapt_controller)i));
		/* It came later than the others. */
		if (mode == NULL && i == ADAPT_CORES)
			ret->mode[i] = ADAPT_OFF;
		else if (!mode_read(mode, &ret->mode[i]))
			return "lacks the mode of a controller";
	}
	json_int_t least = json_integer_value(json_object_get(from, "cores_min"));
	json_int_t most = json_integer_value(json_object_get(from, "cores_max"));
	if (least < 0 || most < least || most > WEIR_MAX_CORES)
		return "has a range of cores that cannot be";
	ret->cores_min = (unsigned int)least;
	ret->cores_max = (unsigned int)most;
	snprintf(ret_service, WEIR_NAME_SIZE, "%s", service);
	return NULL;
}

int recording_read_header(const char *line, size_t length, char ret_service[WEIR_NAME_SIZE],
	struct adapt_settings *ret_settings, char *err, size_t err_size)
{
	struct adapt_settings settings = { .gains = adapt_gains_preset };
	json_t *document = line_read(line, length, err, err_size);
	if (document == NULL)
		return -EINVAL;
	const char *wrong = header_read(document, ret_service, &settings);
	json_decref(document);
	if (wrong != NULL) {
		snprintf(err, err_size, "%s", wrong);
		return -EINVAL;
	}
	*ret_settings = settings;
	return 0;
}

static const char *backend_read(const json_t *from, struct adapt_backend_signals *b,
	struct adapt_histogram *tail, struct adapt_found *found)
{
	json_int_t port = json_integer_value(json_object_get(from, "port"));
	json_int_t weight = json_integer_value(json_object_get(from, "weight"));
	json_int_t whole = json_integer_value(json_object_get(from, "whole"));
	const json_t *tails = json_object_get(from, "tail");
	const json_t *founds = json_object_get(from, "found");
	if (!address_read(json_object_get(from, "address"), b->address))
		return "has a backend without an address";
	if (port < 0 || port > UINT16_MAX || weight < 0 || weight > UINT16_MAX || whole < 0 ||
		whole > UINT16_MAX)
		return "has a backend with a bad port or weight";
	b->port = (uint16_t)port;
	b->weight = (uint16_t)weight;
	b->whole = (uint16_t)whole;
	b->usable = json_is_true(json_object_get(from, "usable"));
	b->probed = json_is_true(json_object_get(from, "probed"));
	b->blind = json_is_true(json_object_get(from, "blind"));
	if (!fields_read(from, backend_fields, COUNT(backend_fields), b))
		return "has a backend that lacks a number";
	b->found = founds != NULL ? found : NULL;
	if (founds != NULL && !found_read(founds, found))
		return "has a bad list of what requests found";
	b->tail = tails != NULL ? tail : NULL;
	return tails == NULL || tail_read(tails, tail) ? NULL : "has a bad histogram";
}

static const char *tick_read(const json_t *from, struct adapt_signals *s)
{
	const json_t *backends = json_object_get(from, "backends");
	const json_t *sources = json_object_get(from, "sources");
	size_t backend_count = json_array_size(backends);
	size_t source_count = json_array_size(sources);
	if (!fields_read(from, tick_fields, COUNT(tick_fields), s))
		return "lacks a number";
	if (backend_count > WEIR_MAX_BACKENDS_PER_SERVICE || source_count > SOURCES_MOST)
		return "has too many backends or sources";
	s->backends = calloc(backend_count + 1, sizeof(*s->backends));
	s->tails = calloc(backend_count + 1, sizeof(*s->tails));
	s->founds = calloc(backend_count + 1, sizeof(*s->founds));
	s->sources = calloc(source_count + 1, sizeof(*s->sources));
	if (s->backends == NULL || s->tails == NULL || s->founds == NULL || s->sources == NULL)
		return "does not fit into memory";
	for (; s->backend_count < backend_count; s->backend_count++) {
		const char *wrong = backend_read(json_array_get(backends, s->backend_count),
			&s->backends[s->backend_count], &s->tails[s->backend_count],
			&s->founds[s->backend_count]);
		if (wrong != NULL)
			return wrong;
	}
	for (; s->source_count < source_count; s->source_count++) {
		const json_t *item = json_array_get(sources, s->source_count);
		struct adapt_source_signals *to = &s->sources[s->source_count];
		for (int k = 0; k < ADAPT_RESOURCE_COUNT; k++)
			to->rate[k] =
				fmax(0, json_number_value(json_array_get(item, 1 + (size_t)k)));
		if (!address_read(json_array_get(item, 0), to->prefix))
			return "has a source without an address";
	}
	return classes_read(json_object_get(from, "classes"), s);
}

int recording_read_tick(const char *line, size_t length, struct adapt_signals *ret_signals,
	char *err, size_t err_size)
{
	struct adapt_signals s = { 0 };
	json_t *document = line_read(line, length, err, err_size);
	if (document == NULL)
		return -EINVAL;
	const char *wrong = tick_read(document, &s);
	json_decref(document);
	if (wrong != NULL) {
		snprintf(err, err_size, "%s", wrong);
		signals_free(&s);
		return -EINVAL;
	}
	*ret_signals = s;
	return 0;
}
