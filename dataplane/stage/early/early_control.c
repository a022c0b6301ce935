/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/stage/early/early.h"

#include <rte_malloc.h>
#include <rte_ring.h>

#include <errno.h>

static_assert(WEIR_MAX_CORES <= UINT8_MAX, "workers of a service are counted in a byte");

int early_create(int node, struct early **ret_early)
{
	struct early *e = rte_zmalloc_socket("early drops", sizeof(*e), RTE_CACHE_LINE_SIZE, node);

	if (!e)
		e = rte_zmalloc("early drops", sizeof(*e), RTE_CACHE_LINE_SIZE);
	if (!e)
		return -ENOMEM;
	*ret_early = e;
	return 0;
}

void early_destroy(struct early *e)
{
	rte_free(e);
}

static void behind_set(struct early *e, struct service_worker *w, bool behind)
{
	w->behind = behind;
	e->workers_behind[w->service->slot] =
		(uint8_t)(e->workers_behind[w->service->slot] + (behind ? 1 : -1));
}

void early_press(struct early *e, struct service_worker *w)
{
	if (w->behind)
		return;
	behind_set(e, w, true);
	w->next_behind = e->behind;
	e->behind = w;
	e->on = true;
}

static void workers_look(struct early *e)
{
	struct service_worker **at = &e->behind;

	while (*at) {
		struct service_worker *w = *at;

		if (rte_ring_free_count(w->ring) < EARLY_RELEASE) {
			at = &w->next_behind;
			continue;
		}
		behind_set(e, w, false);
		*at = w->next_behind;
	}
}

/* Halved while the core is behind, doubled when it keeps up. */
static void share_adapt(struct early *e)
{
	if (!e->full)
		e->share = e->share < EARLY_SHARE ? e->share * 2 : 0;
	else if (!e->several)
		e->share = 0;
	else
		e->share = e->share ? RTE_MAX(e->share / 2, EARLY_LEAST) : EARLY_SHARE;
}

void early_round(struct early *e)
{
	if (unlikely(e->behind != NULL))
		workers_look(e);
	if (unlikely(e->full != e->was_full))
		e->rounds = 0;
	if (unlikely(++e->rounds >= EARLY_ROUNDS)) {
		share_adapt(e);
		e->rounds = 0;
	}
	if (e->rounds == 0)
		e->several = false;
	if (e->packets >= EARLY_SAMPLE) {
		e->packets_before = e->packets;
		e->senders_before = e->senders;
		e->packets = e->senders = 0;
		e->sample++;
	}
	e->was_full = e->full;
	e->full = false;
	e->round++;
	e->on = e->behind || e->share;
}

void early_forget(struct early *e)
{
	for (struct service_worker *w = e->behind; w; w = w->next_behind)
		behind_set(e, w, false);
	e->behind = NULL;
	e->last = NULL;
	e->on = e->share != 0;
}
