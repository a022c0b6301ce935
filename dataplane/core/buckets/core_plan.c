/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/core/buckets/core_plan.h"

#include "dataplane/port/port.h"

#include <stdbool.h>

uint64_t core_plan_near(
	const int *core_node, uint32_t core_count, struct port *const *ports, uint32_t port_count)
{
	uint64_t near = 0;

	for (uint32_t i = 0; i < core_count; i++)
		for (uint32_t k = 0; k < port_count; k++)
			if (ports[k] && ports[k]->node >= 0 && ports[k]->node == core_node[i])
				near |= UINT64_C(1) << i;
	return near;
}

static bool all_unfit(const uint32_t *load, uint32_t core_count)
{
	for (uint32_t i = core_plan_first_worker(core_count); i < core_count; i++)
		if (load[i] != CORE_PLAN_UNFIT)
			return false;
	return true;
}

uint32_t core_plan_place(uint32_t *load, uint64_t near, uint32_t core_count, uint32_t wanted,
	uint8_t ret_core[WEIR_MAX_CORES])
{
	uint64_t taken = 0;
	uint32_t chosen = 0;

	while (chosen < wanted) {
		uint32_t best = UINT32_MAX;

		for (uint32_t i = core_plan_first_worker(core_count); i < core_count; i++) {
			if (taken & (UINT64_C(1) << i) ||
				(load[i] == CORE_PLAN_UNFIT &&
					(chosen || !all_unfit(load, core_count))))
				continue;
			if (best == UINT32_MAX || load[i] < load[best] ||
				(load[i] == load[best] && (near >> i & 1) > (near >> best & 1)))
				best = i;
		}
		if (best == UINT32_MAX)
			break;
		taken |= UINT64_C(1) << best;
		load[best] += load[best] != CORE_PLAN_UNFIT;
		ret_core[chosen++] = (uint8_t)best;
	}
	return chosen;
}
