/* SPDX-License-Identifier: BSD-3-Clause */

#include "tests/unit/adapt/loop.h"

#include "control/health/slow_start.h"
#include "dataplane/api/histogram.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TICK_S	    0.1
#define LAG_S	    0.002 /* from the reading to the directive in force */
#define OBJECTIVE_S 0.06
#define CONNECT_S   0.0005
#define HIST_EVERY  5
#define HEAP_ROOM   64
#define WEIGHT	    100

static double uniform(struct loop *l)
{
	l->random = l->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return ((double)(l->random >> 11) + 0.5) / 9007199254740992.0;
}

/* Log-normal with a mean of 10 ms, sigma 0.6. */
static double service_time(struct loop *l)
{
	double normal = sqrt(-2 * log(uniform(l))) * cos(2 * M_PI * uniform(l));
	return LOOP_MEAN_S * exp(0.6 * normal - 0.18);
}

static void heap_swap(struct loop_backend *b, size_t i, size_t j)
{
	double *const of[] = { b->ends, b->begins, b->founds };
	for (size_t k = 0; k < sizeof(of) / sizeof(of[0]); k++) {
		double kept = of[k][i];
		of[k][i] = of[k][j];
		of[k][j] = kept;
	}
}

static void heap_add(struct loop_backend *b, double begin, double end)
{
	if (b->count == b->room) {
		b->room = b->room ? 2 * b->room : HEAP_ROOM;
		b->ends = realloc(b->ends, b->room * sizeof(double));
		b->begins = realloc(b->begins, b->room * sizeof(double));
		b->founds = realloc(b->founds, b->room * sizeof(double));
	}
	size_t i = b->count++;
	b->ends[i] = end;
	b->begins[i] = begin;
	b->founds[i] = (double)i;
	for (; i > 0 && b->ends[(i - 1) / 2] > b->ends[i]; i = (i - 1) / 2)
		heap_swap(b, i, (i - 1) / 2);
}

static void heap_remove(struct loop_backend *b)
{
	heap_swap(b, 0, --b->count);
	for (size_t i = 0; 2 * i + 1 < b->count;) {
		size_t child = 2 * i + 1;
		if (child + 1 < b->count && b->ends[child + 1] < b->ends[child])
			child++;
		if (b->ends[i] <= b->ends[child])
			break;
		heap_swap(b, i, child);
		i = child;
	}
}

static uint32_t bucket(double seconds)
{
	return weir_histogram_index((uint64_t)(seconds * 1e9)) >> ADAPT_HIST_SHIFT;
}

/* Answers that have come until now. */
static void backend_answers(struct loop *l, struct loop_backend *b)
{
	while (b->count > 0 && b->ends[0] <= l->now) {
		double took = b->ends[0] - b->begins[0];
		b->tick.answered++;
		b->tick.answered_s += took;
		b->tail.count++;
		b->tail.bucket[bucket(took)]++;
		uint32_t found = weir_found_class((uint32_t)b->founds[0]);
		b->found.count[found]++;
		b->found.sum_s[found] += took;
		heap_remove(b);
	}
}

static void request_take(struct loop *l, struct loop_backend *b, bool legitimate)
{
	b->tick.requests++;
	b->tick.new_flows++;
	b->tick.syn_sent++;
	l->tick.forwarded++;
	if (b->dead) {
		heap_add(b, l->now, INFINITY);
		l->lost += legitimate;
		return;
	}
	b->tick.syn_answered++;
	size_t server = 0;
	for (size_t i = 1; i < LOOP_SERVERS; i++)
		if (b->free_at[i] < b->free_at[server])
			server = i;
	double begin = fmax(l->now, b->free_at[server]);
	double end = begin + service_time(l) * b->slow;
	b->free_at[server] = end;
	heap_add(b, l->now, end);
	if ((double)b->count > b->tick.in_flight_peak)
		b->tick.in_flight_peak = (double)b->count;
	double took = end - l->now + CONNECT_S;
	if (!legitimate)
		return;
	l->good += took <= OBJECTIVE_S;
	l->late += took > OBJECTIVE_S;
	l->latency.count++;
	l->latency.bucket[bucket(took)]++;
}

static size_t choose(struct loop *l)
{
	double total = 0;
	for (size_t i = 0; i < l->count; i++)
		total += l->in_force[i].weight;
	double at = uniform(l) * total;
	for (size_t i = 0; i < l->count; i++) {
		at -= l->in_force[i].weight;
		if (at < 0)
			return i;
	}
	return l->count - 1;
}

static bool has_room(const struct loop *l, size_t i, bool yellow)
{
	uint32_t cap = yellow ? l->in_force[i].cap_calm : l->in_force[i].cap;
	return cap == ADAPT_NO_CAP || l->backends[i].count < cap;
}

