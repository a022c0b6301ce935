/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/cli/format.h"

#include <math.h>
#include <stdio.h>
#include <time.h>

/* Three digits that count: 1.23, 12.3, 123. */
static void three_digits(double value, char *buf, size_t size)
{
	int decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
	snprintf(buf, size, "%.*f", decimals, value);
}

/* Scale by step until three digits show it; units[i] follow the figure. */
static const char *scaled(double value, double step, const char *const units[], size_t unit_count,
	char *buf, size_t size)
{
	size_t unit = 0;
	while (value >= (step == 1000 ? 999.5 : 1023.5) && unit + 1 < unit_count) {
		value /= step;
		unit++;
	}
	char digits[24];
	three_digits(value, digits, sizeof(digits));
	snprintf(buf, size, "%s%s", digits, units[unit]);
	return buf;
}

const char *format_count(double value, char *buf, size_t size)
{
	static const char *const units[] = { "", "k", "M", "G", "T", "P", "E" };
	/* Small figures in full: an operator counts on them. */
	if (value < 9999.5) {
		snprintf(buf, size, "%.*f", value == floor(value) || value >= 100 ? 0 : 1, value);
		return buf;
	}
	return scaled(value, 1000, units, sizeof(units) / sizeof(units[0]), buf, size);
}

const char *format_bytes(double value, char *buf, size_t size)
{
	static const char *const units[] = { " B", " KiB", " MiB", " GiB", " TiB", " PiB" };
	if (value < 1023.5) {
		snprintf(buf, size, "%.0f B", value);
		return buf;
	}
	return scaled(value, 1024, units, sizeof(units) / sizeof(units[0]), buf, size);
}

const char *format_bits(double value, char *buf, size_t size)
{
	static const char *const units[] = { " bit/s", " kbit/s", " Mbit/s", " Gbit/s", " Tbit/s" };
	if (value < 999.5) {
		snprintf(buf, size, "%.0f bit/s", value);
		return buf;
	}
	return scaled(value, 1000, units, sizeof(units) / sizeof(units[0]), buf, size);
}

static const char *long_time(double value, char *buf, size_t size)
{
	unsigned long long s = (unsigned long long)(value + 0.5);
	if (s >= 86400)
		snprintf(buf, size, "%llu d %llu h", s / 86400, s / 3600 % 24);
	else if (s >= 3600)
		snprintf(buf, size, "%llu h %llu min", s / 3600, s / 60 % 60);
	else
		snprintf(buf, size, "%llu min %llu s", s / 60, s % 60);
	return buf;
}

const char *format_seconds(double value, char *buf, size_t size)
{
	static const char *const units[] = { " us", " ms", " s" };
	if (value == 0)
		return snprintf(buf, size, "0 s"), buf;
	if (value >= 119.5)
		return long_time(value, buf, size);
	if (value >= 99.95) { /* beyond the last unit's three digits only here */
		snprintf(buf, size, "%.0f s", value);
		return buf;
	}
	return scaled(value * 1e6, 1000, units, sizeof(units) / sizeof(units[0]), buf, size);
}

const char *format_share(double value, char *buf, size_t size)
{
	snprintf(buf, size, "%.1f %%", value * 100);
	return buf;
}

const char *format_time(double value, bool with_ms, char *buf, size_t size)
{
	time_t seconds = (time_t)value;
	struct tm tm;
	localtime_r(&seconds, &tm);
	size_t length = strftime(buf, size, "%Y-%m-%d %H:%M:%S", &tm);
	if (with_ms)
		snprintf(buf + length, size - length, ".%03d",
			(int)((value - (double)seconds) * 1000));
	return buf;
}
