/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/config/units.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct unit {
	const char *name;
	uint64_t factor;
};

/* Smallest first; where two have the same factor, the first is the one that is printed. */
static const struct unit none_units[] = { { "", 1 }, { NULL, 0 } };
static const struct unit rate_units[] = { { "", 1 }, { "k", 1000 }, { "M", 1000000 },
	{ "G", 1000000000 }, { NULL, 0 } };
static const struct unit size_units[] = { { "", 1 }, { "K", UINT64_C(1) << 10 },
	{ "KiB", UINT64_C(1) << 10 }, { "M", UINT64_C(1) << 20 }, { "MiB", UINT64_C(1) << 20 },
	{ "G", UINT64_C(1) << 30 }, { "GiB", UINT64_C(1) << 30 }, { NULL, 0 } };
static const struct unit time_units[] = { { "us", 1000 }, { "ms", 1000000 }, { "s", 1000000000 },
	{ "m", UINT64_C(60000000000) }, { "h", UINT64_C(3600000000000) }, { NULL, 0 } };

static const struct unit *const units_of_kind[] = {
	[UNIT_NONE] = none_units,
	[UNIT_RATE] = rate_units,
	[UNIT_SIZE] = size_units,
	[UNIT_TIME] = time_units,
};

static const struct unit *unit_find(enum unit_kind kind, const char *name)
{
	for (const struct unit *u = units_of_kind[kind]; u->name != NULL; u++) {
		if (strcmp(u->name, name) == 0)
			return u;
	}
	return NULL;
}

/* Digits at *text, which moves behind them. False on overflow. */
static bool digits_read(const char **text, uint64_t *ret_value, unsigned int *ret_count)
{
	uint64_t value = 0;
	unsigned int count = 0;
	for (; isdigit((unsigned char)**text); (*text)++, count++) {
		if (__builtin_mul_overflow(value, 10, &value) ||
			__builtin_add_overflow(value, (uint64_t)(**text - '0'), &value))
			return false;
	}
	*ret_value = value;
	*ret_count = count;
	return true;
}

const char *unit_parse(enum unit_kind kind, const char *text, uint64_t *ret_value)
{
	static const char too_large[] = "is too large";
	const char *at = text;
	uint64_t whole = 0;
	uint64_t fraction = 0;
	unsigned int digits;
	unsigned int places = 0;
	if (*at == '-' && isdigit((unsigned char)at[1]))
		return "is negative";
	if (!isdigit((unsigned char)*at))
		return "is not a number";
	if (*at == '0' && isdigit((unsigned char)at[1]))
		return "has a leading zero";
	if (!digits_read(&at, &whole, &digits))
		return too_large;
	if (*at == '.') {
		at++;
		if (!digits_read(&at, &fraction, &places) || places > 18)
			return "has too many digits";
		if (places == 0)
			return "is not a number";
	}
	const struct unit *u = unit_find(kind, at);
	if (u == NULL)
		return kind == UNIT_TIME && *at == '\0' ? "has no unit" :
			kind == UNIT_NONE		? "is not a whole number" :
							  "has an unknown unit";
	uint64_t scale = 1;
	for (unsigned int i = 0; i < places; i++)
		scale *= 10;
	unsigned __int128 parts = (unsigned __int128)fraction * u->factor;
	if (parts % scale != 0)
		return "is not a whole number";
	if (__builtin_mul_overflow(whole, u->factor, &whole) ||
		__builtin_add_overflow(whole, (uint64_t)(parts / scale), &whole))
		return too_large;
	*ret_value = whole;
	return NULL;
}

const char *unit_print(enum unit_kind kind, uint64_t value, char *buf, size_t size)
{
	const struct unit *best = &units_of_kind[kind][0];
	for (const struct unit *u = best; u->name != NULL; u++) {
		if (value != 0 && value % u->factor == 0 && u->factor > best->factor)
			best = u;
	}
	if (value % best->factor == 0)
		snprintf(buf, size, "%" PRIu64 "%s", value / best->factor, best->name);
	else /* only times: finer than a microsecond */
		snprintf(buf, size, "%" PRIu64 ".%03" PRIu64 "%s", value / best->factor,
			value % best->factor, best->name);
	return buf;
}
