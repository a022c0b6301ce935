/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/daemon/pool.h"

#include "control/config/fnv.h"
#include "control/daemon/clock.h"
#include "control/daemon/events/events.h"
#include "control/daemon/log.h"
#include "control/daemon/state_file.h"
#include "control/health/health_check.h"
#include "control/health/slow_start.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STATE_NAME "drained.json"
#define CHAINS	   4096

#define FIRST_SPREAD_MIN_NS UINT64_C(250000000)
#define FIRST_CHECK_NS	    UINT64_C(200000) /* what there is for each */

struct entry {
	struct entry *next; /* of its chain; owned */
	struct pool *pool; /* borrowed */
	char service[MODEL_NAME_MAX + 1];
	struct address address;
	uint16_t port;
	bool draining;
	bool released; /* a fallback that need not wait for the others' first checks any more */
	bool wanted; /* by the model that is being set */
	bool fresh; /* made for it */
	enum model_health_type type;
	struct health_check *check; /* owned; NULL: none needed */
	uint16_t weight; /* configured */
	bool was_away; /* bad or drained: it comes back */
	uint64_t ramp_ns; /* how long its slow start takes; 0: it has none */
	uint64_t back_ns; /* when it came back; 0: it was never away */
	double lifted; /* share of its weight that its slow start leaves it at least */
};

struct pool {
	struct health_checks *checks; /* owned */
	const struct rundir *run; /* borrowed */
	pool_changed_cb cb;
	void *ctx;
	json_t *drained_before; /* owned; what the state file had, for the first model */
	struct entry *chain[CHAINS];
};

static uint64_t hash_of(const char *service, const struct address *a, uint16_t port)
{
	uint64_t h = fnv_1a(FNV_BASIS ^ port, service, strlen(service));

	h = fnv_1a(h, a->bytes, sizeof(a->bytes));
	return h ^ (h >> 29);
}

static struct entry *entry_find(
	const struct pool *p, const char *service, const struct address *a, uint16_t port)
{
	struct entry *e = p->chain[hash_of(service, a, port) % CHAINS];

	while (e &&
		(e->port != port || memcmp(&e->address, a, sizeof(*a)) ||
			strcmp(e->service, service)))
		e = e->next;
	return e;
}

static void entry_destroy(struct entry *e)
{
	health_check_destroy(e->check);
	free(e);
}

/* Remove the entries for which `field` is what it should not be; returns true when one drained. */
static bool entries_sweep(struct pool *p, bool (*gone)(const struct entry *e))
{
	bool drained = false;

	for (size_t i = 0; i < CHAINS; i++) {
		struct entry **at = &p->chain[i];

		while (*at) {
			struct entry *e = *at;

			if (!gone(e)) {
				at = &e->next;
				continue;
			}
			*at = e->next;
			drained |= e->draining;
			entry_destroy(e);
		}
	}
	return drained;
}

int pool_create(struct event_base *base, const struct rundir *run, pool_changed_cb cb, void *ctx,
	struct pool **ret_pool)
{
	struct pool *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	int rc = health_checks_start(base, &p->checks);

	if (rc) {
		free(p);
		return rc;
	}
	p->run = run;
	p->cb = cb;
	p->ctx = ctx;
	p->drained_before = state_read(run, STATE_NAME);
	*ret_pool = p;
	return 0;
}

static bool any_entry(const struct entry *e)
{
	return true;
}

void pool_destroy(struct pool *p)
{
	if (!p)
		return;
	entries_sweep(p, any_entry);
	health_checks_stop(p->checks);
	json_decref(p->drained_before);
	free(p);
}

bool pool_alive(struct pool *p)
{
	return health_checks_alive(p->checks);
}

