/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Sources: fair shares while there is not enough for all.
 *
 * The data plane keeps tables of the sources that ask for most; here they are merged and smoothed. Two
 * things can run short, and each is looked at by itself: what the pool can serve (new flows: requests are
 * shed, or p99 is over the objective) and what the workers can handle (packets: a worker is busier than
 * 85 %, or its ring overflowed).
 *
 * Calm: each source's habit is learned over ten seconds. One that is new starts from the mean habit, never
 * from what it asks for today; nobody's habit grows by more than four times in that time. A source whose
 * habit is above twice the mean (an office behind one address) is worth as many shares, 32 at most.
 *
 * Nobody is policed before habits have been learned for five seconds, and while there is one source only. In
 * those seconds, also after nobody came for a minute, what sources ask for is their habit.
 *
 * Overload for 300 ms, and more is asked for than was served: police. Capacity is what was served during overload; 85 %
 * of it is handed out. The fair rate r of one share solves
 *
 *     sum over sources of min(demand, shares x r) = 0.85 x capacity
 *
 * (water filling: who asks for less than its share gets all of it, the rest is divided among the others).
 * Sources too small for the tables count as one demand that is met first. A source is green up to its
 * share, yellow up to four times that (it gets only room that leaves no queue), and red above: dropped
 * before anything else is spent on it. A source that is red for half a second goes to the penalty box: 10 s,
 * doubling to five minutes each time it comes back red, as long as there are others to protect from it. When demand has been below capacity for 10 s,
 * policing ends. What capacity is taken to be: overload.h.
 */

#include "control/adapt/sources.h"

#include "control/adapt/decision.h"

#include <arpa/inet.h>
#include <math.h>
#include <string.h>

#define FORGET_NS    UINT64_C(60000000000) /* since it was listed last */
#define SWEEP_NS     UINT64_C(10000000000)
#define SETTLE_S     5.0 /* no habit is believed before */
#define OTHERS	     0.1 /* of the capacity: less is nobody whom a box would protect */
#define HABIT_S	     10.0
#define HABIT_GROWTH 4.0 /* at most, in that time */
#define STAND	     8.0 /* mean habits that nobody is blamed for */
#define LEAST_RATE   1.0
#define PROBE	     1.02 /* growth of the capacity while nothing says that it is too much */
#define OVER_TICKS   2.5
#define KNOWN	     2.0 /* mean habits: above, a habit counts */

/*
 * The sum over all is concave in r, so Newton's method from below never goes beyond the solution, and is
 * done when nobody more is met by its step: no sorting, a few passes.
 */
double sources_water_fill(const struct sources_claim *claims, size_t count, double capacity)
{
	double rate = 0, demands = 0;
	for (size_t i = 0; i < count; i++)
		demands += claims[i].demand;
	if (demands <= capacity || count == 0)
		return INFINITY;
	if (capacity <= 0)
		return 0;
	for (size_t before = count + 1;;) {
		double weights = 0, met = 0;
		size_t left = 0;
		for (size_t i = 0; i < count; i++) {
			bool more = claims[i].demand > rate * claims[i].weight;
			weights += more ? claims[i].weight : 0;
			met += more ? 0 : claims[i].demand;
			left += more;
		}
		if (left == 0 || left >= before)
			return rate;
		before = left;
		rate = (capacity - met) / weights;
	}
}

static size_t place_of(const uint8_t prefix[16])
{
	uint64_t half[2];
	memcpy(half, prefix, sizeof(half));
	uint64_t h = half[0] * UINT64_C(0x9e3779b97f4a7c15) ^ half[1];
	for (int i = 0; i < 2; i++)
		h = (h ^ (h >> 32)) * UINT64_C(0xbf58476d1ce4e5b9);
	return (size_t)(h >> 32) % SOURCES_PLACES;
}

/* Where a source is, or could be. */
static uint16_t *source_place(struct sources_state *v, const uint8_t prefix[16])
{
	size_t at = place_of(prefix);
	while (v->place[at] != 0 && memcmp(v->source[v->place[at] - 1].prefix, prefix, 16) != 0)
		at = (at + 1) % SOURCES_PLACES;
	return &v->place[at];
}

/*
 * The source's state, made when there is room; NULL when there is none. The tables have their sources in
 * much the same order each time: guess is where the one behind the last should be.
 */
