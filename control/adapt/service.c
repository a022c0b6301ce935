/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * One service, one tick: estimates first, then forecast, cores, ejection, weights, shedding, sources, classes, in this
 * order, as caps and cores look at the headroom and weights at who is out. A controller that observes runs like one
 * that is on, and its part is left out of what comes out at the end.
 */

#include "control/adapt/service.h"

#include "control/adapt/classes.h"
#include "control/adapt/cores.h"
#include "control/adapt/eject.h"
#include "control/adapt/forecast.h"
#include "control/adapt/shed.h"
#include "control/adapt/sources.h"
#include "control/adapt/weights.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct adapt_service {
	/* By backend, in the order of the last signals; owned. */
	struct member {
		uint8_t address[16];
		uint16_t port;
		bool usable;
	} * members;
	struct estimate_backend *estimates;
	struct weights_backend *weights;
	struct eject_backend *ejects;
	struct shed_backend *sheds;
	struct forecast_backend *forecasts;
	struct adapt_backend_directive *backends; /* what comes out */
	size_t count;

	struct estimate_service estimate;
	struct eject_service eject;
	struct shed_service shed;
	struct forecast_state forecast;
	struct season season; /* of days: not forgotten when the forecast is off */
	struct cores_state cores;
	struct sources_state *sources; /* owned; NULL: off */
	struct adapt_policing *policing; /* owned; NULL: off */
	struct classes_state *classes; /* owned; NULL: off */
	struct adapt_directive directive;
	bool panic; /* in force */
};

static void begin(struct adapt_service *a)
{
	estimate_service_init(&a->estimate);
	forecast_init(&a->forecast);
	cores_init(&a->cores);
	a->directive.headroom = a->directive.room = 1;
}

struct adapt_service *adapt_service_create(void)
{
	struct adapt_service *a = calloc(1, sizeof(*a));
	if (a == NULL)
		return NULL;
	season_init(&a->season);
	begin(a);
	return a;
}

static void backends_free(struct adapt_service *a)
{
	free(a->members);
	free(a->estimates);
	free(a->weights);
	free(a->ejects);
	free(a->sheds);
	free(a->forecasts);
	free(a->backends);
}

static void learned_free(struct adapt_service *a)
{
	backends_free(a);
	free(a->sources);
	free(a->policing);
	free(a->classes);
}

void adapt_service_destroy(struct adapt_service *a)
{
	if (a == NULL)
		return;
	learned_free(a);
	free(a);
}

void adapt_service_forget(struct adapt_service *a)
{
	const struct season season = a->season;
	learned_free(a);
	*a = (struct adapt_service){ .season = season };
	begin(a);
}

static bool is_member(const struct member *m, const struct adapt_backend_signals *b)
{
	return m->port == b->port && memcmp(m->address, b->address, sizeof(m->address)) == 0;
}

static bool is_same_pool(const struct adapt_service *a, const struct adapt_signals *s)
{
	bool same = a->count == s->backend_count;
	for (size_t i = 0; same && i < a->count; i++)
		same = is_member(&a->members[i], &s->backends[i]);
	return same;
}

static void member_begin(struct adapt_service *a, size_t i)
{
	estimate_backend_init(&a->estimates[i]);
	weights_backend_init(&a->weights[i]);
	a->ejects[i] = (struct eject_backend){ 0 };
	a->sheds[i] = (struct shed_backend){ 0 };
	a->forecasts[i] = (struct forecast_backend){ 0 };
}

static void member_move(
	struct adapt_service *to, size_t i, const struct adapt_service *from, size_t j)
{
	to->estimates[i] = from->estimates[j];
	to->weights[i] = from->weights[j];
	to->ejects[i] = from->ejects[j];
	to->sheds[i] = from->sheds[j];
	to->forecasts[i] = from->forecasts[j];
	to->members[i].usable = from->members[j].usable;
}

