/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Shedding: what cannot be served in time is refused at once.
 *
 * When more is asked for than a pool can do, queues grow until every answer is late, and the pool works for
 * clients that have given up. So each backend has a cap of requests in flight; a new flow that finds no
 * room under any of the caps it tries is refused with a reset, and its client can try again or elsewhere
 * instead of waiting. Flows that are established are never shed.
 *
 * The target is T = 0.9 x objective. What a new request will see at the tail is predicted: the larger of
 * wait and latency, plus the learned spread between p99 and mean.
 *
 *   prediction > T twice
 *   in a row, or > 1.25 T   cap = answers per second x (T - spread), by Little's law what is in flight when
 *                           the wait is just that; in one step not below half of the cap and not above
 *                           95 % of it, never below what the backend serves without a queue; then wait for
 *                           one latency, since nothing that is in flight yet has seen the new cap
 *   prediction < 0.92 T,
 *   and the cap is used     cap grows by 5 %
 *
 * Before the first cut, and again 30 s after the last, a cap must not refuse what could have been served,
 * and bounds what a sudden crowd can pile up before a tick has seen it:
 *
 *   nothing is known of what   the largest of 10, 1.6 times the peak that was served well, and Little's
 *   the backend can do         law; it grows by 25 % while used
 *   its curve says from where  what that has room for within T - spread (curve.c), since ten may be late
 *   on requests wait           already; at least its share of the pool's peak that was served well and
 *                              four standard deviations, since a pool in calm weather must refuse nobody;
 *                              it grows by 5 % while the whole pool's caps are used and answers keep pace
 *                              with what is in flight: those that come now began when there was less of
 *                              it, and alone are no proof
 *
 * More of the first when the forecast says that more is coming, which makes no backend faster. The data
 * plane refuses nobody before it has asked several backends, so it takes more than one of them that is full.
 * Where a flow has no other choice than its first (affinity, a pool of one) the first rule holds.
 *
 * The prediction is checked against the measured p99 of the last second: while caps bind, a trim factor
 * on the budget moves by a few per cent each half second towards the objective.
 *
 * A service without measured answers (dsr, a protocol in which clients speak last) has no caps.
 */

#include "control/adapt/shed.h"

#include "control/adapt/decision.h"

#include <math.h>

#define CAP_MOST      100000.0
#define CALM	      0.92 /* of T: room to grow */
#define USED	      0.8 /* of a cap: it is in use */
#define SURE_TICKS    1.5 /* one alone may be a short queue */
#define FAR_OVER      1.25 /* of T: believed at once */
#define KNOWN	      8 /* answers: fewer may be chance */
#define CAP_LEAST     2.0
#define PEAK_S	      60.0 /* in which a peak is forgotten */
#define ROOM_S	      2.0 /* in which a cap comes down to what the curve has room for */
#define NOISE	      2.33 /* standard deviations from the mean to p99 */
#define CHANCE	      4 /* standard deviations of what is in flight in a pool */
#define TRIM_NS	      UINT64_C(500000000)
#define TRIM_LEAST    0.5
#define TRIM_MOST     1.5
#define COOL_MOST_S   1.0
#define TELL	      1.3
#define FORGET_NS     UINT64_C(30000000000)
#define CALM_AFTER_NS UINT64_C(2000000000)

/* All that is the same for each backend in one tick. */
struct tick {
	const struct adapt_signals *s;
	const struct adapt_settings *settings;
	const struct adapt_log *log;
	double ticks;
	double tick_s;
	double target;
	double budget; /* what is left of it for the mean */
	double headroom;
	double share; /* of the pool that is to have room, for each unit of weight */
	bool full; /* the caps of the whole pool are used */
	bool one_choice; /* a flow has no other backend than its first */
};

static double predicted(const struct estimate_service *e, const struct estimate_backend *b)
{
	return (isnan(b->slow) ? 0 : b->slow) + e->spread;
}

/* NAN: nothing is known of it. */
static double room_of(
	const struct tick *t, const struct estimate_service *e, const struct estimate_backend *b)
{
	if (t->one_choice)
		return NAN;
	return curve_room(
		&b->curve, estimate_is_alike(b) ? &e->alike : NULL, t->budget, e->spread / NOISE);
}

/* The cap before overload has been seen. */
static void start_up(const struct tick *t, struct shed_backend *c, const struct estimate_backend *b,
	const struct adapt_backend_signals *s, double p)
{
	const struct adapt_gains *g = &t->settings->gains;
	bool served = s->in_flight_peak < USED * c->cap && p < CALM * t->target;
	double well = served ? s->in_flight_peak : 0;
	c->peak = fmax(well, c->peak * (1 - t->tick_s / PEAK_S));
	bool known = !isnan(c->room);
	double least = known ? fmax(floor(c->room), t->share * s->weight) :
			       fmax(g->shed_start, g->shed_head * c->peak);
	least = fmax(least, b->best_rate * t->budget);
	double left = 1 - fmin(1, t->tick_s / (known ? ROOM_S : PEAK_S));
	c->cap = fmax(known ? least : least * t->headroom, c->cap * left);
}

