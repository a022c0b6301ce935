/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/service/rescue.h"

#include "dataplane/service/claim.h"
#include "dataplane/service/load.h"
#include "dataplane/table/flow_spare.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>

#define SPARE_LEAST 64u /* records */

/* A bucket on its way. */
struct rescue {
	struct service_lost *lost;
	const struct service_settings *settings;
	const struct hash_seed *seed;
	struct flow_partition *from;
	struct flow_partition *to;
	uint32_t now_ms;
};

struct service_lost *rescue_begin(struct service *s, struct service_worker *from)
{
	struct service_lost *lost = calloc(1, sizeof(*lost));

	if (!lost)
		return NULL;
	lost->flows = calloc(2 * (size_t)s->cells.slots, sizeof(lost->flows[0]));
	if (!lost->flows) {
		free(lost);
		return NULL;
	}
	lost->in_flight = lost->flows + s->cells.slots;
	lost->worker = from;
	lost->next = s->lost;
	s->lost = lost;
	return lost;
}

static void lost_free(struct service *s, struct service_lost *lost)
{
	const struct table_memory memory = account_memory_beyond(&s->account, ACCOUNT_FLOWS);
	struct service_lost **at = &s->lost;

	while (*at != lost)
		at = &(*at)->next;
	*at = lost->next;
	for (uint32_t i = 0; i < FLOW_PARTITIONS; i++)
		if (lost->spare[i])
			flow_spare_destroy(&memory, lost->spare[i]);
	free(lost->flows);
	free(lost);
}

void rescue_undo(struct service *s, struct service_lost *lost)
{
	lost_free(s, lost);
}

/* ---- flows go on ---- */

static bool state_fits(const struct service *s, uint8_t state)
{
	if (s->identity.protocol == IPPROTO_TCP)
		return state == FLOW_SYN || state == FLOW_CLOSED || state == FLOW_ESTABLISHED ||
			state == FLOW_FIN;
	return state == FLOW_UDP_NEW || state == FLOW_UDP_STREAM;
}

static void count(struct rescue *r, const struct flow *f, uint32_t by)
{
	struct service_lost *lost = r->lost;

	lost->entered += by;
	lost->refused -= by;
	if (f->backend_epoch != lost->worker->cell_epoch[f->backend_slot])
		return;
	lost->flows[f->backend_slot] += by;
	if (f->flags & FLOW_F_IN_FLIGHT)
		lost->in_flight[f->backend_slot] += by;
}

/* One had to make room for another. */
static void unentered(void *ctx, struct flow_partition *part, const struct flow *f)
{
	struct rescue *r = ctx;

	if (r->settings->nat)
		nat_ports_give(r->settings->nat, part->bucket, f->backend_slot, f->source_slot,
			ntohs(f->tuple[FLOW_SIDE_BACKEND].dport));
	count(r, f, UINT32_MAX);
}

static void flow_rescue(struct rescue *r, struct flow_copy *copy)
{
	struct flow *f = &copy->head;
	const bool ipv6 = r->settings->ipv6;
	struct claim c = {
		.tuple = f->tuple,
		.client = ipv6 ? copy->tail.addrs[FLOW_SIDE_CLIENT] :
				 (const uint8_t *)&f->tuple[FLOW_SIDE_CLIENT].src,
		.backend = ipv6 ? copy->tail.addrs[FLOW_SIDE_BACKEND] :
				  (const uint8_t *)&f->tuple[FLOW_SIDE_BACKEND].src,
		.backend_slot = f->backend_slot,
	};

	r->lost->refused++;
	if (!state_fits(r->settings->service, f->state) || f->port_in >= WEIR_MAX_PORTS ||
		!claim_client_fits(r->settings->service, r->seed, &c) ||
		hash_bucket(c.hash) != r->from->bucket ||
		flow_find(r->to, c.hash, c.client, f->tuple[FLOW_SIDE_CLIENT].ports,
			FLOW_SIDE_CLIENT, ipv6) ||
		!claim_backend_fits(r->settings, &c))
		return;
	f->backend_slot = c.backend_slot;
	f->backend_epoch = r->settings->backend[c.backend_slot].epoch;
	f->source_slot = c.source_slot;
	/* What is asked of it by UDP is forgotten in a moment anyhow: by the old worker alone. */
	if (load_expires(r->settings))
		f->flags &= (uint16_t)~FLOW_F_IN_FLIGHT;
	if (flow_enter(r->to, copy, c.hash, r->now_ms))
		count(r, f, 1);
	else
		claim_drop(r->settings, &c);
}

/* Those first that would not make room for others. */
static void flows_rescue(struct rescue *r)
{
	const uint32_t extent = RTE_MIN(flow_partition_extent(r->from), r->from->capacity);

	for (uint32_t transient = 0; transient < 2; transient++)
		for (uint32_t i = 0; i < extent; i++) {
			const uint8_t state =
				__atomic_load_n(&flow_at(r->from, i)->state, __ATOMIC_RELAXED);
			struct flow_copy copy;

			if (state == FLOW_FREE || flow_state_transient(state) != !!transient)
				continue;
			if (flow_copy_take(r->from, i, &copy) && copy.head.state == state)
				flow_rescue(r, &copy);
			else
				r->lost->refused++;
		}
}

/* As large as it was made for; where there is no memory, as it has to be. */
int rescue_prepare(struct service_lost *lost, struct service *s, uint8_t bucket,
	struct service_worker *to, int node)
{
	const struct table_memory memory = account_memory_beyond(&s->account, ACCOUNT_FLOWS);
	const struct flow_partition *like = s->part[bucket];
	const uint32_t full = s->flows->part[bucket].capacity;
	uint32_t capacity = full;

