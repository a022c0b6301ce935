/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/cli/top/top.h"
#include "tests/unit/tap.h"

#include <curses.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static json_t *json(const char *text)
{
	json_t *o = json_loads(text, JSON_DECODE_ANY, NULL);
	CU_ASSERT_PTR_NOT_NULL_FATAL(o);
	return o;
}

/* An answer of a data plane `pid` at a moment; the counters of web and dns are n times so much. */
static json_t *answer(int pid, double taken, int n)
{
	return json_pack("{s:f, s:{s:s, s:i}, s:["
			 "{s:s, s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:{s:i, s:i}, s:{s:f}},"
			 "{s:s, s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:{}, s:{s:n}}],"
			 "s:[{s:s, s:s, s:i, s:i}, {s:s, s:s, s:i, s:i}, {s:s, s:s, s:i, s:i}],"
			 "s:[{s:i, s:i, s:i, s:i}]}",
		"taken", taken, "dataplane", "state", "running", "pid", pid, "services",
		/* web */
		"name", "web", "address", "203.0.113.10", "port", 80, "packets_received", 1000 * n,
		"packets_transmitted", 900 * n, "bytes_received", 100000 * n, "bytes_transmitted",
		50000 * n, "new_flows", 10 * n, "flows", 5, "dropped", "no_flow", 60 * n,
		"fragment", 40 * n, "residence", "p99", 0.001,
		/* dns */
		"name", "dns", "address", "203.0.113.53", "port", 53, "packets_received", 3000 * n,
		"packets_transmitted", 3000 * n, "bytes_received", 1 * n, "bytes_transmitted",
		1 * n, "new_flows", 0, "flows", 7, "dropped", "residence", "p99",
		/* */
		"backends", "service", "web", "address", "10.0.0.9", "port", 80, "packets", 1 * n,
		"service", "web", "address", "10.0.0.10", "port", 80, "packets", 5 * n, "service",
		"dns", "address", "10.0.0.9", "port", 80, "packets", 3 * n, "cores", "cpu", 2,
		"packets", 100 * n, "bursts", 10 * n, "sleeps", 0);
}

static struct top_state fresh(void)
{
	struct top_state s = { .interval_s = 1 };
	for (int i = 0; i < TOP_TABLES; i++)
		s.places[i].sort = -1;
	return s;
}

static void order_all(struct top_data *d, struct top_state *s)
{
	for (int page = 0; page < TOP_TABLES; page++)
		top_data_order(d, s, (enum top_page)page);
}

static double rate(const struct top_data *d, enum top_page page, size_t row, const char *path)
{
	const json_t *value = printer_at(top_data_item(d, page, row), path);
	return json_is_number(value) ? json_number_value(value) : NAN;
}

static bool shows(const struct top_data *d, enum top_page page, const char *ids)
{
	char text[512] = "", id[TOP_ID_SIZE];
	for (size_t row = 0; row < d->count[page]; row++) {
		strcat(text, row > 0 ? ", " : "");
		strcat(text, top_item_id(top_data_item(d, page, row), page, id, sizeof(id)));
	}
	if (strcmp(text, ids) != 0)
		printf("# %s, expected %s\n", text, ids);
	return strcmp(text, ids) == 0;
}

static void rates_are_growth_between_two_answers(void)
{
	struct top_data d = { 0 };
	struct top_state s = fresh();
	top_data_take(&d, answer(1, 100, 1), NULL);
	order_all(&d, &s);
	CU_ASSERT(isnan(rate(&d, TOP_SERVICES, 0, "rates.packets_received")));
	top_data_take(&d, answer(1, 102, 2), NULL);
	order_all(&d, &s);
	CU_ASSERT_EQUAL(rate(&d, TOP_SERVICES, 0, "rates.packets_received"), 500);
	CU_ASSERT_EQUAL(rate(&d, TOP_SERVICES, 0, "rates.bits_received"), 400000);
	CU_ASSERT_EQUAL(rate(&d, TOP_SERVICES, 0, "rates.dropped"), 50);
	CU_ASSERT_EQUAL(rate(&d, TOP_SERVICES, 0, "rates.new_flows"), 5);
	CU_ASSERT_EQUAL(rate(&d, TOP_BACKENDS, 1, "rates.packets"), 2.5);
	CU_ASSERT_EQUAL(rate(&d, TOP_CORES, 0, "rates.packets"), 50);
	json_t *totals = top_totals(&d);
	CU_ASSERT_EQUAL(json_number_value(printer_at(totals, "rates.packets_received")), 2000);
	CU_ASSERT_EQUAL(json_number_value(printer_at(totals, "flows")), 12);
	json_decref(totals);
	top_data_fini(&d);
}

