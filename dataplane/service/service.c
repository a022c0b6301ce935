/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/service/service.h"

#include "dataplane/service/cell.h"
#include "dataplane/service/directive.h"
#include "dataplane/service/load.h"
#include "dataplane/service/rescue.h"
#include "dataplane/table/maglev.h"

#include <rte_malloc.h>
#include <rte_ring.h>

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool service_matches(const struct service *s, const struct weir_config_service *config)
{
	const struct weir_config_service *i = &s->identity;

	return strcmp(i->name, config->name) == 0 &&
		memcmp(i->address, config->address, sizeof(i->address)) == 0 &&
		i->prefix_length == config->prefix_length && i->port == config->port &&
		i->protocol == config->protocol && i->mode == config->mode;
}

uint32_t service_flow_capacity(size_t bytes, bool ipv6, bool nat, uint32_t wanted)
{
	uint32_t low = 0;
	uint32_t high = wanted && wanted < FLOW_TABLE_MAX ? wanted : FLOW_TABLE_MAX;

	high = RTE_MAX(high, SERVICE_MIN_FLOWS);
	while (low < high) {
		uint32_t middle = low + (high - low + 1) / 2;

		if (flow_table_bytes(middle, ipv6, nat) <= bytes)
			low = middle;
		else
			high = middle - 1;
	}
	return low >= SERVICE_MIN_FLOWS ? low : 0;
}

/* A flow ends: its port is free again. Runs on the core of the worker that the partition is of. */
static void flow_released(void *ctx, struct flow_partition *part, const struct flow *f)
{
	struct service_worker *w = ctx;
	const struct service_settings *settings = w->settings;

	if (settings->nat)
		nat_ports_give(settings->nat, part->bucket, f->backend_slot, f->source_slot,
			ntohs(f->tuple[FLOW_SIDE_BACKEND].dport));
	cell_add(&w->cell->closed_flows, 1);
	flow_counts_not(w, f, f->flags);
	if (w->cell_epoch[f->backend_slot] == f->backend_epoch)
		cell_add(&w->backend_cell[f->backend_slot].closed_flows, 1);
}

static struct rte_ring *ring_init(void *memory)
{
	if (memory)
		rte_ring_init(memory, "worker", SERVICE_RING, RING_F_SP_ENQ | RING_F_SC_DEQ);
	return memory;
}

struct rte_ring *service_ring_create(int node)
{
	const size_t bytes = (size_t)rte_ring_get_memsize(SERVICE_RING);
	void *memory = rte_zmalloc_socket("ring", bytes, RTE_CACHE_LINE_SIZE, node);

	return ring_init(memory ? memory : rte_zmalloc("ring", bytes, RTE_CACHE_LINE_SIZE));
}

static void worker_destroy(struct service *s, struct service_worker *w)
{
	if (!w)
		return;
	account_free(&s->account, ACCOUNT_WORKERS, w->ring);
	account_free(&s->account, ACCOUNT_WORKERS, w->part);
	account_free(&s->account, ACCOUNT_WORKERS, w->cell_epoch);
	account_free(&s->account, ACCOUNT_WORKERS, w->load);
	account_free(&s->account, ACCOUNT_WORKERS, w);
}

uint64_t service_other_bytes(
	const struct weir_config_service *config, uint32_t slots, uint32_t workers, bool rings)
{
	const uint64_t ring = rings ? (uint64_t)rte_ring_get_memsize(SERVICE_RING) : 0;
	const uint64_t worker = sizeof(struct service_worker) + ring +
		FLOW_PARTITIONS * sizeof(struct flow_partition *) +
		slots * (sizeof(uint16_t) + sizeof(struct service_load));
	const uint64_t settings = sizeof(struct service_settings) +
		slots * (sizeof(struct service_backend) + sizeof(uint32_t));
	const uint64_t pool = MAGLEV_SIZE * sizeof(uint16_t);
	const uint64_t chunk = sizeof(struct nat_chunk) + 2 * sizeof(struct nat_chunk *);
	const uint64_t ports = sizeof(struct nat_turns) + config->source_count * chunk;

	/* While one configuration follows another, there are both. */
	return sizeof(struct service) + workers * worker + 2 * settings +
		(2 + config->pool_count) * pool +
		(config->mode == WEIR_MODE_NAT ? config->backend_count * ports : 0);
}

