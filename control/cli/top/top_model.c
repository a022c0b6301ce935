/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/cli/top/top.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct printer_column services[] = {
	{ "NAME", "name", PRINT_TEXT },
	{ "IN/s", "rates.packets_received", PRINT_COUNT },
	{ "OUT/s", "rates.packets_transmitted", PRINT_COUNT },
	{ "DROP/s", "rates.dropped", PRINT_COUNT },
	{ "IN", "rates.bits_received", PRINT_BITS },
	{ "OUT", "rates.bits_transmitted", PRINT_BITS },
	{ "FLOWS", "flows", PRINT_COUNT },
	{ "NEW/s", "rates.new_flows", PRINT_COUNT },
	{ "P50", "residence.p50", PRINT_SECONDS },
	{ "P99", "residence.p99", PRINT_SECONDS },
	{ "P99.9", "residence.p999", PRINT_SECONDS },
	{ "ADAPTATION", "adaptation", PRINT_TEXT },
	{ "ADDRESS", "", PRINT_ENDPOINT },
	{ "PROTO", "protocol", PRINT_TEXT },
	{ "MODE", "mode", PRINT_TEXT },
	{ "CORES", "cores", PRINT_LIST },
	{ "DROPPED SO FAR", "dropped", PRINT_COUNTERS },
};

static const struct printer_column backends[] = {
	{ "SERVICE", "service", PRINT_TEXT },
	{ "BACKEND", "", PRINT_ENDPOINT },
	{ "STATE", "state", PRINT_TEXT },
	{ "WEIGHT", "weight_in_force", PRINT_COUNT },
	{ "FLOWS", "flows", PRINT_COUNT },
	{ "NEW/s", "rates.new_flows", PRINT_COUNT },
	{ "CONNECT P50", "connect.p50", PRINT_SECONDS },
	{ "P99", "connect.p99", PRINT_SECONDS },
	{ "1ST BYTE P50", "first_byte.p50", PRINT_SECONDS },
	{ "P99", "first_byte.p99", PRINT_SECONDS },
	{ "TO/s", "rates.packets", PRINT_COUNT },
	{ "FROM/s", "rates.packets_from", PRINT_COUNT },
	{ "TO", "rates.bits", PRINT_BITS },
	{ "FROM", "rates.bits_from", PRINT_BITS },
	{ "HEALTH", "health.reason", PRINT_TEXT },
};

static const struct printer_column cores[] = {
	{ "CPU", "cpu", PRINT_COUNT },
	{ "NODE", "node", PRINT_TEXT },
	{ "BUSY", "busy", PRINT_SHARE },
	{ "PACKETS/s", "rates.packets", PRINT_COUNT },
	{ "BURSTS/s", "rates.bursts", PRINT_COUNT },
	{ "A BURST", "packets_per_burst", PRINT_COUNT },
	{ "CYCLES", "cycles_per_packet", PRINT_COUNT },
	{ "SLEEPS/s", "rates.sleeps", PRINT_COUNT },
	{ "ROLES", "roles", PRINT_LIST },
	{ "SERVICES", "services", PRINT_LIST },
	{ "CYCLES BY STAGE", "stages", PRINT_COUNTERS },
};

const struct top_table top_tables[TOP_TABLES] = {
	[TOP_SERVICES] = { "services", "services", services, PRINTER_COUNT(services), 1,
		"no services are configured" },
	[TOP_BACKENDS] = { "backends", "backends", backends, PRINTER_COUNT(backends), 2,
		"no backends are configured" },
	[TOP_CORES] = { "cores", "cores", cores, PRINTER_COUNT(cores), 1,
		"the data plane has no cores" },
};

/* What becomes a rate: factor times the growth of `counter` (an object: of its sum) a second. */
static const struct rate {
	enum top_page page;
	const char *counter;
	const char *name;
	double factor;
} rates[] = {
	{ TOP_SERVICES, "packets_received", "packets_received", 1 },
	{ TOP_SERVICES, "packets_transmitted", "packets_transmitted", 1 },
	{ TOP_SERVICES, "bytes_received", "bits_received", 8 },
	{ TOP_SERVICES, "bytes_transmitted", "bits_transmitted", 8 },
	{ TOP_SERVICES, "new_flows", "new_flows", 1 },
	{ TOP_SERVICES, "dropped", "dropped", 1 },
	{ TOP_BACKENDS, "packets", "packets", 1 },
	{ TOP_BACKENDS, "packets_from", "packets_from", 1 },
	{ TOP_BACKENDS, "bytes", "bits", 8 },
	{ TOP_BACKENDS, "bytes_from", "bits_from", 8 },
	{ TOP_BACKENDS, "new_flows", "new_flows", 1 },
	{ TOP_CORES, "packets", "packets", 1 },
	{ TOP_CORES, "bursts", "bursts", 1 },
	{ TOP_CORES, "sleeps", "sleeps", 1 },
};

