/* SPDX-License-Identifier: BSD-3-Clause */

/* refused: below the context */

#include <weir/policy.h>

WEIR_POLICY(below_context)
{
	return *(volatile __u64 *)((char *)ctx - 8) ? WEIR_PASS : WEIR_DROP; /* here */
}