/* Green 0, yellow 1, red 2: a leaky bucket of one second for each source. */
static int colour(struct loop *l, size_t source)
{
	if (!l->policing.on || isinf(l->policing.rate[ADAPT_FLOWS]))
		return 0;
	double shares = 1;
	uint8_t prefix[16] = { [14] = (uint8_t)(source >> 8), [15] = (uint8_t)source };
	for (size_t i = 0; i < l->policing.box_count; i++)
		if (memcmp(l->policing.box[i].prefix, prefix, 16) == 0)
			return 2;
	for (size_t i = 0; i < l->policing.weight_count; i++)
		if (memcmp(l->policing.weights[i].prefix, prefix, 16) == 0)
			shares = l->policing.weights[i].weight;
	double rate = l->policing.rate[ADAPT_FLOWS] * shares;
	l->level[source] = fmax(0, l->level[source] - (l->now - l->level_at[source]) * rate);
	l->level_at[source] = l->now;
	if (l->level[source] > rate * l->policing.yellow)
		return 2;
	l->level[source]++;
	return l->level[source] > fmax(2, rate);
}

static void request(struct loop *l, size_t source, bool legitimate)
{
	int is = colour(l, source);
	l->tick.offered++;
	l->tick.packets += 5;
	l->asked[source]++;
	l->asked_for += legitimate;
	if (is == 2) {
		l->tick.policed++;
		l->refused += legitimate;
		return;
	}
	for (int tries = 0; tries < 8; tries++) {
		size_t i = choose(l);
		backend_answers(l, &l->backends[i]);
		if (!has_room(l, i, is == 1))
			continue;
		request_take(l, &l->backends[i], legitimate);
		return;
	}
	if (is == 1)
		l->tick.policed++;
	else
		l->tick.shed++;
	l->refused += legitimate;
}

static void decide(void *ctx, const struct adapt_decision *d)
{
	struct loop *l = ctx;
	if (l->decision_count < LOOP_DECISIONS)
		l->decisions[l->decision_count++] = *d;
}

/* What health's slow start leaves of the weight. */
static uint16_t weight_now(const struct loop *l, const struct loop_backend *b)
{
	uint64_t back_ns = (uint64_t)(b->back_at * 1e9);
	uint64_t ramp_ns = (uint64_t)(l->slow_start * 1e9);
	uint16_t slow = slow_start_weight(WEIGHT, back_ns, ramp_ns, (uint64_t)(l->now * 1e9));
	uint16_t lifted = slow_start_lifted(WEIGHT, b->share);
	return slow > lifted ? slow : lifted;
}

static void signals_fill(struct loop *l)
{
	bool reads = l->ticks % HIST_EVERY == 0;
	l->tick.now_ns = (uint64_t)(l->now * 1e9);
	l->tick.elapsed_ns = ADAPT_TICK_NS;
	l->tick.backends = l->shown;
	l->tick.backend_count = l->count;
	for (size_t i = 0; i < l->count; i++) {
		struct loop_backend *b = &l->backends[i];
		backend_answers(l, b);
		b->tick.in_flight = (double)b->count;
		b->tick.usable = !b->down;
		b->tick.weight = weight_now(l, b);
		b->tick.whole = WEIGHT;
		b->tick.probed = l->probed;
		b->tick.probes_good = b->probes_good;
		l->shown[i] = b->tick;
		l->shown[i].tail = reads ? &b->tail : NULL;
		l->shown[i].found = reads ? &b->found : NULL;
	}
	l->tick.sources = l->sources;
	l->tick.sources_ns = reads ? HIST_EVERY * ADAPT_TICK_NS : 0;
	l->tick.source_count = 0;
	for (size_t i = 0; reads && i < LOOP_SOURCES; i++) {
		struct adapt_source_signals *s = &l->sources[l->tick.source_count];
		if (l->asked[i] == 0)
			continue;
		*s = (struct adapt_source_signals){
			.prefix = { [14] = (uint8_t)(i >> 8), [15] = (uint8_t)i }
		};
		s->rate[ADAPT_FLOWS] = l->asked[i] / (HIST_EVERY * TICK_S);
		s->rate[ADAPT_PACKETS] = 5 * s->rate[ADAPT_FLOWS];
		l->tick.source_count++;
		l->asked[i] = 0;
	}
}

