/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/service/directive.h"

#include "dataplane/service/load.h"
#include "dataplane/table/maglev.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A figure is followed when it is this part of that in force away from it; building a table takes its time. */
#define HYSTERESIS  32u
#define SPILL_LEAST 2u

#define ABOUT_SOURCES (WEIR_DIRECTIVE_F_WATCH | WEIR_DIRECTIVE_F_POLICE)

int service_directives_create(
	uint32_t slots, struct account *account, struct service_directives **ret_directives)
{
	struct service_directives *d = calloc(1, sizeof(*d));

	if (!d)
		return -ENOMEM;
	d->slots = slots;
	d->account = account;
	d->backend = calloc(slots + 1, sizeof(d->backend[0]));
	d->allowance = account_alloc(account, ACCOUNT_POOLS, (slots + 1) * sizeof(d->allowance[0]));
	if (!d->backend || !d->allowance) {
		service_directives_destroy(d);
		return -ENOMEM;
	}
	service_directives_clear(d);
	*ret_directives = d;
	return 0;
}

void service_directives_destroy(struct service_directives *d)
{
	if (!d)
		return;
	account_free(d->account, ACCOUNT_POOLS, d->allowance);
	free(d->source);
	free(d->backend);
	free(d);
}

static void allow(struct service_allowance *a, uint32_t cap, uint32_t cap_yellow)
{
	__atomic_store_n(&a->cap, cap, __ATOMIC_RELAXED);
	__atomic_store_n(&a->cap_yellow, cap_yellow, __ATOMIC_RELAXED);
}

void service_directives_clear(struct service_directives *d)
{
	d->state = WEIR_DIRECTED_NO;
	d->police_serial += (d->header.flags & ABOUT_SOURCES) != 0;
	memset(&d->header, 0, sizeof(d->header));
	d->header.limit_packets = WEIR_UNLIMITED;
	d->header.limit_bits = WEIR_UNLIMITED;
	d->header.limit_connections = WEIR_UNLIMITED;
	for (uint32_t i = 0; i < d->slots; i++) {
		d->backend[i].told = false;
		allow(&d->allowance[i], WEIR_NO_CAP, WEIR_NO_CAP);
		__atomic_store_n(&d->allowance[i].spill, WEIR_NO_CAP, __ATOMIC_RELAXED);
	}
}

static void backend_take(struct service_told *t, const struct service_backend *owner,
	const struct weir_directive_backend *b)
{
	t->told = true;
	t->epoch = owner->epoch;
	t->ejected = b->ejected;
	t->configured = owner->weight;
	t->weight = b->weight;
	t->cap = b->cap;
	t->cap_yellow = b->cap_yellow;
}

/* Those that are policed change all the time; those that are only watched seldom. */
static bool sources_differ(const struct weir_directives *before, const struct weir_directives *h)
{
	return ((before->flags | h->flags) & WEIR_DIRECTIVE_F_POLICE) ||
		((before->flags ^ h->flags) & ABOUT_SOURCES) ||
		((h->flags & ABOUT_SOURCES) && before->source_prefix != h->source_prefix);
}

int service_directives_take(struct service_directives *d, const struct service_settings *settings,
	const struct weir_directives_view *v, uint64_t now_ns, char *err, size_t err_size)
{
	const struct weir_directives *h = v->header;
	struct weir_directive_source *source;

	if ((h->flags & ABOUT_SOURCES) && !settings->ipv6 && h->source_prefix > 32) {
		snprintf(err, err_size, "service %s: IPv4 sources by a prefix of %u bits",
			h->service, h->source_prefix);
		return -EINVAL;
	}
	if (d->state != WEIR_DIRECTED_NO && h->issued_ns < d->header.issued_ns) {
		snprintf(err, err_size, "service %s: directives older than those in force",
			h->service);
		return -ESTALE;
	}
	source = calloc(h->source_count + 1, sizeof(*source));
	if (!source) {
		snprintf(err, err_size, "service %s: no memory for its directives", h->service);
		return -ENOMEM;
	}
	memcpy(source, v->sources, h->source_count * sizeof(*source));
	free(d->source);
	d->source = source;
	d->police_serial += sources_differ(&d->header, h);
	memcpy(d->class, v->classes, h->class_count * sizeof(d->class[0]));
	d->header = *h;
	d->since_ns = now_ns;
	d->state = WEIR_DIRECTED_YES;
	for (uint32_t i = 0; i < d->slots; i++)
		d->backend[i].told = false;
	for (uint32_t i = 0; i < h->backend_count; i++) {
		int slot =
			service_backend_find(settings, v->backends[i].address, v->backends[i].port);

		if (slot >= 0)
			backend_take(&d->backend[slot], &settings->backend[slot], &v->backends[i]);
	}
	return 0;
}

static bool is_told(const struct service_settings *s, uint32_t slot)
{
	const struct service_told *t = &s->service->directives->backend[slot];

	return t->told && t->epoch == s->backend[slot].epoch;
}

