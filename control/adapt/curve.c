/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The curve: what a backend can do before it has had to.
 *
 * A backend with a few places serves as fast as it can until all are taken; from there on each request
 * that is in flight before another one makes that one wait. What bends the curve is seen in calm weather
 * already, as chance alone makes some requests find three or four others: the data plane counts first-byte
 * times by what a request found in flight when it began. That does not depend on how long the request
 * itself takes, so unlike latency against load within a tick it shows cause and not coincidence.
 *
 * The upper end of the curve is taken for a line and prolonged: a weighted least squares fit over the
 * classes from some k on, for the largest k whose rise is three standard errors. The curve is convex, so a
 * line through its upper end lies below it further on, and of the way along it 85 % is gone (a backend of two
 * places: 7 ms for the first that waits and 10 ms for each behind it). A rise that nobody can be sure of
 * gives no room at all, but the answer that nothing is known.
 *
 * A minute is remembered, older answers count less. What is known of the others of a pool that take as long
 * counts like 2000 answers of one's own: enough in the first seconds, when one's own are few, and little
 * against the several thousand that a minute of traffic brings, should it be another kind of machine.
 */

#include "control/adapt/curve.h"

#include <math.h>

#define REMEMBER_S 60.0
#define SURE	   3.0 /* standard errors */
#define KNOWN	   50.0 /* answers: fewer have no slope */
#define FURTHER	   0.85 /* of the way that a line would allow */
#define LIKE	   2000.0 /* answers that those of others count for at most */
#define LAST	   (WEIR_FOUND_CLASSES - 1) /* how many it found is not known of those */

void curve_step(struct curve *c, const struct adapt_found *found, double seconds)
{
	double keep = exp(-seconds / REMEMBER_S);
	for (uint32_t i = 0; i < WEIR_FOUND_CLASSES; i++) {
		c->past.count[i] = keep * c->past.count[i] + found->count[i];
		c->past.sum_s[i] = keep * c->past.sum_s[i] + found->sum_s[i];
	}
}

void curve_add(struct curve *all, const struct curve *c)
{
	for (uint32_t i = 0; i < WEIR_FOUND_CLASSES; i++) {
		all->past.count[i] += c->past.count[i];
		all->past.sum_s[i] += c->past.sum_s[i];
	}
}

/* What those of others count for. */
static double share_of(const struct curve *like)
{
	double count = 0;
	for (uint32_t i = 0; like != NULL && i < LAST; i++)
		count += like->past.count[i];
	return count > LIKE ? LIKE / count : count > 0;
}

/* Of the classes from one on; n is what was found, t the time. */
struct sums {
	double count, n, nn, t, nt;
};

static void sums_add(struct sums *s, double n, double count, double sum_s)
{
	s->count += count;
	s->n += count * n;
	s->nn += count * n * n;
	s->t += sum_s;
	s->nt += n * sum_s;
}

double curve_room(const struct curve *c, const struct curve *like, double budget_s, double noise_s)
{
	double share = share_of(like);
	struct sums s = { 0 };
	for (uint32_t i = LAST; i-- > 0;) {
		if (c->past.count[i] > 0)
			sums_add(&s, weir_found_middle(i), c->past.count[i], c->past.sum_s[i]);
		if (share > 0 && like->past.count[i] > 0)
			sums_add(&s, weir_found_middle(i), share * like->past.count[i],
				share * like->past.sum_s[i]);
		if (s.count < KNOWN)
			continue;
		double scatter = s.nn - s.n * s.n / s.count;
		if (scatter <= 0)
			continue;
		double slope = (s.nt - s.n * s.t / s.count) / scatter;
		if (slope <= SURE * noise_s / sqrt(scatter))
			continue;
		double further = (budget_s - s.t / s.count) / slope;
		return fmax(0, s.n / s.count + (further > 0 ? FURTHER : 1) * further + 1);
	}
	return NAN;
}