/* The pool has changed: who stays keeps what is known of it. */
static int pool_follow(struct adapt_service *a, const struct adapt_signals *s)
{
	size_t n = s->backend_count + 1;
	struct adapt_service next = { .count = s->backend_count };
	next.members = calloc(n, sizeof(*next.members));
	next.estimates = calloc(n, sizeof(*next.estimates));
	next.weights = calloc(n, sizeof(*next.weights));
	next.ejects = calloc(n, sizeof(*next.ejects));
	next.sheds = calloc(n, sizeof(*next.sheds));
	next.forecasts = calloc(n, sizeof(*next.forecasts));
	next.backends = calloc(n, sizeof(*next.backends));
	if (next.members == NULL || next.estimates == NULL || next.weights == NULL ||
		next.ejects == NULL || next.sheds == NULL || next.forecasts == NULL ||
		next.backends == NULL) {
		backends_free(&next);
		return -1;
	}
	for (size_t i = 0; i < s->backend_count; i++) {
		const struct adapt_backend_signals *b = &s->backends[i];
		size_t j = 0;
		memcpy(next.members[i].address, b->address, sizeof(b->address));
		next.members[i].port = b->port;
		while (j < a->count && !is_member(&a->members[j], b))
			j++;
		if (j < a->count)
			member_move(&next, i, a, j);
		else
			member_begin(&next, i);
	}
	backends_free(a);
	a->members = next.members;
	a->estimates = next.estimates;
	a->weights = next.weights;
	a->ejects = next.ejects;
	a->sheds = next.sheds;
	a->forecasts = next.forecasts;
	a->backends = next.backends;
	a->count = next.count;
	return 0;
}

/* What was known of a backend before it was away says nothing of it now. */
static void returns_follow(struct adapt_service *a, const struct adapt_signals *s)
{
	for (size_t i = 0; i < a->count; i++) {
		if (s->backends[i].usable && !a->members[i].usable)
			member_begin(a, i);
		a->members[i].usable = s->backends[i].usable;
	}
}

static int sources_follow(struct adapt_service *a, const struct adapt_settings *settings)
{
	if (settings->mode[ADAPT_SOURCES] == ADAPT_OFF) {
		free(a->sources);
		free(a->policing);
		free(a->classes);
		a->classes = NULL;
		a->sources = NULL;
		a->policing = NULL;
		return 0;
	}
	if (a->sources == NULL)
		a->sources = calloc(1, sizeof(*a->sources));
	if (a->policing == NULL)
		a->policing = calloc(1, sizeof(*a->policing));
	if (a->classes == NULL)
		a->classes = calloc(1, sizeof(*a->classes));
	return a->sources != NULL && a->policing != NULL && a->classes != NULL ? 0 : -1;
}

/* Without news of a backend all that was learned of it is old: as configured, until there are some again. */
static void blind_forget(struct adapt_service *a, const struct adapt_signals *s)
{
	for (size_t i = 0; i < a->count; i++)
		if (s->backends[i].blind)
			member_begin(a, i);
}

/* A controller that is off forgets, so that it begins anew when it is switched on. */
static void off_forget(struct adapt_service *a, const struct adapt_settings *settings)
{
	if (settings->mode[ADAPT_WEIGHTS] == ADAPT_OFF) {
		a->eject = (struct eject_service){ 0 };
		for (size_t i = 0; i < a->count; i++) {
			weights_backend_init(&a->weights[i]);
			a->ejects[i] = (struct eject_backend){ 0 };
		}
	}
	if (settings->mode[ADAPT_SHED] == ADAPT_OFF) {
		a->shed = (struct shed_service){ 0 };
		for (size_t i = 0; i < a->count; i++)
			a->sheds[i] = (struct shed_backend){ 0 };
	}
	if (settings->mode[ADAPT_FORECAST] == ADAPT_OFF) {
		forecast_init(&a->forecast);
		for (size_t i = 0; i < a->count; i++)
			a->forecasts[i] = (struct forecast_backend){ 0 };
	}
	if (settings->mode[ADAPT_CORES] == ADAPT_OFF)
		cores_init(&a->cores);
}

/* Who is ejected by a controller that does not act serves like the others: for them it is not out. */
static void out_follow(struct adapt_service *a, const struct adapt_settings *settings)
{
	for (size_t i = 0; settings->mode[ADAPT_WEIGHTS] != ADAPT_ON && i < a->count; i++)
		a->estimates[i].out = false;
}

static void directive_begin(struct adapt_service *a, const struct adapt_signals *s)
{
	a->directive = (struct adapt_directive){ .backends = a->backends,
		.backend_count = a->count,
		.policing = a->policing,
		.headroom = 1,
		.room = 1 };
	if (a->policing != NULL)
		a->policing->on = false;
	for (size_t i = 0; i < a->count; i++) {
		a->backends[i] = (struct adapt_backend_directive){ .port = s->backends[i].port,
			.factor = 1,
			.cap = ADAPT_NO_CAP,
			.cap_calm = ADAPT_NO_CAP };
		memcpy(a->backends[i].address, s->backends[i].address,
			sizeof(a->backends[i].address));
	}
}

