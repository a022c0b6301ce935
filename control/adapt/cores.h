/* SPDX-License-Identifier: BSD-3-Clause */

/* Controller D, its other half: how many cores a service is to have. The rules are in cores.c. */

#ifndef WEIR_ADAPT_CORES_H
#define WEIR_ADAPT_CORES_H

#include "control/adapt/adapt.h"
#include "control/adapt/holt.h"

struct cores_state {
	unsigned int wanted; /* 0: not begun */
	uint64_t moved_ns; /* when that changed last */
	uint64_t apart_ns; /* it has another number since then; 0: it has not */
	double busy; /* smoothed over a second */
	unsigned int hot; /* readings in a row over the limit that is acted on at once */
	uint64_t quiet_ns; /* quiet since then; 0: it is not */
	uint64_t shrunk_ns; /* when a core was given back last */
	unsigned int relapses; /* times that a core given back was soon missed */
	unsigned int short_told; /* cores wanted, when it was told last that they are not there */
	uint64_t second_ns; /* the second under way; 0: none */
	double second_load; /* of its ticks, summed */
	double second_ticks;
	struct holt load; /* in cores */
};

void cores_init(struct cores_state *c);

/* One tick, behind the forecast's; fills to->cores. */
void cores_step(struct cores_state *c, const struct adapt_signals *s,
	const struct adapt_settings *settings, struct adapt_directive *to,
	const struct adapt_log *log);

#endif
