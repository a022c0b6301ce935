/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The third part of Holt and Winters' method, by the day: a rise that comes at nine each morning is known
 * before any trend shows it.
 *
 * Each minute of the day has its usual figure, learned from day to day: the mean of the first four days,
 * after that a quarter of each new one. Minutes of which less than half was seen leave it as it was. The day
 * may be a busy or a quiet one: what is usual is scaled by today's mean over five minutes / the usual one
 * over the same. So
 *
 *     ahead = usual of the minute that is in ten seconds x today / usual
 *
 * It is tried from the second day on, and takes part when that minute was seen on two days, and when over
 * the last hour its promises were no further off than those of level and trend alone (holt.c): by what
 * either was off more than chance is, second by second. On a day that is another one it promises what does not come: a mean excess
 * above half of the level (forecast.worst) ends it within seconds, smaller ones when the hour's mean says so.
 * It may only raise the forecast, which is the larger one of the two.
 */

#include "control/adapt/season.h"

#include <math.h>

#define MINUTE_S    60
#define SEEN_LEAST  30 /* seconds of a minute that are enough to learn from */
#define DAYS_LEAST  2
#define DAY_SHARE   0.25
#define SCALE_S	    300.0
#define SCALE_LEAST 60 /* seconds before it means something */
#define LONG_S	    3600.0
#define TRIED_LEAST 600 /* seconds */
#define RECENT	    0.1 /* share of a second in the recent errors, as in holt.c */
#define BETTER	    0.6 /* of the worst excess: on again */
#define EVEN	    0.05 /* roots that the means of what is more may differ by */
#define GAP_S	    3 /* more is a gap: what was under way begins anew */

static void today_begin(struct season *s)
{
	s->sum = 0;
	s->seen = s->run = s->at = 0;
	for (int i = 0; i < HOLT_AHEAD; i++)
		s->past[i] = NAN;
	s->ahead = NAN;
}

void season_init(struct season *s)
{
	*s = (struct season){ 0 };
	today_begin(s);
}

static void minute_end(struct season *s, uint32_t bin)
{
	struct season_profile *p = &s->profile;
	if (s->seen >= SEEN_LEAST) {
		double mean = s->sum / s->seen;
		double share = fmax(DAY_SHARE, 1.0 / (p->days[bin] + 1));
		p->usual[bin] += (float)(share * (mean - (double)p->usual[bin]));
		p->days[bin] += p->days[bin] < UINT8_MAX;
		s->learned = true;
	}
	s->sum = 0;
	s->seen = 0;
}

static double beyond_chance(double distance, double value, double least)
{
	return fmax(0, distance - HOLT_CHANCE * sqrt(fmax(value, least)));
}

static void judge(struct season *s, double value, double least, const struct adapt_gains *g)
{
	double promised = s->past[s->at];
	if (isnan(promised))
		return;
	double worst = g->forecast_worst * fmax(value, least);
	double distance = fabs(value - promised);
	s->error += RECENT * (distance - s->error);
	s->over += RECENT * (fmax(0, promised - value) - s->over);
	s->with += (beyond_chance(distance, value, least) - s->with) / LONG_S;
	distance = fabs(value - s->plain[s->at]);
	s->without += (beyond_chance(distance, value, least) - s->without) / LONG_S;
	s->tried += s->tried < TRIED_LEAST;
	if (s->over > worst)
		s->off = true;
	else if (s->over < BETTER * worst)
		s->off = false;
}

/* What it would say; NAN: these minutes are not known. */
static double promise(struct season *s, uint32_t now, uint32_t then, double value, double least)
{
	const struct season_profile *p = &s->profile;
	if (p->days[now] == 0) {
		s->run = 0;
		return NAN;
	}
	s->run++;
	double share = fmax(1 / SCALE_S, 1.0 / s->run);
	s->today += share * (value - s->today);
	s->usual += share * ((double)p->usual[now] - s->usual);
	if (s->run < SCALE_LEAST || p->days[then] == 0)
		return NAN;
	return (double)p->usual[then] * fmax(s->today, least) / fmax(s->usual, least);
}

void season_take(struct season *s, uint32_t day_s, double value, double plain, double least,
	const struct adapt_gains *g)
{
	uint32_t passed = (day_s + SEASON_DAY_S - s->last_s) % SEASON_DAY_S;
	uint32_t now = day_s / MINUTE_S;
	uint32_t then = (day_s + HOLT_AHEAD) % SEASON_DAY_S / MINUTE_S;
	if (!s->began || passed > GAP_S)
		today_begin(s);
	else if (s->last_s / MINUTE_S != now)
		minute_end(s, s->last_s / MINUTE_S);
	s->began = true;
	s->last_s = day_s;
	s->sum += value;
	s->seen++;
	judge(s, value, least, g);
	double ahead = promise(s, now, then, value, least);
	s->past[s->at] = ahead;
	s->plain[s->at] = plain;
	s->at = (s->at + 1) % HOLT_AHEAD;
	bool better =
		s->tried >= TRIED_LEAST && s->with <= s->without + EVEN * sqrt(fmax(value, least));
	s->ahead = better && !s->off && s->profile.days[then] >= DAYS_LEAST ? ahead : NAN;
}
