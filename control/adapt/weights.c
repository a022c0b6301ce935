/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Weights follow latency.
 *
 * Each backend has a factor, 1 when all is well; its weight in force is the configured weight times the
 * factor. The factor moves by the ratio of the backend's latency (estimate.c: the smoothed first byte, or
 * the wait of requests that have no answer yet, whichever is longer) to its pool's:
 *
 *   above 3      an outlier: factor x max(0.1, 1 / ratio), at once (below 6 when it is one two ticks in
 *                a row, as a short queue is not)
 *   above 1.3    for a second, slow: factor x max(0.5, 1 / sqrt(ratio)), unless the pool as a whole is
 *                overloaded, when moving load from one to the others helps nobody; then again after
 *                another second, as what was queued before has to be answered first
 *   below 1.15   factor x 1.2 up to 1; a little above 1 while it is clearly faster than the others
 *
 * Between 1.15 and 1.3 nothing happens: that is the hysteresis. What is measured from few answers may be
 * chance, so the bands widen with 3 / sqrt(answers), the way back with a quarter of that; a pool of equal
 * backends under steady load is left alone whatever its rate. A factor never leaves 0.005..2, so that a
 * slow backend keeps getting the few requests that show when it is well again: one a second where that is
 * no more than 0.4 % of what its pool gets, which leaves the pool's p99 alone.
 *
 * Only the ratios of weights count, so when no factor is 1 they are scaled until the largest is: the pool as
 * a whole cannot sink.
 *
 * One that falls again within 20 s of having come back, or on its way back, is held at the bottom for 1 s,
 * then 2, 4, up to 60: one that flaps does not take the pool's tail with it each time, and one that is slower
 * for good is not tried out again and again. A calm minute forgives.
 *
 * New flows follow the weight; kept-alive ones do not. So while a backend has been three times slower than
 * its pool for 300 ms, and slow in the terms of the objective as well, a third of its idle flows is closed
 * each tick, and their clients come back to the others.
 */

#include "control/adapt/weights.h"

#include "control/adapt/decision.h"

#include <math.h>

#define RELAPSE_NS   UINT64_C(20000000000)
#define FORGIVE_NS   UINT64_C(60000000000)
#define HOLD_MOST    60.0
#define OUT_TICKS    1.5
#define SLOW_TICKS   9.5
#define IDLE_TICKS   3
#define IDLE_SHARE   0.3
#define TELL	     1.5 /* a factor that changed by this is news */
#define BACK	     0.9 /* it has come back, and may relapse */
#define ON_ITS_WAY   2 /* times the lowest: more than chance would have given it back */
#define ALMOST	     0.02 /* of 1: is 1 */
#define AFTER_RETURN 0.1 /* the factor of one that comes back from an ejection */
#define FASTER_STEP  1.02
#define SEEN_RATE    1.0 /* requests a second that show when a slow one is well again */
#define SEEN_SHARE   0.004 /* of the pool's, at most */

void weights_backend_init(struct weights_backend *w)
{
	*w = (struct weights_backend){ .factor = 1, .told = 1 };
}

/* It is cut, to `next`: a relapse when it had only just come back, or was on its way. */
static void cut_note(
	struct weights_backend *w, double next, uint64_t now_ns, const struct adapt_gains *g)
{
	bool relapse = w->down ? w->factor > ON_ITS_WAY * w->low :
				 w->back_ns != 0 && now_ns - w->back_ns < RELAPSE_NS;
	if (relapse) {
		double hold = fmin(HOLD_MOST, g->weights_hold * exp2(fmin(w->relapses, 8)));
		w->relapses++;
		w->hold_until_ns = now_ns + (uint64_t)(hold * 1e9);
	}
	w->cut_ns = now_ns;
	w->low = w->down && !relapse ? fmin(w->low, next) : next;
	w->down = true;
}

static uint64_t held_until(const struct weights_backend *w)
{
	return w->hold_until_ns > w->cut_ns ? w->hold_until_ns : w->cut_ns;
}

