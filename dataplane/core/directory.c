/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The services' part of the telemetry directory, and the cells that it points to. Main thread.
 */

#include "dataplane/core/buckets/move.h"
#include "dataplane/core/core.h"
#include "dataplane/core/policy/policies.h"
#include "dataplane/service/directive.h"

#include <errno.h>
#include <string.h>

/*
 * Slots for backends: twice as many as a service begins with, and at least these. Untouched cells take
 * no memory, only address space of the region, which replay has less of and no use for.
 *
 * XXX: a running service cannot get more backends than it has slots; it is refused with that reason.
 */
#define CELL_SLOTS_MIN	      256u
#define CELL_SLOTS_MIN_REPLAY 64u

void directory_cells_free(struct fastpath *fp, struct service_cells *cells)
{
	if (cells->entry)
		arena_free(fp->arena, cells->entry, cells->slots * sizeof(cells->entry[0]));
	policies_directory_free(fp, cells);
	for (uint32_t i = 0; i < WEIR_MAX_CORES; i++) {
		if (cells->heavy[i])
			arena_free(fp->arena, cells->heavy[i], sizeof(*cells->heavy[0]));
		if (cells->cell[i])
			arena_free(fp->arena, cells->cell[i], sizeof(*cells->cell[0]));
		if (cells->backend_cell[i])
			arena_free(fp->arena, cells->backend_cell[i],
				cells->slots * sizeof(*cells->backend_cell[0]));
	}
	memset(cells, 0, sizeof(*cells));
}

int directory_cells_add(struct fastpath *fp, struct service_cells *cells, uint32_t core)
{
	if (!cells->cell[core])
		cells->cell[core] = arena_alloc(fp->arena, sizeof(*cells->cell[0]));
	if (!cells->backend_cell[core])
		cells->backend_cell[core] =
			arena_alloc(fp->arena, cells->slots * sizeof(*cells->backend_cell[0]));
	if (!cells->heavy[core])
		cells->heavy[core] = arena_alloc(fp->arena, sizeof(*cells->heavy[0]));
	return cells->cell[core] && cells->backend_cell[core] && cells->heavy[core] ? 0 : -ENOMEM;
}

uint32_t directory_slots(const struct fastpath *fp, const struct weir_config_service *config)
{
	const uint32_t wanted =
		RTE_MIN(2 * config->backend_count, (uint32_t)WEIR_MAX_BACKENDS_PER_SERVICE);
	const uint32_t least = fp->single_threaded ? CELL_SLOTS_MIN_REPLAY : CELL_SLOTS_MIN;

	return rte_align32pow2(RTE_MAX(wanted, least));
}

int directory_cells_create(struct fastpath *fp, const struct weir_config_service *config,
	const uint8_t *core, uint32_t count, struct service_cells *ret_cells)
{
	struct service_cells cells = { .slots = directory_slots(fp, config) };
	bool ok;

	cells.entry = arena_alloc(fp->arena, cells.slots * sizeof(cells.entry[0]));
	cells.cell[0] = arena_alloc(fp->arena, sizeof(*cells.cell[0]));
	ok = cells.entry && cells.cell[0];
	for (uint32_t i = 0; ok && i < count; i++)
		ok = directory_cells_add(fp, &cells, core[i]) == 0;
	if (!ok) {
		directory_cells_free(fp, &cells);
		return -ENOMEM;
	}
	*ret_cells = cells;
	return 0;
}

uint64_t directory_queued(const struct service_cells *cells)
{
	uint64_t queued = -cells->abandoned;

	for (uint32_t i = 0; i < WEIR_MAX_CORES; i++) {
		const struct weir_service_cell *c = cells->cell[i];

		if (!c)
			continue;
		queued += cell_read(&c->packets_received);
		queued -= cell_read(&c->packets_transmitted);
		for (uint32_t reason = 0; reason < WEIR_DROP_COUNT; reason++)
			queued -= cell_read(&c->dropped[reason]);
	}
	return queued;
}

static void backends_write(const struct service_settings *s, struct weir_backend_entry *entry)
{
	for (uint32_t i = 0; i < s->backend_slots; i++) {
		const struct service_backend *b = &s->backend[i];

		entry[i].state = b->state;
		entry[i].fallback = b->fallback;
		entry[i].pool = b->pool;
		entry[i].port = rte_be_to_cpu_16(b->port_be);
		entry[i].weight = b->weight;
		entry[i].epoch = b->epoch;
		memcpy(entry[i].address, b->address, sizeof(entry[i].address));
	}
}

#define SHOW(word, value) __atomic_store_n(word, value, __ATOMIC_RELAXED)