static void there_are_no_rates_across_a_restart(void)
{
	struct top_data d = { 0 };
	struct top_state s = fresh();
	top_data_take(&d, answer(1, 100, 5), NULL);
	/* Another process. */
	top_data_take(&d, answer(2, 102, 6), NULL);
	order_all(&d, &s);
	CU_ASSERT(isnan(rate(&d, TOP_SERVICES, 0, "rates.packets_received")));
	/* A service that was removed and came back: its counter went back. */
	top_data_take(&d, answer(2, 103, 1), NULL);
	order_all(&d, &s);
	CU_ASSERT(isnan(rate(&d, TOP_SERVICES, 0, "rates.packets_received")));
	top_data_take(&d, answer(2, 104, 2), NULL);
	order_all(&d, &s);
	CU_ASSERT_EQUAL(rate(&d, TOP_SERVICES, 0, "rates.packets_received"), 1000);
	top_data_fini(&d);
}

static void the_same_moment_twice_keeps_the_rates(void)
{
	struct top_data d = { 0 };
	struct top_state s = fresh();
	top_data_take(&d, answer(1, 100, 1), NULL);
	top_data_take(&d, answer(1, 101, 2), NULL);
	top_data_take(&d, answer(1, 101, 2), NULL);
	order_all(&d, &s);
	CU_ASSERT_EQUAL(rate(&d, TOP_SERVICES, 0, "rates.packets_received"), 1000);
	top_data_fini(&d);
}

static void after_an_error_what_was_known_stays(void)
{
	struct top_data d = { 0 };
	struct top_state s = fresh();
	top_data_take(&d, answer(1, 100, 1), json("{\"service\": \"web\"}"));
	top_data_take(&d, NULL, NULL);
	order_all(&d, &s);
	CU_ASSERT(shows(&d, TOP_SERVICES, "web, dns"));
	CU_ASSERT_PTR_NOT_NULL(d.histogram);
	/* And a data plane that is not there has no services. */
	top_data_take(&d,
		json("{\"taken\": null, \"services\": [], \"dataplane\": {\"pid\": null}}"), NULL);
	order_all(&d, &s);
	CU_ASSERT(shows(&d, TOP_SERVICES, ""));
	CU_ASSERT_PTR_NULL(top_totals(&d));
	top_data_fini(&d);
}

static void items_come_in_the_order_wanted(void)
{
	struct top_data d = { 0 };
	struct top_state s = fresh();
	struct top_place *place = &s.places[TOP_SERVICES];
	top_data_take(&d, answer(1, 100, 1), NULL);
	top_data_take(&d, answer(1, 101, 2), NULL);
	order_all(&d, &s);
	CU_ASSERT(shows(&d, TOP_SERVICES, "web, dns"));
	place->reverse = true;
	order_all(&d, &s);
	CU_ASSERT(shows(&d, TOP_SERVICES, "dns, web"));
	place->reverse = false;
	for (size_t c = 0; c < top_tables[TOP_SERVICES].column_count; c++) {
		const char *path = top_tables[TOP_SERVICES].columns[c].path;
		place->sort = (int)c;
		order_all(&d, &s);
		if (strcmp(path, "name") == 0 || strcmp(path, "rates.packets_received") == 0)
			CU_ASSERT(shows(&d, TOP_SERVICES, "dns, web"));
		/* Large ones first; what has none comes last, also when turned around. */
		if (strcmp(path, "dropped") == 0 || strcmp(path, "residence.p99") == 0)
			CU_ASSERT(shows(&d, TOP_SERVICES, "web, dns"));
		if (strcmp(path, "residence.p99") != 0)
			continue;
		place->reverse = true;
		order_all(&d, &s);
		CU_ASSERT(shows(&d, TOP_SERVICES, "web, dns"));
		place->reverse = false;
	}
	/* Addresses as people count them. */
	s.places[TOP_BACKENDS].sort = 1;
	order_all(&d, &s);
	CU_ASSERT(shows(&d, TOP_BACKENDS, "web 10.0.0.9:80, dns 10.0.0.9:80, web 10.0.0.10:80"));
	top_data_fini(&d);
}