static void drained_save(const struct pool *p)
{
	json_t *list = json_array();
	char text[80];

	for (size_t i = 0; list && i < CHAINS; i++)
		for (const struct entry *e = p->chain[i]; e; e = e->next)
			if (e->draining)
				json_array_append_new(list,
					json_pack("{s:s, s:s, s:i}", "service", e->service,
						"address",
						address_print(&e->address, text, sizeof(text)),
						"port", (int)e->port));
	if (list && !json_array_size(list)) {
		json_decref(list);
		rundir_unlink(p->run, STATE_NAME);
		return;
	}
	state_write(p->run, STATE_NAME, list);
}

/* A backend that was away takes new flows again, slowly where the service wants it so. */
static void entry_returns(struct entry *e)
{
	char backend[80], object[160], text[96];

	if (!e->was_away)
		return;
	e->was_away = false;
	if (!e->ramp_ns)
		return;
	e->back_ns = clock_now_ns();
	e->lifted = 0;
	address_port_print(&e->address, e->port, backend, sizeof(backend));
	snprintf(object, sizeof(object), "%s %s", e->service, backend);
	snprintf(text, sizeof(text), "starts slowly: its whole weight in %g s",
		(double)e->ramp_ns / 1e9);
	event_emit(EVENT_WEIGHT, object, text,
		json_pack("{s:s, s:s, s:f}", "service", e->service, "backend", backend, "seconds",
			(double)e->ramp_ns / 1e9));
}

static void health_changed(void *ctx, enum health_verdict verdict, const char *reason)
{
	struct entry *e = ctx;
	char text[80], object[160], what[160];

	address_port_print(&e->address, e->port, text, sizeof(text));
	snprintf(object, sizeof(object), "%s %s", e->service, text);
	snprintf(what, sizeof(what), "is %s: %s", verdict == HEALTH_GOOD ? "up" : "down", reason);
	event_emit(EVENT_HEALTH, object, what,
		json_pack("{s:s, s:s, s:s, s:s}", "service", e->service, "backend", text, "verdict",
			verdict == HEALTH_GOOD ? "good" : "bad", "reason", reason));
	if (verdict == HEALTH_GOOD)
		log_notice("service %s: backend %s is up: %s", e->service, text, reason);
	else
		log_warning("service %s: backend %s is down: %s", e->service, text, reason);
	if (verdict == HEALTH_GOOD && !e->draining)
		entry_returns(e);
	else if (verdict == HEALTH_BAD)
		e->was_away = true;
	e->pool->cb(e->pool->ctx);
}

static bool snapshot_has_up(
	const struct snapshot *adopted, const char *service, const struct address *a, uint16_t port)
{
	const struct snapshot_service *s = adopted ? snapshot_find_service(adopted, service) : NULL;
	const struct snapshot_backend *b = s ? snapshot_find_backend(s, a->bytes, port) : NULL;

	return b && (b->entry.state == WEIR_BACKEND_UP || b->entry.state == WEIR_BACKEND_DRAINING);
}

static struct entry *entry_add(
	struct pool *p, const struct model_service *s, const struct model_backend *b)
{
	struct entry *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	e->pool = p;
	snprintf(e->service, sizeof(e->service), "%s", s->name);
	e->address = b->address;
	e->port = b->port;
	e->fresh = true;
	struct entry **chain = &p->chain[hash_of(s->name, &b->address, b->port) % CHAINS];

	e->next = *chain;
	*chain = e;
	return e;
}

/* A slow start that a daemon before this one began goes on. */
static uint64_t ramp_adopted(const struct snapshot *adopted, const struct model_service *s,
	const struct model_backend *b)
{
	const struct snapshot_service *of = snapshot_find_service(adopted, s->name);
	const struct snapshot_backend *found =
		of ? snapshot_find_backend(of, b->address.bytes, b->port) : NULL;

	if (!found || found->entry.state != WEIR_BACKEND_UP)
		return 0;
	return slow_start_back(
		b->weight, found->entry.weight, s->health.slow_start_ns, clock_now_ns());
}

