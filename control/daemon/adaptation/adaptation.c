/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/adapt/recording.h"
#include "control/daemon/adaptation/adaptation_private.h"
#include "control/daemon/adaptation/probes.h"
#include "control/daemon/clock.h"
#include "control/daemon/daemon.h"
#include "control/daemon/log.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TICK_MS 100
#define SELDOM	5 /* ticks between two readings of histograms and heavy sources */
#define SOON_MS 5 /* at least, to the next tick: other work comes first */

void adapted_destroy(struct adapted *a)
{
	adapt_service_destroy(a->controllers);
	signals_past_clear(&a->past);
	for (size_t i = 0; i < RECORD_LAST; i++)
		free(a->records[i]);
	free(a->decisions);
	free(a->sent);
	free(a);
}

struct adapted *adapted_find(const struct adaptation *a, const char *service, size_t guess)
{
	if (guess < a->count && !strcmp(a->items[guess]->service, service))
		return a->items[guess];
	for (size_t i = 0; i < a->count; i++)
		if (!strcmp(a->items[i]->service, service))
			return a->items[i];
	return NULL;
}

struct adapted *adapted_of(struct adaptation *a, const char *service)
{
	struct adapted *found = adapted_find(a, service, a->count);

	if (found)
		return found;
	struct adapted **items = realloc(a->items, (a->count + 1) * sizeof(*items));

	if (!items)
		return NULL;
	a->items = items;
	found = calloc(1, sizeof(*found));
	if (found)
		found->controllers = adapt_service_create();
	if (!found || !found->controllers) {
		free(found);
		return NULL;
	}
	found->of = a;
	for (int i = 0; i < ADAPT_CONTROLLER_COUNT; i++)
		found->set[i] = KEPT_MODE_NOT_SET;
	for (int i = 0; i < ADAPT_RESOURCE_COUNT; i++)
		found->source_rate[i] = INFINITY;
	strcpy(found->service, service);
	a->items[a->count++] = found;
	adapted_season_continue(found);
	return found;
}

bool adapted_is_off(const struct adapted *a)
{
	for (int i = 0; i < ADAPT_CONTROLLER_COUNT; i++)
		if (a->settings.mode[i] != ADAPT_OFF)
			return false;
	return true;
}

static bool is_by_hand(const struct adapted *a)
{
	for (int i = 0; i < ADAPT_CONTROLLER_COUNT; i++)
		if (a->set[i] != KEPT_MODE_NOT_SET)
			return true;
	return a->paused;
}

static enum adapt_mode mode_of(enum model_adapt_mode m)
{
	return m == MODEL_ADAPT_ON	 ? ADAPT_ON :
		m == MODEL_ADAPT_OBSERVE ? ADAPT_OBSERVE :
					   ADAPT_OFF;
}

static void settings_fill(struct adapted *a, const struct model_service *s)
{
	const struct model_adapt *m = &s->adapt;
	const enum model_adapt_mode modes[ADAPT_CONTROLLER_COUNT] = { [ADAPT_WEIGHTS] = m->weights,
		[ADAPT_SHED] = m->shed,
		[ADAPT_SOURCES] = m->sources,
		[ADAPT_FORECAST] = m->forecast,
		[ADAPT_CORES] = m->cores };

	a->settings.objective_s = (double)s->objective.p99_ns / 1e9;
	a->settings.sees_replies = s->mode == MODEL_NAT;
	a->settings.probed = !a->settings.sees_replies && a->of->d->probes;
	a->settings.is_tcp = s->protocol == MODEL_TCP;
	a->settings.cores_min = s->cores.min;
	a->settings.cores_max = s->cores.max;
	a->settings.sticks = s->affinity.type != MODEL_AFFINITY_NONE;
	a->settings.gains = adapt_gains_preset;
	for (int i = 0; i < ADAPT_CONTROLLER_COUNT; i++)
		a->settings.mode[i] = a->set[i] == KEPT_MODE_NOT_SET ? mode_of(modes[i]) :
								       (enum adapt_mode)a->set[i];
}

