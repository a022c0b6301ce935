/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * How services and what is queued of them go. Main thread.
 */

#include "dataplane/core/apply.h"
#include "dataplane/core/buckets/fence.h"
#include "dataplane/core/buckets/move.h"
#include "dataplane/core/buckets/takeover.h"
#include "dataplane/core/core.h"
#include "dataplane/table/fragment_table.h"

#include <rte_ring.h>

#include <stdlib.h>

static void ring_drain(struct stage_core *c, struct rte_ring *ring)
{
	void *m;

	while (ring && rte_ring_sc_dequeue(ring, &m) == 0)
		stage_drop(c, m, WEIR_DROP_SHUTDOWN);
	stage_drops_free(c);
}

/*
 * A service that no core sees any more. Packets in its rings are dropped here; its cells belong to the
 * cores, which may still be sending its last packets, so these drops are counted beside them. Cells and
 * slot stay until the sums say that nothing of it waits anywhere.
 */
static void service_end(struct fastpath *fp, void *what)
{
	struct service *s = what;
	struct weir_service_cell *beside = calloc(1, sizeof(*beside));
	struct stage_core *c = calloc(1, sizeof(*c));

	if (beside && c) {
		c->service_cell[s->slot] = beside;
		for (uint32_t i = 0; i <= SERVICE_HOLD; i++)
			ring_drain(c, s->worker[i] ? s->worker[i]->ring : NULL);
	}
	if (beside)
		fp->retired[s->slot].abandoned = beside->dropped[WEIR_DROP_SHUTDOWN];
	journal_close(fp, s);
	service_destroy(s);
	free(beside);
	free(c);
}

/* Now, or when no fenced core may be at work for it any more. */
static void service_retire(struct fastpath *fp, struct service *s)
{
	fp->retired[s->slot] = s->cells;
	fp->service[s->slot] = NULL;
	fence_keep(fp, fence_holders_of_service(fp, s), service_end, s);
}

static void sums_keep(struct fastpath *fp, const struct service_cells *cells)
{
	fp->retired_sums.dropped += cells->abandoned;
	for (uint32_t i = 0; i < WEIR_MAX_CORES; i++) {
		const struct weir_service_cell *c = cells->cell[i];

		if (!c)
			continue;
		fp->retired_sums.received += cell_read(&c->packets_received);
		fp->retired_sums.transmitted += cell_read(&c->packets_transmitted);
		for (uint32_t reason = 0; reason < WEIR_DROP_COUNT; reason++)
			fp->retired_sums.dropped += cell_read(&c->dropped[reason]);
	}
}

void retired_reap(struct fastpath *fp)
{
	if (fence_is_up(fp))
		return; /* who is behind the fence may count in them */
	for (uint32_t slot = 0; slot < WEIR_MAX_SERVICES; slot++) {
		struct service_cells *cells = &fp->retired[slot];

		if (!cells->entry || directory_queued(cells) != 0)
			continue;
		sums_keep(fp, cells);
		for (uint32_t i = 0; i < fp->core_count; i++)
			fp->core[i]->stage.service_cell[slot] = NULL;
		directory_cells_free(fp, cells);
	}
}

void services_leave(struct fastpath *fp, const struct generation *g)
{
	for (uint32_t slot = 0; slot < WEIR_MAX_SERVICES; slot++)
		if (fp->service[slot] && !g->service[slot])
			service_retire(fp, fp->service[slot]);
	retired_reap(fp);
	directory_memory(fp);
}

static void held_drain(struct stage_core *c)
{
	struct rte_mbuf *m;

	while (c->fragments && (m = fragment_table_drop(c->fragments)) != NULL)
		stage_drop(c, m, WEIR_DROP_SHUTDOWN);
}

void fastpath_drain(struct fastpath *fp)
{
	for (uint32_t slot = 0; slot < WEIR_MAX_SERVICES; slot++)
		for (uint32_t i = 0; fp->service[slot] && i <= SERVICE_HOLD; i++) {
			const struct service_worker *w = fp->service[slot]->worker[i];

			ring_drain(&fp->core[0]->stage, w ? w->ring : NULL);
		}
	for (uint32_t i = 0; i < fp->core_count && fp->core[i]; i++) {
		ring_drain(&fp->core[0]->stage, fp->core[i]->stray);
		for (uint8_t port = 0; port < WEIR_MAX_PORTS; port++) {
			ring_drain(&fp->core[0]->stage, fp->core[i]->handover[port]);
			transmit_abandon(&fp->core[i]->transmit, port, WEIR_DROP_SHUTDOWN);
		}
		held_drain(&fp->core[i]->stage);
		stage_drops_free(&fp->core[i]->stage);
	}
}

void apply_nothing(struct fastpath *fp)
{
	fence_end(fp);
	generation_destroy(fp->generation);
	fp->generation = NULL;
	for (uint32_t slot = 0; slot < WEIR_MAX_SERVICES; slot++) {
		if (fp->service[slot])
			service_retire(fp, fp->service[slot]);
		directory_cells_free(fp, &fp->retired[slot]);
		fp->telemetry->service[slot].used = 0;
	}
	move_free(fp->move);
	fp->move = NULL;
	takeover_free(fp->takeover);
	fp->takeover = NULL;
}
