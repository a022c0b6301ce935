/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Figures as people read them. Each writes into buf (32 bytes are enough) and returns it.
 */

#ifndef WEIR_CLI_FORMAT_H
#define WEIR_CLI_FORMAT_H

#include <stdbool.h>
#include <stddef.h>

const char *format_count(double value, char *buf, size_t size); /* 9999, 12.3k, 1.20M */
const char *format_bytes(double value, char *buf, size_t size); /* 512 B, 1.50 MiB */
const char *format_bits(double value, char *buf, size_t size); /* 10.0 Gbit/s */
const char *format_seconds(double value, char *buf, size_t size); /* 3.40 ms; 2 min 5 s */
const char *format_share(double value, char *buf, size_t size); /* 25.0 % */
/* 2026-11-25 22:13:20.250, in the machine's time zone; the milliseconds only when asked for. */
const char *format_time(double value, bool with_ms, char *buf, size_t size);

#endif