	if (flow_spare_bytes(like, full) > budget_left(s->account.budget))
		capacity = RTE_MIN(full, like->count + like->count / 4 + SPARE_LEAST);
	for (;; capacity /= 2) {
		lost->spare[bucket] = flow_spare_create(like, capacity, &memory, node, to);
		if (lost->spare[bucket] || capacity <= SPARE_LEAST)
			break;
	}
	return lost->spare[bucket] ? 0 : -ENOMEM;
}

static void spare_show(struct service *s, uint8_t bucket, struct flow_partition *part)
{
	s->part[bucket] = part;
	for (uint32_t i = 0; i < s->worker_count; i++)
		if (!s->worker[i]->lost)
			__atomic_store_n(&s->worker[i]->part[bucket], part, __ATOMIC_RELEASE);
}

void rescue_bucket(struct service_lost *lost, const struct service_settings *settings,
	uint8_t bucket, struct service_worker *to, const struct hash_seed *seed, uint32_t now_ms)
{
	struct service *s = settings->service;
	struct rescue r = {
		.lost = lost,
		.settings = settings,
		.seed = seed,
		.from = s->part[bucket],
		.to = lost->spare[bucket],
		.now_ms = now_ms,
	};
	const flow_release_fn release = r.to->release;

	r.to->release = unentered;
	r.to->release_ctx = &r;
	flows_rescue(&r);
	r.to->release = release;
	r.to->release_ctx = to;
	flow_spare_journal(r.to, s->flows->part[bucket].capacity);
	lost->part[bucket] = r.from;
	lost->spare[bucket] = NULL;
	spare_show(s, bucket, r.to);
	__atomic_store_n(&s->bucket_owner[bucket], to->number, __ATOMIC_RELEASE);
}

/* ---- and the old worker's counters ---- */

/* What is in the partitions that were left to it. */
struct leftover {
	uint32_t all;
	uint32_t *flows; /* by backend slot, as in struct service_lost */
	uint32_t *in_flight;
};

static void leftover_add(
	struct leftover *l, const struct service_worker *w, const struct flow_partition *part)
{
	l->all += part->count;
	for (uint32_t i = 0; i < part->fresh; i++) {
		const struct flow *f = flow_at(part, i);

		if (f->state == FLOW_FREE || f->backend_epoch != w->cell_epoch[f->backend_slot])
			continue;
		l->flows[f->backend_slot]++;
		l->in_flight[f->backend_slot] += !!(f->flags & FLOW_F_IN_FLIGHT);
	}
}

/* `had` flows are gone, and `went` went on: as many more were closed, or opened. */
static void flows_even(uint64_t *opened, uint64_t *closed, uint32_t had, uint32_t went)
{
	if (had >= went)
		cell_add(closed, had - went);
	else
		cell_add(opened, went - had);
}

static void counters_even(
	struct service_worker *w, const struct service_lost *lost, const struct leftover *l)
{
	flows_even(&w->cell->new_flows, &w->cell->closed_flows, l->all, lost->entered);
	for (uint32_t i = 0; i < w->service->cells.slots; i++) {
		struct weir_backend_cell *cell = &w->backend_cell[i];

		flows_even(&cell->new_flows, &cell->closed_flows, l->flows[i], lost->flows[i]);
		if (load_expires(w->settings)) {
			load_take(w, i, w->load[i].now);
			memset(w->load[i].begun, 0, sizeof(w->load[i].begun));
		} else {
			load_take(w, i, (int32_t)(l->in_flight[i] - lost->in_flight[i]));
		}
	}
	load_moved(w);
}

static void part_free(struct service *s, struct flow_partition *part)
{
	const struct table_memory memory = account_memory_beyond(&s->account, ACCOUNT_FLOWS);

	if (part != &s->flows->part[part->bucket]) {
		flow_spare_destroy(&memory, part);
		return;
	}
	memory.free(memory.ctx, part->lines);
	part->lines = NULL;
}

static void parts_free(struct service *s, const struct service_lost *lost)
{
	for (uint32_t i = 0; i < FLOW_PARTITIONS; i++) {
		if (!lost->part[i])
			continue;
		if (s->ports)
			nat_ports_left(s->ports, (uint8_t)i, lost->lane[i]);
		part_free(s, lost->part[i]);
	}
}

void rescue_settle(struct service *s, struct service_lost *lost)
{
	struct service_worker *w = lost->worker;
	struct leftover l = { .flows = calloc(2 * (size_t)s->cells.slots, sizeof(l.flows[0])) };

	/* Without memory the counters are off by the flows of a burst. */
	if (l.flows && w->settings) {
		l.in_flight = l.flows + s->cells.slots;
		for (uint32_t i = 0; i < FLOW_PARTITIONS; i++)
			if (lost->part[i])
				leftover_add(&l, w, lost->part[i]);
		counters_even(w, lost, &l);
	}
	free(l.flows);
	parts_free(s, lost);
	memcpy(w->part, s->part, sizeof(s->part));
	__atomic_store_n(&w->lost, false, __ATOMIC_RELAXED);
	lost_free(s, lost);
}

void rescue_end(struct service *s)
{
	while (s->lost) {
		struct service_lost *lost = s->lost;

		for (uint32_t i = 0; i < FLOW_PARTITIONS; i++)
			if (lost->part[i])
				part_free(s, lost->part[i]);
		lost_free(s, lost);
	}
	for (uint32_t i = 0; i < FLOW_PARTITIONS; i++)
		if (s->part[i] && s->part[i] != &s->flows->part[i])
			part_free(s, s->part[i]);
}
