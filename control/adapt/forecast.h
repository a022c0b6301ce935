/* SPDX-License-Identifier: BSD-3-Clause */

/* Controller D: what will be asked for in ten seconds, so that it can be prepared. See forecast.c. */

#ifndef WEIR_ADAPT_FORECAST_H
#define WEIR_ADAPT_FORECAST_H

#include "control/adapt/adapt.h"
#include "control/adapt/holt.h"
#include "control/adapt/season.h"

struct forecast_state {
	uint64_t second_ns; /* when the second under way began; 0: not begun */
	double asked; /* in it */
	struct holt h; /* of new flows per second */
	double season; /* what the season expects, where it takes part; NAN */
	double ahead; /* the larger of the two; NAN */
	double told; /* the headroom of the last decision that was told; 0: none */
};

void forecast_init(struct forecast_state *f);

struct forecast_backend {
	double ready; /* share of its whole weight that it had */
	double share; /* that it is to have at least */
	bool lifted; /* above what its slow start would leave it */
};

/*
 * One tick; fills headroom and room, and the share of the directive's backends.
 *
 * season  of the same service, kept from tick to tick, also while the controller is off; NULL: none
 * of      one for each backend of the signals, kept from tick to tick
 */
void forecast_step(struct forecast_state *f, struct season *season, struct forecast_backend *of,
	const struct adapt_signals *s, const struct adapt_settings *settings,
	struct adapt_directive *to, const struct adapt_log *log);

#endif
