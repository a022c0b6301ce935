/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What the figures of single ticks say about a backend and its pool, smoothed: the common ground of
 * the controllers. See estimate.c for the rules.
 */

#ifndef WEIR_ADAPT_ESTIMATE_H
#define WEIR_ADAPT_ESTIMATE_H

#include "control/adapt/adapt.h"
#include "control/adapt/curve.h"

struct estimate_backend {
	double latency; /* smoothed first byte, seconds; NAN before the first answer */
	double samples; /* how many answers that stands for */
	double rate; /* smoothed answers per second */
	double asked; /* requests per second, at most, within about one latency */
	double in_flight; /* smoothed over two ticks */
	double watched_s; /* since its first tick, silence left out */
	double wait; /* expected wait by Little's law, seconds; NAN: nothing waits but by chance */
	double slow; /* max(latency, wait); NAN: unknown */
	double least; /* least latency seen lately */
	double best_rate; /* most answers per second seen lately */
	double calm; /* in flight that leaves no queue: best_rate x least, and a quarter */
	double ratio; /* slow / the pool's; NAN */
	bool out; /* ejected: its figures are old, and no measure for others */
	double low_count; /* answers in a row of ticks that were twice as fast as `latency` */
	double low_sum_s;
	struct curve curve;
};

#define ESTIMATE_WINDOW 3

struct estimate_slice {
	uint64_t at_ns;
	double sum_s;
	struct adapt_histogram h;
};

struct estimate_service {
	double pool; /* reference: weighted median of the backends' `slow`; NAN */
	double p99; /* of the last second, without outliers; NAN: too few answers */
	double mean; /* the same */
	double spread; /* learned p99 - mean, seconds; 0: not yet */
	bool silent; /* nobody asked and nobody answered in this tick, though many were due */
	bool over; /* sheds, or the pool as a whole is over the objective */
	struct estimate_slice slices[ESTIMATE_WINDOW];
	unsigned int next;
	double tail_ticks; /* since the last slice */
	struct curve alike; /* of all that take about as long as their pool */
	bool read; /* histograms and curves came with this tick */
};

/*
 * Take in one tick.
 *
 * of  one for each backend of the signals, kept from tick to tick
 */
void estimate_step(struct estimate_service *e, struct estimate_backend *of,
	const struct adapt_signals *s, const struct adapt_settings *settings);
/* It takes about as long as its pool: what is known of the others holds for it. */
bool estimate_is_alike(const struct estimate_backend *b);
void estimate_backend_init(struct estimate_backend *b);
void estimate_service_init(struct estimate_service *e);

/* Forget the window: what is in it was measured under rules that are no longer in force. */
void estimate_window_clear(struct estimate_service *e);

#endif
