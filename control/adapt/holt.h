/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A figure that is taken once a second, and what it will be in ten: by its level and trend, with how far such
 * forecasts were off of late. See holt.c. Pure memory.
 */

#ifndef WEIR_ADAPT_HOLT_H
#define WEIR_ADAPT_HOLT_H

#include "control/adapt/gains.h"

#define HOLT_AHEAD	   10 /* seconds */
#define HOLT_WORTH	   1.2 /* times now: a smaller rise needs no preparation */
#define HOLT_HEADROOM_MOST 4.0
#define HOLT_CHANCE	   3.5 /* roots of a count: what steady arrivals scatter by is one */

struct holt {
	unsigned int seconds; /* that have been seen */
	double level;
	double trend; /* per second */
	double past[HOLT_AHEAD]; /* forecasts made, a ring by second */
	double error; /* mean distance of forecasts from what came */
	double over; /* mean of what they promised, and did not come */
	double ahead; /* the forecast in force; NAN: none */
	bool off; /* it was too bad lately */
};

/* Nothing is known; also for memory that is zero. */
void holt_init(struct holt *h);

/*
 * A second is over.
 *
 * value  of that second, at least 0
 * least  in the same unit: below, a factor means nothing
 *
 * Returns true when it has switched itself off, or on again.
 */
bool holt_take(struct holt *h, double value, double least, const struct adapt_gains *g);

/* What the last second promised, also while it is off. */
double holt_promise(const struct holt *h);

/* How many times as much as now is to be prepared for: 1..4. */
double holt_headroom(const struct holt *h, double least);

#endif
