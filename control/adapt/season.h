/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What a figure usually is at each minute of the day, and what that says of ten seconds ahead. See season.c.
 * Pure memory; the time of day is the caller's.
 */

#ifndef WEIR_ADAPT_SEASON_H
#define WEIR_ADAPT_SEASON_H

#include "control/adapt/holt.h"

#include <stdint.h>

#define SEASON_BINS  1440
#define SEASON_DAY_S 86400

/* What outlives the daemon. */
struct season_profile {
	float usual[SEASON_BINS]; /* at least 0 */
	uint8_t days[SEASON_BINS]; /* on which that minute was seen; 0: never, usual is 0 */
};

struct season {
	struct season_profile profile;
	bool learned; /* something, since whoever keeps it took it away */
	bool began; /* there was a second before */
	uint32_t last_s; /* its time of day */
	double sum; /* of the minute under way */
	unsigned int seen; /* seconds of it */
	unsigned int run; /* seconds that the two means are of */
	double today; /* slow mean of the figure */
	double usual; /* and of what is usual at the same time */
	double past[HOLT_AHEAD]; /* promises, a ring by second; NAN: none */
	double plain[HOLT_AHEAD]; /* those that were made without it */
	unsigned int at; /* in the rings */
	unsigned int tried; /* promises that were looked at */
	double error; /* mean distance of late */
	double over; /* mean of what was promised of late, and did not come */
	double with; /* mean distance beyond chance, over an hour */
	double without; /* of those without it */
	double ahead; /* the forecast in force; NAN: none */
	bool off; /* it promised too much lately */
};

/* Nothing is known. */
void season_init(struct season *s);

/*
 * A second is over.
 *
 * day_s  time of day at its end, in seconds
 * value  of that second, at least 0
 * plain  what was just promised without the season for HOLT_AHEAD seconds later
 * least  below, a factor means nothing
 */
void season_take(struct season *s, uint32_t day_s, double value, double plain, double least,
	const struct adapt_gains *g);

#endif
