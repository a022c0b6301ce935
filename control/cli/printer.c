/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/cli/printer.h"

#include "control/cli/format.h"

#include <libsmartcols.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const json_t *printer_at(const json_t *object, const char *path)
{
	while (object != NULL && *path != '\0') {
		size_t length = strcspn(path, ".");
		char key[64];
		snprintf(key, sizeof(key), "%.*s", (int)length, path);
		object = json_object_get(object, key);
		path += length + (path[length] == '.');
	}
	return object;
}

static char *text_of(const json_t *value)
{
	char number[32];
	if (json_is_string(value))
		return strdup(json_string_value(value));
	if (json_is_boolean(value))
		return strdup(json_is_true(value) ? "yes" : "no");
	if (json_is_integer(value))
		snprintf(
			number, sizeof(number), "%" JSON_INTEGER_FORMAT, json_integer_value(value));
	else if (json_is_real(value))
		snprintf(number, sizeof(number), "%.6g", json_real_value(value));
	else
		return strdup("-");
	return strdup(number);
}

static char *figure_of(const json_t *value, enum printer_format format)
{
	char buf[64];
	if (!json_is_number(value))
		return text_of(value);
	double v = json_number_value(value);
	switch (format) {
	case PRINT_RATE:
		format_count(v, buf, 32);
		strcat(buf, "/s");
		break;
	case PRINT_BYTES:
		format_bytes(v, buf, sizeof(buf));
		break;
	case PRINT_BITS:
		format_bits(v, buf, sizeof(buf));
		break;
	case PRINT_SECONDS:
		format_seconds(v, buf, sizeof(buf));
		break;
	case PRINT_TIME:
		format_time(v, false, buf, 32);
		break;
	case PRINT_SHARE:
		format_share(v, buf, sizeof(buf));
		break;
	default:
		format_count(v, buf, sizeof(buf));
	}
	return strdup(buf);
}

static char *list_of(const json_t *array)
{
	char *text = NULL;
	size_t length, i;
	json_t *item;
	if (!json_is_array(array) || json_array_size(array) == 0)
		return strdup("-");
	FILE *to = open_memstream(&text, &length);
	if (to == NULL)
		return NULL;
	json_array_foreach(array, i, item)
	{
		char *one = text_of(item);
		fprintf(to, "%s%s", i > 0 ? "," : "", one != NULL ? one : "");
		free(one);
	}
	fclose(to);
	return text;
}

static char *sum_of(const json_t *object)
{
	double sum = 0;
	const char *key;
	json_t *value;
	if (!json_is_object(object))
		return strdup("-");
	/* jansson's iterator is not const, though it changes nothing. */
	json_object_foreach((json_t *)(uintptr_t)object, key, value)
	{
		sum += json_number_value(value);
	}
	char buf[32];
	return strdup(format_count(sum, buf, sizeof(buf)));
}

static char *counters_of(const json_t *object, enum printer_format each)
{
	char *text = NULL;
	size_t length;
	const char *key, *between = "";
	json_t *value;
	if (!json_is_object(object))
		return strdup("-");
	if (json_object_size(object) == 0)
		return strdup("none");
	FILE *to = open_memstream(&text, &length);
	if (to == NULL)
		return NULL;
	json_object_foreach((json_t *)(uintptr_t)object, key, value)
	{
		char *figure = figure_of(value, each);
		fprintf(to, "%s%s %s", between, key, figure != NULL ? figure : "");
		free(figure);
		between = ", ";
	}
	fclose(to);
	return text;
}

static char *endpoint_of(const json_t *object)
{
	const char *address = json_string_value(json_object_get(object, "address"));
	char *port = text_of(json_object_get(object, "port"));
	char *text = NULL;
	if (address == NULL || port == NULL) {
		free(port);
		return strdup("-");
	}
	if (asprintf(&text, strchr(address, ':') != NULL ? "[%s]:%s" : "%s:%s", address, port) < 0)
		text = NULL;
	free(port);
	return text;
}

