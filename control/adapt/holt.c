/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Each second's figure goes into a level and a trend (Holt's linear method; Gardner and McKenzie,
 * "Forecasting trends in time series", 1985, for the damping, without which ten seconds ahead of a short rise
 * it would promise the moon):
 *
 *     level' = a x value + (1 - a) x (level + phi x trend)
 *     trend' = b x (level' - level) + (1 - b) x phi x trend
 *     ahead  = level + (phi + phi^2 + ... + phi^10) x trend
 *
 * Every forecast is compared with what came ten seconds later. The mean of that distance is the band: what
 * is prepared for is the forecast and one band. Only what was promised and did not come speaks against a
 * rise: one that is not four times the mean of that is taken for chance. (That the first seconds of a rise
 * had not been foreseen, and that a damped trend promises too little of a long one, makes it no less
 * real.) A mean distance above half of the level says that this cannot be forecast; then it switches itself
 * off until the distance is small again.
 */

#include "control/adapt/holt.h"

#include <math.h>

#define LEARN	    15 /* seconds before it is believed */
#define SURE	    4.0 /* mean excesses of the forecasts before */
#define ERROR_SHARE 0.1
#define BETTER	    0.6 /* of the worst error: on again */

void holt_init(struct holt *h)
{
	*h = (struct holt){ .ahead = NAN };
}

static double holt_ahead(const struct holt *h, double damp)
{
	double sum = 0, power = 1;
	for (int i = 0; i < HOLT_AHEAD; i++) {
		power *= damp;
		sum += power;
	}
	return fmax(0, h->level + sum * h->trend);
}

static bool judge(struct holt *h, double value, double least, const struct adapt_gains *g)
{
	double worst = g->forecast_worst * fmax(h->level, least);
	double promised = h->past[h->seconds % HOLT_AHEAD];
	double distance = fabs(value - promised);
	bool off = h->off;
	h->error += ERROR_SHARE * (distance - h->error);
	h->over += ERROR_SHARE * (fmax(0, promised - value) - h->over);
	if (h->error > worst)
		h->off = true;
	else if (h->error < BETTER * worst)
		h->off = false;
	return h->off != off;
}

bool holt_take(struct holt *h, double value, double least, const struct adapt_gains *g)
{
	bool switched = false;
	if (h->seconds == 0) {
		h->level = value;
	} else {
		double before = h->level;
		double trend = g->forecast_damp * h->trend;
		h->level = g->forecast_level * value + (1 - g->forecast_level) * (before + trend);
		h->trend =
			g->forecast_trend * (h->level - before) + (1 - g->forecast_trend) * trend;
	}
	if (h->seconds >= HOLT_AHEAD)
		switched = judge(h, value, least, g);
	double ahead = holt_ahead(h, g->forecast_damp);
	h->past[h->seconds % HOLT_AHEAD] = ahead;
	h->seconds++;
	h->ahead = h->seconds >= LEARN && !h->off ? ahead : NAN;
	return switched;
}

double holt_promise(const struct holt *h)
{
	return h->past[(h->seconds + HOLT_AHEAD - 1) % HOLT_AHEAD];
}

double holt_headroom(const struct holt *h, double least)
{
	double level = fmax(h->level, least);
	/* A rise that the forecast's own error could have made is none. */
	if (h->seconds == 0 || isnan(h->ahead) || h->ahead <= HOLT_WORTH * level ||
		h->ahead - h->level <= SURE * h->over)
		return 1;
	return fmin(HOLT_HEADROOM_MOST, (h->ahead + h->error) / level);
}
