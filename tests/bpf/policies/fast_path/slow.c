/* SPDX-License-Identifier: BSD-3-Clause */

/* A policy that takes its time, some microseconds, and lets only clients of 10.1.0.0/24 through. */

#include <weir/policy.h>

WEIR_POLICY(slow)
{
	__u64 sum = ~(__u64)ctx->pkt_len;
	__u64 by = ctx->sport | 1;

	/* Divisions, one after another: quick for the verifier to look at. */
#pragma clang loop unroll(full)
	for (int i = 0; i < 1900; i++)
		sum = ~(sum / by);
	if (sum == 1)
		return WEIR_DROP_AS(2);
	if ((ctx->saddr[3] & bpf_htonl(0xffffff00)) != bpf_htonl(0x0a010000))
		return WEIR_DROP_AS(1);
	return WEIR_PASS;
}