static double factor_back(struct weights_backend *w, double factor, double ratio, double unsure,
	uint64_t now_ns, const struct adapt_gains *g, double ticks)
{
	if (factor < 1) {
		if (now_ns < w->hold_until_ns)
			return factor;
		factor *= pow(g->weights_up, ticks);
		return factor > 1 - ALMOST ? 1 : factor;
	}
	if (ratio < 1 - g->weights_band - unsure)
		return factor * pow(FASTER_STEP, ticks);
	factor += adapt_share(g->weights_relax, ticks) * (1 - factor);
	return factor < 1 + ALMOST ? 1 : factor;
}

static void streaks_step(struct weights_backend *w, const struct estimate_backend *b, double unsure,
	const struct adapt_gains *g, double ticks)
{
	bool is_out = b->ratio > g->weights_out + unsure;
	bool is_slow = b->ratio > 1 + g->weights_band + unsure;
	w->out_ticks = is_out ? w->out_ticks + ticks : 0;
	w->slow_ticks = is_slow ? w->slow_ticks + ticks : 0;
}

/* The least factor: a backend's share of its pool is about its factor divided by the count. */
static double floor_of(const struct estimate_backend *b, const struct adapt_signals *s,
	const struct adapt_gains *g)
{
	double rate = 0, serving = 0;
	for (size_t i = 0; i < s->backend_count; i++)
		if (s->backends[i].usable && !b[i].out) {
			rate += b[i].rate;
			serving++;
		}
	double share = rate > 0 ? fmin(SEEN_RATE / rate, SEEN_SHARE) : SEEN_SHARE;
	return fmax(g->weights_floor, share * serving);
}

/* The rules of the page above. */
static double factor_next(struct weights_backend *w, const struct estimate_backend *b, bool news,
	bool over, uint64_t now_ns, const struct adapt_gains *g, double ticks, double least)
{
	/* A wait is tested for chance where it is made. */
	double unsure = isnan(b->wait) ? 3 / sqrt(fmax(b->samples, 0.25)) : 0;
	double factor = w->factor;
	if (isnan(b->ratio))
		return factor;
	/* The same answers do not count twice. */
	if (news)
		streaks_step(w, b, unsure, g, ticks);
	bool is_out = news && w->out_ticks > 0;
	bool is_slow = news && w->slow_ticks > SLOW_TICKS;
	if (is_out && (w->out_ticks > OUT_TICKS || b->ratio > 2 * g->weights_out)) {
		factor = fmax(least, factor * fmax(g->weights_cut, 1 / b->ratio));
		cut_note(w, factor, now_ns, g);
	} else if (is_slow && !over) {
		factor *= fmax(g->weights_down, pow(b->ratio, -g->weights_power));
		factor = fmax(least, factor);
		cut_note(w, factor, now_ns, g);
		/* What was queued before the cut has to be answered before another one. */
		w->slow_ticks = 0;
	} else if (b->ratio < 1 + g->weights_band / 2 + unsure / 4) {
		factor = factor_back(w, factor, b->ratio, unsure, now_ns, g, ticks);
	}
	return fmin(g->weights_ceiling, fmax(least, factor));
}

static double ramp_ceiling(
	struct weights_backend *w, uint64_t now_ns, const struct adapt_gains *g, double headroom)
{
	double since = w->ramp_ns == 0 ? INFINITY : (double)(now_ns - w->ramp_ns) / 1e9;
	if (since >= g->eject_ramp) {
		w->ramp_ns = 0;
		return g->weights_ceiling;
	}
	/* What is expected soon is let in sooner. */
	return headroom * (AFTER_RETURN + (1 - AFTER_RETURN) * since / g->eject_ramp);
}

