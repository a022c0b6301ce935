/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The forecast: only ever prepares, never takes anything away.
 *
 * Each second the new flows asked for are taken, and forecast for ten seconds later: by level and trend
 * (holt.c) and, where the day has a shape that is better known than chance, by that (season.c). The larger
 * one of the two counts. A rise of less than 3.5 times the root of the level is none: steady arrivals make it by themselves.
 *
 * The headroom is what is to be prepared for / now, between 1 and 4. What it prepares:
 *
 *   slow starts  While those that are back take little, the others take their part, and are full when
 *                the rise is there. So who starts slowly while a rise is expected is whole when it is
 *                to have come: its share of its weight grows by a tenth each second at least (health's
 *                slow start, by the daemon's pool; that after an ejection, by the headroom, weights.c)
 *   caps         Those of calm weather (shed.c) leave room for 1.6 times the peak that was served well,
 *                and follow it within ticks; where more than that is expected, they leave room for it.
 *                To multiply both only lengthens the queue in which a full pool is found out
 *   cores        The headroom counts as the trend of the cores' own load does (cores.c)
 *
 * Next hops and health checks of standby backends need no forecast: they are kept ready all the time.
 */

#include "control/adapt/forecast.h"

#include "control/adapt/decision.h"

#include <math.h>

#define SECOND_NS UINT64_C(1000000000)
#define LEAST	  20.0 /* new flows per second: below, a factor means nothing */

void forecast_init(struct forecast_state *f)
{
	*f = (struct forecast_state){ .season = NAN, .ahead = NAN };
	holt_init(&f->h);
}

static void switch_tell(const struct forecast_state *f, const struct adapt_signals *s,
	const struct adapt_settings *settings, const struct adapt_log *log)
{
	struct adapt_decision d =
		decision_make(s, ADAPT_FORECAST, f->h.off ? "switch-off" : "switch-on", NULL);
	decision_reason(&d, "forecasts are off by %.0f of %.0f new flows per second", f->h.error,
		f->h.level);
	decision_figure(&d, "error", f->h.error);
	decision_figure(&d, "level", f->h.level);
	decision_tell(&d, settings, log);
}

/* Nothing is expected before there is a forecast. */
static double headroom_of(const struct forecast_state *f, double season_error)
{
	double level = fmax(f->h.level, LEAST);
	double chance = HOLT_CHANCE * sqrt(level);
	double headroom = f->h.ahead - f->h.level > chance ? holt_headroom(&f->h, LEAST) : 1;
	if (f->season - f->h.level > chance && f->season > HOLT_WORTH * level)
		headroom = fmax(
			headroom, fmin(HOLT_HEADROOM_MOST, (f->season + season_error) / level));
	return headroom;
}

static void second_end(struct forecast_state *f, struct season *season, double value,
	const struct adapt_signals *s, const struct adapt_settings *settings,
	const struct adapt_log *log)
{
	if (holt_take(&f->h, value, LEAST, &settings->gains))
		switch_tell(f, s, settings, log);
	if (season != NULL) {
		season_take(season, (uint32_t)(s->day_s % SEASON_DAY_S), value, holt_promise(&f->h),
			LEAST, &settings->gains);
		f->season = season->ahead;
	}
	f->ahead = fmax(f->h.ahead, f->season); /* of one that is NAN the other */
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
		f->h.level, isnan(f->ahead) ? f->h.level : f->ahead, f->h.error, HOLT_AHEAD);
	decision_figure(&d, "level", f->h.level);
	decision_figure(&d, "trend", f->h.trend);
	decision_figure(&d, "ahead", f->ahead);
	decision_figure(&d, "season", f->season);
	decision_figure(&d, "band", f->h.error);
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
		headroom, HOLT_AHEAD);
	decision_figure(&d, "level", f->h.level);
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
		l->share += (double)s->elapsed_ns / (double)SECOND_NS / HOLT_AHEAD;
		l->share = fmin(1, l->share);
		if (!l->lifted)
			lift_tell(b, f, headroom, s, settings, log);
		l->lifted = true;
	}
	if (l->lifted)
		to->share = l->share;
}

void forecast_step(struct forecast_state *f, struct season *season, struct forecast_backend *of,
	const struct adapt_signals *s, const struct adapt_settings *settings,
	struct adapt_directive *to, const struct adapt_log *log)
{
	if (f->second_ns == 0) {
		forecast_init(f);
		f->second_ns = s->now_ns;
		return;
	}
	f->asked += (double)s->offered;
	uint64_t passed = s->now_ns - f->second_ns;
	if (passed >= SECOND_NS) {
		second_end(f, season, f->asked * 1e9 / (double)passed, s, settings, log);
		f->second_ns = s->now_ns;
		f->asked = 0;
	}
	double headroom = headroom_of(f, season != NULL ? season->error : 0);
	to->headroom = headroom;
	to->room = fmax(1, headroom / settings->gains.shed_head);
	headroom_tell(f, headroom, s, settings, log);
	for (size_t i = 0; i < s->backend_count; i++)
		lift_step(&of[i], &s->backends[i], f, headroom, s, settings, &to->backends[i], log);
}