void service_directives_allow(struct service_directives *d, const struct service_settings *settings)
{
	struct service *s = settings->service;
	bool heeded = d->header.flags & WEIR_DIRECTIVE_F_SPILL;

	for (uint32_t i = 0; i < settings->backend_slots; i++) {
		const struct service_told *t = &d->backend[i];

		if (is_told(settings, i))
			allow(&d->allowance[i], t->cap, t->cap_yellow);
		else
			allow(&d->allowance[i], WEIR_NO_CAP, WEIR_NO_CAP);
		heeded |= d->allowance[i].cap_yellow != WEIR_NO_CAP;
	}
	service_directives_spill(d, settings);
	__atomic_store_n(&s->allowance, heeded ? d->allowance : NULL, __ATOMIC_RELEASE);
}

void service_directives_close(struct service_directives *d, const struct service_settings *settings,
	const struct weir_directives_view *v)
{
	struct service *s = settings->service;
	bool some = false;

	if (!settings->nat || settings->protocol != IPPROTO_TCP)
		return;
	for (uint32_t i = 0; i < d->slots; i++)
		__atomic_store_n(&d->allowance[i].close_idle, 0, __ATOMIC_RELAXED);
	for (uint32_t i = 0; i < v->header->backend_count; i++) {
		const struct weir_directive_backend *b = &v->backends[i];
		int slot = service_backend_find(settings, b->address, b->port);

		if (slot < 0 || !b->close_idle)
			continue;
		__atomic_store_n(&d->allowance[slot].close_idle, b->close_idle, __ATOMIC_RELAXED);
		some = true;
	}
	if (some)
		__atomic_store_n(&s->close_serial, s->close_serial + 1, __ATOMIC_RELEASE);
}

/* 1.25 times the fair share and one more: with little in flight chance alone makes such differences. */
void service_directives_spill(struct service_directives *d, const struct service_settings *settings)
{
	const struct service_pool *pool = settings->pool;
	uint64_t flying = 0;
	uint64_t weights = 0;

	for (uint32_t i = 0; i < pool->count; i++) {
		flying += service_in_flight(settings->service, pool->backend[i].slot);
		weights += pool->backend[i].weight;
	}
	for (uint32_t i = 0; i < pool->count; i++) {
		const struct maglev_backend *b = &pool->backend[i];
		uint64_t most = WEIR_NO_CAP;

		if (d->header.flags & WEIR_DIRECTIVE_F_SPILL)
			most = SPILL_LEAST + flying * b->weight * 5 / (weights * 4);
		__atomic_store_n(&d->allowance[b->slot].spill,
			(uint32_t)RTE_MIN(most, (uint64_t)WEIR_NO_CAP), __ATOMIC_RELAXED);
	}
}

uint32_t service_weight_told(const struct service_settings *s, uint32_t slot)
{
	const struct service_told *t = &s->service->directives->backend[slot];
	uint32_t configured = s->backend[slot].weight * WEIR_WEIGHT_UNIT;

	if (!is_told(s, slot))
		return configured;
	if (t->ejected)
		return 0;
	if (t->configured == 0)
		return configured;
	/* A share of what was configured, so it is one of what is now. */
	uint64_t weight = (uint64_t)t->weight * s->backend[slot].weight / t->configured;

	return (uint32_t)RTE_MIN(weight, UINT64_C(2) * configured);
}

uint32_t service_cap_told(const struct service_settings *s, uint32_t slot)
{
	return is_told(s, slot) ? s->service->directives->backend[slot].cap : WEIR_NO_CAP;
}

bool service_is_followed(uint64_t in_force, uint64_t told, uint64_t configured)
{
	uint64_t apart = told > in_force ? told - in_force : in_force - told;

	return apart != 0 && (told == configured || apart > in_force / HYSTERESIS);
}

uint64_t service_class_told(const struct service_directives *d, const char *name)
{
	for (uint32_t i = 0; i < d->header.class_count; i++)
		if (strcmp(d->class[i].name, name) == 0)
			return d->class[i].connections;
	return WEIR_UNLIMITED;
}

bool service_weights_differ(const struct service_settings *s)
{
	for (uint32_t i = 0; i < s->backend_slots; i++) {
		uint32_t now = s->weight_in_force[i];
		uint32_t told = service_weight_told(s, i);

		if (s->backend[i].state == WEIR_BACKEND_UNUSED)
			continue;
		if (service_is_followed(now, told, s->backend[i].weight * WEIR_WEIGHT_UNIT))
			return true;
	}
	return false;
}

void service_weights_follow(struct service_settings *s)
{
	for (uint32_t i = 0; i < s->backend_slots; i++)
		s->weight_in_force[i] = service_weight_told(s, i);
}

uint64_t service_limit_in_force(uint64_t configured, uint64_t told)
{
	return RTE_MIN(configured, told);
}
