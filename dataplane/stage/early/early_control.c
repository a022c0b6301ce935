/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/stage/early/early.h"
#include "dataplane/stage/receive/receive.h"

#include <rte_malloc.h>
#include <rte_ring.h>

#include <errno.h>
#include <string.h>

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

/* Of whom there is one to protect from those who are not flooded, they have their turn when the flooded ones had. */
static uint32_t steps_most(const struct early *e)
{
	return e->faults_before[EARLY_FLOODED] && e->faults_before[EARLY_LITTLE] ? 2 * EARLY_STEPS :
										   EARLY_STEPS;
}

static uint32_t share_after(uint32_t steps)
{
	return EARLY_SHARE >> (RTE_MIN(steps, EARLY_STEPS) - 1);
}

static void shares_set(struct early *e)
{
	for (int i = 0; i < EARLY_FAULTS; i++)
		e->share[i] = UINT32_MAX;
	/* The first sample tells who sends how much, and the second one, of whom that is known, how many there are. */
	if (e->step == 0 || e->samples < 2)
		return;
	e->share[EARLY_FLOODED] = share_after(e->step);
	if (!e->faults_before[EARLY_FLOODED])
		e->share[EARLY_MUCH] = e->share[EARLY_FLOODED];
	else if (e->step > EARLY_STEPS)
		e->share[EARLY_MUCH] = RTE_MAX(
			share_after(e->step - EARLY_STEPS), RECEIVE_ROUND / e->senders_before);
}

/* Halved while the core is behind, doubled when it keeps up. */
static void share_adapt(struct early *e)
{
	if (!e->full)
		e->step -= e->step > 0;
	else if (!e->several)
		e->step = 0;
	else
		e->step = RTE_MIN(e->step + 1, steps_most(e));
	if (e->step == 0)
		e->samples = 0;
	shares_set(e);
}

static void sample_end(struct early *e)
{
	e->packets_before = e->packets;
	e->senders_before = e->senders;
	memcpy(e->faults_before, e->faults, sizeof(e->faults));
	memset(e->faults, 0, sizeof(e->faults));
	e->packets = e->senders = 0;
	e->sample++;
	e->samples++;
	shares_set(e);
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
	if (e->packets >= EARLY_SAMPLE)
		sample_end(e);
	e->was_full = e->full;
	e->full = false;
	e->round++;
	e->on = e->behind || e->step;
}

void early_forget(struct early *e)
{
	for (struct service_worker *w = e->behind; w; w = w->next_behind)
		behind_set(e, w, false);
	e->behind = NULL;
	e->last = NULL;
	e->on = e->step != 0;
}