static struct source_state *source_of(
	struct sources_state *v, const uint8_t prefix[16], size_t guess, bool *ret_new)
{
	*ret_new = false;
	if (guess < v->count && memcmp(v->source[guess].prefix, prefix, 16) == 0)
		return &v->source[guess];
	uint16_t *place = source_place(v, prefix);
	*ret_new = *place == 0;
	if (*place != 0)
		return &v->source[*place - 1];
	if (v->count >= SOURCES_MOST)
		return NULL;
	struct source_state *p = &v->source[v->count++];
	*p = (struct source_state){ 0 };
	memcpy(p->prefix, prefix, 16);
	for (int k = 0; k < ADAPT_RESOURCE_COUNT; k++)
		v->demand[k][v->count - 1] = 0;
	*place = (uint16_t)v->count;
	return p;
}

/* Forget who has not been seen for long; the others get new places. */
static void sweep(struct sources_state *v, uint64_t now_ns)
{
	size_t count = 0;
	v->swept_ns = now_ns;
	memset(v->place, 0, sizeof(v->place));
	for (size_t i = 0; i < v->count; i++) {
		const struct source_state *p = &v->source[i];
		if (now_ns - p->seen_ns >= FORGET_NS && now_ns >= p->box_until_ns)
			continue;
		v->source[count] = *p;
		for (int k = 0; k < ADAPT_RESOURCE_COUNT; k++)
			v->demand[k][count] = v->demand[k][i];
		*source_place(v, v->source[count].prefix) = (uint16_t)(count + 1);
		count++;
	}
	v->count = count;
}

/* What sources ask for in calm weather is known. */
static bool is_settled(const struct sources_resource *r)
{
	return r->habit > 0 && r->calm_s >= SETTLE_S;
}

static void demands_step(struct sources_state *v, const struct adapt_signals *s, double share)
{
	for (int k = 0; k < ADAPT_RESOURCE_COUNT; k++)
		for (size_t i = 0; i < v->count; i++)
			v->demand[k][i] *= 1 - share;
	size_t guess = 0;
	for (size_t i = 0; i < s->source_count; i++) {
		bool is_new;
		struct source_state *p = source_of(v, s->sources[i].prefix, guess, &is_new);
		if (p == NULL)
			continue;
		size_t at = (size_t)(p - v->source);
		guess = at + 1;
		p->seen_ns = s->now_ns;
		for (int k = 0; k < ADAPT_RESOURCE_COUNT; k++) {
			double rate = s->sources[i].rate[k];
			v->demand[k][at] += share * rate;
			if (is_new)
				p->habit[k] =
					is_settled(&v->of[k]) ? fmin(rate, v->of[k].habit) : rate;
		}
	}
}

static void habits_step(struct sources_state *v, enum adapt_resource k, double seconds)
{
	struct sources_resource *r = &v->of[k];
	double share = fmin(0.5, seconds / HABIT_S);
	double growth = pow(HABIT_GROWTH, seconds / HABIT_S);
	/* Nobody has asked yet, or for long: what is known begins with what comes now. */
	r->calm_s = r->habit > 0 ? r->calm_s + seconds : seconds;
	double sum = 0;
	for (size_t i = 0; i < v->count; i++) {
		struct source_state *p = &v->source[i];
		double most = is_settled(r) ? growth * fmax(p->habit[k], r->habit) : INFINITY;
		p->habit[k] += share * (v->demand[k][i] - p->habit[k]);
		p->habit[k] = fmin(p->habit[k], most);
		sum += p->habit[k];
	}
	r->habit = v->count > 0 ? sum / (double)v->count : 0;
}

static double shares_of(const struct sources_state *v, const struct source_state *p,
	enum adapt_resource k, const struct adapt_gains *g)
{
	double mean = v->of[k].habit;
	if (mean <= 0 || p->habit[k] <= KNOWN * mean)
		return 1;
	return fmin(g->sources_known, p->habit[k] / mean);
}

/* The rate that the sources in the tables can have when the others get all they ask for. */
static double fair_rate(
	const struct sources_state *v, enum adapt_resource k, const struct adapt_gains *g)
{
	const struct sources_resource *r = &v->of[k];
	struct sources_claim claims[SOURCES_MOST];
	double listed = 0;
	size_t count = 0;
	for (size_t i = 0; i < v->count; i++) {
		const struct source_state *p = &v->source[i];
		double demand = v->demand[k][i];
		if (demand <= 0)
			continue;
		listed += demand;
		claims[count++] = (struct sources_claim){ demand, shares_of(v, p, k, g) };
	}
	double others = fmax(0, r->load.demand - listed);
	double rate =
		sources_water_fill(claims, count, g->sources_share * r->load.capacity - others);
	/* Nobody gets less than what the mean source usually has. */
	rate = fmax(fmax(LEAST_RATE, r->habit), rate);
	return isfinite(rate) ? rate : fmax(LEAST_RATE, STAND * r->habit);
}

