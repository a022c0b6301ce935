/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The adaptation of one service: what its controllers have learned, and one tick of all of them. Used by
 * the daemon, and by `weirctl adapt replay` on recordings. Pure memory with the caller's clock.
 */

#ifndef WEIR_ADAPT_SERVICE_H
#define WEIR_ADAPT_SERVICE_H

#include "control/adapt/adapt.h"
#include "control/adapt/season.h"

struct adapt_service;

struct adapt_service *adapt_service_create(void);
void adapt_service_destroy(struct adapt_service *a); /* NULL is fine */

/*
 * Take in the signals of one tick. Backends are followed by address and port: new ones begin as
 * configured, those that are not there any more are forgotten. Signals that are older than a second are
 * not acted on, nor are those of a tick that took longer.
 *
 * paused  every controller observes only
 * log     where decisions go; may be NULL
 *
 * Returns what is to be in force, valid until the next call: only what controllers that are on have
 * decided, all else is as configured. NULL: not acted on, or out of memory.
 */
const struct adapt_directive *adapt_service_step(struct adapt_service *a,
	const struct adapt_signals *s, const struct adapt_settings *settings, bool paused,
	const struct adapt_log *log);

/* As made: for when nothing is on any more. What was learned of the day stays. */
void adapt_service_forget(struct adapt_service *a);

/* What it has learned of the day: to be filled before the first step, and to be kept. */
struct season *adapt_service_season(struct adapt_service *a);

/* For status: the figures of the last tick, and what is in force; what is only observed is not. */
struct adapt_summary {
	double pool_latency; /* seconds; NAN */
	double p99;
	double spread;
	double shed_rate; /* new flows per second */
	double fair_rate; /* of one source; NAN: not policed */
	size_t boxed;
	size_t classes; /* that are held back */
	size_t ejected;
	size_t shifted; /* backends whose weight is not the configured one, the ejected ones aside */
	bool panic;
	double ahead; /* new flows per second expected; NAN */
	double season; /* the same by the season alone, where it takes part; NAN */
	double headroom;
	bool forecast_off;
	unsigned int cores; /* wanted; 0: nothing moves them */
};

void adapt_service_summary(const struct adapt_service *a, struct adapt_summary *ret);

#endif