void directory_direct(struct fastpath *fp, const struct service_settings *settings)
{
	const struct service *s = settings->service;
	struct weir_service_entry *e = &fp->telemetry->service[s->slot];
	const struct service_directives *d = s->directives;

	SHOW(&e->directed, d->state);
	SHOW(&e->directive_flags, d->header.flags);
	SHOW(&e->limit_packets, settings->in_force.packets);
	SHOW(&e->limit_bits, settings->in_force.bits);
	SHOW(&e->limit_connections, settings->in_force.connections);
	for (uint32_t i = 0; i < settings->backend_slots; i++) {
		SHOW(&s->cells.entry[i].weight_in_force, settings->weight_in_force[i]);
		SHOW(&s->cells.entry[i].cap,
			__atomic_load_n(&d->allowance[i].cap, __ATOMIC_RELAXED));
	}
	for (uint32_t i = 0; settings->policy_set && i < settings->policy_set->class_count; i++)
		SHOW(&s->cells.class[i].connections_in_force,
			settings->policy_set->class[i].connections_in_force);
}

void directory_memory(struct fastpath *fp)
{
	for (uint32_t i = 0; i < WEIR_MAX_SERVICES; i++) {
		struct weir_service_entry *e = &fp->telemetry->service[i];
		const struct account_line *line;

		if (!fp->service[i])
			continue;
		line = fp->service[i]->account.line;
		SHOW(&e->memory_flows, line[ACCOUNT_FLOWS].bytes);
		SHOW(&e->memory_sources, line[ACCOUNT_SOURCES].bytes);
		SHOW(&e->memory_police, line[ACCOUNT_POLICING].bytes);
		SHOW(&e->memory_ports, line[ACCOUNT_PORTS].bytes);
		SHOW(&e->memory_pools, line[ACCOUNT_POOLS].bytes);
		SHOW(&e->memory_workers, line[ACCOUNT_WORKERS].bytes);
	}
	SHOW(&fp->telemetry->memory_used, fp->budget.used);
}

static void service_write(
	struct fastpath *fp, const struct service_settings *settings, struct weir_service_entry *e)
{
	const struct service *s = settings->service;

	if (!e->used)
		e->epoch++;
	e->mode = s->identity.mode;
	e->protocol = s->identity.protocol;
	e->prefix_length = s->identity.prefix_length;
	e->port = s->identity.port;
	memcpy(e->address, s->identity.address, sizeof(e->address));
	memcpy(e->name, s->identity.name, sizeof(e->name));
	e->worker_mask = 0;
	memset(e->bucket_count, 0, sizeof(e->bucket_count));
	for (uint32_t i = 0; i < s->worker_count; i++) {
		const struct service_worker *w = s->worker[i];

		e->bucket_count[w->core] = (uint16_t)service_worker_buckets(w);
		if (e->bucket_count[w->core] || (fp->move && fp->move->to == w))
			e->worker_mask |= UINT64_C(1) << w->core;
	}
	e->cores_min = s->cores_min;
	e->cores_max = s->cores_max;
	SHOW(&e->cores_wanted, s->cores_wanted);
	SHOW(&e->cores_short, s->cores_short);
	for (uint32_t i = 0; i < WEIR_MAX_CORES; i++) {
		e->cell_offset[i] = arena_offset(fp->arena, s->cells.cell[i]);
		e->heavy_offset[i] = arena_offset(fp->arena, s->cells.heavy[i]);
		e->backend_cell_offset[i] = arena_offset(fp->arena, s->cells.backend_cell[i]);
	}
	e->backend_offset = arena_offset(fp->arena, s->cells.entry);
	e->backend_count = settings->backend_slots;
	e->flow_capacity = s->flow_capacity;
	e->source_entries =
		settings->source_table ? source_table_entries(settings->source_table) : 0;
	e->pool_count = (uint16_t)settings->pool_count;
	policies_service_write(fp, settings->policy_set, &s->cells, e);
	backends_write(settings, s->cells.entry);
	service_directives_allow(s->directives, settings);
	directory_direct(fp, settings);
	e->used = 1;
}

void directory_write(struct fastpath *fp, const struct generation *g)
{
	struct weir_telemetry *t = fp->telemetry;
	uint64_t seq = t->directory_seq;
	uint32_t used = 0;

	__atomic_store_n(&t->directory_seq, seq + 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	for (uint32_t i = 0; i < WEIR_MAX_SERVICES; i++) {
		if (g->settings[i]) {
			service_write(fp, g->settings[i], &t->service[i]);
			used = i + 1;
		} else {
			t->service[i].used = 0;
		}
	}
	t->service_count = used;
	t->memory_budget = fp->budget.bytes;
	/* Core 0 always receives, others by queues that devices steer to. */
	for (uint32_t i = 1; i < fp->core_count; i++) {
		if (g->core[i].receive_count)
			t->core[i].roles |= WEIR_CORE_F_RECEIVE;
		else
			t->core[i].roles &= ~(uint32_t)WEIR_CORE_F_RECEIVE;
	}
	policies_outside_write(fp, g->outside);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	__atomic_store_n(&t->directory_seq, seq + 2, __ATOMIC_RELEASE);
}