static void the_selection_follows_its_item(void)
{
	struct top_data d = { 0 };
	struct top_state s = fresh();
	top_data_take(&d, answer(1, 100, 1), NULL);
	order_all(&d, &s);
	CU_ASSERT_STRING_EQUAL(s.places[TOP_SERVICES].selected, "web");
	s.places[TOP_SERVICES].sort = 0;
	order_all(&d, &s);
	CU_ASSERT_EQUAL(s.places[TOP_SERVICES].row, 1);
	/* It is gone: the one in its place. */
	json_array_remove(json_object_get(d.live, "services"), 0);
	order_all(&d, &s);
	CU_ASSERT_EQUAL(s.places[TOP_SERVICES].row, 0);
	CU_ASSERT_STRING_EQUAL(s.places[TOP_SERVICES].selected, "dns");
	json_array_clear(json_object_get(d.live, "services"));
	order_all(&d, &s);
	CU_ASSERT_EQUAL(s.places[TOP_SERVICES].row, 0);
	CU_ASSERT_PTR_NULL(top_data_item(&d, TOP_SERVICES, 0));
	top_data_fini(&d);
}

/* Press keys, with the order brought up to date after each as the loop does. */
static bool press(struct top_state *s, struct top_data *d, const int *keys)
{
	bool at_once = false;
	for (; *keys != 0; keys++) {
		at_once = top_key(s, d, *keys, 10);
		order_all(d, s);
	}
	return at_once;
}

#define PRESS(s, d, ...) press(s, d, (const int[]){ __VA_ARGS__, 0 })

static void keys_move_through_pages_and_rows(void)
{
	struct top_data d = { 0 };
	struct top_state s = fresh();
	top_data_take(&d, answer(1, 100, 1), NULL);
	order_all(&d, &s);
	CU_ASSERT(!PRESS(&s, &d, KEY_DOWN, KEY_DOWN, KEY_DOWN));
	CU_ASSERT_STRING_EQUAL(s.places[TOP_SERVICES].selected, "dns");
	CU_ASSERT(PRESS(&s, &d, '\n'));
	CU_ASSERT_EQUAL(s.page, TOP_BACKENDS);
	CU_ASSERT_STRING_EQUAL(s.of_service, "dns");
	CU_ASSERT(shows(&d, TOP_BACKENDS, "dns 10.0.0.9:80"));
	CU_ASSERT(PRESS(&s, &d, '\n'));
	CU_ASSERT_EQUAL(s.page, TOP_HISTOGRAM);
	CU_ASSERT_STRING_EQUAL(s.service, "dns");
	CU_ASSERT_STRING_EQUAL(s.backend, "10.0.0.9:80");
	CU_ASSERT_EQUAL(s.measure, TOP_CONNECT);
	PRESS(&s, &d, 27);
	CU_ASSERT_EQUAL(s.page, TOP_BACKENDS);
	CU_ASSERT_STRING_EQUAL(s.of_service, "dns");
	PRESS(&s, &d, 27);
	CU_ASSERT_EQUAL(s.page, TOP_SERVICES);
	PRESS(&s, &d, '2');
	CU_ASSERT_EQUAL(d.count[TOP_BACKENDS], 3);
	PRESS(&s, &d, KEY_END);
	CU_ASSERT_EQUAL(s.places[TOP_BACKENDS].row, 2);
	PRESS(&s, &d, KEY_PPAGE);
	CU_ASSERT_EQUAL(s.places[TOP_BACKENDS].row, 0);
	PRESS(&s, &d, '3', '\t');
	CU_ASSERT_EQUAL(s.page, TOP_HISTOGRAM);
	PRESS(&s, &d, '\t', KEY_BTAB);
	CU_ASSERT_EQUAL(s.page, TOP_HISTOGRAM);
	top_data_fini(&d);
}

static void the_histogram_follows_the_selection(void)
{
	struct top_data d = { 0 };
	struct top_state s = fresh();
	top_data_take(&d, answer(1, 100, 1), NULL);
	order_all(&d, &s);
	PRESS(&s, &d, 'h');
	CU_ASSERT_STRING_EQUAL(s.service, "web");
	CU_ASSERT_STRING_EQUAL(s.backend, "");
	CU_ASSERT_EQUAL(s.measure, TOP_RESIDENCE);
	CU_ASSERT(PRESS(&s, &d, KEY_DOWN));
	CU_ASSERT_STRING_EQUAL(s.service, "dns");
	PRESS(&s, &d, 'm', 'm', 'm', 't');
	CU_ASSERT_EQUAL(s.measure, TOP_RESIDENCE);
	CU_ASSERT(s.total);
	PRESS(&s, &d, KEY_BACKSPACE);
	CU_ASSERT_EQUAL(s.page, TOP_SERVICES);
	top_data_fini(&d);
}

