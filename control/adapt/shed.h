/* SPDX-License-Identifier: BSD-3-Clause */

/* Controller B: caps of requests in flight, which shed what cannot be served in time. See shed.c. */

#ifndef WEIR_ADAPT_SHED_H
#define WEIR_ADAPT_SHED_H

#include "control/adapt/estimate.h"

struct shed_backend {
	double cap; /* 0: not yet begun */
	double peak; /* most in flight that was served well, fading over a minute */
	double room; /* what its curve has room for; NAN: unknown */
	bool cut; /* it has been cut lately: the end of its start-up */
	uint64_t cut_ns; /* when it was cut last */
	double over_ticks; /* in a row with a prediction above the target */
	uint64_t cool_ns; /* no cut before */
	double told; /* the cap of the last decision that was told; 0: none */
};

struct shed_service {
	double peak; /* most in flight in the whole pool that was served well, fading likewise */
	double trim; /* measured tail against prediction, 0.5..1.5; 0: not yet begun */
	uint64_t trim_ns; /* when it may move again */
	uint64_t cut_ns; /* until then no figure is of the new caps */
	uint64_t shed_ns; /* when something was shed last */
	bool shedding; /* it has been told */
	double shed_rate; /* smoothed, new flows per second */
	double offered_rate;
};

void shed_step(struct shed_service *v, struct shed_backend *of, struct estimate_service *e,
	const struct estimate_backend *b, const struct adapt_signals *s,
	const struct adapt_settings *settings, struct adapt_directive *to,
	const struct adapt_log *log);

#endif
