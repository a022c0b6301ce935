/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The forecast: only ever prepares, never takes anything away.
 *
 * Each second the new flows asked for are taken (holt.c), and forecast for ten seconds later. The headroom is
 * what is to be prepared for / now, between 1 and 4. It raises the caps of backends whose overload nobody has
 * seen yet (shed.c), shortens the slow start of those that come back (weights.c), and brings cores (cores.c).
 * Next hops and health checks of standby backends need no forecast: they are kept ready all the time.
 */

#include "control/adapt/forecast.h"

#include "control/adapt/decision.h"

#include <math.h>

#define SECOND_NS UINT64_C(1000000000)
#define LEAST	  20.0 /* new flows per second: below, a factor means nothing */

void forecast_init(struct forecast_state *f)
{
	*f = (struct forecast_state){ 0 };
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
		f->h.level, isnan(f->h.ahead) ? f->h.level : f->h.ahead, f->h.error, HOLT_AHEAD);
	decision_figure(&d, "level", f->h.level);
	decision_figure(&d, "trend", f->h.trend);
	decision_figure(&d, "ahead", f->h.ahead);
	decision_figure(&d, "band", f->h.error);
	decision_tell(&d, settings, log);
	f->told = ends ? 0 : headroom;
}

void forecast_step(struct forecast_state *f, const struct adapt_signals *s,
	const struct adapt_settings *settings, struct adapt_directive *to,
	const struct adapt_log *log)
{
	if (f->second_ns == 0) {
		forecast_init(f);
		f->second_ns = s->now_ns;
		return;
	}
	f->asked += (double)s->offered;
	uint64_t passed = s->now_ns - f->second_ns;
	if (passed >= SECOND_NS) {
		if (holt_take(&f->h, f->asked * 1e9 / (double)passed, LEAST, &settings->gains))
			switch_tell(f, s, settings, log);
		f->second_ns = s->now_ns;
		f->asked = 0;
	}
	to->headroom = holt_headroom(&f->h, LEAST);
	headroom_tell(f, to->headroom, s, settings, log);
}
