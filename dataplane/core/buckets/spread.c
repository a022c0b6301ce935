/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/core/buckets/spread.h"

#include <rte_common.h>

/* Cores with buckets: how many, which has fewest, which most. */
struct shares {
	uint32_t cores;
	uint32_t least;
	uint32_t most;
	uint32_t total;
};

static struct shares shares_of(const uint16_t *buckets, uint32_t first, uint32_t core_count)
{
	struct shares s = { .cores = 0 };

	for (uint32_t i = first; i < core_count; i++) {
		if (buckets[i] == 0)
			continue;
		/* Among equals the last one is given back: it came last. */
		if (s.cores == 0 || buckets[i] <= buckets[s.least])
			s.least = i;
		if (s.cores == 0 || buckets[i] > buckets[s.most])
			s.most = i;
		s.cores++;
		s.total += buckets[i];
	}
	return s;
}

/* The first core in order among those that have buckets of this service; or that have none and are free. */
static uint32_t idlest(const uint16_t *buckets, const uint32_t *load, uint32_t first,
	uint32_t core_count, bool with_buckets, uint32_t but)
{
	uint32_t best = UINT32_MAX;

	for (uint32_t i = first; i < core_count; i++)
		if (i != but && (buckets[i] != 0) == with_buckets && load[i] != SPREAD_UNFIT &&
			(with_buckets || load[i] != SPREAD_NOT_FREE) &&
			(best == UINT32_MAX || load[i] < load[best]))
			best = i;
	return best;
}

bool spread_next(const uint16_t *buckets, const uint32_t *load, uint32_t first, uint32_t core_count,
	uint32_t wanted, struct spread_step *ret_step)
{
	const struct shares s = shares_of(buckets, first, core_count);
	uint32_t to;

	wanted = RTE_MIN(wanted, core_count - first);
	if (s.cores == 0)
		return false;
	if (s.cores > wanted) {
		to = idlest(buckets, load, first, core_count, true, s.least);
		if (to == UINT32_MAX)
			return false;
		*ret_step = (struct spread_step){
			.from = (uint8_t)s.least, .to = (uint8_t)to, .count = buckets[s.least]
		};
		return true;
	}
	to = s.cores < wanted ? idlest(buckets, load, first, core_count, false, UINT32_MAX) :
				UINT32_MAX;
	if (to != UINT32_MAX) {
		*ret_step = (struct spread_step){ .from = (uint8_t)s.most,
			.to = (uint8_t)to,
			.count = (uint16_t)RTE_MIN(s.total / wanted, buckets[s.most] / 2u) };
		return ret_step->count != 0;
	}
	if (load[s.least] == SPREAD_UNFIT)
		return false;
	*ret_step = (struct spread_step){ .from = (uint8_t)s.most,
		.to = (uint8_t)s.least,
		.count = (uint16_t)((buckets[s.most] - buckets[s.least]) / 2) };
	return ret_step->count != 0;
}