char *printer_cell(const json_t *object, const struct printer_column *column)
{
	const json_t *value = printer_at(object, column->path);
	switch (column->format) {
	case PRINT_TEXT:
		return text_of(value);
	case PRINT_LIST:
		return list_of(value);
	case PRINT_SUM:
		return sum_of(value);
	case PRINT_COUNTERS:
		return counters_of(value, PRINT_COUNT);
	case PRINT_SHARES:
		return counters_of(value, PRINT_SHARE);
	case PRINT_ENDPOINT:
		return endpoint_of(value);
	default:
		return figure_of(value, column->format);
	}
}

static bool is_figure(enum printer_format format)
{
	return (format >= PRINT_COUNT && format <= PRINT_SHARE) || format == PRINT_SUM;
}

/* Cells of one line from one object. */
static int fill_line(struct libscols_line *line, const json_t *object,
	const struct printer_column *columns, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		char *text = printer_cell(object, &columns[i]);
		if (text == NULL || scols_line_refer_data(line, i, text) != 0) {
			free(text);
			return -1;
		}
	}
	return 0;
}

static struct libscols_table *new_table(struct cli *cli)
{
	struct libscols_table *t = scols_new_table();
	if (t == NULL)
		return NULL;
	scols_table_set_stream(t, cli->out);
	/* A line is a line, however narrow the terminal: nothing is cut or wrapped. */
	scols_table_set_termforce(t, SCOLS_TERMFORCE_NEVER);
	scols_table_set_column_separator(t, "  ");
	return t;
}

int printer_table(struct cli *cli, const json_t *items, const struct printer_column *columns,
	size_t count, const char *empty)
{
	if (json_array_size(items) == 0) {
		fprintf(cli->out, "%s\n", empty);
		return CLI_DONE;
	}
	struct libscols_table *t = new_table(cli);
	int err = t == NULL ? -1 : 0;
	for (size_t i = 0; i < count && err == 0; i++)
		if (scols_table_new_column(t, columns[i].title, 0,
			    is_figure(columns[i].format) ? SCOLS_FL_RIGHT : 0) == NULL)
			err = -1;
	size_t index;
	json_t *item;
	json_array_foreach(items, index, item)
	{
		struct libscols_line *line = err == 0 ? scols_table_new_line(t, NULL) : NULL;
		if (line == NULL || fill_line(line, item, columns, count) != 0)
			err = -1;
	}
	if (err == 0)
		err = scols_print_table(t);
	scols_unref_table(t);
	return err == 0 ? CLI_DONE : cli_fail(cli, CLI_FAILED, "cannot print: out of memory");
}

int printer_record(
	struct cli *cli, const json_t *object, const struct printer_column *columns, size_t count)
{
	struct libscols_table *t = new_table(cli);
	int err = t == NULL ? -1 : 0;
	if (err == 0 &&
		(scols_table_new_column(t, "", 0, 0) == NULL ||
			scols_table_new_column(t, "", 0, 0) == NULL))
		err = -1;
	if (err == 0)
		scols_table_enable_noheadings(t, 1);
	for (size_t i = 0; i < count && err == 0; i++) {
		struct libscols_line *line = scols_table_new_line(t, NULL);
		char *text = printer_cell(object, &columns[i]);
		if (line == NULL || text == NULL ||
			scols_line_set_data(line, 0, columns[i].title) != 0 ||
			scols_line_set_data(line, 1, text) != 0)
			err = -1;
		free(text);
	}
	if (err == 0)
		err = scols_print_table(t);
	if (t != NULL)
		scols_unref_table(t);
	return err == 0 ? CLI_DONE : cli_fail(cli, CLI_FAILED, "cannot print: out of memory");
}

bool printer_json(struct cli *cli, const json_t *document)
{
	if (!cli->json)
		return false;
	/* Enough for microseconds since 1970. */
	size_t flags = JSON_ENCODE_ANY | JSON_REAL_PRECISION(15);
	/* One line for programs, indented for people. */
	flags |= isatty(fileno(cli->out)) ? JSON_INDENT(2) : 0;
	json_dumpf(document, cli->out, flags);
	fputc('\n', cli->out);
	return true;
}

int printer_list(struct cli *cli, const json_t *items, const struct printer_column *columns,
	size_t count, const char *empty)
{
	if (printer_json(cli, items))
		return CLI_DONE;
	return printer_table(cli, items, columns, count, empty);
}
