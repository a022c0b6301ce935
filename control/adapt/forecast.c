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
 * Every forecast is compared with what came ten seconds later. The mean of that distance is the band: what
 * is prepared for is the forecast and one band; a rise of less than two bands is taken for chance. A mean distance above half of the level says that this
 * traffic cannot be forecast; then it switches itself off until the distance is small again.
 *
 * The headroom is ahead / now, between 1 and 4. It raises the caps of backends whose overload nobody has
 * seen yet (shed.c), and shortens the slow start of those that come back (weights.c). Next hops and health
 * checks of standby backends need no forecast: they are kept ready all the time.
 */

#include "control/adapt/forecast.h"

#include "control/adapt/decision.h"

#include <math.h>

#define SECOND_NS     UINT64_C(1000000000)
#define LEARN	      15 /* seconds before it is believed */
#define HEADROOM_MOST 4.0
#define WORTH	      1.2 /* times now: a smaller rise needs no preparation */
#define SURE	      2.0 /* mean errors */
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
	double distance = fabs(asked - f->past[f->seconds % FORECAST_AHEAD]);
	bool off = f->off;
	f->error += ERROR_SHARE * (distance - f->error);
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

void forecast_step(struct forecast_state *f, const struct adapt_signals *s,
	const struct adapt_settings *settings, struct adapt_directive *to,
	const struct adapt_log *log)
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
	double headroom = 1;
	double level = fmax(f->level, LEAST);
	/* A rise that the forecast's own error could have made is none. */
	if (!isnan(f->ahead) && f->ahead > WORTH * level && f->ahead - f->level > SURE * f->error)
		headroom = fmin(HEADROOM_MOST, (f->ahead + f->error) / level);
	to->headroom = headroom;
	headroom_tell(f, headroom, s, settings, log);
}