static struct service_worker *worker_create(
	struct service *s, uint8_t core, int node, uint32_t number, bool ring)
{
	struct table_memory memory = account_memory(&s->account, ACCOUNT_WORKERS);
	struct service_worker *w = memory.alloc(memory.ctx, sizeof(*w), node);

	if (!w)
		return NULL;
	w->cell_epoch = memory.alloc(memory.ctx, s->cells.slots * sizeof(w->cell_epoch[0]), node);
	w->load = memory.alloc(memory.ctx, s->cells.slots * sizeof(w->load[0]), node);
	w->part = memory.alloc(memory.ctx, sizeof(s->part), node);
	if (ring)
		w->ring = ring_init(
			memory.alloc(memory.ctx, (size_t)rte_ring_get_memsize(SERVICE_RING), node));
	if (!w->cell_epoch || !w->load || !w->part || (ring && !w->ring)) {
		worker_destroy(s, w);
		return NULL;
	}
	memcpy(w->part, s->part, sizeof(s->part));
	w->cell = s->cells.cell[core];
	w->backend_cell = s->cells.backend_cell[core];
	w->heavy = s->cells.heavy[core];
	w->heavy_skip = 1;
	w->core = core;
	w->number = (uint8_t)number;
	w->age_bucket = (uint16_t)number;
	w->close_bucket = (uint16_t)number;
	return w;
}

static int worker_attach(struct service *s, struct service_worker *w)
{
	if (!w)
		return -ENOMEM;
	w->service = s;
	s->worker[s->worker_count] = w;
	s->on_core[w->core] = w;
	__atomic_store_n(&s->worker_count, s->worker_count + 1, __ATOMIC_RELEASE);
	return 0;
}

int service_worker_add(struct service *s, uint8_t core, int node)
{
	return worker_attach(s, worker_create(s, core, node, s->worker_count, true));
}

uint32_t service_flow_count(const struct service *s)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < FLOW_PARTITIONS; i++)
		count += __atomic_load_n(&s->part[i]->count, __ATOMIC_RELAXED);
	return count;
}

uint32_t service_worker_buckets(const struct service_worker *w)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < FLOW_PARTITIONS; i++)
		count += service_worker_has(w, i);
	return count;
}

uint16_t service_worker_next(const struct service_worker *w, uint16_t bucket)
{
	for (uint32_t i = 0; i < FLOW_PARTITIONS; i++) {
		bucket = (bucket + 1) % FLOW_PARTITIONS;
		if (service_worker_has(w, bucket))
			break;
	}
	return bucket;
}

static int flows_create(struct service *s, const struct service_params *params)
{
	bool nat = params->config->mode == WEIR_MODE_NAT;
	int bucket_node[FLOW_PARTITIONS];
	struct flow_table_params table = {
		.capacity = params->flow_capacity,
		.ipv6 = !weir_address_is_v4(params->config->address),
		.nat = nat,
		.protocol = params->config->protocol,
		.seed = hash_seed_make(params->seed),
		.node = SOCKET_ID_ANY,
		.bucket_node = bucket_node,
		.timeouts = flow_timeouts_default,
		.memory = account_memory(&s->account, ACCOUNT_FLOWS),
		.release = flow_released,
	};
	int ret;

	for (uint32_t i = 0; i < FLOW_PARTITIONS; i++) {
		s->bucket_worker[i] = (uint8_t)(i % params->worker_count);
		s->bucket_owner[i] = s->bucket_worker[i];
		s->bucket_direct[i] = params->core[s->bucket_worker[i]];
		s->bucket_home[i] = SERVICE_NOBODY;
		bucket_node[i] = params->core_node[s->bucket_direct[i]];
	}
	ret = flow_table_create(&table, &s->flows);
	for (uint32_t i = 0; ret == 0 && i < FLOW_PARTITIONS; i++)
		s->part[i] = &s->flows->part[i];
	if (ret || !nat)
		return ret;
	table.memory = account_memory(&s->account, ACCOUNT_PORTS);
	return nat_ports_create(
		&table.memory, params->core_node[params->core[0]], params->port_start, &s->ports);
}

