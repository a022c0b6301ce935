/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/service/load.h"
#include "dataplane/stage/answer/answer.h"
#include "dataplane/stage/balance/room.h"
#include "dataplane/stage/limit/limit.h"
#include "dataplane/stage/policy/policy_stage.h"
#include "dataplane/table/maglev.h"

/*
 * How many backends are asked before one is taken, and before nobody is said to have room: choices of a
 * small pool coincide, and a single full backend must not make a refusal. Each mixes the hash once more.
 */
#define CHOICES	     3u
#define CHOICES_MOST 8u
#define KEY	     UINT64_C(0xa0761d6478bd642f)

__rte_noinline bool room_find(const struct work *w, const struct packet *p,
	const struct service_allowance *allowance, const uint16_t *table, uint16_t *backend)
{
	const struct service_settings *s = w->settings;
	const uint32_t choices = s->affinity && !p->pool ? 1 : CHOICES_MOST;
	const bool yellow = p->flags & PACKET_F_YELLOW;
	uint64_t hash = p->hash;
	uint16_t best = *backend;
	uint32_t least = UINT32_MAX;

	for (uint32_t i = 0; i < choices && (i < CHOICES || least == UINT32_MAX); i++) {
		hash = i ? hash_mix(hash, KEY) : hash;
		const uint16_t at = i ? maglev_slot(table, hash) : *backend;
		const struct service_allowance *a = &allowance[at];
		const uint32_t n = service_in_flight(w->worker->service, at);

		if (n >= __atomic_load_n(yellow ? &a->cap_yellow : &a->cap, __ATOMIC_RELAXED))
			continue;
		if (i == 0 && n < __atomic_load_n(&a->spill, __ATOMIC_RELAXED))
			return true;
		/* Loads in proportion to weights, without dividing. */
		if (least != UINT32_MAX &&
			(uint64_t)n * s->weight_in_force[best] >=
				(uint64_t)least * s->weight_in_force[at])
			continue;
		best = at;
		least = n;
	}
	if (best != *backend)
		cell_add(&w->worker->cell->spilled, 1);
	*backend = best;
	return least != UINT32_MAX;
}

__rte_noinline const uint16_t *room_routed(const struct work *w, struct packet *p)
{
	const struct service_settings *s = w->settings;
	const struct service_pool *pool = p->pool <= s->pool_count ? s->pools[p->pool - 1] : NULL;

	if (likely(pool && pool->table))
		return pool->table;
	cell_add(&w->worker->cell->pool_empty, 1);
	p->pool = 0;
	return s->maglev;
}

__rte_noinline bool room_admits(
	const struct work *w, struct rte_mbuf *m, enum weir_drop_reason *ret_reason)
{
	*ret_reason = WEIR_DROP_SOURCE_CONNECTIONS;
	if (w->settings->source_table && !limit_source_flow(w, m))
		return false;
	*ret_reason = WEIR_DROP_LIMIT_CLASS;
	return !w->settings->judged || policy_class_flow(w, packet_of(m));
}

__rte_noinline void room_refuse(
	const struct work *w, struct rte_mbuf *m, enum weir_drop_reason reason)
{
	struct packet *p = packet_of(m);

	if (p->flow && w->settings->protocol == IPPROTO_TCP)
		flow_set_state(work_partition(w, p), p->flow, FLOW_CLOSED, w->now_ms);
	answer_refusal(w, m, reason);
}
