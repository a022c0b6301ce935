/* SPDX-License-Identifier: BSD-3-Clause */

/* All that is on the screen. */

#include "control/cli/format.h"
#include "control/cli/top/top.h"

#include <curses.h>
#include <langinfo.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define HEAD_LINES 5 /* above the body: title, state, sums, pages, column titles */
#define FOOT_LINES 1
#define BARS_MAX   64
#define LABEL	   10 /* "1.02 ms" */

enum pair {
	PAIR_NONE,
	PAIR_GOOD,
	PAIR_WARN,
	PAIR_BAD
};

static const char *const page_titles[TOP_PAGES] = { "services", "backends", "cores", "histogram" };

static int line_count(void)
{
	return LINES > HEAD_LINES + FOOT_LINES ? LINES - HEAD_LINES - FOOT_LINES : 0;
}

size_t top_view_rows(void)
{
	return (size_t)line_count();
}

static attr_t coloured(const struct top_state *s, enum pair pair)
{
	static bool prepared;
	if (!s->colour || !has_colors())
		return pair == PAIR_BAD ? A_BOLD : A_NORMAL;
	if (!prepared) {
		start_color();
		use_default_colors();
		init_pair(PAIR_GOOD, COLOR_GREEN, -1);
		init_pair(PAIR_WARN, COLOR_YELLOW, -1);
		init_pair(PAIR_BAD, COLOR_RED, -1);
		prepared = true;
	}
	return (attr_t)COLOR_PAIR(pair) | (pair == PAIR_BAD ? A_BOLD : A_NORMAL);
}