/* Leave out what is not on. */
static void directive_end(struct adapt_service *a, const struct adapt_signals *s,
	const struct adapt_settings *settings)
{
	for (size_t i = 0; i < a->count; i++) {
		struct adapt_backend_directive *b = &a->backends[i];
		if (settings->mode[ADAPT_WEIGHTS] != ADAPT_ON) {
			b->factor = 1;
			b->ejected = false;
			b->close_idle = 0;
		}
		if (settings->mode[ADAPT_SHED] != ADAPT_ON)
			b->cap = b->cap_calm = ADAPT_NO_CAP;
		if (settings->mode[ADAPT_FORECAST] != ADAPT_ON)
			b->share = 0;
		b->weight = b->ejected ? 0 : s->backends[i].weight * b->factor;
	}
	if (a->policing != NULL && settings->mode[ADAPT_SOURCES] != ADAPT_ON) {
		a->policing->on = false;
		a->directive.class_count = 0;
	}
	a->panic = a->eject.panic && settings->mode[ADAPT_WEIGHTS] == ADAPT_ON;
	if (settings->mode[ADAPT_FORECAST] != ADAPT_ON)
		a->directive.headroom = a->directive.room = 1;
	if (settings->mode[ADAPT_CORES] != ADAPT_ON)
		a->directive.cores = 0;
}

const struct adapt_directive *adapt_service_step(struct adapt_service *a,
	const struct adapt_signals *s, const struct adapt_settings *settings, bool paused,
	const struct adapt_log *log)
{
	struct adapt_settings now = *settings;
	for (int i = 0; i < ADAPT_CONTROLLER_COUNT; i++)
		if (paused && now.mode[i] == ADAPT_ON)
			now.mode[i] = ADAPT_OBSERVE;
	if (s->age_ns > ADAPT_STALE_NS || s->elapsed_ns == 0 || s->elapsed_ns > ADAPT_STALE_NS)
		return NULL;
	if ((!is_same_pool(a, s) && pool_follow(a, s) != 0) || sources_follow(a, &now) != 0)
		return NULL;
	returns_follow(a, s);
	blind_forget(a, s);
	off_forget(a, &now);
	directive_begin(a, s);
	estimate_step(&a->estimate, a->estimates, s, &now);
	if (now.mode[ADAPT_FORECAST] != ADAPT_OFF)
		forecast_step(&a->forecast, &a->season, a->forecasts, s, &now, &a->directive, log);
	if (now.mode[ADAPT_FORECAST] == ADAPT_OBSERVE)
		a->directive.headroom = a->directive.room = 1;
	if (now.mode[ADAPT_CORES] != ADAPT_OFF)
		cores_step(&a->cores, s, &now, &a->directive, log);
	if (now.mode[ADAPT_WEIGHTS] != ADAPT_OFF && (now.sees_replies || now.probed)) {
		if (now.is_tcp)
			eject_step(&a->eject, a->ejects, a->weights, a->estimates, s, &now,
				&a->directive, log);
		weights_step(a->weights, a->estimates, &a->estimate, s, &now, &a->directive, log);
	}
	out_follow(a, &now);
	if (now.mode[ADAPT_SHED] != ADAPT_OFF)
		shed_step(&a->shed, a->sheds, &a->estimate, a->estimates, s, &now, &a->directive,
			log);
	if (now.mode[ADAPT_SOURCES] != ADAPT_OFF) {
		sources_step(a->sources, &a->estimate, s, &now, &a->directive, log);
		classes_step(a->classes, &a->estimate, s, &now, &a->directive, log);
	}
	directive_end(a, s, &now);
	return &a->directive;
}

struct season *adapt_service_season(struct adapt_service *a)
{
	return &a->season;
}

void adapt_service_summary(const struct adapt_service *a, struct adapt_summary *ret)
{
	const struct adapt_policing *p = a->policing;
	*ret = (struct adapt_summary){ .pool_latency = a->estimate.pool,
		.p99 = a->estimate.p99,
		.spread = a->estimate.spread,
		.shed_rate = a->shed.shed_rate,
		.fair_rate = p != NULL && p->on ? p->rate[ADAPT_FLOWS] : NAN,
		.boxed = p != NULL && p->on ? p->box_count : 0,
		.classes = a->directive.class_count,
		.panic = a->panic,
		.ahead = a->forecast.ahead,
		.season = a->forecast.season,
		.headroom = a->directive.headroom,
		.forecast_off = a->forecast.h.off,
		.cores = a->directive.cores };
	for (size_t i = 0; i < a->count; i++) {
		const struct adapt_backend_directive *b = &a->backends[i];
		ret->ejected += b->ejected;
		ret->shifted += !b->ejected && a->members[i].usable && b->factor != 1;
	}
}