/* Follow the model: who wants to be adapted, and who is not there any more. */
static void services_follow(struct adaptation *a)
{
	const struct model *m = a->d->model;
	bool lost = false;

	for (size_t i = 0; i < a->count; i++)
		a->items[i]->wanted = false;
	for (size_t i = 0; i < m->service_count; i++) {
		const struct model_service *s = &m->services[i];
		bool on = s->adapt.weights || s->adapt.shed || s->adapt.sources ||
			s->adapt.forecast || s->adapt.cores;
		struct adapted *of = adapted_find(a, s->name, i);

		if (!of && on)
			of = adapted_of(a, s->name);
		if (!of)
			continue;
		of->wanted = true;
		settings_fill(of, s);
	}
	for (size_t i = 0; i < a->count;) {
		if (a->items[i]->wanted) {
			i++;
			continue;
		}
		lost |= is_by_hand(a->items[i]);
		adapted_season_forget(a->items[i]);
		adapted_destroy(a->items[i]);
		memmove(&a->items[i], &a->items[i + 1], (--a->count - i) * sizeof(*a->items));
	}
	if (lost)
		adaptation_save(a);
}

/* What is seldom read is read of another fifth of the services in each tick. */
static unsigned int wish(void *ctx, const char *service)
{
	struct adaptation *a = ctx;
	size_t guess = a->cursor++;
	struct adapted *of = adapted_find(a, service, guess);

	if (!of || adapted_is_off(of))
		return READING_NOT;
	unsigned int what = READING_COUNTERS;

	if ((a->ticks + guess) % SELDOM == 0)
		what |= READING_TAILS | READING_HEAVY;
	if (of->polices)
		what |= READING_HEAVY;
	if (of->settings.mode[ADAPT_SOURCES] == ADAPT_OFF)
		what &= ~(unsigned int)READING_HEAVY;
	return what;
}

static const struct model_service *model_service_find(
	const struct model *m, const char *name, size_t guess)
{
	if (guess < m->service_count && !strcmp(m->services[guess].name, name))
		return &m->services[guess];
	for (size_t i = 0; i < m->service_count; i++)
		if (!strcmp(m->services[i].name, name))
			return &m->services[i];
	return NULL;
}

static void checks_fill(const struct daemon *d, const char *service, struct adapt_signals *s)
{
	for (size_t i = 0; d->pool_ready && i < s->backend_count; i++) {
		struct adapt_backend_signals *b = &s->backends[i];
		struct pool_health h;
		struct address address;

		memcpy(address.bytes, b->address, sizeof(address.bytes));
		if (!pool_health(d->pool, service, &address, b->port, &h))
			continue;
		b->probed = h.type != MODEL_HEALTH_NONE;
		b->probes_good = h.passed;
		b->whole = h.weight;
	}
}

static void record(struct adapted *a, const struct adapt_signals *s)
{
	if (!a->record_until_ns)
		return;
	if (s->now_ns > a->record_until_ns) {
		a->record_until_ns = 0;
		return;
	}
	char **place = &a->records[a->recorded % RECORD_LAST];

	free(*place);
	*place = recording_tick(s);
	a->recorded++;
}

static void in_force_note(struct adapted *a, const struct adapt_directive *directive)
{
	const struct adapt_policing *p = directive->policing;

	a->polices = p && p->on;
	for (int i = 0; i < ADAPT_RESOURCE_COUNT; i++)
		a->source_rate[i] = a->polices ? p->rate[i] : INFINITY;
}

/* What is foreseen shortens the slow start of those that are back. */
static void lifts_apply(
	struct adapted *a, const struct adapt_signals *s, const struct adapt_directive *directive)
{
	struct daemon *d = a->of->d;

	bool any = false;

	for (size_t i = 0; i < s->backend_count; i++)
		any |= directive->backends[i].share > 0;
	for (size_t i = 0; d->pool_ready && (any || a->lifts) && i < s->backend_count; i++) {
		const struct adapt_backend_directive *b = &directive->backends[i];
		struct address address;

		memcpy(address.bytes, b->address, sizeof(address.bytes));
		pool_lift(d->pool, a->service, &address, b->port, b->share);
	}
	a->lifts = any;
}

static void service_step(struct adapted *a, const struct reading *now, struct reading_service *of,
	const struct model_service *s)
{
	struct adapt_log log = { a, adapted_decide };
	struct adapt_signals signals;
	struct daemon *d = a->of->d;

	probes_fill_reading(d->probes, s, of, now->taken_ns);
	if (signals_between(a->of->before, now, of, &a->past, &signals))
		return;
	signals.day_s = (uint64_t)time(NULL) % SEASON_DAY_S;
	checks_fill(d, a->service, &signals);
	probes_fill_signals(d->probes, s, &signals, now->taken_ns);
	record(a, &signals);
	a->stepped = true;
	const struct adapt_directive *directive = adapt_service_step(
		a->controllers, &signals, &a->settings, a->paused || a->of->paused, &log);

	if (directive) {
		in_force_note(a, directive);
		lifts_apply(a, &signals, directive);
		adapted_send(a, s, &signals, directive);
	}
	signals_free(&signals);
}

