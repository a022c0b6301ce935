/* SPDX-License-Identifier: BSD-3-Clause */

/* refused: fetches from the stack */

#include <weir/policy.h>

WEIR_POLICY(fetch_on_stack)
{
	__u64 x = ctx->now_ns;

	return __sync_fetch_and_add(&x, 1) ? WEIR_PASS : WEIR_DROP; /* here */
}
