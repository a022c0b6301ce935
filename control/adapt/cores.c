/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Cores that move by load, inside `cores: {min, max}`. How busy a core is of a service's: the cycles that went
 * to its packets, as a share of what it may have there, which is what other services leave, and at least an equal
 * part. Polling in vain is no load, and a neighbour's flood is the neighbour's. By the busiest of its cores:
 *
 * More: at once when it was over cores.now (85 %) in two readings in a row, as one of 100 ms may be a single
 * stall; or when the smoothed share is over cores.grow (70 %) in ten seconds, by the trend of the load (holt.c), or
 * by the forecast of new flows where that is on. As many as bring each core to cores.aim (60 %), at most twice
 * as many as before, then no more for cores.cooldown (1 s), so that what they change is seen. A core that is full
 * while the others idle has one flow that fills it: more cores would not take it.
 *
 * Fewer, one at a time: when the smoothed share was below cores.quiet (40 %) for cores.hold (30 s), and the
 * others would stay below cores.aim with what it has and what is expected: two cores that are half busy are no
 * reason to go back to one, which would be too busy again. While other services lack cores a tenth of the time is
 * enough. A core that is missed within a minute was given back too early: the time doubles, up to 16 times as long, and
 * is as before after ten minutes without.
 *
 * What was moved by hand, or could not be had by a configuration, is taken as it is after two seconds. Silence,
 * a pause, switching it off: nothing moves. What has no room is told once; the data plane takes a core as soon as
 * one is free.
 */

#include "control/adapt/cores.h"

#include "control/adapt/decision.h"

#include <math.h>

#define SECOND_NS     UINT64_C(1000000000)
#define LEAST	      0.1 /* cores of load: below, a factor means nothing */
#define SMOOTH	      0.1 /* share of a tick */
#define HOT	      2
#define EVEN	      0.5 /* of the busiest core's share, the mean of all: else one flow fills it */
#define APART_NS      (2 * SECOND_NS)
#define RELAPSE_NS    (60 * SECOND_NS)
#define FORGET_NS     (600 * SECOND_NS)
#define RELAPSES_MOST 4
#define SOUGHT	      0.1 /* of the hold, while others lack cores */

void cores_init(struct cores_state *c)
{
	*c = (struct cores_state){ 0 };
	holt_init(&c->load);
}

static unsigned int clamp(uint64_t cores, const struct adapt_settings *settings)
{
	if (cores < settings->cores_min)
		return settings->cores_min;
	return cores < settings->cores_max ? (unsigned int)cores : settings->cores_max;
}

/* What it would be with as many cores as are wanted: where nothing is moved, that is not what is measured. */
static double busy_of(const struct cores_state *c, const struct adapt_signals *s,
	const struct adapt_settings *settings)
{
	if (settings->mode[ADAPT_CORES] == ADAPT_ON)
		return s->cores_busy;
	return fmin(1, s->cores_busy * (double)s->cores / c->wanted);
}

static void measure(struct cores_state *c, double busy, const struct adapt_signals *s,
	const struct adapt_settings *settings)
{
	double ticks = (double)s->elapsed_ns / (double)ADAPT_TICK_NS;
	c->busy += adapt_share(SMOOTH, ticks) * (busy - c->busy);
	c->hot = busy > settings->gains.cores_now ? c->hot + 1 : 0;
	if (c->second_ns == 0)
		c->second_ns = s->now_ns;
	c->second_load += s->cores_load * ticks;
	c->second_ticks += ticks;
	if (s->now_ns - c->second_ns < SECOND_NS)
		return;
	holt_take(&c->load, c->second_load / c->second_ticks, LEAST, &settings->gains);
	c->second_ns = s->now_ns;
	c->second_load = c->second_ticks = 0;
}

/* Somebody else has moved them, or they are not to be had: go on from there. */
static void follow(
	struct cores_state *c, const struct adapt_signals *s, const struct adapt_settings *settings)
{
	if (c->wanted != clamp(c->wanted, settings)) {
		c->wanted = clamp(c->wanted, settings);
		c->moved_ns = s->now_ns;
	}
	if (settings->mode[ADAPT_CORES] != ADAPT_ON || s->cores == c->wanted ||
		s->cores_short != 0) {
		c->apart_ns = 0;
		return;
	}
	if (c->apart_ns == 0)
		c->apart_ns = s->now_ns;
	if (s->now_ns - c->apart_ns < APART_NS || clamp(s->cores, settings) == c->wanted)
		return;
	c->wanted = clamp(s->cores, settings);
	c->moved_ns = s->now_ns;
	c->apart_ns = c->quiet_ns = 0;
}

static struct adapt_decision decision(const struct cores_state *c, const struct adapt_signals *s,
	const char *action, unsigned int to, double busy, double headroom)
{
	struct adapt_decision d = decision_make(s, ADAPT_CORES, action, NULL);
	d.from = c->wanted;
	d.to = to;
	decision_figure(&d, "busy", busy);
	decision_figure(&d, "smoothed", c->busy);
	decision_figure(&d, "load", s->cores_load);
	decision_figure(&d, "headroom", headroom);
	decision_figure(&d, "cores", (double)s->cores);
	decision_figure(&d, "lacking", (double)s->cores_short);
	return d;
}