const char *top_item_id(const json_t *item, enum top_page page, char *buf, size_t size)
{
	static const struct printer_column endpoint = { "", "", PRINT_ENDPOINT };
	const char *service = json_string_value(json_object_get(item, "service"));
	const char *name = json_string_value(json_object_get(item, "name"));
	if (page == TOP_BACKENDS) {
		char *text = printer_cell(item, &endpoint);
		snprintf(buf, size, "%s %s", service != NULL ? service : "",
			text != NULL ? text : "");
		free(text);
	} else if (page == TOP_SERVICES) {
		snprintf(buf, size, "%s", name != NULL ? name : "");
	} else {
		snprintf(buf, size, "%d", (int)json_integer_value(json_object_get(item, "cpu")));
	}
	return buf;
}

static double counter_of(const json_t *item, const char *key)
{
	json_t *value = json_object_get(item, key), *part;
	const char *reason;
	double sum = 0;
	if (!json_is_object(value))
		return json_is_number(value) ? json_number_value(value) : NAN;
	json_object_foreach(value, reason, part)
	{
		sum += json_number_value(part);
	}
	return sum;
}

/* A counter that went back belongs to something else of the same name: no rate this time. */
static json_t *rates_of(enum top_page page, const json_t *now, const json_t *before, double seconds)
{
	json_t *o = json_object();
	for (size_t i = 0; i < PRINTER_COUNT(rates); i++) {
		if (rates[i].page != page)
			continue;
		double growth =
			counter_of(now, rates[i].counter) - counter_of(before, rates[i].counter);
		json_object_set_new(o, rates[i].name,
			before != NULL && growth >= 0 ?
				json_real(growth * rates[i].factor / seconds) :
				json_null());
	}
	return o;
}

static void add_rates(
	enum top_page page, json_t *items, const json_t *before, double seconds, bool same_moment)
{
	char id[TOP_ID_SIZE];
	json_t *item, *known = json_object();
	size_t i;
	json_array_foreach(before, i, item)
	{
		json_object_set(known, top_item_id(item, page, id, sizeof(id)), item);
	}
	json_array_foreach(items, i, item)
	{
		json_t *old = json_object_get(known, top_item_id(item, page, id, sizeof(id)));
		json_t *kept = same_moment ? json_object_get(old, "rates") : NULL;
		if (kept != NULL)
			json_object_set(item, "rates", kept);
		else
			json_object_set_new(item, "rates",
				rates_of(page, item, seconds > 0 ? old : NULL, seconds));
	}
	json_decref(known);
}

/* Seconds between two answers of the same data plane; 0 when they have nothing to do with each other. */
static double seconds_between(const json_t *now, const json_t *before)
{
	const json_t *pid = printer_at(now, "dataplane.pid");
	double seconds = json_number_value(json_object_get(now, "taken")) -
		json_number_value(json_object_get(before, "taken"));
	return before != NULL && json_is_integer(pid) &&
			json_equal(pid, printer_at(before, "dataplane.pid")) && seconds > 0 ?
		seconds :
		0;
}

void top_data_take(struct top_data *d, json_t *live, json_t *histogram)
{
	/* After an error, what was known stays. */
	if (live == NULL)
		return;
	double seconds = seconds_between(live, d->live);
	const json_t *taken = json_object_get(live, "taken");
	bool same_moment = seconds == 0 && json_is_real(taken) &&
		json_equal(taken, json_object_get(d->live, "taken"));
	for (int page = 0; page < TOP_TABLES; page++)
		add_rates((enum top_page)page, json_object_get(live, top_tables[page].list),
			json_object_get(d->live, top_tables[page].list), seconds, same_moment);
	json_decref(d->live);
	json_decref(d->histogram);
	d->live = live;
	d->histogram = histogram;
}

void top_data_fini(struct top_data *d)
{
	json_decref(d->live);
	json_decref(d->histogram);
	for (int page = 0; page < TOP_TABLES; page++)
		free(d->order[page]);
	*d = (struct top_data){ 0 };
}

/* What an item is ordered by. */
struct rank {
	double number; /* NAN: it is a text, or nothing */
	char *text; /* owned */
	size_t index;
};

static struct rank rank_of(const json_t *item, const struct printer_column *column, size_t index)
{
	struct rank r = { .number = NAN, .index = index };
	const json_t *value = printer_at(item, column->path);
	bool is_sum = column->format == PRINT_COUNTERS || column->format == PRINT_SUM;
	if (is_sum && json_is_object(value))
		r.number = counter_of(item, column->path);
	else if (json_is_number(value) && column->path[0] != '\0')
		r.number = json_number_value(value);
	else if (!json_is_null(value) && value != NULL)
		r.text = printer_cell(item, column);
	return r;
}

