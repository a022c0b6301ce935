/* SPDX-License-Identifier: BSD-3-Clause */

#include <weir/policy.h>

static __noinline __u32 mix(__u32 a, __u32 b)
{
	volatile __u32 t[4] = { a, b, a ^ b, a + b };

	return t[(a ^ b) & 3] * 2654435761u;
}

static __noinline int look(struct weir_ctx *ctx, __u32 offset)
{
	__u8 *b = weir_at(ctx, offset, 1);

	return b ? *b : -1;
}

WEIR_POLICY(functions)
{
	int x = look(ctx, 23);

	if (x < 0)
		return WEIR_DROP;
	return mix(x, ctx->flow_hash) & 1 ? WEIR_PASS : WEIR_ROUTE(3);
}
