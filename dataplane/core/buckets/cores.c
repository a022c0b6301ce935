/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/core/buckets/cores.h"

#include "dataplane/core/apply.h"
#include "dataplane/core/buckets/core_plan.h"
#include "dataplane/core/buckets/spread.h"
#include "dataplane/core/core.h"

#include <stdio.h>

#define LOOK_NS	  UINT64_C(100000000)
#define RETRY_NS  UINT64_C(100000000)
#define BUSY_UNIT 1000u
#define BUSY_HALF (BUSY_UNIT / 2)

void cores_rank(const struct cores_view *v, bool beyond, uint32_t *ret_rank)
{
	const bool crowded = v->service_count > v->core_count - v->first;

	for (uint32_t i = v->first; i < v->core_count; i++) {
		const bool away = !(v->answer >> i & 1) || (v->near && !(v->near >> i & 1));
		const bool taken = crowded ? v->busy[i] >= BUSY_HALF : v->services[i] != 0;

		if (v->services[i] == CORE_PLAN_UNFIT)
			ret_rank[i] = SPREAD_UNFIT;
		else if (beyond && (away || taken))
			ret_rank[i] = SPREAD_NOT_FREE;
		else if (beyond && crowded)
			ret_rank[i] = v->busy[i];
		else
			ret_rank[i] = v->services[i] * (BUSY_UNIT + 1) + v->busy[i];
	}
}

void cores_rank_for(
	const struct fastpath *fp, const struct service *s, uint32_t have, uint32_t *ret_rank)
{
	uint32_t services[WEIR_MAX_CORES] = { 0 };
	uint16_t busy[WEIR_MAX_CORES];
	int node[WEIR_MAX_CORES];
	struct cores_view v = {
		.first = core_plan_first_worker(fp->core_count),
		.core_count = fp->core_count,
		.services = services,
		.busy = busy,
	};

	services_load(fp, services);
	for (uint32_t i = 0; i < WEIR_MAX_SERVICES; i++)
		v.service_count += fp->service[i] != NULL;
	for (uint32_t i = 0; i < fp->core_count; i++) {
		const struct core *c = fp->core[i];

		busy[i] = c->busy.thousandths;
		node[i] = c->node;
		if (c->pulse.state == PULSE_BEATS)
			v.answer |= UINT64_C(1) << i;
	}
	v.near = core_plan_near(node, fp->core_count, fp->generation->port, WEIR_MAX_PORTS);
	cores_rank(&v, have >= s->cores_min, ret_rank);
}

void cores_look(struct fastpath *fp, uint64_t now_ns)
{
	if (now_ns - fp->cores_looked_ns < LOOK_NS)
		return;
	fp->cores_looked_ns = now_ns;
	for (uint32_t i = 0; i < fp->core_count; i++) {
		struct core *c = fp->core[i];
		const uint64_t busy = cell_read(&c->stage.cell->busy_cycles);
		const uint64_t idle = cell_read(&c->stage.cell->idle_cycles);
		const uint64_t worked = busy - c->busy.busy_cycles;
		const uint64_t passed = worked + idle - c->busy.idle_cycles;

		if (passed)
			c->busy.thousandths = (uint16_t)(worked * BUSY_UNIT / passed);
		c->busy.busy_cycles = busy;
		c->busy.idle_cycles = idle;
	}
}

static void cores_show(struct fastpath *fp, const struct service *s)
{
	struct weir_service_entry *e = &fp->telemetry->service[s->slot];

	__atomic_store_n(&e->cores_wanted, s->cores_wanted, __ATOMIC_RELAXED);
	__atomic_store_n(&e->cores_short, s->cores_short, __ATOMIC_RELAXED);
}

void cores_want(struct fastpath *fp, struct service *s, uint32_t cores)
{
	const uint16_t wanted =
		(uint16_t)RTE_MIN(RTE_MAX(cores, (uint32_t)s->cores_min), (uint32_t)s->cores_max);

	if (wanted != s->cores_wanted) {
		s->cores_wanted = wanted;
		s->cores_short = 0;
		s->spreading = true;
		s->spread_again_ns = 0;
	}
	cores_show(fp, s);
}

void cores_settled(struct fastpath *fp, struct service *s, uint32_t have, uint64_t now_ns,
	fastpath_event event, void *ctx)
{
	const uint16_t before = s->cores_short;
	char text[128];

	s->cores_short = have < s->cores_wanted ? (uint16_t)(s->cores_wanted - have) : 0;
	cores_show(fp, s);
	if (s->cores_short == 0)
		return;
	s->spreading = true;
	s->spread_again_ns = now_ns + RETRY_NS;
	if (before == s->cores_short)
		return;
	snprintf(text, sizeof(text), "is to have %u cores and has %u: no other is free",
		s->cores_wanted, have);
	event(ctx, s->identity.name, text);
}
