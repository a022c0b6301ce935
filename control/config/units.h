/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Numbers with units as people write them: 1.5M, 200ms, 512MiB. Exact: a value that is no whole
 * number of the base unit, or that overflows, is refused and not rounded. Pure functions.
 */

#ifndef WEIR_CONFIG_UNITS_H
#define WEIR_CONFIG_UNITS_H

#include <stddef.h>
#include <stdint.h>

enum unit_kind {
	UNIT_NONE, /* whole numbers */
	UNIT_RATE, /* k, M, G: powers of ten */
	UNIT_SIZE, /* K, M, G, KiB, MiB, GiB: powers of two; bytes */
	UNIT_TIME, /* us, ms, s, m, h; nanoseconds; a unit is required */
};

/*
 * Read all of text. Returns NULL and fills ret_value, or says what is wrong with it, in the form
 * "is not a number", to stand behind the quoted text.
 */
const char *unit_parse(enum unit_kind kind, const char *text, uint64_t *ret_value);

/* The shortest text that unit_parse() reads as value; buf of 32 bytes is always enough. */
const char *unit_print(enum unit_kind kind, uint64_t value, char *buf, size_t size);

#endif
