/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The forecast: only ever prepares, never takes anything away.
 *
 * Each second the new flows asked for go into a level and a trend (Holt's linear method; Gardner and
 * McKenzie, "Forecasting trends in time series", 1985, for the damping, without which ten seconds ahead of a
 * short rise it would promise the moon):
 *
 *     level' = a x asked + (1 - a) x (level + phi x trend)
 *     trend' = b x (level' - level) + (1 - b) x phi x trend
 *     ahead  = level + (phi + phi^2 + ... + phi^10) x trend
 *
 * Every forecast is compared with what came ten seconds later. The mean of that distance is the band:
 * what is prepared for is the forecast and one band. Only what was promised and did not come speaks
 * against a rise: one that is not four times the mean of that is taken for chance, as is one of less
 * than 3.5 times the root of the level, which steady arrivals make by themselves. (That the first
 * seconds of a rise had not been foreseen, and that a damped trend promises too little of a long one,
 * makes it no less real.) A mean distance above half of the level says that this traffic cannot be
 * forecast; then it switches itself off until the distance is small again.
 *
 * The headroom is ahead / now, between 1 and 4. What it prepares:
 *
 *   slow starts  While those that are back take little, the others take their part, and are full when
 *                the rise is there. So who starts slowly while a rise is expected is whole when it is
 *                to have come: its share of its weight grows by a tenth each second at least (health's
 *                slow start, by the daemon's pool; that after an ejection, by the headroom, weights.c)
 *   caps         Those of calm weather (shed.c) leave room for 1.6 times the peak that was served well,
 *                and follow it within ticks; where more than that is expected, they leave room for it.
 *                To multiply both only lengthens the queue in which a full pool is found out
 *
 * Next hops and health checks of standby backends need no forecast: they are kept ready all the time.
 */

#include "control/adapt/forecast.h"

#include "control/adapt/decision.h"

#include <math.h>

#define SECOND_NS     UINT64_C(1000000000)
#define LEARN	      15 /* seconds before it is believed */
#define HEADROOM_MOST 4.0
#define WORTH	      1.2 /* times now: a smaller rise needs no preparation */
#define SURE	      4.0 /* mean excesses of the forecasts before */
#define CHANCE	      3.5 /* roots of the level: what a forecast of a steady count scatters by is one */
#define LEAST	      20.0 /* new flows per second: below, a factor means nothing */
#define ERROR_SHARE   0.1
#define BETTER	      0.6 /* of the worst error: on again */

static double forecast_ahead(const struct forecast_state *f, double damp)
{
	double sum = 0, power = 1;
	for (int i = 0; i < FORECAST_AHEAD; i++) {
		power *= damp;
		sum += power;
	}
	return fmax(0, f->level + sum * f->trend);
}

static void switch_tell(const struct forecast_state *f, const struct adapt_signals *s,
	const struct adapt_settings *settings, const struct adapt_log *log)
{
	struct adapt_decision d =
		decision_make(s, ADAPT_FORECAST, f->off ? "switch-off" : "switch-on", NULL);
	decision_reason(
		&d, "forecasts are off by %.0f of %.0f new flows per second", f->error, f->level);
	decision_figure(&d, "error", f->error);
	decision_figure(&d, "level", f->level);
	decision_tell(&d, settings, log);
}

static void judge(struct forecast_state *f, double asked, const struct adapt_signals *s,
	const struct adapt_settings *settings, const struct adapt_log *log)
{
	double worst = settings->gains.forecast_worst * fmax(f->level, LEAST);
	double promised = f->past[f->seconds % FORECAST_AHEAD];
	double distance = fabs(asked - promised);
	bool off = f->off;
	f->error += ERROR_SHARE * (distance - f->error);
	f->over += ERROR_SHARE * (fmax(0, promised - asked) - f->over);
	if (f->error > worst)
		f->off = true;
	else if (f->error < BETTER * worst)
		f->off = false;
	if (f->off != off)
		switch_tell(f, s, settings, log);
}

/* A second is over. */
static void second_step(struct forecast_state *f, double asked, const struct adapt_signals *s,
	const struct adapt_settings *settings, const struct adapt_log *log)
{
	const struct adapt_gains *g = &settings->gains;
	if (f->seconds == 0) {
		f->level = asked;
	} else {
		double before = f->level;
		double trend = g->forecast_damp * f->trend;
		f->level = g->forecast_level * asked + (1 - g->forecast_level) * (before + trend);
		f->trend =
			g->forecast_trend * (f->level - before) + (1 - g->forecast_trend) * trend;
	}
	if (f->seconds >= FORECAST_AHEAD)
		judge(f, asked, s, settings, log);
	double ahead = forecast_ahead(f, g->forecast_damp);
	f->past[f->seconds % FORECAST_AHEAD] = ahead;
	f->seconds++;
	f->ahead = f->seconds >= LEARN && !f->off ? ahead : NAN;
}

/* A rise that chance or the forecast's own error could have made is none. */
static double headroom_of(const struct forecast_state *f)
{
	double level = fmax(f->level, LEAST);
	double rise = f->ahead - f->level;
	if (isnan(f->ahead) || f->ahead <= WORTH * level)
		return 1;
	if (rise <= SURE * f->over || rise <= CHANCE * sqrt(level))
		return 1;
	return fmin(HEADROOM_MOST, (f->ahead + f->error) / level);
}

static void headroom_tell(struct forecast_state *f, double headroom, const struct adapt_signals *s,
	const struct adapt_settings *settings, const struct adapt_log *log)
{
	bool begins = headroom > 1 && f->told == 0;
	bool more = f->told > 0 && headroom > 1.3 * f->told;
	bool ends = headroom == 1 && f->told > 0;
	if (!begins && !more && !ends)
		return;
	struct adapt_decision d = decision_make(s, ADAPT_FORECAST, "headroom", NULL);
	d.from = f->told > 0 ? f->told : 1;
	d.to = headroom;
	decision_reason(&d, "%.0f new flows per second now, %.0f +- %.0f expected in %d s",
		f->level, isnan(f->ahead) ? f->level : f->ahead, f->error, FORECAST_AHEAD);
	decision_figure(&d, "level", f->level);
	decision_figure(&d, "trend", f->trend);
	decision_figure(&d, "ahead", f->ahead);
	decision_figure(&d, "band", f->error);
	decision_tell(&d, settings, log);
	f->told = ends ? 0 : headroom;
}

static void lift_tell(const struct adapt_backend_signals *b, const struct forecast_state *f,
	double headroom, const struct adapt_signals *s, const struct adapt_settings *settings,
	const struct adapt_log *log)
{
	struct adapt_decision d = decision_make(s, ADAPT_FORECAST, "lift", b);
	d.from = b->weight;
	d.to = b->whole;
	decision_reason(&d, "%.2g times as much is expected in %d s: its slow start ends by then",
		headroom, FORECAST_AHEAD);
	decision_figure(&d, "level", f->level);
	decision_figure(&d, "ahead", f->ahead);
	decision_figure(&d, "headroom", headroom);
	decision_tell(&d, settings, log);
}

/* The slow start of one: as far as its health has it, or as far as it has been lifted before. */
static void lift_step(struct forecast_backend *l, const struct adapt_backend_signals *b,
	const struct forecast_state *f, double headroom, const struct adapt_signals *s,
	const struct adapt_settings *settings, struct adapt_backend_directive *to,
	const struct adapt_log *log)
{
	double ready = b->whole > 0 ? (double)b->weight / (double)b->whole : 1;
	if (!b->usable || ready < l->ready)
		*l = (struct forecast_backend){ 0 };
	if (!b->usable)
		return;
	l->ready = ready;
	l->share = fmin(1, fmax(l->share, ready));
	if (headroom > 1 && l->share < 1) {
		l->share += (double)s->elapsed_ns / (double)SECOND_NS / FORECAST_AHEAD;
		l->share = fmin(1, l->share);
		if (!l->lifted)
			lift_tell(b, f, headroom, s, settings, log);
		l->lifted = true;
	}
	if (l->lifted)
		to->share = l->share;
}

void forecast_step(struct forecast_state *f, struct forecast_backend *of,
	const struct adapt_signals *s, const struct adapt_settings *settings,
	struct adapt_directive *to, const struct adapt_log *log)
{
	if (f->second_ns == 0) {
		*f = (struct forecast_state){ .second_ns = s->now_ns, .ahead = NAN };
		return;
	}
	f->asked += (double)s->offered;
	uint64_t passed = s->now_ns - f->second_ns;
	if (passed >= SECOND_NS) {
		second_step(f, f->asked * 1e9 / (double)passed, s, settings, log);
		f->second_ns = s->now_ns;
		f->asked = 0;
	}
	double headroom = headroom_of(f);
	to->headroom = headroom;
	to->room = fmax(1, headroom / settings->gains.shed_head);
	headroom_tell(f, headroom, s, settings, log);
	for (size_t i = 0; i < s->backend_count; i++)
		lift_step(&of[i], &s->backends[i], f, headroom, s, settings, &to->backends[i], log);
}
