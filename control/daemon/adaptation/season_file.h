/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What the forecast of a service has learned of the day, as it is kept in a file for the daemon that comes
 * next. Pure functions; the files are adaptation_season.c's.
 *
 * 8 bytes "WEIRDAY1", the mark of what follows, and that: the usual figure of each minute and the days on
 * which it was seen. In this machine's byte order: another's is refused by the mark.
 */

#ifndef WEIR_DAEMON_SEASON_FILE_H
#define WEIR_DAEMON_SEASON_FILE_H

#include "control/adapt/season.h"

#include <stdbool.h>
#include <stddef.h>

#define SEASON_FILE_SIZE (16 + SEASON_BINS * (sizeof(float) + 1))

void season_file_print(const struct season_profile *p, char ret_bytes[SEASON_FILE_SIZE]);

/* Returns what is wrong, and leaves the profile as it was; NULL: nothing. */
const char *season_file_parse(const char *bytes, size_t length, struct season_profile *ret);

#endif
