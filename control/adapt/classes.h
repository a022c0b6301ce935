/* SPDX-License-Identifier: BSD-3-Clause */

/* Controller C, by class: what a class of the policies may have when there is not enough for all. See classes.c. */

#ifndef WEIR_ADAPT_CLASSES_H
#define WEIR_ADAPT_CLASSES_H

#include "control/adapt/overload.h"

struct class_state {
	char name[WEIR_NAME_SIZE]; /* "": what is in no class */
	double demand; /* smoothed, new flows per second */
	double habit; /* the same in calm weather */
	double configured; /* INFINITY: no limit */
	double rate; /* in force; INFINITY: it is not held back */
	uint64_t hold_ns; /* held back until then at least */
};

struct classes_state {
	/* In the order of the signals, and behind them what is in no class. */
	struct class_state of[WEIR_MAX_CLASSES_PER_SERVICE + 1];
	size_t count;
	struct overload load;
	double calm_s; /* for so long habits have been learned */
	struct adapt_class_directive out[WEIR_MAX_CLASSES_PER_SERVICE];
};

/* One tick, after the sources; fills to->classes. */
void classes_step(struct classes_state *v, const struct estimate_service *e,
	const struct adapt_signals *s, const struct adapt_settings *settings,
	struct adapt_directive *to, const struct adapt_log *log);

#endif