/* Start, change or end the check of an entry as the service says. */
static int entry_check(struct entry *e, const struct model_service *s,
	const struct model_backend *b, const struct snapshot *adopted, uint64_t spread_ns)
{
	/* A dsr service with any port has backends without one: nothing to connect to. */
	enum model_health_type type = b->port ? s->health.type : MODEL_HEALTH_NONE;
	enum health_verdict believed = HEALTH_UNKNOWN;

	if (type == MODEL_HEALTH_NONE) {
		health_check_destroy(e->check);
		e->check = NULL;
		e->type = type;
		return 0;
	}
	/* Without checks it was up; it stays so until checks say otherwise. */
	if ((!e->fresh && e->type == MODEL_HEALTH_NONE) ||
		snapshot_has_up(adopted, s->name, &b->address, b->port)) {
		believed = HEALTH_GOOD;
		e->released = true;
	}
	e->ramp_ns = s->health.slow_start_ns;
	if (adopted)
		e->back_ns = ramp_adopted(adopted, s, b);
	e->type = type;
	if (e->check)
		return health_check_configure(e->check, &s->health);
	return health_check_create(e->pool->checks, &s->health, &b->address, b->port, believed,
		spread_ns < s->health.interval_ns ? spread_ns : s->health.interval_ns,
		health_changed, e, &e->check);
}

/* The entry of every backend, made where there is none. */
static int entries_make(struct pool *p, const struct model *m)
{
	for (size_t i = 0; i < m->service_count; i++) {
		const struct model_service *s = &m->services[i];

		for (size_t j = 0; j < model_backend_total(s); j++) {
			const struct model_backend *b = model_backend_at(s, j);
			struct entry *e = entry_find(p, s->name, &b->address, b->port);

			if (!e)
				e = entry_add(p, s, b);
			if (!e)
				return -ENOMEM;
			e->wanted = true;
		}
	}
	return 0;
}

static bool is_fresh(const struct entry *e)
{
	return e->fresh;
}

static bool is_unwanted(const struct entry *e)
{
	return !e->wanted;
}

static void marks_clear(struct pool *p)
{
	for (size_t i = 0; i < CHAINS; i++)
		for (struct entry *e = p->chain[i]; e; e = e->next)
			e->fresh = e->wanted = false;
}

static void drained_restore(struct pool *p)
{
	json_t *item;
	size_t i;

	json_array_foreach(p->drained_before, i, item)
	{
		const char *service = json_string_value(json_object_get(item, "service"));
		const char *text = json_string_value(json_object_get(item, "address"));
		json_int_t port = json_integer_value(json_object_get(item, "port"));
		struct address a;

		if (!service || !text || !address_parse(text, &a) || port < 0 || port > 65535)
			continue;
		struct entry *e = entry_find(p, service, &a, (uint16_t)port);

		if (e)
			e->draining = true;
	}
	json_decref(p->drained_before);
	p->drained_before = NULL;
}

/* First checks come soon, but not more of them at once than one core can do. */
static uint64_t first_spread(const struct model *m)
{
	uint64_t spread = 0;

	for (size_t i = 0; i < m->service_count; i++)
		spread += model_backend_total(&m->services[i]) * FIRST_CHECK_NS;
	return spread > FIRST_SPREAD_MIN_NS ? spread : FIRST_SPREAD_MIN_NS;
}

int pool_set_model(struct pool *p, const struct model *m, const struct snapshot *adopted)
{
	int rc = entries_make(p, m);

	if (rc) {
		entries_sweep(p, is_fresh);
		marks_clear(p);
		return rc;
	}
	uint64_t spread_ns = first_spread(m);

	for (size_t i = 0; i < m->service_count; i++) {
		const struct model_service *s = &m->services[i];

		for (size_t j = 0; j < model_backend_total(s); j++) {
			const struct model_backend *b = model_backend_at(s, j);
			struct entry *e = entry_find(p, s->name, &b->address, b->port);

			e->weight = b->weight;
			/* A check that cannot be made leaves its backend down; said, not hidden. */
			if (entry_check(e, s, b, adopted, spread_ns))
				log_error("service %s: no memory for a health check", s->name);
		}
	}
	bool forgotten = entries_sweep(p, is_unwanted);

	marks_clear(p);
	if (p->drained_before)
		drained_restore(p);
	else if (forgotten)
		drained_save(p);
	return 0;
}

