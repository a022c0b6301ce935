/* SPDX-License-Identifier: BSD-3-Clause */

/* refused: invalid write to stack */

#include <weir/policy.h>

WEIR_POLICY(far_below_context)
{
	*(volatile __u64 *)((char *)ctx - 424) = 1; /* here */
	return WEIR_PASS;
}
