/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A service that is to have more cores, or fewer: which buckets move next, until as many as wanted have equally
 * many. Pure; main thread.
 */

#ifndef WEIR_CORE_SPREAD_H
#define WEIR_CORE_SPREAD_H

#include "dataplane/core/buckets/core_plan.h"

#include <stdbool.h>
#include <stdint.h>

/* In `load`: a core that the service may not take, but may have; one that is not to get anything. */
#define SPREAD_NOT_FREE (UINT32_MAX - 1)
#define SPREAD_UNFIT	CORE_PLAN_UNFIT

struct spread_step {
	uint8_t from; /* index of a core */
	uint8_t to;
	uint16_t count; /* buckets */
};

/*
 * buckets  of the service, on each core, [core_count]
 * load     the order in which cores are taken, the least first, or SPREAD_NOT_FREE or _UNFIT; [core_count]
 * first    the first core that works
 * wanted   cores for the service, 1..; no more than work, and are free, are used
 *
 * Returns false when nothing is left to do.
 */
bool spread_next(const uint16_t *buckets, const uint32_t *load, uint32_t first, uint32_t core_count,
	uint32_t wanted, struct spread_step *ret_step);

#endif
