/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Classes: who asks for too much, where many sources together do.
 *
 * Policies put new flows into classes: regions, customers, kinds of clients. A flood from ten thousand addresses
 * of one region has no source that stands out, and shares by source (sources.c) would let it crowd out everybody
 * else; as a class it stands out at once.
 *
 * Calm: what each class asks for is learned over thirty seconds, and so is what is in no class. That is its
 * weight: a region that usually has nine tenths of the flows may have nine tenths of what there is. One that
 * usually has next to nothing counts as a tenth of the mean, or its first visitors would be a flood.
 *
 * Overload for half a second, and more is asked for than was served (overload.h). That is later than sources are
 * policed: where that is enough, no class need suffer for one of its members. Then the rate r solves
 *
 *     sum over classes, and the rest, of min(demand, weight x r) = 0.85 x capacity
 *
 * and a class is held back at weight x r when all of this holds:
 *
 *   it asks for more than that
 *   it asks for twice its habit       else capacity has shrunk, and it is to blame for nothing
 *   it has grown by half more than    when all grow alike it is a crowd; caps refuse it evenly
 *   all others together
 *
 * It never gets less than half of its habit, nor more than is configured. What is in no class cannot be held back,
 * it only has its part in the division; with a single class, and nothing outside of it, there is nobody to protect.
 *
 * Its rate follows r while there is excess. Capacity is tried out slower than for sources: what is let in too much
 * is refused to all alike, also to those who are to be protected. When demand has been below capacity for 10 s, its rate grows by a
 * tenth each tick until it has room for twice what is asked for, and is given up. Should the overload come back
 * meanwhile, the rate follows r again.
 */

#include "control/adapt/classes.h"

#include "control/adapt/decision.h"
#include "control/adapt/sources.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define HABIT_S	   30.0
#define SETTLE_S   5.0 /* no habit is believed before */
#define OVER_TICKS 4.5
#define LEAST_PART 0.1 /* of the mean habit: the least weight */
#define LEAST_RATE 1.0
#define FLOOR	   0.5 /* of its habit */
#define GROWN	   2.0 /* habits */
#define APART	   1.5 /* times the growth of all others */
#define PROBE	   1.005 /* growth of the capacity while nothing says that it is too much */
#define RAMP	   1.1 /* each tick */
#define ROOM	   2.0 /* times what is asked for: given up */

static bool is_held(const struct class_state *c)
{
	return isfinite(c->rate);
}

/* Classes have come, gone or changed places: who stays keeps what is known of it. */
static void classes_follow(struct classes_state *v, const struct adapt_signals *s)
{
	size_t count = s->class_count + 1;
	bool same = v->count == count;
	for (size_t i = 0; same && i + 1 < count; i++)
		same = strcmp(v->of[i].name, s->classes[i].name) == 0;
	if (same)
		return;
	struct class_state before[WEIR_MAX_CLASSES_PER_SERVICE + 1];
	size_t known = v->count;
	memcpy(before, v->of, sizeof(before));
	for (size_t i = 0; i < count; i++) {
		const char *name = i + 1 < count ? s->classes[i].name : "";
		struct class_state *c = &v->of[i];
		*c = (struct class_state){ .configured = INFINITY, .rate = INFINITY };
		snprintf(c->name, sizeof(c->name), "%s", name);
		for (size_t j = 0; j < known; j++)
			if (strcmp(before[j].name, name) == 0)
				*c = before[j];
	}
	v->count = count;
}

/* Returns what is asked for now, per second, as far as it may be let in at all. */
static double demands_step(struct classes_state *v, const struct adapt_signals *s)
{
	double seconds = (double)s->elapsed_ns / 1e9;
	double share = adapt_share(0.2, (double)s->elapsed_ns / (double)ADAPT_TICK_NS);
	uint64_t classed = s->policed;
	double all = 0;
	for (size_t i = 0; i < s->class_count; i++) {
		const struct adapt_class_signals *c = &s->classes[i];
		v->of[i].configured =
			c->configured == WEIR_UNLIMITED ? INFINITY : (double)c->configured;
		classed += c->new_flows;
	}
	for (size_t i = 0; i < v->count; i++) {
		struct class_state *c = &v->of[i];
		uint64_t rest = s->offered > classed ? s->offered - classed : 0;
		uint64_t flows = i < s->class_count ? s->classes[i].new_flows : rest;
		double asked = fmin((double)flows / seconds, c->configured);
		c->demand += share * (asked - c->demand);
		all += asked;
	}
	return all;
}

static void habits_step(struct classes_state *v, double seconds)
{
	v->calm_s += seconds;
	double share = fmin(1, seconds / fmin(v->calm_s, HABIT_S));
	for (size_t i = 0; i < v->count; i++)
		v->of[i].habit += share * (v->of[i].demand - v->of[i].habit);
}

struct division {
	double demand; /* of all */
	double habit;
	double least; /* weight */
	double rate; /* for each unit of weight; INFINITY: there is enough */
	size_t asking;
};

static double weight_of(const struct division *d, const struct class_state *c)
{
	return fmax(d->least, c->habit);
}

