/* SPDX-License-Identifier: BSD-3-Clause */

/* refused: invalid read from stack */

#include <weir/policy.h>

WEIR_POLICY(above_context)
{
	return *(volatile __u64 *)((char *)ctx + 96) ? WEIR_PASS : WEIR_DROP; /* here */
}
