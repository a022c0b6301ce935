/* SPDX-License-Identifier: BSD-3-Clause */

#include <weir/policy.h>

/* Not wise, but the verifier allows it, and so the engine has to. */
WEIR_POLICY(below_context)
{
	*(volatile __u64 *)((char *)ctx - 8) = 1;
	*(volatile __u64 *)((char *)ctx - 416) = 1;
	return WEIR_PASS;
}