/* Text at a place, cut at the right edge. */
static void put(int y, int x, attr_t attributes, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

static void put(int y, int x, attr_t attributes, const char *format, ...)
{
	char text[1024];
	va_list args;
	if (y < 0 || y >= LINES || x >= COLS)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	attrset(attributes);
	mvaddnstr(y, x, text, COLS - x);
	attrset(A_NORMAL);
}

static void bar_line(int y, const char *left, const char *right)
{
	attrset(A_REVERSE);
	mvhline(y, 0, ' ', COLS);
	attrset(A_NORMAL);
	put(y, 1, A_REVERSE, "%s", left);
	int at = COLS - (int)strlen(right) - 1;
	if (at > (int)strlen(left) + 2)
		put(y, at, A_REVERSE, "%s", right);
}

static double now_s(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void draw_title(const struct top_state *s, const char *instance)
{
	char left[160], right[64], clock[16];
	time_t now = time(NULL);
	struct tm tm;
	strftime(clock, sizeof(clock), "%H:%M:%S", localtime_r(&now, &tm));
	snprintf(left, sizeof(left), "weirctl top   instance %s", instance);
	if (s->paused)
		snprintf(right, sizeof(right), "PAUSED   %s", clock);
	else
		snprintf(right, sizeof(right), "every %g s   %s", s->interval_s, clock);
	bar_line(0, left, right);
}

static void draw_state(const struct top_state *s, const struct top_data *d)
{
	if (d->error[0] != '\0') {
		put(1, 0, coloured(s, PAIR_BAD), "%s; for %.0f s now, waiting for it to come back",
			d->error, now_s() - d->error_since);
		return;
	}
	const char *state = json_string_value(printer_at(d->live, "dataplane.state"));
	bool runs = state != NULL && strcmp(state, "running") == 0;
	char uptime[32] = "-";
	const json_t *since = printer_at(d->live, "dataplane.uptime");
	if (json_is_number(since))
		format_seconds(json_number_value(since), uptime, sizeof(uptime));
	put(1, 0, runs ? A_NORMAL : coloured(s, PAIR_BAD),
		"data plane %s, pid %d, for %s, generation %d", state != NULL ? state : "?",
		(int)json_integer_value(printer_at(d->live, "dataplane.pid")), uptime,
		(int)json_integer_value(printer_at(d->live, "dataplane.generation")));
	int warnings = (int)json_integer_value(json_object_get(d->live, "warnings"));
	if (warnings > 0)
		put(1, getcurx(stdscr), coloured(s, PAIR_WARN), "   %d warning%s: weirctl status",
			warnings, warnings == 1 ? "" : "s");
}

static void draw_totals(const struct top_data *d)
{
	static const struct printer_column parts[] = {
		{ "in", "rates.packets_received", PRINT_RATE },
		{ "", "rates.bits_received", PRINT_BITS },
		{ "out", "rates.packets_transmitted", PRINT_RATE },
		{ "", "rates.bits_transmitted", PRINT_BITS },
		{ "dropped", "rates.dropped", PRINT_RATE },
		{ "flows", "flows", PRINT_COUNT },
		{ "new", "rates.new_flows", PRINT_RATE },
	};
	json_t *totals = top_totals(d);
	int x = 0;
	for (size_t i = 0; totals != NULL && i < PRINTER_COUNT(parts); i++) {
		char *text = printer_cell(totals, &parts[i]);
		put(2, x, A_NORMAL, "%s%s%s%s", parts[i].title[0] != '\0' && i > 0 ? "   " : "",
			parts[i].title, i > 0 || parts[i].title[0] != '\0' ? " " : "",
			text != NULL ? text : "?");
		x = getcurx(stdscr);
		free(text);
	}
	json_decref(totals);
}

static void draw_pages(const struct top_state *s, const struct top_data *d)
{
	int x = 0;
	for (int page = 0; page < TOP_PAGES; page++) {
		put(3, x, (int)s->page == page ? A_REVERSE | A_BOLD : A_NORMAL, " %d %s ", page + 1,
			page_titles[page]);
		x = getcurx(stdscr) + 1;
	}
	if (s->page == TOP_BACKENDS && s->of_service[0] != '\0')
		put(3, x + 1, A_NORMAL, "of service %s", s->of_service);
	if (s->page >= TOP_TABLES)
		return;
	const struct top_place *place = &s->places[s->page];
	put(3, getcurx(stdscr) + 2, A_NORMAL, "%zu of %zu",
		d->count[s->page] > 0 ? place->row + 1 : 0, d->count[s->page]);
}

static bool is_figure(enum printer_format format)
{
	return format >= PRINT_COUNT && format <= PRINT_SHARE;
}

static attr_t cell_colour(
	const struct top_state *s, const struct printer_column *column, const json_t *item)
{
	const json_t *value = printer_at(item, column->path);
	const char *text = json_string_value(value);
	if (strcmp(column->path, "state") == 0 && text != NULL)
		return coloured(s,
			strcmp(text, "up") == 0		  ? PAIR_GOOD :
				strcmp(text, "down") == 0 ? PAIR_BAD :
							    PAIR_WARN);
	if (strcmp(column->path, "rates.dropped") == 0 && json_number_value(value) > 0)
		return coloured(s, PAIR_BAD);
	if (strcmp(column->path, "busy") == 0 && json_number_value(value) >= 0.9)
		return coloured(s, PAIR_WARN);
	return A_NORMAL;
}

/* Widths that fit what is shown; never less than a moment ago, so that columns stand still. */
static void widths_find(const struct top_state *s, const struct top_data *d, int rows, int *widths)
{
	static int kept[TOP_TABLES][TOP_COLUMNS_MAX];
	const struct top_table *t = &top_tables[s->page];
	const struct top_place *place = &s->places[s->page];
	for (size_t c = 0; c < t->column_count; c++) {
		int *width = &kept[s->page][c];
		/* With room for the mark of the order. */
		int title = (int)strlen(t->columns[c].title) + (place->sort == (int)c ? 2 : 0);
		*width = *width > title ? *width : title;
		for (int i = 0; i < rows; i++) {
			const json_t *item =
				top_data_item(d, s->page, place->first_row + (size_t)i);
			char *text = item != NULL ? printer_cell(item, &t->columns[c]) : NULL;
			int length = text != NULL ? (int)strlen(text) : 0;
			*width = *width > length ? *width : length;
			free(text);
		}
		widths[c] = *width;
	}
}

/* A column and where it begins. */
struct spot {
	size_t column;
	int x;
};

/*
 * The columns that are shown: the frozen ones, then those from where the user has scrolled to. A figure is
 * shown whole or not at all; a text may be cut at the edge. Returns how many.
 */
static size_t spots_find(
	const struct top_state *s, const int *widths, struct spot *ret_spots, bool *ret_more)
{
	const struct top_table *t = &top_tables[s->page];
	size_t skip = s->places[s->page].first_column, count = 0;
	int x = 1;
	*ret_more = false;
	for (size_t c = 0; c < t->column_count; c++) {
		if (c >= t->frozen && c < t->frozen + skip)
			continue;
		bool fits = x + widths[c] <= COLS ||
			(!is_figure(t->columns[c].format) && x + 4 <= COLS);
		if (!fits) {
			*ret_more = true;
			break;
		}
		ret_spots[count++] = (struct spot){ c, x };
		x += widths[c] + 2;
	}
	return count;
}

static void draw_titles(const struct top_state *s, const int *widths)
{
	const struct top_place *place = &s->places[s->page];
	struct spot spots[TOP_COLUMNS_MAX];
	bool more;
	size_t count = spots_find(s, widths, spots, &more);
	for (size_t i = 0; i < count; i++) {
		const struct printer_column *column = &top_tables[s->page].columns[spots[i].column];
		int width = widths[spots[i].column];
		char title[64];
		const char *mark = place->sort != (int)spots[i].column ? "" :
			place->reverse				       ? " ^" :
									 " v";
		snprintf(title, sizeof(title), "%s%s", column->title, mark);
		put(HEAD_LINES - 1, spots[i].x, A_BOLD, "%*s",
			is_figure(column->format) ? width : -width, title);
	}
	/* There are more to either side. */
	if (place->first_column > 0)
		put(HEAD_LINES - 1, 0, A_REVERSE, "<");
	if (more)
		put(HEAD_LINES - 1, COLS - 1, A_REVERSE, ">");
}

static void draw_row(
	const struct top_state *s, const int *widths, int y, const json_t *item, bool selected)
{
	struct spot spots[TOP_COLUMNS_MAX];
	bool more;
	size_t count = spots_find(s, widths, spots, &more);
	if (selected) {
		attrset(A_REVERSE);
		mvhline(y, 0, ' ', COLS);
		mvaddch(y, 0, '>');
		attrset(A_NORMAL);
	}
	for (size_t i = 0; i < count; i++) {
		const struct printer_column *column = &top_tables[s->page].columns[spots[i].column];
		int width = widths[spots[i].column];
		char *text = printer_cell(item, column);
		put(y, spots[i].x, selected ? A_REVERSE : cell_colour(s, column, item), "%*s",
			is_figure(column->format) ? width : -width, text != NULL ? text : "?");
		free(text);
	}
}

static void draw_table(struct top_state *s, struct top_data *d)
{
	const struct top_table *t = &top_tables[s->page];
	struct top_place *place = &s->places[s->page];
	int widths[TOP_COLUMNS_MAX], rows = line_count();
	if (rows <= 0)
		return;
	if (place->row < place->first_row)
		place->first_row = place->row;
	if (place->row >= place->first_row + (size_t)rows)
		place->first_row = place->row - (size_t)rows + 1;
	if (place->first_row > 0 && place->first_row + (size_t)rows > d->count[s->page])
		place->first_row =
			d->count[s->page] > (size_t)rows ? d->count[s->page] - (size_t)rows : 0;
	widths_find(s, d, rows, widths);
	draw_titles(s, widths);
	if (d->count[s->page] == 0 && d->live != NULL)
		put(HEAD_LINES, 0, A_NORMAL, "%s",
			json_is_true(json_object_get(d->live, "service_unknown")) ?
				"there is no such service any more" :
				t->empty);
	for (int i = 0; i < rows; i++) {
		size_t row = place->first_row + (size_t)i;
		const json_t *item = top_data_item(d, s->page, row);
		if (item != NULL)
			draw_row(s, widths, HEAD_LINES + i, item, row == place->row);
	}
}

/* A bar of so many columns, with eighths where the terminal has them. */
static void draw_bar(int y, int x, double columns)
{
	static const char *const eighths[] = { "", "▏", "▎", "▍", "▌", "▋", "▊", "▉" };
	bool utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
	int whole = (int)columns, part = (int)((columns - whole) * 8);
	move(y, x);
	for (int i = 0; i < whole && x + i < COLS; i++)
		addstr(utf8 ? "█" : "#");
	if (x + whole >= COLS)
		return;
	if (utf8)
		addstr(eighths[part]);
	/* What there is must be seen, however little. */
	if (whole == 0 && columns > 0 && (!utf8 || part == 0))
		mvaddstr(y, x, utf8 ? eighths[1] : ".");
}

static void draw_percentiles(const struct top_state *s, const json_t *h)
{
	static const struct printer_column parts[] = {
		{ "count", "count", PRINT_COUNT },
		{ "mean", "mean", PRINT_SECONDS },
		{ "p50", "p50", PRINT_SECONDS },
		{ "p90", "p90", PRINT_SECONDS },
		{ "p99", "p99", PRINT_SECONDS },
		{ "p99.9", "p999", PRINT_SECONDS },
		{ "p99.99", "p9999", PRINT_SECONDS },
	};
	int y = HEAD_LINES, x = 0;
	put(y - 1, 0, A_BOLD, "%s   %s   %s%s%s", top_measure_titles[s->measure],
		s->total ? "since the start" : "of the last 10 s", s->service,
		s->backend[0] != '\0'		    ? " " :
			s->measure == TOP_RESIDENCE ? "" :
						      ", all backends",
		s->measure != TOP_RESIDENCE ? s->backend : "");
	for (size_t i = 0; i < PRINTER_COUNT(parts); i++) {
		char *text = printer_cell(h, &parts[i]);
		put(y, x, A_NORMAL, "%s %s   ", parts[i].title, text != NULL ? text : "?");
		x = getcurx(stdscr);
		free(text);
	}
}

static void draw_histogram(const struct top_state *s, const struct top_data *d)
{
	struct top_bar bars[BARS_MAX];
	char path[64], label[32], figure[32];
	snprintf(path, sizeof(path), "%s.%s", top_measure_keys[s->measure],
		s->total ? "total" : "recent");
	const json_t *h = printer_at(d->histogram, path);
	int rows = line_count() - 2, room = COLS - LABEL - 41;
	draw_percentiles(s, h);
	size_t count = top_bars(h, bars, rows < 1 ? 0 : rows > BARS_MAX ? BARS_MAX : (size_t)rows);
	double most = 0, sum = 0, seen = 0;
	for (size_t i = 0; i < count; i++) {
		most = bars[i].count > most ? bars[i].count : most;
		sum += bars[i].count;
	}
	if (count == 0)
		put(HEAD_LINES + 2, 0, A_NORMAL, "%s",
			d->histogram == NULL ? "nothing is known yet" : "nothing was measured");
	for (size_t i = 0; i < count; i++) {
		int y = HEAD_LINES + 2 + (int)i;
		seen += bars[i].count;
		put(y, 0, A_NORMAL, "%*s  %8s %6.2f %%", LABEL,
			format_seconds(bars[i].from_s, label, sizeof(label)),
			format_count(bars[i].count, figure, sizeof(figure)), seen / sum * 100);
		draw_bar(y, LABEL + 21, room > 0 ? bars[i].count / most * room : 0);
		if (bars[i].has_p50 || bars[i].has_p99 || bars[i].has_p999 || bars[i].has_p9999)
			put(y, COLS - 20, A_BOLD, " %s%s%s%s", bars[i].has_p50 ? "p50 " : "",
				bars[i].has_p99 ? "p99 " : "", bars[i].has_p999 ? "p99.9 " : "",
				bars[i].has_p9999 ? "p99.99" : "");
	}
}

static const char *const help_lines[] = {
	"1 2 3 4, Tab      services, backends, cores, histogram",
	"Up Down j k       select; PgUp PgDn Home End as well",
	"Enter             backends of the service; histogram of the backend",
	"h                 histogram of what is selected; Up and Down go to the next one",
	"Esc, Backspace    back",
	"s S, > <          order by the next column, or the one before",
	"r                 turn the order around",
	"Left Right        scroll columns sideways",
	"m t               on the histogram: what is measured; since the start or of the last 10 s",
	"p, Space          pause",
	"+ -               refresh more often, less often",
	"c                 colours",
	"q                 quit",
	"",
	"Rates are of the time between the last two answers, percentiles of the last ten seconds.",
};

static void draw_foot(const struct top_state *s)
{
	static const char *const keys[TOP_PAGES] = {
		[TOP_SERVICES] =
			"q quit  ? help  Tab page  Enter backends  h histogram  s order  r turn  p pause",
		[TOP_BACKENDS] =
			"q quit  ? help  Tab page  Enter histogram  Esc back  s order  r turn  p pause",
		[TOP_CORES] =
			"q quit  ? help  Tab page  s order  r turn  Left Right columns  p pause",
		[TOP_HISTOGRAM] =
			"q quit  ? help  Tab page  m measure  t total  Up Down next  Esc back  p pause",
	};
	bar_line(LINES - 1, s->help ? "any key: back" : keys[s->page], "");
}

void top_view_draw(struct top_state *s, struct top_data *d, const char *instance)
{
	erase();
	if (LINES < HEAD_LINES + FOOT_LINES + 1 || COLS < 20) {
		put(0, 0, A_NORMAL, "too small a window");
		refresh();
		return;
	}
	draw_title(s, instance);
	draw_foot(s);
	if (s->help) {
		for (size_t i = 0; i < sizeof(help_lines) / sizeof(help_lines[0]); i++)
			if ((int)i + 2 < LINES - 1)
				put((int)i + 2, 2, A_NORMAL, "%s", help_lines[i]);
		refresh();
		return;
	}
	draw_state(s, d);
	draw_totals(d);
	draw_pages(s, d);
	if (s->page < TOP_TABLES)
		draw_table(s, d);
	else
		draw_histogram(s, d);
	refresh();
}
