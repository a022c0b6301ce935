/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The estimates.
 *
 * A backend's latency is the mean of its first-byte times, with older ticks counting less: each tick
 * leaves 70 % of what was known. Answers are counted, not ticks, so a tick with two answers says less
 * than one with fifty, and a backend with little traffic is judged by its last four answers rather than
 * by one. Two things are believed at once: a tick of eight or more answers that took far longer, and
 * four answers over two ticks or more that
 * are all twice as fast (a backend at the floor of its weight gets one
 * request a second or so, and would else take a minute to be forgiven).
 *
 * Requests that have not been answered yet are not in any latency. Little's law sees them: what is in
 * flight divided by the rate at which it leaves is the wait of one that comes now. The rate is the larger
 * of answers and requests, as a step of the load is no queue until the answers lag behind it. In flight
 * is a count at one moment and so it scatters like one: only what exceeds rate x latency by three
 * standard deviations is taken for a wait, which makes a calm pool give no waits at all, while a stalled
 * backend with 200 requests a second shows within a tick. The rate there is the highest that requests came at
 * within about one latency, and nobody is said to wait for longer than we have watched.
 *
 * A tick in which nobody asks and nobody answers, though by the rates three of them were due, is silent: a
 * machine, a link or the clients stood still, and the wait of those in flight says nothing of their
 * backend. Rates and waits stay as they are until somebody is heard again.
 *
 * The pool's reference is the median by configured weight over the backends that serve, so that neither
 * a few slow ones nor their number of requests move it.
 *
 * The tail (p99, and its distance from the mean) comes from histograms of the last second, without the
 * backends that are outliers: their tail says nothing about the others' queues.
 */

#include "control/adapt/estimate.h"

#include "dataplane/api/histogram.h"

#include <math.h>
#include <stdlib.h>

#define WINDOW_NS     UINT64_C(1100000000)
#define WINDOW_LEAST  200 /* answers that a p99 takes */
#define KEEP	      4 /* answers that are forgotten more slowly */
#define KEEP_SHARE    0.05
#define LEAST_SAMPLES 8
#define SURE	      3 /* standard deviations */
#define SILENT_DUE    3 /* answers */
#define NORMAL	      1.5 /* times the pool's latency: above, a backend's tail is its own */
#define PAIRS_FEW     64

double adapt_histogram_quantile(const struct adapt_histogram *h, double share)
{
	double wanted = share * (double)h->count;
	double seen = 0;
	if (h->count == 0)
		return NAN;
	uint32_t last = 0;
	for (uint32_t i = 0; i < ADAPT_HIST_BUCKETS; i++) {
		if (h->bucket[i] == 0)
			continue;
		last = i;
		seen += h->bucket[i];
		if (seen >= wanted)
			break;
	}
	uint32_t fine = last << ADAPT_HIST_SHIFT;
	return (double)weir_histogram_value(
		       fine < WEIR_HIST_BUCKETS ? fine : WEIR_HIST_BUCKETS - 1) /
		1e9;
}

void estimate_backend_init(struct estimate_backend *b)
{
	*b = (struct estimate_backend){ .latency = NAN, .wait = NAN, .slow = NAN, .ratio = NAN };
}

bool estimate_is_alike(const struct estimate_backend *b)
{
	return b->ratio < NORMAL && b->ratio * NORMAL > 1;
}

void estimate_service_init(struct estimate_service *e)
{
	*e = (struct estimate_service){ .pool = NAN, .p99 = NAN, .mean = NAN };
}

void estimate_window_clear(struct estimate_service *e)
{
	for (unsigned int i = 0; i < ESTIMATE_WINDOW; i++)
		e->slices[i].h.count = 0;
}

/* What is the same for all backends of a tick. */
struct shares {
	double tick_s;
	double keep; /* what the tick leaves of many answers, and of few */
	double keep_few;
	double rate;
	double in_flight;
};

static void latency_step(
	struct estimate_backend *b, const struct adapt_backend_signals *s, const struct shares *t)
{
	b->samples *= b->samples > KEEP ? t->keep : t->keep_few;
	if (s->answered == 0)
		return;
	double n = (double)s->answered;
	double mean = s->answered_s / n;
	if (isnan(b->latency)) {
		b->latency = mean;
		b->samples = n;
		return;
	}
	bool low = mean < b->latency / 2;
	b->low_count = low ? b->low_count + n : 0;
	b->low_sum_s = low ? b->low_sum_s + s->answered_s : 0;
	if (b->low_count >= KEEP && b->low_count > n) {
		b->latency = b->low_sum_s / b->low_count;
		b->samples = b->low_count;
		b->low_count = b->low_sum_s = 0;
		return;
	}
	double share = n / (b->samples + n);
	if (n >= 8 && mean > 1.5 * b->latency && share < 0.6)
		share = 0.6;
	b->latency += share * (mean - b->latency);
	b->samples += n;
}