static void signals_clear(struct loop *l)
{
	bool reads = l->ticks % HIST_EVERY == 0;
	l->tick = (struct adapt_signals){ 0 };
	for (size_t i = 0; i < l->count; i++) {
		struct adapt_backend_signals *t = &l->backends[i].tick;
		struct adapt_backend_signals next = {
			.port = t->port, .weight = t->weight, .unheard = l->backends[i].dead
		};
		memcpy(next.address, t->address, sizeof(next.address));
		next.in_flight_peak = (double)l->backends[i].count;
		*t = next;
		if (!reads)
			continue;
		memset(&l->backends[i].tail, 0, sizeof(l->backends[i].tail));
		memset(&l->backends[i].found, 0, sizeof(l->backends[i].found));
	}
}

/* Probes once a second. The scenarios are of what happens before they take a backend out. */
static void health_step(struct loop *l)
{
	for (size_t i = 0; l->ticks % 10 == 0 && i < l->count; i++) {
		struct loop_backend *b = &l->backends[i];
		b->probes_good += !b->dead;
	}
}

static void directive_take(struct loop *l, const struct adapt_directive *d)
{
	if (d == NULL || !l->adapt)
		return;
	for (size_t i = 0; i < l->count; i++) {
		l->in_force[i] = d->backends[i];
		l->backends[i].share = d->backends[i].share;
		if (l->backends[i].down)
			l->in_force[i].weight = 0;
		else if (!d->backends[i].ejected) {
			l->least_factor = fmin(l->least_factor, d->backends[i].factor);
			l->most_factor = fmax(l->most_factor, d->backends[i].factor);
		}
	}
	l->headroom = d->headroom;
	if (d->policing != NULL)
		l->policing = *d->policing;
}

static void tick(struct loop *l)
{
	struct adapt_log log = { l, decide };
	l->ticks++;
	health_step(l);
	signals_fill(l);
	directive_take(l, adapt_service_step(l->service, &l->tick, &l->settings, false, &log));
	signals_clear(l);
}

void loop_run(struct loop *l, double seconds)
{
	double end = l->now + seconds;
	double next_tick = floor(l->now / TICK_S + 1.5) * TICK_S;
	double next = l->now;
	double both = l->rate + l->attack_rate;
	for (;;) {
		next += -log(uniform(l)) / both;
		while (next >= next_tick && next_tick <= end + TICK_S / 2) {
			l->now = next_tick;
			tick(l);
			next_tick += TICK_S;
		}
		if (next >= end)
			break;
		l->now = next;
		bool legitimate = uniform(l) * both < l->rate;
		size_t normal = LOOP_SOURCES - l->attackers;
		size_t source = (size_t)(uniform(l) * (double)(legitimate ? normal : l->attackers));
		if (l->one_source)
			source = 0;
		request(l, legitimate ? source : normal + source, legitimate);
	}
	l->now = end;
}

struct loop *loop_create(size_t count, double rate)
{
	struct loop *l = calloc(1, sizeof(*l));
	l->service = adapt_service_create();
	l->settings = (struct adapt_settings){ .objective_s = OBJECTIVE_S,
		.mode = { ADAPT_ON, ADAPT_ON, ADAPT_ON, ADAPT_ON },
		.sees_replies = true,
		.is_tcp = true,
		.gains = adapt_gains_preset };
	l->adapt = l->probed = true;
	l->count = count;
	l->rate = rate;
	l->random = 7;
	l->least_factor = l->most_factor = 1;
	for (size_t i = 0; i < count; i++) {
		struct loop_backend *b = &l->backends[i];
		b->slow = 1;
		b->tick.port = 80;
		b->tick.weight = WEIGHT;
		memcpy(b->tick.address,
			(uint8_t[16]){ [10] = 255, 255, 10, 0, 0, (uint8_t)(i + 1) }, 16);
		l->in_force[i] = (struct adapt_backend_directive){
			.weight = WEIGHT, .cap = ADAPT_NO_CAP, .cap_calm = ADAPT_NO_CAP
		};
	}
	return l;
}

void loop_destroy(struct loop *l)
{
	for (size_t i = 0; i < l->count; i++) {
		free(l->backends[i].ends);
		free(l->backends[i].begins);
		free(l->backends[i].founds);
	}
	adapt_service_destroy(l->service);
	free(l);
}

void loop_forget(struct loop *l)
{
	l->asked_for = l->good = l->late = l->refused = l->lost = 0;
	memset(&l->latency, 0, sizeof(l->latency));
	l->decision_count = 0;
	l->least_factor = l->most_factor = 1;
}

double loop_p99(const struct loop *l)
{
	return adapt_histogram_quantile(&l->latency, 0.99);
}

size_t loop_decided(const struct loop *l, const char *action)
{
	size_t count = 0;
	for (size_t i = 0; i < l->decision_count; i++)
		count += strcmp(l->decisions[i].action, action) == 0;
	return count;
}
