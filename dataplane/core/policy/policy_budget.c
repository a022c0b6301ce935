/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Policies that take longer than the operator allows: each has a second and enough packets to show what it
 * costs on average, and is detached when that is too much. Main thread; workers only count.
 */

#include "dataplane/core/core.h"

#include <inttypes.h>
#include <stdio.h>

#define WATCH_MS      1000u
#define WATCH_PACKETS 1024u /* fewer say little, and cost little */
#define WATCH_SHARE \
	20u /* of a core: what takes less than a twentieth harms nobody, whatever it is a packet */

struct watch {
	struct fastpath *fp;
	uint64_t now_ms;
	fastpath_event event;
	void *ctx;
};

static void detach(const struct watch *w, const struct policy_place *place, const char *owner,
	struct weir_policy_entry *entry, uint64_t average)
{
	char text[256];

	__atomic_store_n(&place->seat->detached, true, __ATOMIC_RELAXED);
	__atomic_store_n(&entry->state, WEIR_POLICY_DETACHED, __ATOMIC_RELAXED);
	snprintf(text, sizeof(text),
		"policy %s took %" PRIu64
		" cycles a packet for a second, more than its budget of %u: detached, its packets "
		"%s until it is loaded again",
		place->name, average, place->budget_cycles,
		place->drop_on_error && !place->observe ? "are dropped" : "pass");
	w->event(w->ctx, owner, text);
}

static void seat_watch(const struct watch *w, const struct policy_place *place, const char *owner,
	struct weir_policy_entry *entry)
{
	struct policy_seat *seat = place->seat;
	uint64_t cycles = 0, packets = 0;

	if (place->budget_cycles == 0 || seat->detached ||
		(seat->watched && w->now_ms - seat->watched_ms < WATCH_MS))
		return;
	for (uint32_t i = 0; i < w->fp->core_count; i++) {
		const struct weir_policy_cell *cell = seat->cell[i];

		cycles += cell_read(&cell->cycles);
		for (uint32_t k = 0; k < WEIR_POLICY_ACTION_COUNT; k++)
			packets += cell_read(&cell->verdicts[k]);
		packets -= cell_read(&cell->kernel_dropped);
	}
	if (seat->watched) {
		uint64_t judged = packets - seat->watched_packets;

		if (judged < WATCH_PACKETS)
			return;
		uint64_t average = (cycles - seat->watched_cycles) / judged;

		/*
		 * Where others use the core as well, a policy's cycles are also those of who came between. With
		 * little traffic that makes a fine average look bad.
		 */
		uint64_t spent = (cycles - seat->watched_cycles) * 1000;
		uint64_t core = w->fp->tsc_hz * (w->now_ms - seat->watched_ms);

		if (average > place->budget_cycles && spent > core / WATCH_SHARE)
			detach(w, place, owner, entry, average);
	}
	seat->watched = true;
	seat->watched_ms = w->now_ms;
	seat->watched_cycles = cycles;
	seat->watched_packets = packets;
}

void fastpath_policy_tick(struct fastpath *fp, uint64_t now_ms, fastpath_event event, void *ctx)
{
	const struct watch w = { .fp = fp, .now_ms = now_ms, .event = event, .ctx = ctx };
	const struct generation *g = fp->generation;

	if (!g)
		return;
	for (uint32_t i = 0; g->outside && i < g->outside->place_count; i++)
		seat_watch(&w, &g->outside->place[i], "outside", &fp->outside_entry[i]);
	for (uint32_t slot = 0; slot < WEIR_MAX_SERVICES; slot++) {
		const struct service_settings *s = g->settings[slot];

		for (uint32_t i = 0; s && s->policies && i < s->policies->place_count; i++)
			seat_watch(&w, &s->policies->place[i], s->service->identity.name,
				&s->service->cells.policy[i]);
	}
}