static void wait_step(
	struct estimate_backend *b, const struct adapt_backend_signals *s, const struct shares *t)
{
	double tick_s = t->tick_s;
	double answered = (double)s->answered / tick_s;
	double asked = (double)(s->requests > s->new_flows ? s->requests : s->new_flows) / tick_s;
	b->watched_s += tick_s;
	/* The plain mean, until there is something to smooth. */
	b->rate += fmax(t->rate, tick_s / b->watched_s) * (answered - b->rate);
	b->in_flight += t->in_flight * (s->in_flight - b->in_flight);
	double rate = fmax(fmax(b->rate, asked), 0.3 / tick_s);
	/* What came at once a while ago is not late before its time is over. */
	double fade = b->latency > 0 ? exp(-tick_s / b->latency) : 0;
	b->asked = fmax(asked, b->asked * fade);
	double expected = isnan(b->latency) ? 0 : fmax(b->rate, b->asked) * b->latency;
	double now = fmin(s->in_flight, b->in_flight);
	b->wait = now > expected + SURE * sqrt(expected + 1) ? fmin(now / rate, b->watched_s) : NAN;
}

/* What the backend does without a queue; both figures fade, so that an old best does not stand forever. */
static void calm_step(
	struct estimate_backend *b, const struct adapt_backend_signals *s, double tick_s)
{
	/* Of few answers the least is chance. */
	if (s->answered > 0 && b->samples >= LEAST_SAMPLES) {
		double faded = b->least * (1 + 0.05 * tick_s);
		b->least = b->least == 0 || b->latency < faded ? b->latency : faded;
	}
	b->best_rate = fmax(b->rate, b->best_rate * (1 - 0.01 * tick_s));
	b->calm = 1.25 * b->best_rate * b->least;
}

struct pair {
	double value;
	double weight;
};

static int pair_compare(const void *a, const void *b)
{
	double x = ((const struct pair *)a)->value;
	double y = ((const struct pair *)b)->value;
	return (x > y) - (x < y);
}

/* Few are sorted as they come. */
static void pairs_sort(struct pair *pairs, size_t count)
{
	if (count > PAIRS_FEW) {
		qsort(pairs, count, sizeof(*pairs), pair_compare);
		return;
	}
	for (size_t i = 1; i < count; i++) {
		struct pair p = pairs[i];
		size_t j = i;
		for (; j > 0 && pairs[j - 1].value > p.value; j--)
			pairs[j] = pairs[j - 1];
		pairs[j] = p;
	}
}

/* The reference: half of the configured weight is not slower. */
static double pool_median(const struct estimate_backend *of, const struct adapt_signals *s)
{
	struct pair few[PAIRS_FEW];
	struct pair *more =
		s->backend_count > PAIRS_FEW ? malloc(s->backend_count * sizeof(*more)) : NULL;
	struct pair *pairs = s->backend_count > PAIRS_FEW ? more : few;
	size_t count = 0;
	double total = 0, seen = 0, median = NAN;
	for (size_t i = 0; pairs != NULL && i < s->backend_count; i++) {
		if (!s->backends[i].usable || of[i].out || isnan(of[i].slow))
			continue;
		pairs[count++] = (struct pair){ of[i].slow, s->backends[i].weight };
		total += s->backends[i].weight;
	}
	if (count > 0)
		pairs_sort(pairs, count);
	for (size_t i = 0; i < count; i++) {
		seen += pairs[i].weight;
		median = pairs[i].value;
		if (2 * seen >= total)
			break;
	}
	free(more);
	return median;
}

/* Histograms come every few ticks: each reading makes a slice of the window. */
static bool window_step(struct estimate_service *e, const struct estimate_backend *of,
	const struct adapt_signals *s)
{
	struct estimate_slice *slice = &e->slices[e->next];
	bool read = false;
	for (size_t i = 0; i < s->backend_count; i++)
		read |= s->backends[i].tail != NULL;
	if (!read)
		return false;
	*slice = (struct estimate_slice){ .at_ns = s->now_ns };
	for (size_t i = 0; i < s->backend_count; i++) {
		const struct adapt_histogram *h = s->backends[i].tail;
		if (h == NULL || h->count == 0 || of[i].ratio > NORMAL)
			continue;
		slice->h.count += h->count;
		for (uint32_t j = 0; j < ADAPT_HIST_BUCKETS; j++)
			slice->h.bucket[j] += h->bucket[j];
		slice->sum_s += isnan(of[i].latency) ? 0 : of[i].latency * (double)h->count;
	}
	e->next = (e->next + 1) % ESTIMATE_WINDOW;
	return true;
}

