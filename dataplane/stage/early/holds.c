/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/stage/early/holds.h"

#include "dataplane/stage/early/early.h"

#include <string.h>

uint32_t hold_step(struct hold *h, const struct hold_seen *seen)
{
	const uint64_t elapsed = RTE_MAX(seen->elapsed_ns, UINT64_C(1));
	const uint64_t offered =
		(seen->taken + seen->early + seen->kernel) * UINT64_C(1000000000) / elapsed;

	h->quiet++;
	if (seen->early) {
		h->capacity =
			RTE_MAX(seen->taken * UINT64_C(1000000000) / elapsed, (uint64_t)HOLD_LEAST);
		h->quiet = 0;
	} else if (h->capacity) {
		h->capacity += h->capacity / 8 + 1;
	}
	if (h->capacity == 0 || offered <= h->capacity)
		return HOLD_ALL;
	h->quiet = 0;
	return (uint32_t)(((unsigned __int128)h->capacity << 32) / offered);
}

/* Where it counts on this core: clients' packets without what the kernel dropped. */
static void cell_look(
	const struct weir_service_cell *cell, uint64_t *ret_clients, uint64_t *ret_early)
{
	*ret_clients = cell_read(&cell->packets_received) -
		cell_read(&cell->packets_from_backends) -
		cell_read(&cell->dropped[WEIR_DROP_EARLY_IN_KERNEL]);
	*ret_early = cell_read(&cell->dropped[WEIR_DROP_OVER_SHARE]);
}

/* How much a figure has grown. */
static uint64_t grown(uint64_t now, uint64_t *seen)
{
	const uint64_t by = now - *seen;

	*seen = now;
	return by;
}

/* What the ports' programs dropped of a service since the last look is counted as received and dropped. */
static uint64_t collect(struct stage_core *c, struct holds *h, struct held *d)
{
	struct weir_service_cell *cell = c->service_cell[d->slot];
	uint64_t sum = 0;

	for (uint32_t i = 0; i < WEIR_MAX_PORTS; i++) {
		const struct steering_hold *in_kernel = h->map[i] ? &h->map[i][d->place] : NULL;

		if (!in_kernel)
			continue;
		const uint64_t packets = grown(
			__atomic_load_n(&in_kernel->packets, __ATOMIC_RELAXED), &d->packets[i]);
		const uint64_t bytes =
			grown(__atomic_load_n(&in_kernel->bytes, __ATOMIC_RELAXED), &d->bytes[i]);

		if (!packets || !cell)
			continue;
		sum += packets;
		cell_add(&cell->packets_received, packets);
		cell_add(&cell->bytes_received, bytes);
		cell_add(&cell->dropped[WEIR_DROP_EARLY_IN_KERNEL], packets);
		cell_add(&c->cell->port[i].packets_received, packets);
		cell_add(&c->cell->port[i].bytes_received, bytes);
	}
	return sum;
}

static void until_set(struct steering_hold *at, uint64_t until_ns)
{
	__atomic_store_n(&at->until, until_ns, __ATOMIC_RELEASE);
}

static void share_set(struct holds *h, const struct held *d, uint32_t share, uint64_t until_ns)
{
	for (uint32_t i = 0; i < WEIR_MAX_PORTS; i++) {
		if (!h->map[i])
			continue;
		__atomic_store_n(&h->map[i][d->place].pass, share, __ATOMIC_RELAXED);
		until_set(&h->map[i][d->place], share == HOLD_ALL ? 0 : until_ns);
	}
}

static bool is_held(const struct holds *h, uint16_t slot, uint32_t place)
{
	for (uint32_t i = 0; i < h->count; i++)
		if (h->held[i].slot == slot || h->held[i].place == place)
			return true;
	return false;
}