/* Large figures first, texts by the alphabet, nothing last; else as configured. */
static int rank_compare(const void *a, const void *b, void *reverse)
{
	const struct rank *x = a, *y = b;
	int order = 0;
	bool x_nothing = isnan(x->number) && x->text == NULL;
	bool y_nothing = isnan(y->number) && y->text == NULL;
	if (x_nothing != y_nothing)
		return x_nothing ? 1 : -1;
	if (!isnan(x->number) && !isnan(y->number))
		order = x->number > y->number ? -1 : x->number < y->number;
	else if (x->text != NULL && y->text != NULL)
		order = strverscmp(x->text, y->text);
	if (*(const bool *)reverse)
		order = -order;
	return order != 0 ? order : x->index < y->index ? -1 : 1;
}

static void sort_items(
	struct top_data *d, const struct top_place *place, enum top_page page, json_t *items)
{
	size_t count = d->count[page];
	struct rank *ranks = calloc(count + 1, sizeof(*ranks));
	bool reverse = place->reverse;
	if (ranks == NULL)
		return;
	for (size_t i = 0; i < count; i++)
		ranks[i] = rank_of(
			json_array_get(items, i), &top_tables[page].columns[place->sort], i);
	qsort_r(ranks, count, sizeof(*ranks), rank_compare, &reverse);
	for (size_t i = 0; i < count; i++) {
		d->order[page][i] = ranks[i].index;
		free(ranks[i].text);
	}
	free(ranks);
}

/* Backends may still be those of the service before; then they are not shown. */
static bool is_wanted(const struct top_state *s, enum top_page page, const json_t *item)
{
	const char *service = json_string_value(json_object_get(item, "service"));
	return page != TOP_BACKENDS || s->of_service[0] == '\0' ||
		(service != NULL && strcmp(service, s->of_service) == 0);
}

/* The selected item's row; when it is gone, who has come to its place is selected. */
static void find_selected(struct top_data *d, struct top_place *place, enum top_page page)
{
	char id[TOP_ID_SIZE];
	for (size_t row = 0; row < d->count[page]; row++) {
		top_item_id(top_data_item(d, page, row), page, id, sizeof(id));
		if (strcmp(id, place->selected) != 0)
			continue;
		place->row = row;
		return;
	}
	if (place->row >= d->count[page])
		place->row = d->count[page] > 0 ? d->count[page] - 1 : 0;
	if (d->count[page] > 0)
		top_item_id(top_data_item(d, page, place->row), page, place->selected,
			sizeof(place->selected));
}

void top_data_order(struct top_data *d, struct top_state *s, enum top_page page)
{
	struct top_place *place = &s->places[page];
	json_t *items = json_object_get(d->live, top_tables[page].list);
	size_t size = json_array_size(items), count = 0;
	size_t *order = realloc(d->order[page], (size + 1) * sizeof(*order));
	if (order == NULL)
		return;
	for (size_t i = 0; i < size; i++) {
		size_t index = place->reverse && place->sort < 0 ? size - 1 - i : i;
		if (is_wanted(s, page, json_array_get(items, index)))
			order[count++] = index;
	}
	d->order[page] = order;
	d->count[page] = count;
	if (place->sort >= 0)
		sort_items(d, place, page, items);
	find_selected(d, place, page);
}

const json_t *top_data_item(const struct top_data *d, enum top_page page, size_t row)
{
	const json_t *items = json_object_get(d->live, top_tables[page].list);
	return row < d->count[page] ? json_array_get(items, d->order[page][row]) : NULL;
}

json_t *top_totals(const struct top_data *d)
{
	json_t *items = json_object_get(d->live, "services"), *item, *sums = json_object();
	double flows = 0;
	size_t i;
	if (json_array_size(items) == 0) {
		json_decref(sums);
		return NULL;
	}
	for (size_t r = 0; r < PRINTER_COUNT(rates); r++) {
		double sum = 0;
		bool known = false;
		if (rates[r].page != TOP_SERVICES)
			continue;
		json_array_foreach(items, i, item)
		{
			json_t *rate =
				json_object_get(json_object_get(item, "rates"), rates[r].name);
			known |= json_is_number(rate);
			sum += json_number_value(rate);
		}
		json_object_set_new(sums, rates[r].name, known ? json_real(sum) : json_null());
	}
	json_array_foreach(items, i, item)
	{
		flows += json_number_value(json_object_get(item, "flows"));
	}
	return json_pack("{s:o, s:f}", "rates", sums, "flows", flows);
}