static uint8_t state_of(enum health_verdict verdict, bool draining)
{
	if (verdict != HEALTH_GOOD)
		return WEIR_BACKEND_DOWN;
	return draining ? WEIR_BACKEND_DRAINING : WEIR_BACKEND_UP;
}

uint8_t pool_state(const struct pool *p, const char *service, const struct address *a,
	uint16_t port, enum model_health_type health)
{
	struct pool_health h;

	if (!pool_health(p, service, a, port, &h))
		return health == MODEL_HEALTH_NONE || !port ? WEIR_BACKEND_UP : WEIR_BACKEND_DOWN;
	return state_of(h.verdict, h.draining);
}

static bool nothing_known(const struct pool *p, const struct model_service *s)
{
	for (size_t i = 0; i < s->backend_count; i++) {
		const struct model_backend *b = &s->backends[i];
		struct pool_health h;

		if (pool_health(p, s->name, &b->address, b->port, &h) &&
			h.verdict != HEALTH_UNKNOWN)
			return false;
	}
	return s->backend_count > 0;
}

uint8_t pool_fallback_state(
	struct pool *p, const struct model_service *s, const struct address *a, uint16_t port)
{
	struct entry *e = entry_find(p, s->name, a, port);
	uint8_t state = pool_state(p, s->name, a, port, s->health.type);

	if (!e || e->released || state != WEIR_BACKEND_UP)
		return state;
	e->released = !nothing_known(p, s);
	return e->released ? state : WEIR_BACKEND_DOWN;
}

uint16_t pool_weight(const struct pool *p, const char *service, const struct address *a,
	uint16_t port, uint16_t weight, uint64_t now_ns)
{
	const struct entry *e = entry_find(p, service, a, port);

	if (!e)
		return weight;
	uint16_t slow = slow_start_weight(weight, e->back_ns, e->ramp_ns, now_ns);
	uint16_t lifted = slow_start_lifted(weight, e->lifted);

	return slow > lifted ? slow : lifted;
}

void pool_lift(
	struct pool *p, const char *service, const struct address *a, uint16_t port, double share)
{
	struct entry *e = entry_find(p, service, a, port);

	if (e)
		e->lifted = share;
}

int pool_drain(
	struct pool *p, const char *service, const struct address *a, uint16_t port, bool drain)
{
	struct entry *e = entry_find(p, service, a, port);
	char text[80];

	if (!e)
		return -ENOENT;
	if (e->draining == drain)
		return 0;
	e->draining = drain;
	if (drain)
		e->was_away = true;
	else if (!e->check || health_check_verdict(e->check) == HEALTH_GOOD)
		entry_returns(e);
	drained_save(p);
	log_notice("service %s: backend %s is %s", service,
		address_port_print(a, port, text, sizeof(text)),
		drain ? "drained" : "enabled again");
	p->cb(p->ctx);
	return 0;
}

bool pool_health(const struct pool *p, const char *service, const struct address *a, uint16_t port,
	struct pool_health *ret)
{
	const struct entry *e = entry_find(p, service, a, port);

	if (!e)
		return false;
	*ret = (struct pool_health){
		.type = e->type, .draining = e->draining, .weight = e->weight, .reason = ""
	};
	if (e->type == MODEL_HEALTH_NONE) {
		ret->verdict = HEALTH_GOOD;
	} else if (e->check) {
		ret->verdict = health_check_verdict(e->check);
		ret->passed = health_check_passed(e->check);
		ret->reason = health_check_reason(e->check);
	}
	return true;
}