/* Growth before overload has been seen; where room is known it takes answers that keep pace. */
static bool may_start_up(const struct tick *t, const struct shed_backend *c,
	const struct estimate_backend *b, const struct adapt_backend_signals *s)
{
	return isnan(c->room) || (t->full && s->in_flight <= b->rate * t->budget);
}

static void cap_tell(const struct tick *t, struct shed_backend *c, const struct estimate_service *e,
	const struct estimate_backend *b, const struct adapt_backend_signals *s, double before)
{
	char own[16], target[16];
	bool first = c->told == 0;
	/* A cap that does not bind is nobody's news. */
	if (s->in_flight_peak < USED * c->cap)
		return;
	if (!first && c->cap < c->told * TELL && c->cap * TELL > c->told)
		return;
	struct adapt_decision d = decision_make(t->s, ADAPT_SHED, "cap", s);
	d.from = first ? before : c->told;
	d.to = c->cap;
	decision_reason(&d, "tail of %s predicted, %s wanted", decision_time(predicted(e, b), own),
		decision_time(t->target, target));
	decision_figure(&d, "predicted_p99", predicted(e, b));
	decision_figure(&d, "target", t->target);
	decision_figure(&d, "latency", b->latency);
	decision_figure(&d, "expected_wait", b->wait);
	decision_figure(&d, "spread", e->spread);
	decision_figure(&d, "p99", e->p99);
	decision_figure(&d, "answers_per_second", b->rate);
	decision_figure(&d, "in_flight", s->in_flight);
	decision_figure(&d, "in_flight_peak", s->in_flight_peak);
	decision_figure(&d, "shed", (double)t->s->shed);
	decision_figure(&d, "learned_room", c->room);
	decision_tell(&d, t->settings, t->log);
	c->told = c->cap;
}

static bool cap_cut(const struct tick *t, const struct shed_service *v, struct shed_backend *c,
	const struct estimate_backend *b, const struct adapt_backend_signals *s)
{
	const struct adapt_gains *g = &t->settings->gains;
	double answers = fmax(b->rate, 0.9 * (double)s->answered / t->tick_s);
	double wanted = answers * t->budget * v->trim;
	double next = fmin(g->shed_cut_least * c->cap, fmax(g->shed_cut_most * c->cap, wanted));
	next = fmax(fmax(CAP_LEAST, b->calm), next);
	if (next >= c->cap)
		return false;
	c->cap = next;
	c->cut = true;
	c->cut_ns = t->s->now_ns;
	double cool = fmin(COOL_MOST_S, fmax(t->tick_s, isnan(b->slow) ? 0 : b->slow));
	c->cool_ns = t->s->now_ns + (uint64_t)(cool * 1e9);
	return true;
}

static void cap_step(const struct tick *t, struct shed_service *v, struct shed_backend *c,
	struct estimate_service *e, const struct estimate_backend *b,
	const struct adapt_backend_signals *s)
{
	const struct adapt_gains *g = &t->settings->gains;
	if (c->cap == 0) {
		c->cap = g->shed_start;
		c->room = NAN;
	}
	if (e->read)
		c->room = room_of(t, e, b);
	if (c->cut && t->s->now_ns - c->cut_ns > FORGET_NS)
		c->cut = false;
	double p = predicted(e, b);
	if (!c->cut)
		start_up(t, c, b, s, p);
	double before = c->cap;
	c->over_ticks = p > t->target ? c->over_ticks + t->ticks : 0;
	bool known = b->samples >= KNOWN || !isnan(b->wait);
	bool sure = known && (c->over_ticks > SURE_TICKS || p > FAR_OVER * t->target);
	if (sure && t->s->now_ns >= c->cool_ns) {
		if (!cap_cut(t, v, c, b, s))
			return;
		/* A sharp cut of one that carries the pool: older answers say nothing of it. */
		if (c->cap < USED * before && !(b->ratio > 1.5))
			v->cut_ns = t->s->now_ns;
		cap_tell(t, c, e, b, s, before);
	} else if (s->in_flight_peak >= USED * c->cap && p < CALM * t->target &&
		(c->cut || may_start_up(t, c, b, s))) {
		double up = c->cut || !isnan(c->room) ? g->shed_up : g->shed_up_start;
		double growth = pow(1 + up, t->ticks) - 1;
		c->cap = fmin(CAP_MOST, c->cap + fmax(0.5 * t->ticks, growth * c->cap));
		if (c->cut)
			cap_tell(t, c, e, b, s, before);
	}
}

static void trim_step(
	const struct tick *t, struct shed_service *v, const struct estimate_service *e)
{
	double objective = t->settings->objective_s;
	if (v->trim == 0)
		v->trim = 1;
	if (isnan(e->p99) || t->s->shed == 0 || t->s->now_ns < v->trim_ns)
		return;
	v->trim_ns = t->s->now_ns + TRIM_NS;
	if (e->p99 > objective)
		v->trim = fmax(TRIM_LEAST, v->trim * 0.93);
	else if (e->p99 < 0.85 * objective)
		v->trim = fmin(TRIM_MOST, v->trim * 1.03);
}

