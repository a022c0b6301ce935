/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/cli/format.h"
#include "control/cli/printer.h"
#include "tests/unit/tap.h"

#include <stdlib.h>
#include <string.h>

typedef const char *(*format_function)(double value, char *buf, size_t size);

static const struct printer_column columns[] = {
	{ "NAME", "name", PRINT_TEXT },
	{ "PACKETS", "packets", PRINT_COUNT },
	{ "P99", "residence.p99", PRINT_SECONDS },
};

static json_t *items(void)
{
	return json_loads("[{\"name\": \"web\", \"packets\": 1234567, \"residence\": {\"p99\": "
			  "0.0034}},"
			  " {\"name\": \"dns\", \"packets\": 7, \"residence\": {\"p99\": null}}]",
		0, NULL);
}

static void figures_are_short_and_right(void)
{
	static const struct {
		format_function format;
		double value;
		const char *expected;
	} cases[] = {
		{ format_count, 0, "0" },
		{ format_count, 0.25, "0.2" },
		{ format_count, 9999, "9999" },
		{ format_count, 9999.6, "10.0k" },
		{ format_count, 12345, "12.3k" },
		{ format_count, 999499, "999k" },
		{ format_count, 999999, "1.00M" },
		{ format_count, 1200000, "1.20M" },
		{ format_count, 1.8e19, "18.0E" },
		{ format_bytes, 512, "512 B" },
		{ format_bytes, 1536, "1.50 KiB" },
		{ format_bytes, 536870912, "512 MiB" },
		{ format_bits, 10e9, "10.0 Gbit/s" },
		{ format_bits, 100, "100 bit/s" },
		{ format_seconds, 0, "0 s" },
		{ format_seconds, 0.0000021, "2.10 us" },
		{ format_seconds, 0.0034, "3.40 ms" },
		{ format_seconds, 0.0009999, "1.00 ms" },
		{ format_seconds, 1.5, "1.50 s" },
		{ format_seconds, 100, "100 s" },
		{ format_seconds, 125, "2 min 5 s" },
		{ format_seconds, 3 * 3600 + 120, "3 h 2 min" },
		{ format_seconds, 90000, "1 d 1 h" },
		{ format_share, 0.253, "25.3 %" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char buf[32];
		CU_ASSERT_STRING_EQUAL(
			cases[i].format(cases[i].value, buf, sizeof(buf)), cases[i].expected);
	}
}

static char *print(json_t *document, bool json)
{
	char *text = NULL;
	size_t length;
	struct cli cli = { .out = open_memstream(&text, &length), .err = stderr, .json = json };
	CU_ASSERT_EQUAL(printer_list(&cli, document, columns, PRINTER_COUNT(columns), "none here"),
		CLI_DONE);
	fclose(cli.out);
	json_decref(document);
	return text;
}

static void a_table_has_titles_and_a_line_for_each_item(void)
{
	char *text = print(items(), false);
	CU_ASSERT_STRING_EQUAL(text,
		"NAME  PACKETS      P99\n"
		"web     1.23M  3.40 ms\n"
		"dns         7        -\n");
	free(text);
}

static void an_empty_table_says_so(void)
{
	char *text = print(json_array(), false);
	CU_ASSERT_STRING_EQUAL(text, "none here\n");
	free(text);
}

static void json_is_the_one_document_unchanged(void)
{
	json_t *expected = items();
	char *text = print(items(), true);
	json_t *found = json_loads(text, 0, NULL);
	CU_ASSERT_PTR_NOT_NULL(found);
	CU_ASSERT(json_equal(found, expected));
	free(text);
	json_decref(found);
	json_decref(expected);
	text = print(json_array(), true);
	CU_ASSERT_STRING_EQUAL(text, "[]\n");
	free(text);
}

static void cells_show_every_kind_of_value(void)
{
	static const struct {
		struct printer_column column;
		const char *expected;
	} cases[] = {
		{ { "", "yes", PRINT_TEXT }, "yes" },
		{ { "", "number", PRINT_TEXT }, "1234567" },
		{ { "", "null", PRINT_COUNT }, "-" },
		{ { "", "nothing.there", PRINT_SECONDS }, "-" },
		{ { "", "text.deeper", PRINT_TEXT }, "-" },
		{ { "", "list", PRINT_LIST }, "1,2,x" },
		{ { "", "empty", PRINT_LIST }, "-" },
		{ { "", "dropped", PRINT_SUM }, "4" },
		{ { "", "dropped", PRINT_COUNTERS }, "no_flow 3, fragment 1" },
		{ { "", "none", PRINT_SUM }, "0" },
		{ { "", "none", PRINT_COUNTERS }, "none" },
		{ { "", "", PRINT_ENDPOINT }, "10.0.0.1:any" },
		{ { "", "number", PRINT_RATE }, "1.23M/s" },
		{ { "", "text", PRINT_RATE }, "hello" },
	};
	json_t *o = json_loads(
		"{\"yes\": true, \"number\": 1234567, \"null\": null, \"list\": [1, 2, \"x\"],"
		" \"empty\": [], \"dropped\": {\"no_flow\": 3, \"fragment\": 1}, \"none\": {},"
		" \"address\": \"10.0.0.1\", \"port\": \"any\", \"text\": \"hello\"}",
		0, NULL);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *text = printer_cell(o, &cases[i].column);
		CU_ASSERT_STRING_EQUAL(text, cases[i].expected);
		free(text);
	}
	json_decref(o);
	o = json_loads("{\"address\": \"2001:db8::1\", \"port\": 80}", 0, NULL);
	char *text = printer_cell(o, &(struct printer_column){ "", "", PRINT_ENDPOINT });
	CU_ASSERT_STRING_EQUAL(text, "[2001:db8::1]:80");
	free(text);
	json_decref(o);
}

static const struct tap_case cases[] = {
	{ "figures are short and right", figures_are_short_and_right },
	{ "a table has titles and a line for each item",
		a_table_has_titles_and_a_line_for_each_item },
	{ "an empty table says so", an_empty_table_says_so },
	{ "json is the one document, unchanged", json_is_the_one_document_unchanged },
	{ "cells show every kind of value", cells_show_every_kind_of_value },
};

TAP_MAIN("printer", cases)