static void weight_tell(struct weights_backend *w, const struct estimate_backend *b,
	const struct estimate_service *e, const struct adapt_backend_signals *of,
	const struct adapt_signals *s, const struct adapt_settings *settings,
	const struct adapt_log *log)
{
	bool back = w->factor == 1 && w->told != 1;
	bool news = w->factor > w->told * TELL || w->factor * TELL < w->told;
	char own[16], pool[16];
	if (!back && !news)
		return;
	struct adapt_decision d = decision_make(s, ADAPT_WEIGHTS, "weight", of);
	d.from = of->weight * w->told;
	d.to = of->weight * w->factor;
	decision_reason(&d, "%s %s against the pool's %s%s",
		!isnan(b->wait) && b->wait >= b->slow ? "expected wait" : "first byte",
		decision_time(b->slow, own), decision_time(e->pool, pool),
		back				     ? ": as configured again" :
			w->factor > w->told	     ? ": coming back" :
			s->now_ns < w->hold_until_ns ? ": fell again, held down" :
						       "");
	decision_figure(&d, "latency", b->slow);
	decision_figure(&d, "first_byte", b->latency);
	decision_figure(&d, "expected_wait", b->wait);
	decision_figure(&d, "pool_latency", e->pool);
	decision_figure(&d, "ratio", b->ratio);
	decision_figure(&d, "answers_per_second", b->rate);
	decision_figure(&d, "in_flight", b->in_flight);
	decision_figure(&d, "factor", w->factor);
	decision_figure(&d, "relapses", w->relapses);
	decision_tell(&d, settings, log);
	w->told = w->factor;
}

static void idle_step(struct weights_backend *w, const struct estimate_backend *b,
	const struct adapt_settings *settings, double ticks, struct adapt_backend_directive *to)
{
	double target = settings->gains.shed_target * settings->objective_s;
	bool far = b->ratio > settings->gains.weights_out && b->slow > target / 2;
	w->far_ticks = far ? w->far_ticks + ticks : 0;
	to->close_idle =
		w->far_ticks > IDLE_TICKS - 0.5 && settings->is_tcp && settings->sees_replies ?
		adapt_share(IDLE_SHARE, ticks) :
		0;
}

/* The largest factor of those that serve is at least 1. */
static void factors_scale(struct weights_backend *of, const struct estimate_backend *b,
	const struct adapt_signals *s, double least)
{
	double most = 0;
	for (size_t i = 0; i < s->backend_count; i++)
		if (s->backends[i].usable && !b[i].out && s->backends[i].weight > 0)
			most = fmax(most, of[i].factor);
	for (size_t i = 0; most > 0 && most < 1 && i < s->backend_count; i++)
		of[i].factor = fmax(least, of[i].factor / most);
}

void weights_step(struct weights_backend *of, const struct estimate_backend *b,
	const struct estimate_service *e, const struct adapt_signals *s,
	const struct adapt_settings *settings, struct adapt_directive *to,
	const struct adapt_log *log)
{
	const struct adapt_gains *g = &settings->gains;
	double ticks = (double)s->elapsed_ns / (double)ADAPT_TICK_NS;
	double least = floor_of(b, s, g);
	for (size_t i = 0; i < s->backend_count; i++) {
		struct weights_backend *w = &of[i];
		if (!s->backends[i].usable || b[i].out)
			continue;
		bool news = !e->silent && (s->backends[i].answered > 0 || !isnan(b[i].wait));
		double factor = factor_next(w, &b[i], news, e->over, s->now_ns, g, ticks, least);
		w->factor = fmin(factor, ramp_ceiling(w, s->now_ns, g, to->headroom));
		if (w->down && w->factor >= BACK) {
			w->down = false;
			w->back_ns = s->now_ns;
		}
		if (w->cut_ns != 0 && s->now_ns > FORGIVE_NS + held_until(w))
			w->relapses = 0;
	}
	factors_scale(of, b, s, least);
	for (size_t i = 0; i < s->backend_count; i++) {
		if (!s->backends[i].usable || b[i].out)
			continue;
		to->backends[i].factor = of[i].factor;
		idle_step(&of[i], &b[i], settings, ticks, &to->backends[i]);
		weight_tell(&of[i], &b[i], e, &s->backends[i], s, settings, log);
	}
}