int service_create(const struct service_params *params, struct service **ret_service, char *err,
	size_t err_size)
{
	struct service *s = NULL;
	int ret = -ENOMEM;

	if (sizeof(*s) <= budget_left(params->budget))
		s = rte_zmalloc("service", sizeof(*s), RTE_CACHE_LINE_SIZE);
	if (!s)
		goto fail;
	account_init(&s->account, params->budget);
	account_charge(&s->account, ACCOUNT_POOLS, account_size(s));
	s->identity = *params->config;
	s->slot = params->slot;
	s->cores_wanted = params->config->cores;
	s->flow_bytes = params->flow_bytes;
	s->flow_capacity = params->flow_capacity;
	s->cells = *params->cells;
	ret = service_directives_create(params->cells->slots, &s->account, &s->directives);
	if (ret == 0)
		ret = flows_create(s, params);
	for (uint32_t i = 0; ret == 0 && i < params->worker_count; i++) {
		uint8_t core = params->core[i];

		ret = worker_attach(
			s, worker_create(s, core, params->core_node[core], i, params->rings));
	}
	if (ret)
		goto fail;
	for (uint32_t i = 0; i < FLOW_PARTITIONS; i++)
		s->part[i]->release_ctx = s->worker[s->bucket_owner[i]];
	*ret_service = s;
	return 0;
fail:
	snprintf(err, err_size, "service %s: no memory for %u flows, translated ports and counters",
		params->config->name, params->flow_capacity);
	if (s)
		service_destroy(s);
	return ret;
}

void service_destroy(struct service *s)
{
	for (uint32_t i = 0; i < s->worker_count; i++)
		worker_destroy(s, s->worker[i]);
	service_directives_destroy(s->directives);
	rescue_end(s);
	flow_table_destroy(s->flows);
	if (s->ports)
		nat_ports_destroy(s->ports);
	account_charge(&s->account, ACCOUNT_POOLS, -account_size(s));
	rte_free(s);
}

void service_worker_take_over(struct service_worker *w, const struct service_settings *settings)
{
	for (uint32_t i = 0; i < settings->backend_slots; i++) {
		if (w->cell_epoch[i] == settings->backend[i].epoch)
			continue;
		w->cell_epoch[i] = settings->backend[i].epoch;
		memset(&w->backend_cell[i], 0, sizeof(w->backend_cell[i]));
		memset(&w->load[i], 0, sizeof(w->load[i]));
	}
	if (w->source_epoch != settings->source_epoch) {
		w->source_epoch = settings->source_epoch;
		w->cell->sources_tracked = 0;
		w->cell->sources_known = 0;
	}
	w->settings = settings;
}

bool service_worker_age(struct service_worker *w, uint64_t now_ns, uint32_t now_ms, uint32_t budget)
{
	uint32_t serial = __atomic_load_n(&w->service->close_serial, __ATOMIC_ACQUIRE);

	if (unlikely(serial != w->close_serial)) {
		w->close_serial = serial;
		w->close_left = (uint16_t)(service_worker_buckets(w) + 1);
	}
	if (load_expires(w->settings))
		load_forget(w, now_ns);
	if (service_worker_has(w, w->age_bucket) &&
		flow_partition_age(w->part[w->age_bucket], now_ms, budget) >= budget)
		return true;
	w->age_bucket = service_worker_next(w, w->age_bucket);
	return false;
}
