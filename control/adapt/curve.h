/* SPDX-License-Identifier: BSD-3-Clause */

/* How long a backend takes by how much it has in flight, learned in calm weather. See curve.c. */

#ifndef WEIR_ADAPT_CURVE_H
#define WEIR_ADAPT_CURVE_H

#include "control/adapt/adapt.h"

struct curve {
	struct adapt_found past; /* older answers count less */
};

/* Take in what was answered in `seconds`. */
void curve_step(struct curve *c, const struct adapt_found *found, double seconds);
/* Add a backend's to that of all that are like it. */
void curve_add(struct curve *all, const struct curve *c);

/*
 * How many may be in flight, the newest one included, for the mean answer to take `budget_s`.
 *
 * like     the curves of backends like this one, with its own; NULL: there are none
 * noise_s  standard deviation of single answers; the larger, the more of them it takes to believe a rise
 * Returns NAN when nothing says that more in flight takes longer.
 */
double curve_room(const struct curve *c, const struct curve *like, double budget_s, double noise_s);

#endif