static void shed_tell(const struct tick *t, const struct shed_service *v,
	const struct estimate_service *e, bool begins)
{
	char p99[16];
	struct adapt_decision d =
		decision_make(t->s, ADAPT_SHED, begins ? "shed" : "shed-end", NULL);
	decision_reason(&d, "%.0f of %.0f new flows per second found no room under the caps%s%s",
		v->shed_rate, v->offered_rate, isnan(e->p99) ? "" : "; p99 is ",
		isnan(e->p99) ? "" : decision_time(e->p99, p99));
	if (!begins)
		decision_reason(
			&d, "nothing has been refused for %.0f s", (double)CALM_AFTER_NS / 1e9);
	decision_figure(&d, "shed_per_second", v->shed_rate);
	decision_figure(&d, "offered_per_second", v->offered_rate);
	decision_figure(&d, "p99", e->p99);
	decision_figure(&d, "pool_latency", e->pool);
	decision_figure(&d, "objective", t->settings->objective_s);
	decision_figure(&d, "trim", v->trim);
	decision_tell(&d, t->settings, t->log);
}

static void rates_step(
	const struct tick *t, struct shed_service *v, const struct estimate_service *e)
{
	double share = adapt_share(0.3, t->ticks);
	v->shed_rate += share * ((double)t->s->shed / t->tick_s - v->shed_rate);
	v->offered_rate += share * ((double)t->s->offered / t->tick_s - v->offered_rate);
	if (t->s->shed > 0) {
		v->shed_ns = t->s->now_ns;
		if (!v->shedding)
			shed_tell(t, v, e, true);
		v->shedding = true;
	} else if (v->shedding && t->s->now_ns - v->shed_ns > CALM_AFTER_NS) {
		v->shedding = false;
		shed_tell(t, v, e, false);
	}
}

/* What the pool as a whole has in flight, against its caps, and what it must have room for. */
static void pool_step(struct tick *t, struct shed_service *v, const struct shed_backend *of,
	const struct estimate_service *e, const struct estimate_backend *b)
{
	double flying = 0, most = 0, caps = 0, weights = 0;
	size_t count = 0;
	for (size_t i = 0; i < t->s->backend_count; i++) {
		const struct adapt_backend_signals *s = &t->s->backends[i];
		if (!s->usable || b[i].out)
			continue;
		flying += s->in_flight;
		most = fmax(most, s->in_flight_peak);
		caps += of[i].cap;
		weights += s->weight;
		count++;
	}
	flying = fmax(flying, most);
	t->one_choice = t->settings->sticks || count < 2;
	t->full = t->s->shed > 0 || flying >= USED * caps;
	bool served = !t->full && e->pool + e->spread < CALM * t->target;
	v->peak = fmax(served ? flying : 0, v->peak * (1 - t->tick_s / PEAK_S));
	t->share = weights > 0 ? (v->peak + CHANCE * sqrt(v->peak)) / weights : 0;
}

static uint32_t whole(double cap)
{
	return cap < 1 ? 1 : cap >= CAP_MOST ? ADAPT_NO_CAP : (uint32_t)llround(cap);
}

void shed_step(struct shed_service *v, struct shed_backend *of, struct estimate_service *e,
	const struct estimate_backend *b, const struct adapt_signals *s,
	const struct adapt_settings *settings, struct adapt_directive *to,
	const struct adapt_log *log)
{
	struct tick t = { .s = s,
		.settings = settings,
		.log = log,
		.ticks = (double)s->elapsed_ns / (double)ADAPT_TICK_NS,
		.tick_s = (double)s->elapsed_ns / 1e9,
		.target = settings->gains.shed_target * settings->objective_s,
		.headroom = to->room };
	uint64_t cut_before = v->cut_ns;
	if (settings->objective_s == 0 || !settings->sees_replies)
		return;
	t.budget = fmax(t.target - e->spread, 0.15 * t.target);
	trim_step(&t, v, e);
	rates_step(&t, v, e);
	pool_step(&t, v, of, e, b);
	for (size_t i = 0; i < s->backend_count; i++) {
		/* Nothing was ever answered: there is nothing to go by. */
		if (!s->backends[i].usable || b[i].out || isnan(b[i].latency))
			continue;
		cap_step(&t, v, &of[i], e, &b[i], &s->backends[i]);
		to->backends[i].cap = whole(of[i].cap);
		double calm = 0.5 * of[i].cap;
		if (of[i].cut)
			calm = fmin(calm, fmax(CAP_LEAST, b[i].calm));
		to->backends[i].cap_calm = whole(calm);
	}
	if (v->cut_ns != cut_before)
		estimate_window_clear(e);
}
