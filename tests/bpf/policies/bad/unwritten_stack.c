/* SPDX-License-Identifier: BSD-3-Clause */

/* refused: variable that it has not written */

#include <weir/policy.h>

WEIR_POLICY(unwritten_stack)
{
	volatile __u64 x[4];

	return x[ctx->sport & 3] ? WEIR_PASS : WEIR_DROP; /* here */
}
