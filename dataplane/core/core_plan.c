/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/core/core_plan.h"

uint32_t core_plan_place(
	uint32_t *load, uint32_t core_count, uint32_t wanted, uint8_t ret_core[WEIR_MAX_CORES])
{
	uint64_t taken = 0;
	uint32_t chosen = 0;

	while (chosen < wanted) {
		uint32_t best = UINT32_MAX;

		for (uint32_t i = core_plan_first_worker(core_count); i < core_count; i++) {
			if (taken & (UINT64_C(1) << i))
				continue;
			if (best == UINT32_MAX || load[i] < load[best])
				best = i;
		}
		if (best == UINT32_MAX)
			break;
		taken |= UINT64_C(1) << best;
		load[best]++;
		ret_core[chosen++] = (uint8_t)best;
	}
	return chosen;
}