static bool is_over(enum adapt_resource k, const struct estimate_service *e,
	const struct adapt_signals *s, const struct adapt_settings *settings)
{
	if (k == ADAPT_PACKETS)
		return s->ring_full > 0 || s->busy > settings->gains.sources_busy;
	return overload_of_flows(e, s, settings);
}

static void police_tell(const struct sources_resource *r, enum adapt_resource k, bool begins,
	const struct estimate_service *e, const struct adapt_signals *s,
	const struct adapt_settings *settings, const struct adapt_log *log)
{
	const char *what = k == ADAPT_FLOWS ? "new flows" : "packets";
	struct adapt_decision d =
		decision_make(s, ADAPT_SOURCES, begins ? "police" : "police-end", NULL);
	if (begins) {
		d.to = r->rate;
		decision_reason(&d, "%.0f %s per second are asked for, %.0f were served",
			r->load.demand, what, r->load.capacity);
	} else {
		d.from = r->rate;
		decision_reason(&d, "%.0f %s per second are asked for, and %.0f can be served",
			r->load.demand, what, r->load.capacity);
	}
	decision_figure(&d, "demand", r->load.demand);
	decision_figure(&d, "capacity", r->load.capacity);
	decision_figure(&d, "mean_habit", r->habit);
	decision_figure(&d, "p99", e->p99);
	decision_figure(&d, "busy", s->busy);
	decision_tell(&d, settings, log);
}

/* Several sources, and what they ask for in calm weather. */
static bool is_known(const struct sources_state *v, const struct sources_resource *r)
{
	return v->count >= 2 && is_settled(r);
}

static void resource_step(struct sources_state *v, enum adapt_resource k,
	const struct estimate_service *e, const struct adapt_signals *s,
	const struct adapt_settings *settings, const struct adapt_log *log)
{
	const struct adapt_gains *g = &settings->gains;
	struct sources_resource *r = &v->of[k];
	double ticks = (double)s->elapsed_ns / (double)ADAPT_TICK_NS;
	double seconds = (double)s->elapsed_ns / 1e9;
	double asked = (double)(k == ADAPT_FLOWS ? s->offered : s->packets) / seconds;
	double served = k == ADAPT_FLOWS ? (double)s->forwarded / seconds :
					   asked - (double)(s->ring_full + s->policed) / seconds;
	bool over = is_over(k, e, s, settings);
	uint64_t hold_ns = (uint64_t)(g->sources_calm * 1e9);
	overload_step(&r->load, over, asked, served, r->on ? PROBE : 1, s);
	if (!over && !r->on && s->sources_ns > 0)
		habits_step(v, k, (double)s->sources_ns / 1e9);
	bool excess = overload_is_excess(&r->load, r->on);
	if (!r->on && r->load.over_ticks > OVER_TICKS && excess && is_known(v, r)) {
		r->on = true;
		r->rate = fmax(LEAST_RATE, STAND * r->habit);
		r->hold_ns = s->now_ns + hold_ns;
		police_tell(r, k, true, e, s, settings, log);
	} else if (r->on && excess) {
		r->hold_ns = s->now_ns + hold_ns;
	} else if (r->on && s->now_ns > r->hold_ns) {
		r->on = false;
		police_tell(r, k, false, e, s, settings, log);
	}
	if (r->on)
		r->rate += adapt_share(0.5, ticks) * (fair_rate(v, k, g) - r->rate);
}

/* Red begins here, for one share: never below what nobody is blamed for. */
static double red_rate(const struct sources_resource *r, const struct adapt_gains *g)
{
	return g->sources_red * fmax(r->rate, STAND * r->habit);
}

static void box_tell(const struct source_state *p, double demand, double share, double seconds,
	const struct adapt_signals *s, const struct adapt_settings *settings,
	const struct adapt_log *log)
{
	struct adapt_backend_signals of = { 0 };
	memcpy(of.address, p->prefix, sizeof(of.address));
	struct adapt_decision d = decision_make(s, ADAPT_SOURCES, "box", &of);
	d.from = share;
	d.to = 0;
	decision_reason(&d, "asks for %.0f per second of a share of %.1f; out for %.0f s", demand,
		share, seconds);
	decision_figure(&d, "demand", demand);
	decision_figure(&d, "share", share);
	decision_figure(&d, "seconds", seconds);
	decision_figure(&d, "times", p->box_times);
	decision_tell(&d, settings, log);
}

