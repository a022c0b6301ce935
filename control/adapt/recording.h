/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Signals in a file, to be played again: lines of JSON, the first of which says of whom they are. Who
 * reads one trusts nothing in it.
 */

#ifndef WEIR_ADAPT_RECORDING_H
#define WEIR_ADAPT_RECORDING_H

#include "control/adapt/adapt.h"

#define RECORDING_VERSION 1

/* One line each, malloc'ed, without the newline; NULL: out of memory. */
char *recording_header(const char *service, const struct adapt_settings *settings);
char *recording_tick(const struct adapt_signals *s);

/*
 * Read a line. ret_settings has the usual gains; ret_signals is to be freed with signals_free().
 *
 * Returns 0, -EINVAL with what is wrong in err, or -ENOMEM.
 */
int recording_read_header(const char *line, size_t length, char ret_service[WEIR_NAME_SIZE],
	struct adapt_settings *ret_settings, char *err, size_t err_size);
int recording_read_tick(const char *line, size_t length, struct adapt_signals *ret_signals,
	char *err, size_t err_size);

#endif