/* Nothing of ours stays in force of a service that is not adapted any more. */
static void off_step(struct adapted *a, const struct model_service *s)
{
	adapted_send(a, s, NULL, NULL);
	if (a->stepped)
		adapt_service_forget(a->controllers);
	a->stepped = false;
	for (size_t i = 0; a->lifts && i < model_backend_total(s); i++) {
		const struct model_backend *b = model_backend_at(s, i);

		pool_lift(a->of->d->pool, a->service, &b->address, b->port, 0);
	}
	a->lifts = false;
	a->polices = false;
	for (int i = 0; i < ADAPT_RESOURCE_COUNT; i++)
		a->source_rate[i] = INFINITY;
}

static void tick(struct adaptation *a)
{
	struct daemon *d = a->d;
	struct weir_client *client = dataplane_client(d->dataplane);
	struct reading *now = NULL;

	services_follow(a);
	if (!client || d->stopping || !d->in_step || !a->count)
		return;
	a->cursor = 0;
	if (reading_take(weir_client_telemetry(client), weir_client_hello(client)->telemetry_size,
		    clock_now_ns(), wish, a, &now))
		return;
	for (size_t i = 0; i < a->count; i++) {
		struct adapted *of = a->items[i];
		const struct model_service *s = model_service_find(d->model, of->service, i);
		struct reading_service *r = reading_find(now, of->service, i);

		if (s && adapted_is_off(of))
			off_step(of, s);
		else if (s && r)
			service_step(of, now, r, s);
	}
	reading_destroy(a->before);
	a->before = now;
	a->ticks++;
	adaptation_seasons_turn(a);
}

/* On a grid, so that a late tick does not delay those behind it. */
static void tick_due(evutil_socket_t fd, short what, void *ctx)
{
	struct adaptation *a = ctx;
	uint64_t begun = clock_now_ns();

	tick(a);
	uint64_t now = clock_now_ns();
	uint64_t passed_ms = (now - begun) / NS_PER_MS;
	uint64_t next_ms = passed_ms + SOON_MS < TICK_MS ? TICK_MS - passed_ms : SOON_MS;
	struct timeval wait = clock_timeval_ms(next_ms);

	a->cost_ns += now - begun;
	evtimer_add(a->timer, &wait);
}

int adaptation_start(struct daemon *d, struct adaptation **ret_adaptation)
{
	struct adaptation *a = calloc(1, sizeof(*a));
	struct timeval wait = clock_timeval_ms(TICK_MS);

	if (!a)
		return -ENOMEM;
	a->d = d;
	a->started_ns = clock_now_ns();
	a->timer = evtimer_new(d->base, tick_due, a);
	if (!a->timer || evtimer_add(a->timer, &wait)) {
		adaptation_stop(a);
		return -ENOMEM;
	}
	adaptation_seasons_prune(a);
	adaptation_continue(a);
	/* Who asks before the first tick is told what there will be. */
	services_follow(a);
	*ret_adaptation = a;
	return 0;
}

void adaptation_stop(struct adaptation *a)
{
	if (!a)
		return;
	if (a->timer)
		event_free(a->timer);
	adaptation_seasons_keep(a);
	for (size_t i = 0; i < a->count; i++)
		adapted_destroy(a->items[i]);
	free(a->items);
	reading_destroy(a->before);
	free(a);
}

void adaptation_forget_told(struct adaptation *a)
{
	for (size_t i = 0; a && i < a->count; i++) {
		free(a->items[i]->sent);
		a->items[i]->sent = NULL;
		a->items[i]->open = 0;
	}
}

void adaptation_model_changed(struct adaptation *a)
{
	bool changed = false;

	for (size_t i = 0; a && i < a->count; i++)
		for (int j = 0; j < ADAPT_CONTROLLER_COUNT; j++) {
			changed |= a->items[i]->set[j] != KEPT_MODE_NOT_SET;
			a->items[i]->set[j] = KEPT_MODE_NOT_SET;
		}
	if (changed)
		adaptation_save(a);
}

double adaptation_source_rate(
	const struct adaptation *a, const char *service, enum adapt_resource resource)
{
	const struct adapted *of = a ? adapted_find(a, service, 0) : NULL;

	return of ? of->source_rate[resource] : INFINITY;
}
