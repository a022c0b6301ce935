/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The one printer: every command hands it a JSON document, and with --json that is what comes out;
 * otherwise columns say how to show it to people.
 */

#ifndef WEIR_CLI_PRINTER_H
#define WEIR_CLI_PRINTER_H

#include "control/cli/cli.h"

#include <jansson.h>

#include <stdbool.h>
#include <stddef.h>

enum printer_format {
	PRINT_TEXT, /* strings as they are, numbers in full, true and false as yes and no */
	PRINT_COUNT, /* 12.3k */
	PRINT_RATE, /* 12.3k/s */
	PRINT_BYTES, /* 1.50 MiB */
	PRINT_BITS, /* 1.50 Gbit/s */
	PRINT_SECONDS, /* 3.40 ms */
	PRINT_SHARE, /* 25.0 % */
	PRINT_TIME, /* seconds since 1970 as local time, 2026-11-25 22:13:20 */
	PRINT_LIST, /* an array's items, with commas */
	PRINT_SUM, /* the sum of an object's counters */
	PRINT_COUNTERS, /* an object's counters, "no_flow 3, fragment 1" */
	PRINT_SHARES, /* an object's shares, "web 25.0 %, dns 1.0 %" */
	PRINT_ENDPOINT, /* the object's own address and port, "10.0.0.1:80" */
};

/* path: keys with dots between ("residence.p99"), "" for the item itself. */
struct printer_column {
	const char *title;
	const char *path;
	enum printer_format format;
};

#define PRINTER_COUNT(columns) (sizeof(columns) / sizeof((columns)[0]))

/* With --json: print the document, and return true. */
bool printer_json(struct cli *cli, const json_t *document);

/* A table with a line for each item of an array; the text `empty` when there is none. */
int printer_table(struct cli *cli, const json_t *items, const struct printer_column *columns,
	size_t count, const char *empty);
/* One object, a line for each column: "title  value". */
int printer_record(
	struct cli *cli, const json_t *object, const struct printer_column *columns, size_t count);
/* printer_json(), or else the table. Returns an exit status. */
int printer_list(struct cli *cli, const json_t *items, const struct printer_column *columns,
	size_t count, const char *empty);

/* The value at a path, borrowed; NULL when it is not there. */
const json_t *printer_at(const json_t *object, const char *path);
/* One cell's text, malloc'ed; "-" for what is null or not there. NULL when out of memory. */
char *printer_cell(const json_t *object, const struct printer_column *column);

#endif