static void grow(struct cores_state *c, double busy, double headroom, const struct adapt_signals *s,
	const struct adapt_settings *settings, const struct adapt_log *log)
{
	const struct adapt_gains *g = &settings->gains;
	bool hot = c->hot >= HOT;
	double load = (hot ? busy : c->busy * headroom) * c->wanted;
	double most = fmin(settings->cores_max, 2.0 * c->wanted);
	unsigned int to = (unsigned int)fmin(most, fmax(c->wanted + 1, ceil(load / g->cores_aim)));
	struct adapt_decision d = decision(c, s, "cores", to, busy, headroom);
	if (hot)
		decision_reason(&d, "busy %.2f", busy);
	else if (headroom > 1)
		decision_reason(&d, "busy %.2f, %.2f expected in %d s", c->busy, c->busy * headroom,
			HOLT_AHEAD);
	else
		decision_reason(&d, "busy %.2f for a while", c->busy);
	decision_tell(&d, settings, log);
	if (c->shrunk_ns != 0 && s->now_ns - c->shrunk_ns < RELAPSE_NS &&
		c->relapses < RELAPSES_MOST)
		c->relapses++;
	c->shrunk_ns = 0;
	c->wanted = to;
	c->moved_ns = s->now_ns;
	c->hot = 0;
	c->quiet_ns = 0;
}

static void shrink(struct cores_state *c, double busy, double headroom,
	const struct adapt_signals *s, const struct adapt_settings *settings,
	const struct adapt_log *log)
{
	struct adapt_decision d = decision(c, s, "cores", c->wanted - 1, busy, headroom);
	decision_reason(&d, "busy %.2f for %.0f s%s", c->busy,
		(double)(s->now_ns - c->quiet_ns) / 1e9,
		s->cores_sought ? ", and others lack cores" : "");
	decision_tell(&d, settings, log);
	c->wanted--;
	c->moved_ns = c->shrunk_ns = c->quiet_ns = s->now_ns;
}

static bool is_quiet(const struct cores_state *c, double headroom, const struct adapt_gains *g)
{
	if (c->wanted < 2 || c->busy >= g->cores_quiet)
		return false;
	return c->busy * headroom * c->wanted / (c->wanted - 1) < g->cores_aim;
}

static double hold_s(
	const struct cores_state *c, const struct adapt_signals *s, const struct adapt_gains *g)
{
	if (s->cores_sought)
		return g->cores_hold * SOUGHT;
	return g->cores_hold * (double)(1u << c->relapses);
}

static void short_tell(struct cores_state *c, double busy, const struct adapt_signals *s,
	const struct adapt_settings *settings, const struct adapt_log *log)
{
	if (s->cores_short == 0)
		c->short_told = 0;
	if (s->cores_short == 0 || c->short_told == c->wanted)
		return;
	struct adapt_decision d = decision(c, s, "cores-short", c->wanted, busy, 1);
	d.from = s->cores;
	decision_reason(&d, "busy %.2f, but no other core is free", busy);
	decision_tell(&d, settings, log);
	c->short_told = c->wanted;
}

void cores_step(struct cores_state *c, const struct adapt_signals *s,
	const struct adapt_settings *settings, struct adapt_directive *to,
	const struct adapt_log *log)
{
	const struct adapt_gains *g = &settings->gains;
	if (settings->cores_max <= settings->cores_min || s->cores == 0)
		return;
	if (c->wanted == 0) {
		cores_init(c);
		c->wanted = clamp(s->cores_wanted ? s->cores_wanted : s->cores, settings);
		c->busy = s->cores_busy;
		c->moved_ns = s->now_ns;
	}
	follow(c, s, settings);
	double busy = busy_of(c, s, settings);
	measure(c, busy, s, settings);
	double headroom = fmax(holt_headroom(&c->load, LEAST), to->headroom);
	bool even = s->cores_load >= EVEN * s->cores_busy * s->cores;
	bool rested = (double)(s->now_ns - c->moved_ns) / 1e9 >= g->cores_cooldown;
	if (c->shrunk_ns != 0 && s->now_ns - c->shrunk_ns > FORGET_NS)
		c->relapses = 0;
	if (!is_quiet(c, headroom, g))
		c->quiet_ns = 0;
	else if (c->quiet_ns == 0)
		c->quiet_ns = s->now_ns;
	if (rested && even && c->wanted < settings->cores_max &&
		(c->hot >= HOT || c->busy * headroom > g->cores_grow))
		grow(c, busy, headroom, s, settings, log);
	else if (rested && c->wanted > settings->cores_min && c->quiet_ns != 0 &&
		(double)(s->now_ns - c->quiet_ns) / 1e9 >= hold_s(c, s, g))
		shrink(c, busy, headroom, s, settings, log);
	short_tell(c, busy, s, settings, log);
	to->cores = c->wanted;
}
