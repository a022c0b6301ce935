/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/cli/top/top.h"

#include <curses.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INTERVAL_LEAST 0.2
#define INTERVAL_MOST  60.0

static const char *text_of(const json_t *item, const char *key)
{
	const char *text = json_string_value(json_object_get(item, key));
	return text != NULL ? text : "";
}

static bool is_table(enum top_page page)
{
	return page < TOP_TABLES;
}

/* The histograms of what is selected on the page that they were opened from. */
static void histogram_aim(struct top_state *s, const struct top_data *d)
{
	static const struct printer_column endpoint = { "", "", PRINT_ENDPOINT };
	const json_t *item = top_data_item(d, s->from, s->places[s->from].row);
	bool of_backend = s->from == TOP_BACKENDS;
	if (item == NULL)
		return;
	snprintf(s->service, sizeof(s->service), "%s",
		text_of(item, of_backend ? "service" : "name"));
	s->backend[0] = '\0';
	if (!of_backend)
		return;
	char *text = printer_cell(item, &endpoint);
	snprintf(s->backend, sizeof(s->backend), "%s", text != NULL ? text : "");
	free(text);
	/* Of a backend there is no time in Weir. */
	if (s->measure == TOP_RESIDENCE)
		s->measure = TOP_CONNECT;
}

static void open_page(struct top_state *s, const struct top_data *d, enum top_page page)
{
	if (page == TOP_HISTOGRAM && s->page != TOP_HISTOGRAM) {
		s->from = s->page == TOP_BACKENDS ? TOP_BACKENDS : TOP_SERVICES;
		histogram_aim(s, d);
	}
	if (page == TOP_BACKENDS && s->page != TOP_HISTOGRAM)
		s->of_service[0] = '\0';
	s->page = page;
}

static void backends_of_selected(struct top_state *s, const struct top_data *d)
{
	const json_t *item = top_data_item(d, TOP_SERVICES, s->places[TOP_SERVICES].row);
	if (item == NULL)
		return;
	s->page = TOP_BACKENDS;
	snprintf(s->of_service, sizeof(s->of_service), "%s", text_of(item, "name"));
	s->places[TOP_BACKENDS].row = s->places[TOP_BACKENDS].first_row = 0;
	s->places[TOP_BACKENDS].selected[0] = '\0';
}

static void go_back(struct top_state *s)
{
	if (s->page == TOP_HISTOGRAM)
		s->page = s->from;
	else if (s->page == TOP_BACKENDS)
		s->page = TOP_SERVICES;
	s->of_service[0] = s->page == TOP_BACKENDS ? s->of_service[0] : '\0';
}

/* The page whose selection the arrows move: histograms follow that of their table. */
static enum top_page moved_page(const struct top_state *s)
{
	return is_table(s->page) ? s->page : s->from;
}

static void move_to(struct top_state *s, const struct top_data *d, long row)
{
	enum top_page page = moved_page(s);
	struct top_place *place = &s->places[page];
	long last = d->count[page] > 0 ? (long)d->count[page] - 1 : 0;
	place->row = (size_t)(row < 0 ? 0 : row > last ? last : row);
	const json_t *item = top_data_item(d, page, place->row);
	if (item != NULL)
		top_item_id(item, page, place->selected, sizeof(place->selected));
	if (s->page == TOP_HISTOGRAM)
		histogram_aim(s, d);
}

static bool move_key(struct top_state *s, const struct top_data *d, int key, size_t page_rows)
{
	long row = (long)s->places[moved_page(s)].row,
	     rows = page_rows > 1 ? (long)page_rows - 1 : 1;
	switch (key) {
	case KEY_UP:
	case 'k':
		move_to(s, d, row - 1);
		return true;
	case KEY_DOWN:
	case 'j':
		move_to(s, d, row + 1);
		return true;
	case KEY_PPAGE:
		move_to(s, d, row - rows);
		return true;
	case KEY_NPAGE:
		move_to(s, d, row + rows);
		return true;
	case KEY_HOME:
	case 'g':
		move_to(s, d, 0);
		return true;
	case KEY_END:
	case 'G':
		move_to(s, d, (long)d->count[moved_page(s)] - 1);
		return true;
	default:
		return false;
	}
}

/* Keys of tables; true when it was one. */
static bool table_key(struct top_state *s, int key)
{
	struct top_place *place = &s->places[s->page];
	const struct top_table *table = &top_tables[s->page];
	switch (key) {
	case KEY_LEFT:
		place->first_column -= place->first_column > 0;
		return true;
	case KEY_RIGHT:
		place->first_column +=
			place->first_column + table->frozen + 1 < table->column_count;
		return true;
	case '>':
	case 's':
		place->sort = place->sort + 1 < (int)table->column_count ? place->sort + 1 : -1;
		return true;
	case '<':
	case 'S':
		place->sort = place->sort >= 0 ? place->sort - 1 : (int)table->column_count - 1;
		return true;
	case 'r':
		place->reverse = !place->reverse;
		return true;
	default:
		return false;
	}
}

static bool histogram_key(struct top_state *s, int key)
{
	switch (key) {
	case 'm':
	case KEY_RIGHT:
		s->measure = (s->measure + 1) % TOP_MEASURES;
		return true;
	case KEY_LEFT:
		s->measure = (s->measure + TOP_MEASURES - 1) % TOP_MEASURES;
		return true;
	case 't':
		s->total = !s->total;
		return true;
	default:
		return false;
	}
}

static void interval_set(struct top_state *s, double seconds)
{
	s->interval_s = seconds < INTERVAL_LEAST ? INTERVAL_LEAST :
		seconds > INTERVAL_MOST		 ? INTERVAL_MOST :
						   seconds;
}

static bool page_key(struct top_state *s, const struct top_data *d, int key)
{
	switch (key) {
	case '1':
	case '2':
	case '3':
	case '4':
		open_page(s, d, (enum top_page)(key - '1'));
		return true;
	case '\t':
		open_page(s, d, (s->page + 1) % TOP_PAGES);
		return true;
	case KEY_BTAB:
		open_page(s, d, (s->page + TOP_PAGES - 1) % TOP_PAGES);
		return true;
	case 'h':
		open_page(s, d, TOP_HISTOGRAM);
		return true;
	case '\n':
	case '\r':
	case KEY_ENTER:
		if (s->page == TOP_SERVICES)
			backends_of_selected(s, d);
		else if (s->page == TOP_BACKENDS)
			open_page(s, d, TOP_HISTOGRAM);
		return true;
	case 27: /* Escape */
	case KEY_BACKSPACE:
	case 127:
		go_back(s);
		return true;
	default:
		return false;
	}
}

static bool other_key(struct top_state *s, int key)
{
	switch (key) {
	case 'q':
	case 'Q':
		s->quit = true;
		return false;
	case '?':
		s->help = true;
		return false;
	case 'c':
		s->colour = !s->colour;
		return false;
	case 'p':
	case ' ':
		s->paused = !s->paused;
		return !s->paused;
	case '+':
		interval_set(s, s->interval_s / 2);
		return true;
	case '-':
		interval_set(s, s->interval_s * 2);
		return true;
	default:
		return false;
	}
}

bool top_key(struct top_state *s, const struct top_data *d, int key, size_t page_rows)
{
	if (s->help) {
		s->help = false;
		s->quit = key == 'q';
		return false;
	}
	if (page_key(s, d, key))
		return true;
	if (move_key(s, d, key, page_rows))
		return s->page == TOP_HISTOGRAM;
	if (is_table(s->page) ? table_key(s, key) : histogram_key(s, key))
		return false;
	return other_key(s, key);
}