/* red: of one share, from where on it is; INFINITY where nobody is policed by that. */
static void box_step(struct sources_state *v, size_t i, const double red[ADAPT_RESOURCE_COUNT],
	const struct adapt_signals *s, const struct adapt_settings *settings,
	const struct adapt_log *log)
{
	const struct adapt_gains *g = &settings->gains;
	struct source_state *p = &v->source[i];
	double worst = 0, share = 0, demand = 0;
	int by = 0;
	for (int k = 0; k < ADAPT_RESOURCE_COUNT; k++) {
		/* Mostly this says it all: nobody has less than one share. */
		if (v->demand[k][i] <= red[k])
			continue;
		double shares = shares_of(v, p, (enum adapt_resource)k, g);
		double above = v->demand[k][i] / (shares * red[k]);
		if (above <= worst)
			continue;
		worst = above;
		by = k;
		share = shares * v->of[k].rate;
		demand = v->demand[k][i];
	}
	const struct sources_resource *r = &v->of[by];
	if (worst <= 1 || r->load.demand - demand < OTHERS * r->load.capacity) {
		p->red_ns = 0;
		return;
	}
	if (p->red_ns == 0)
		p->red_ns = s->now_ns;
	/* What only the box holds back must not end the box. */
	if (s->now_ns < p->box_until_ns)
		v->of[by].hold_ns = s->now_ns + (uint64_t)(g->sources_calm * 1e9);
	if (s->now_ns < p->box_until_ns ||
		(double)(s->now_ns - p->red_ns) / 1e9 < g->sources_patience)
		return;
	double seconds = fmin(g->sources_box_most, g->sources_box * exp2(fmin(p->box_times, 16)));
	p->box_times++;
	p->box_until_ns = s->now_ns + (uint64_t)(seconds * 1e9);
	box_tell(p, demand, share, seconds, s, settings, log);
}

static void publish(const struct sources_state *v, const struct adapt_signals *s,
	const struct adapt_gains *g, struct adapt_policing *to)
{
	enum adapt_resource by = v->of[ADAPT_FLOWS].on ? ADAPT_FLOWS : ADAPT_PACKETS;
	for (int k = 0; k < ADAPT_RESOURCE_COUNT; k++)
		to->rate[k] = v->of[k].on ? fmax(LEAST_RATE, v->of[k].rate) : INFINITY;
	to->yellow = fmin(64, fmax(2, red_rate(&v->of[by], g) / to->rate[by]));
	for (size_t i = 0; i < v->count; i++) {
		const struct source_state *p = &v->source[i];
		double shares = shares_of(v, p, by, g);
		if (s->now_ns < p->box_until_ns && to->box_count < ADAPT_SOURCES_MAX) {
			struct adapt_source_box *box = &to->box[to->box_count++];
			memcpy(box->prefix, p->prefix, sizeof(box->prefix));
			box->until_ns = p->box_until_ns;
		} else if (shares > 1 && to->weight_count < ADAPT_SOURCES_MAX) {
			struct adapt_source_weight *w = &to->weights[to->weight_count++];
			memcpy(w->prefix, p->prefix, sizeof(w->prefix));
			w->weight = shares;
		}
	}
}

void sources_step(struct sources_state *v, const struct estimate_service *e,
	const struct adapt_signals *s, const struct adapt_settings *settings,
	struct adapt_directive *to, const struct adapt_log *log)
{
	double ticks = (double)s->sources_ns / (double)ADAPT_TICK_NS;
	if (v->swept_ns == 0)
		v->swept_ns = s->now_ns;
	if (s->now_ns - v->swept_ns > SWEEP_NS)
		sweep(v, s->now_ns);
	if (s->sources_ns > 0)
		demands_step(v, s, adapt_share(0.2, ticks));
	for (int k = 0; k < ADAPT_RESOURCE_COUNT; k++)
		resource_step(v, (enum adapt_resource)k, e, s, settings, log);
	struct adapt_policing *policing = to->policing;
	policing->on = v->of[ADAPT_FLOWS].on || v->of[ADAPT_PACKETS].on;
	policing->weight_count = policing->box_count = 0;
	if (!policing->on)
		return;
	double red[ADAPT_RESOURCE_COUNT];
	for (int k = 0; k < ADAPT_RESOURCE_COUNT; k++)
		red[k] = v->of[k].on ? red_rate(&v->of[k], &settings->gains) : INFINITY;
	for (size_t i = 0; i < v->count; i++)
		box_step(v, i, red, s, settings, log);
	publish(v, s, &settings->gains, policing);
}
