/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The fast path's life: cores and their memory. What a configuration does is in apply.c.
 */

#include "dataplane/core/fastpath.h"

#include "dataplane/core/apply.h"
#include "dataplane/core/core.h"
#include "dataplane/stage/early/early.h"
#include "dataplane/stage/policy/policy_stage.h"
#include "dataplane/stage/service/service_stage.h"
#include "dataplane/table/fragment_table.h"

#include <rte_malloc.h>
#include <rte_rcu_qsbr.h>
#include <rte_ring.h>

#include <errno.h>
#include <string.h>

static int core_create(struct fastpath *fp, uint32_t index)
{
	const struct fastpath_core_params *params = &fp->params.core[index];
	struct weir_core_entry *entry = &fp->telemetry->core[index];
	struct core *c =
		rte_zmalloc_socket("packet core", sizeof(*c), RTE_CACHE_LINE_SIZE, params->node);

	if (!c)
		c = rte_zmalloc("packet core", sizeof(*c), RTE_CACHE_LINE_SIZE);
	if (!c)
		return -ENOMEM;
	fp->core[index] = c;
	c->index = index;
	c->node = params->node;
	c->transmit.core = &c->stage;
	c->stage.made_up_clock = fp->single_threaded;
	c->stage.ns_per_tick =
		(uint64_t)(((unsigned __int128)1000000000 << 32) / fp->params.tsc_hz);
	/* With a made-up clock, time passes as its owner likes. */
	c->gap_least = fp->single_threaded ?
		UINT64_MAX :
		(uint64_t)((unsigned __int128)WEIR_GAP_LEAST_NS * fp->params.tsc_hz / 1000000000);
	c->stage.cell = arena_alloc(fp->arena, sizeof(*c->stage.cell));
	if (!c->stage.cell)
		return -ENOMEM;
	c->stage.policy = rte_zmalloc_socket(
		"policies of a core", sizeof(*c->stage.policy), RTE_CACHE_LINE_SIZE, SOCKET_ID_ANY);
	if (!c->stage.policy)
		return -ENOMEM;
	c->stage.policy->worker.index = index;
	c->stage.policy->worker.random =
		(fp->params.seed + index + 1) * UINT64_C(0x9e3779b97f4a7c15) | 1;
	limiter_rate_init(
		&c->stage.made_rate, STAGE_MADE_PER_SECOND, STAGE_MADE_BURST_NS, fp->params.tsc_hz);
	limiter_rate_init(
		&c->stage.shed_rate, STAGE_SHED_PER_SECOND, STAGE_MADE_BURST_NS, fp->params.tsc_hz);
	if (index == 0 &&
		fragment_table_create(
			&fp->seed, &table_memory_eal, params->node, &c->stage.fragments))
		return -ENOMEM;
	if (index == 0 && fp->core_count > 1 && early_create(params->node, &c->stage.early))
		return -ENOMEM;
	if (c->stage.early)
		c->stage.early->holds.off = fp->params.early_drops_only_here;
	entry->cpu = params->cpu;
	entry->node = params->node;
	entry->cell_offset = arena_offset(fp->arena, c->stage.cell);
	if (index == 0)
		entry->roles |= WEIR_CORE_F_RECEIVE;
	if (index == 0 && fp->core_count > 1)
		entry->roles |= WEIR_CORE_F_DISPATCH;
	else
		entry->roles |= WEIR_CORE_F_WORKER;
	return 0;
}

static int qsbr_create(struct fastpath *fp)
{
	size_t size = rte_rcu_qsbr_get_memsize(WEIR_MAX_CORES);

	fp->qsbr = rte_zmalloc("grace periods", size, RTE_CACHE_LINE_SIZE);
	if (!fp->qsbr || rte_rcu_qsbr_init(fp->qsbr, WEIR_MAX_CORES))
		return -ENOMEM;
	return 0;
}

int fastpath_create(const struct fastpath_params *params, struct fastpath **ret_fp)
{
	struct fastpath *fp;
	int ret;

	if (params->core_count == 0 || params->core_count > WEIR_MAX_CORES || params->tsc_hz == 0)
		return -EINVAL;
	fp = rte_zmalloc("fast path", sizeof(*fp), RTE_CACHE_LINE_SIZE);
	if (!fp)
		return -ENOMEM;
	fp->params = *params;
	fp->arena = params->arena;
	fp->telemetry = arena_telemetry(params->arena);
	fp->core_count = params->core_count;
	fp->idle = (uint8_t)params->idle;
	fp->single_threaded = params->single_threaded;
	fp->tsc_hz = params->tsc_hz;
	fp->seed = hash_seed_make(params->seed);
	fp->budget.bytes = params->memory_bytes;
	ret = qsbr_create(fp);
	for (uint32_t i = 0; ret == 0 && i < fp->core_count; i++)
		ret = core_create(fp, i);
	if (ret) {
		fastpath_destroy(fp);
		return ret;
	}
	fp->telemetry->tsc_hz = params->tsc_hz;
	fp->telemetry->core_count = params->core_count;
	if (params->core_count == 1)
		fp->telemetry->flags |= WEIR_TELEMETRY_F_SHARED_CORE;
	*ret_fp = fp;
	return 0;
}

static void core_destroy(struct fastpath *fp, struct core *c)
{
	for (uint8_t i = 0; i < WEIR_MAX_PORTS; i++)
		rte_free(c->handover[i]);
	rte_free(c->stray);
	fragment_table_destroy(c->stage.fragments);
	early_destroy(c->stage.early);
	rte_free(c->stage.policy);
	if (c->stage.cell)
		arena_free(fp->arena, c->stage.cell, sizeof(*c->stage.cell));
	fp->telemetry->core[c->index].cell_offset = 0;
	rte_free(c);
}

void fastpath_destroy(struct fastpath *fp)
{
	if (!fp)
		return;
	fastpath_trace_end(fp);
	fastpath_drain(fp);
	apply_nothing(fp);
	policy_stock_forget(&fp->policy_stock, POLICY_STOCK_NOBODY);
	if (fp->outside_entry)
		arena_free(fp->arena, fp->outside_entry,
			WEIR_MAX_POLICIES_PER_SERVICE * sizeof(*fp->outside_entry));
	for (uint32_t i = 0; i < WEIR_MAX_CORES; i++)
		if (fp->core[i])
			core_destroy(fp, fp->core[i]);
	rte_free(fp->qsbr);
	rte_free(fp);
}

struct service *fastpath_service(const struct fastpath *fp, const char *name)
{
	for (uint32_t i = 0; i < WEIR_MAX_SERVICES; i++)
		if (fp->service[i] && strcmp(fp->service[i]->identity.name, name) == 0)
			return fp->service[i];
	return NULL;
}

void fastpath_settle(struct fastpath *fp)
{
	struct stage_core *c = &fp->core[0]->stage;

	if (fp->generation)
		service_stage_give_up(c, fp->generation->table);
	stage_drops_free(c);
}

void fastpath_age(struct fastpath *fp, uint64_t now_tsc)
{
	uint32_t now_ms = (uint32_t)(stage_ns(&fp->core[0]->stage, now_tsc) / 1000000);

	for (uint32_t slot = 0; slot < WEIR_MAX_SERVICES; slot++)
		for (uint32_t i = 0; fp->service[slot] && i < FLOW_PARTITIONS; i++)
			flow_partition_age(fp->service[slot]->part[i], now_ms, UINT32_MAX);
}