/* A service that the kernel can tell is looked at from now on. */
static void held_add(struct stage_core *c, struct holds *h, const struct service *s, uint16_t slot)
{
	const struct weir_service_cell *cell = c->service_cell[slot];
	struct held d = { .slot = slot,
		.key = { .port = s->identity.port,
			.protocol = s->identity.protocol,
			.kind = STEERING_KIND_PORT },
		.one_worker = s->worker_count == 1 };

	memcpy(d.key.address, s->identity.address, sizeof(d.key.address));
	d.place = steering_hold_place(&d.key);
	if (h->count == HOLD_MOST || !cell || !d.key.port || s->identity.prefix_length != 128 ||
		is_held(h, slot, d.place))
		return;
	cell_look(cell, &d.clients, &d.early);
	d.behind = cell_read(&cell->dropped[WEIR_DROP_WORKER_BEHIND]);
	for (uint32_t i = 0; i < WEIR_MAX_PORTS; i++) {
		if (!h->map[i])
			continue;
		h->map[i][d.place].key = d.key;
		d.packets[i] = h->map[i][d.place].packets;
		d.bytes[i] = h->map[i][d.place].bytes;
	}
	h->held[h->count++] = d;
}

/* Returns the share that is in force from now on. */
static uint32_t held_look(
	struct stage_core *c, struct holds *h, struct held *d, uint64_t now_ns, uint64_t elapsed_ns)
{
	const struct weir_service_cell *cell = c->service_cell[d->slot];
	struct hold_seen seen = { .elapsed_ns = elapsed_ns, .kernel = collect(c, h, d) };
	uint64_t clients, early, behind, share;

	cell_look(cell, &clients, &early);
	early = grown(early, &d->early);
	behind = grown(cell_read(&cell->dropped[WEIR_DROP_WORKER_BEHIND]), &d->behind);
	seen.early = early + (d->one_worker ? behind : 0);
	seen.taken = grown(clients, &d->clients) - early - behind;
	share = hold_step(&d->hold, &seen);
	share_set(h, d, (uint32_t)share, now_ns + HOLD_LASTS_NS);
	return (uint32_t)share;
}

static void maps_take(struct holds *h, struct port *const port[WEIR_MAX_PORTS])
{
	for (uint32_t i = 0; i < WEIR_MAX_PORTS; i++)
		h->map[i] = port[i] ? port[i]->holds : NULL;
}

void holds_look(struct stage_core *c, struct port *const port[WEIR_MAX_PORTS],
	struct service *const service[WEIR_MAX_SERVICES], uint64_t now_ns)
{
	struct holds *h = &c->early->holds;
	const uint64_t elapsed_ns = now_ns - h->last_ns;
	bool any = false;

	if (h->seen_count + h->count == 0 || elapsed_ns < HOLD_TICK_NS)
		return;
	if (h->count == 0)
		maps_take(h, port);
	for (uint32_t i = 0; i < h->count;) {
		any |= held_look(c, h, &h->held[i], now_ns, elapsed_ns) != HOLD_ALL;
		if (h->held[i].hold.quiet < HOLD_QUIET)
			i++;
		else
			h->held[i] = h->held[--h->count];
	}
	for (uint32_t i = 0; i < h->seen_count; i++)
		if (service[h->seen[i]])
			held_add(c, h, service[h->seen[i]], h->seen[i]);
	h->seen_count = 0;
	h->last_ns = now_ns;
	for (uint32_t i = 0; i < WEIR_MAX_PORTS; i++)
		if (h->map[i])
			until_set(&h->map[i][0], any ? now_ns + HOLD_LASTS_NS : 0);
}

void holds_forget(struct stage_core *c)
{
	struct holds *h = &c->early->holds;

	for (uint32_t i = 0; i < WEIR_MAX_PORTS; i++)
		if (h->map[i])
			until_set(&h->map[i][0], 0);
	for (uint32_t i = 0; i < h->count; i++) {
		share_set(h, &h->held[i], HOLD_ALL, 0);
		(void)collect(c, h, &h->held[i]);
	}
	h->count = 0;
	h->seen_count = 0;
	memset(h->map, 0, sizeof(h->map));
}