static void other_keys_do_what_the_help_says(void)
{
	struct top_data d = { 0 };
	struct top_state s = fresh();
	order_all(&d, &s);
	CU_ASSERT(!PRESS(&s, &d, 'p'));
	CU_ASSERT(s.paused);
	CU_ASSERT(PRESS(&s, &d, ' '));
	CU_ASSERT(!s.paused);
	PRESS(&s, &d, '+', '+', '+', '+');
	CU_ASSERT_EQUAL(s.interval_s, 0.2);
	for (int i = 0; i < 20; i++)
		PRESS(&s, &d, '-');
	CU_ASSERT_EQUAL(s.interval_s, 60);
	PRESS(&s, &d, '?');
	CU_ASSERT(s.help);
	PRESS(&s, &d, '2');
	CU_ASSERT(!s.help && s.page == TOP_SERVICES);
	PRESS(&s, &d, '<');
	CU_ASSERT_EQUAL(
		s.places[TOP_SERVICES].sort, (int)top_tables[TOP_SERVICES].column_count - 1);
	PRESS(&s, &d, 's', 's', 'r');
	CU_ASSERT_EQUAL(s.places[TOP_SERVICES].sort, 0);
	CU_ASSERT(s.places[TOP_SERVICES].reverse);
	for (int i = 0; i < 50; i++)
		PRESS(&s, &d, KEY_RIGHT);
	CU_ASSERT(s.places[TOP_SERVICES].first_column < top_tables[TOP_SERVICES].column_count);
	for (int i = 0; i < 50; i++)
		PRESS(&s, &d, KEY_LEFT);
	CU_ASSERT_EQUAL(s.places[TOP_SERVICES].first_column, 0);
	/* With nothing to select, nothing breaks. */
	PRESS(&s, &d, KEY_DOWN, KEY_UP, '\n', 'h', KEY_DOWN, 27, 27, 'j', 'k', 'g', 'G');
	PRESS(&s, &d, 'q');
	CU_ASSERT(s.quit);
	top_data_fini(&d);
}

static void bars_hold_every_value(void)
{
	struct top_bar bars[40];
	json_t *h = json(
		"{\"p50\": 0.001, \"p99\": 0.03, \"p999\": 0.03, \"p9999\": 0.03, \"buckets\": ["
		"[0.0000005, 1], [0.00001, 2], [0.001, 50], [0.0011, 7], [0.03, 5]]}");
	for (size_t room = 1; room <= 40; room++) {
		size_t count = top_bars(h, bars, room);
		double sum = 0;
		unsigned int p50 = 0;
		CU_ASSERT(count >= 1 && count <= room);
		for (size_t i = 0; i < count; i++) {
			sum += bars[i].count;
			p50 += bars[i].has_p50;
			CU_ASSERT(i == 0 || bars[i].from_s > bars[i - 1].from_s);
		}
		CU_ASSERT_EQUAL(sum, 65);
		CU_ASSERT(p50 <= 1);
	}
	/* About two bars an octave. */
	size_t count = top_bars(h, bars, 36);
	CU_ASSERT(count > 28 && count <= 36);
	CU_ASSERT_EQUAL(bars[0].from_s, 0);
	CU_ASSERT_EQUAL(bars[0].count, 1);
	CU_ASSERT(bars[count - 1].has_p99 && bars[count - 1].has_p999 && bars[count - 1].has_p9999);
	json_decref(h);
	h = json("{\"buckets\": []}");
	CU_ASSERT_EQUAL(top_bars(h, bars, 36), 0);
	CU_ASSERT_EQUAL(top_bars(NULL, bars, 36), 0);
	json_decref(h);
}

static const struct tap_case cases[] = {
	{ "rates are growth between two answers", rates_are_growth_between_two_answers },
	{ "there are no rates across a restart", there_are_no_rates_across_a_restart },
	{ "the same moment twice keeps the rates", the_same_moment_twice_keeps_the_rates },
	{ "after an error what was known stays", after_an_error_what_was_known_stays },
	{ "items come in the order wanted", items_come_in_the_order_wanted },
	{ "the selection follows its item", the_selection_follows_its_item },
	{ "keys move through pages and rows", keys_move_through_pages_and_rows },
	{ "the histogram follows the selection", the_histogram_follows_the_selection },
	{ "other keys do what the help says", other_keys_do_what_the_help_says },
	{ "bars hold every value", bars_hold_every_value },
};

TAP_MAIN("top", cases)
