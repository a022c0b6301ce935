/* SPDX-License-Identifier: BSD-3-Clause */

/* Controller C: what each source may have when there is not enough for all. See sources.c. */

#ifndef WEIR_ADAPT_SOURCES_H
#define WEIR_ADAPT_SOURCES_H

#include "control/adapt/overload.h"

#define SOURCES_PLACES 1024 /* a power of two */
#define SOURCES_MOST   768 /* of them are taken at most */

struct source_state {
	double habit[ADAPT_RESOURCE_COUNT]; /* what it asks for in calm weather */
	uint8_t prefix[16];
	uint64_t seen_ns;
	uint64_t red_ns; /* far above its share since; 0: it is not */
	uint64_t box_until_ns;
	unsigned int box_times;
};

struct sources_resource {
	struct overload load; /* by all sources */
	double calm_s; /* for so long habits have been learned */
	double habit; /* of the mean source */
	double rate; /* in force, of one share */
	bool on;
	uint64_t hold_ns; /* goes on until then at least */
};

/* Sources lie one behind the other, as all of them are gone through in each tick; places find them. */
struct sources_state {
	struct source_state source[SOURCES_MOST];
	double demand[ADAPT_RESOURCE_COUNT][SOURCES_MOST]; /* of each, smoothed, per second */
	size_t count;
	uint16_t place[SOURCES_PLACES]; /* of source, and one; 0: free */
	uint64_t swept_ns;
	struct sources_resource of[ADAPT_RESOURCE_COUNT];
};

/* One tick; fills to->policing. */
void sources_step(struct sources_state *v, const struct estimate_service *e,
	const struct adapt_signals *s, const struct adapt_settings *settings,
	struct adapt_directive *to, const struct adapt_log *log);

/*
 * The largest rate r for which the sum of min(demand, weight x r) is at most capacity, by water filling;
 * INFINITY when all demands fit.
 */
struct sources_claim {
	double demand;
	double weight; /* above 0 */
};
double sources_water_fill(const struct sources_claim *claims, size_t count, double capacity);

#endif
