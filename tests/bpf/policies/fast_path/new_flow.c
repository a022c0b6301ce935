/* SPDX-License-Identifier: BSD-3-Clause */

/* Asks for what only the fast path knows, on one of its ways. */

#include <weir/policy.h>

WEIR_POLICY(new_flow)
{
	if (ctx->flags & WEIR_F_IPV6 || ctx->sport == 0)
		return WEIR_PASS;
	return ctx->flags & WEIR_F_NEW_FLOW ? WEIR_DROP : WEIR_PASS;
}
