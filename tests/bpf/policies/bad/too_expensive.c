/* SPDX-License-Identifier: BSD-3-Clause */

/* refused: cycles a packet */

#include <weir/policy.h>

WEIR_POLICY(too_expensive)
{
	__u64 x = ctx->flow_hash | 1;

	for (__u32 i = 0; i < 900; i++) {
		x = x * 6364136223846793005ULL / (ctx->now_ns | 3);
		asm volatile("" : "+r"(x));
	}
	return x & 1 ? WEIR_PASS : WEIR_DROP;
}