static struct division divide(const struct classes_state *v, double capacity)
{
	struct division d = { 0 };
	struct sources_claim claims[WEIR_MAX_CLASSES_PER_SERVICE + 1];
	for (size_t i = 0; i < v->count; i++) {
		d.demand += v->of[i].demand;
		d.habit += v->of[i].habit;
		d.asking += v->of[i].demand > LEAST_RATE;
	}
	d.least = fmax(LEAST_RATE, LEAST_PART * d.habit / (double)v->count);
	for (size_t i = 0; i < v->count; i++)
		claims[i] = (struct sources_claim){ v->of[i].demand, weight_of(&d, &v->of[i]) };
	d.rate = sources_water_fill(claims, v->count, capacity);
	return d;
}

static double share_of(const struct division *d, const struct class_state *c)
{
	double share = fmax(d->rate * weight_of(d, c), FLOOR * c->habit);
	return fmin(fmax(LEAST_RATE, share), c->configured);
}

/* It, and not all of them. */
static bool has_grown(const struct division *d, const struct class_state *c)
{
	double own = c->demand / weight_of(d, c);
	double others = (d->demand - c->demand) / fmax(d->least, d->habit - c->habit);
	return own > GROWN && own > APART * others;
}

static void class_tell(const struct classes_state *v, const struct class_state *c, bool begins,
	const struct estimate_service *e, const struct adapt_signals *s,
	const struct adapt_settings *settings, const struct adapt_log *log)
{
	struct adapt_decision d =
		decision_make(s, ADAPT_SOURCES, begins ? "class" : "class-end", NULL);
	snprintf(d.object, sizeof(d.object), "%s", c->name);
	if (begins) {
		d.to = c->rate;
		decision_reason(&d,
			"asks for %.0f new flows per second, usually for %.0f; of all %.0f, %.0f were "
			"served",
			c->demand, c->habit, v->load.demand, v->load.capacity);
	} else {
		d.from = c->rate;
		decision_reason(&d,
			"asks for %.0f new flows per second; of all %.0f, %.0f can be served",
			c->demand, v->load.demand, v->load.capacity);
	}
	decision_figure(&d, "demand", c->demand);
	decision_figure(&d, "habit", c->habit);
	decision_figure(&d, "configured", c->configured);
	decision_figure(&d, "demand_of_all", v->load.demand);
	decision_figure(&d, "capacity", v->load.capacity);
	decision_figure(&d, "p99", e->p99);
	decision_tell(&d, settings, log);
}

/* d: while there is excess, else NULL. Returns whether it has just been held back (1) or let go (-1). */
static int class_step(struct class_state *c, const struct division *d, bool may_begin,
	const struct adapt_signals *s, const struct adapt_settings *settings)
{
	double ticks = (double)s->elapsed_ns / (double)ADAPT_TICK_NS;
	double share = d != NULL ? share_of(d, c) : INFINITY;
	bool holds = is_held(c);
	if (d != NULL && (holds || (may_begin && c->demand > share && has_grown(d, c)))) {
		c->rate = holds ? c->rate + adapt_share(0.5, ticks) * (share - c->rate) : share;
		c->rate = fmin(c->rate, c->configured);
		c->hold_ns = s->now_ns + (uint64_t)(settings->gains.sources_calm * 1e9);
		return !holds;
	}
	if (!holds || s->now_ns <= c->hold_ns)
		return 0;
	c->rate *= pow(RAMP, ticks);
	return c->rate > ROOM * c->demand || c->rate >= c->configured ? -1 : 0;
}

void classes_step(struct classes_state *v, const struct estimate_service *e,
	const struct adapt_signals *s, const struct adapt_settings *settings,
	struct adapt_directive *to, const struct adapt_log *log)
{
	double seconds = (double)s->elapsed_ns / 1e9;
	bool over = overload_of_flows(e, s, settings);
	bool holds = false;
	if (s->class_count == 0) {
		*v = (struct classes_state){ 0 };
		return;
	}
	classes_follow(v, s);
	double asked = demands_step(v, s);
	for (size_t i = 0; i < v->count; i++)
		holds |= is_held(&v->of[i]);
	overload_step(&v->load, over, asked, (double)s->forwarded / seconds, holds ? PROBE : 1, s);
	if (!over && !holds && !to->policing->on)
		habits_step(v, seconds);
	struct division d = divide(v, settings->gains.sources_share * v->load.capacity);
	bool excess = overload_is_excess(&v->load, holds) && isfinite(d.rate);
	bool may_begin = v->load.over_ticks > OVER_TICKS && v->calm_s >= SETTLE_S && d.asking >= 2;
	to->classes = v->out;
	for (size_t i = 0; i < s->class_count; i++) {
		struct class_state *c = &v->of[i];
		int what = class_step(c, excess ? &d : NULL, may_begin, s, settings);
		if (what != 0)
			class_tell(v, c, what > 0, e, s, settings, log);
		if (what < 0)
			c->rate = INFINITY;
		if (!is_held(c))
			continue;
		struct adapt_class_directive *out = &v->out[to->class_count++];
		memcpy(out->name, c->name, sizeof(out->name));
		out->rate = c->rate;
	}
}
