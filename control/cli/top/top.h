/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The live view: what its parts share.
 *
 *   top_poll    a thread that asks the daemon        top_model   answers to rows and figures: pure
 *   top_keys    keys to what is looked at: pure      top_view    all of it to the screen
 *   command_top.c  options and the loop
 */

#ifndef WEIR_CLI_TOP_TOP_H
#define WEIR_CLI_TOP_TOP_H

#include "control/cli/printer.h"

#include <jansson.h>

#include <stdbool.h>
#include <stddef.h>

enum top_page {
	TOP_SERVICES,
	TOP_BACKENDS,
	TOP_CORES,
	TOP_TABLES, /* how many pages are tables */
	TOP_HISTOGRAM = TOP_TABLES,
	TOP_PAGES
};

enum top_measure {
	TOP_RESIDENCE,
	TOP_CONNECT,
	TOP_FIRST_BYTE,
	TOP_MEASURES
};

#define TOP_COLUMNS_MAX 20
#define TOP_ID_SIZE	160

/* What a table page shows: columns as for the printer, and how its items are told apart. */
struct top_table {
	const char *title; /* "services" */
	const char *list; /* key of the daemon's answer */
	const struct printer_column *columns;
	size_t column_count;
	size_t frozen; /* columns that stay when others are scrolled sideways */
	const char *empty; /* what to say when there is nothing */
};
extern const struct top_table top_tables[TOP_TABLES];
extern const char *const top_measure_keys[TOP_MEASURES]; /* "residence" */
extern const char *const top_measure_titles[TOP_MEASURES];

/* Where the user is in a table. */
struct top_place {
	char selected[TOP_ID_SIZE]; /* id of the selected item; "": the first */
	size_t row; /* of the selected item in the order shown */
	size_t first_row; /* the uppermost one shown */
	size_t first_column; /* scrolled sideways, behind the frozen ones */
	int sort; /* column; -1: the order of the configuration */
	bool reverse;
};

/* What the user wants to see. */
struct top_state {
	enum top_page page;
	struct top_place places[TOP_TABLES];
	char of_service[64]; /* backends of this one only; "": of all */
	char service[64]; /* whose histogram */
	char backend[80]; /* "": of all backends together */
	enum top_page from; /* the page that the histogram was opened on */
	enum top_measure measure;
	bool total; /* since the start, not the last ten seconds */
	bool help;
	bool paused;
	bool colour;
	bool quit;
	double interval_s;
};

/* What is known: the newest answer, with rates, and what is wrong at the moment. */
struct top_data {
	json_t *live; /* result of live.show, rates added; NULL: none yet; owned */
	json_t *histogram; /* result of histogram.show; NULL: none; owned */
	char error[512]; /* why there was no newer answer; "": there was */
	double error_since; /* CLOCK_MONOTONIC, seconds */
	size_t *order[TOP_TABLES]; /* indices of items as they are shown; owned */
	size_t count[TOP_TABLES];
};

/* top_model.c */

/*
 * Take an answer in place of the one before; rates are of what has grown in between. The new one is
 * stolen. live may be NULL when there was an error.
 */
void top_data_take(struct top_data *d, json_t *live, json_t *histogram);
void top_data_fini(struct top_data *d);
/* Put a page's items into the order wanted, and find the selected one again. */
void top_data_order(struct top_data *d, struct top_state *s, enum top_page page);
/* Item in row `row`; NULL when there is none. Borrowed. */
const json_t *top_data_item(const struct top_data *d, enum top_page page, size_t row);
/* What tells an item from others on its page: "web", "web 10.0.0.1:80", "3". Returns buf. */
const char *top_item_id(const json_t *item, enum top_page page, char *buf, size_t size);
/* Sums over all services: {rates: {...}, flows}. New reference; NULL when nothing is known. */
json_t *top_totals(const struct top_data *d);

/* top_histogram.c */

struct top_bar {
	double from_s; /* lower end */
	double count;
	bool has_p50;
	bool has_p99;
	bool has_p999;
	bool has_p9999;
};
/*
 * Buckets ([[seconds, count], ...]) as at most max_bars bars of equal width on a logarithmic scale, from
 * the first that is not empty to the last. Returns how many.
 */
size_t top_bars(const json_t *histogram, struct top_bar *ret_bars, size_t max_bars);

/* top_keys.c: what a key (of curses) changes. Returns true when the daemon has to be asked at once. */
bool top_key(struct top_state *s, const struct top_data *d, int key, size_t page_rows);

/* top_view.c. Lines of the body of a table, for paging. */
size_t top_view_rows(void);
void top_view_draw(struct top_state *s, struct top_data *d, const char *instance);

#endif
