/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Whether more is asked of a service than it serves: for those controllers that share out what there is.
 *
 * Capacity is what was served while there was too much. While somebody is held back and nothing says that what
 * is let in is too much, it is taken to be a little more each tick, so that a figure that was too low once does not
 * hold for ever; and it is never taken to be less than half of the best that was served lately, as what sharing itself
 * holds back must not pass for a lack of it.
 */

#ifndef WEIR_ADAPT_OVERLOAD_H
#define WEIR_ADAPT_OVERLOAD_H

#include "control/adapt/estimate.h"

struct overload {
	double demand; /* of all, smoothed, per second */
	double capacity; /* 0: not known yet */
	double best; /* most that was served lately */
	double over_ticks; /* in a row */
};

/* What a service can place: flows are refused for want of room, or the tail is over the objective. */
bool overload_of_flows(const struct estimate_service *e, const struct adapt_signals *s,
	const struct adapt_settings *settings);

/* One tick. asked, served: per second; growth: of the capacity in a tick without overload; 1: nobody is held back */
void overload_step(struct overload *v, bool over, double asked, double served, double growth,
	const struct adapt_signals *s);

/* More is asked for than was served; less is enough where somebody is held back already. */
bool overload_is_excess(const struct overload *v, bool holds);

#endif
