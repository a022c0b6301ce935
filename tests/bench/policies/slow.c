/* SPDX-License-Identifier: BSD-3-Clause */

/* Two hundred turns of arithmetic for each packet. */

#include <weir/policy.h>

WEIR_PARAM __u64 turns = 200;

WEIR_POLICY(slow)
{
	__u64 x = ctx->sport;

	for (__u64 i = 0; i < turns && i < 100000; i++)
		x = x * 6364136223846793005 + (x >> 33);
	return x == 1 ? WEIR_DROP : WEIR_PASS;
}
