/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The time of policies. The cores' own is the TSC's, which begins elsewhere and runs a little faster or slower
 * than the kernel's clock; a limit that is kept together with the kernel needs one time. Main thread.
 */

#include "dataplane/core/core.h"
#include "dataplane/stage/policy/policy_stage.h"

#define CLOCK_EXACT_NS 1000

void fastpath_policy_clock(struct fastpath *fp, uint64_t monotonic_ns, uint64_t tsc)
{
	for (uint32_t i = 0; i < fp->core_count; i++) {
		struct stage_core *c = &fp->core[i]->stage;
		const uint64_t offset = monotonic_ns - stage_ns(c, tsc);
		const int64_t moved = (int64_t)(offset - c->policy->clock_ns);

		/* Less is but how exactly the two can be read. */
		if (moved > CLOCK_EXACT_NS || moved < -CLOCK_EXACT_NS)
			__atomic_store_n(&c->policy->clock_ns, offset, __ATOMIC_RELAXED);
	}
}