static void curves_step(struct estimate_service *e, struct estimate_backend *of,
	const struct adapt_signals *s, double ticks)
{
	double seconds = ticks * (double)ADAPT_TICK_NS / 1e9;
	for (size_t i = 0; i < s->backend_count; i++)
		if (s->backends[i].found != NULL)
			curve_step(&of[i].curve, s->backends[i].found, seconds);
	e->alike = (struct curve){ 0 };
	for (size_t i = 0; i < s->backend_count; i++)
		if (s->backends[i].usable && !of[i].out && estimate_is_alike(&of[i]))
			curve_add(&e->alike, &of[i].curve);
}

static void tail_step(struct estimate_service *e, const struct adapt_signals *s,
	const struct adapt_settings *settings, double ticks)
{
	static const struct adapt_histogram none;
	struct adapt_histogram all = none;
	double sum_s = 0;
	for (unsigned int i = 0; i < ESTIMATE_WINDOW; i++) {
		const struct estimate_slice *slice = &e->slices[i];
		if (slice->h.count == 0 || s->now_ns - slice->at_ns > WINDOW_NS)
			continue;
		all.count += slice->h.count;
		for (uint32_t j = 0; j < ADAPT_HIST_BUCKETS; j++)
			all.bucket[j] += slice->h.bucket[j];
		sum_s += slice->sum_s;
	}
	e->p99 = e->mean = NAN;
	if (all.count < WINDOW_LEAST)
		return;
	e->p99 = adapt_histogram_quantile(&all, 0.99);
	e->mean = sum_s / (double)all.count;
	double target = settings->gains.shed_target * settings->objective_s;
	if (target == 0)
		return;
	double spread = fmin(0.7 * target, fmax(0.1 * target, e->p99 - e->mean));
	e->spread += adapt_share(settings->gains.tail, ticks) * (spread - e->spread);
}

static bool is_silent(
	const struct estimate_backend *of, const struct adapt_signals *s, double tick_s)
{
	double due = 0;
	for (size_t i = 0; i < s->backend_count; i++) {
		const struct adapt_backend_signals *b = &s->backends[i];
		if (b->answered > 0 || b->requests > 0 || b->new_flows > 0)
			return false;
		due += of[i].rate * tick_s;
	}
	return due >= SILENT_DUE && s->offered == 0;
}

void estimate_step(struct estimate_service *e, struct estimate_backend *of,
	const struct adapt_signals *s, const struct adapt_settings *settings)
{
	double ticks = (double)s->elapsed_ns / (double)ADAPT_TICK_NS;
	double target = settings->gains.shed_target * settings->objective_s;
	const struct shares shares = { .tick_s = (double)s->elapsed_ns / 1e9,
		.keep = 1 - adapt_share(settings->gains.latency, ticks),
		.keep_few = 1 - adapt_share(KEEP_SHARE, ticks),
		.rate = adapt_share(settings->gains.rate, ticks),
		.in_flight = adapt_share(0.5, ticks) };
	e->silent = is_silent(of, s, shares.tick_s);
	for (size_t i = 0; !e->silent && i < s->backend_count; i++) {
		struct estimate_backend *b = &of[i];
		latency_step(b, &s->backends[i], &shares);
		wait_step(b, &s->backends[i], &shares);
		calm_step(b, &s->backends[i], shares.tick_s);
		b->slow = isnan(b->latency) ? b->wait :
			isnan(b->wait)	    ? b->latency :
					      fmax(b->latency, b->wait);
	}
	e->pool = pool_median(of, s);
	for (size_t i = 0; i < s->backend_count; i++)
		of[i].ratio = e->pool > 0 ? of[i].slow / e->pool : NAN;
	if (target > 0 && e->spread == 0)
		e->spread = 0.4 * target;
	e->tail_ticks += ticks;
	e->read = window_step(e, of, s);
	if (e->read) {
		tail_step(e, s, settings, e->tail_ticks);
		curves_step(e, of, s, e->tail_ticks);
		e->tail_ticks = 0;
	}
	e->over = (double)s->shed > 0.01 * fmax(1, (double)s->offered) ||
		(target > 0 && e->pool + e->spread > target);
}
