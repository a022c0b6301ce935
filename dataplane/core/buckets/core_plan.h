/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Which cores a service's workers run on. Pure functions, called by the main thread.
 */

#ifndef WEIR_CORE_CORE_PLAN_H
#define WEIR_CORE_CORE_PLAN_H

#include "dataplane/api/telemetry.h"

#include <stdint.h>

/* First core that works: core 0 only dispatches where there is another one. */
static inline uint32_t core_plan_first_worker(uint32_t core_count)
{
	return core_count == 1 ? 0 : 1;
}

struct port;

/* In the place of a core's load: it does not answer, or did not a moment ago. */
#define CORE_PLAN_UNFIT UINT32_MAX

/* Bit i: core i is on the node of one of the ports; 0 where no port's node is known. */
uint64_t core_plan_near(
	const int *core_node, uint32_t core_count, struct port *const *ports, uint32_t port_count);

/*
 * Choose cores for a new service: those with the fewest workers; among equals those near, then the lower index.
 * A service never gets the same core twice, so it gets fewer than wanted where there are fewer; and none that is unfit,
 * unless all are.
 *
 * load      workers on each core, [core_count]; counted up for the chosen ones
 * wanted    1..WEIR_MAX_CORES
 * ret_core  indices of the chosen cores, [WEIR_MAX_CORES]
 *
 * Returns how many were chosen, at least 1.
 */
uint32_t core_plan_place(uint32_t *load, uint64_t near, uint32_t core_count, uint32_t wanted,
	uint8_t ret_core[WEIR_MAX_CORES]);

#endif
