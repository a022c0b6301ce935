/* SPDX-License-Identifier: BSD-3-Clause */

/* Lets one flow in four pass: by a number that only the fast path knows. */

#include <weir/policy.h>

WEIR_POLICY(flow_hash)
{
	return ctx->flow_hash & 3 ? WEIR_DROP : WEIR_PASS;
}
