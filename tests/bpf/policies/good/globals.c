/* SPDX-License-Identifier: BSD-3-Clause */

#include <weir/policy.h>

__u64 packets;
__u32 last[4] = { 1, 2, 3, 4 };
WEIR_PARAM __s16 shift = -3;

WEIR_POLICY(globals)
{
	weir_add(&packets, 1);
	last[ctx->sport & 3] += shift;
	return last[ctx->dport & 3] & 1 ? WEIR_PASS : WEIR_LIMIT(2);
}
