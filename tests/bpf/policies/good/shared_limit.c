/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * One rate for all that run it, the kernel and every worker: an array holds when the next packet is due, and who
 * takes that moment moves it on (GCRA, the virtual scheduling of ITU-T I.371).
 */

#include <weir/policy.h>

WEIR_PARAM __u64 rate = 1000; /* packets a second */
WEIR_PARAM __u64 burst = 20; /* packets at once */

WEIR_ARRAY(due, __u64, 1);

WEIR_POLICY(shared_limit)
{
	__u32 zero = 0;
	__u64 *at = bpf_map_lookup_elem(&due, &zero);
	__u64 now = ctx->now_ns, step = 1000000000ULL / rate;

	for (int tries = 0; at && tries < 8; tries++) {
		__u64 next = *(volatile __u64 *)at;
		__u64 from = next + burst * step < now ? now - burst * step : next;

		if (from > now)
			return WEIR_DROP_AS(1);
		if (__sync_val_compare_and_swap(at, next, from + step) == next)
			return WEIR_PASS;
	}
	return WEIR_DROP_AS(2);
}
