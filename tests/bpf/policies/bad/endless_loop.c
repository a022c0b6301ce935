/* SPDX-License-Identifier: BSD-3-Clause */

/* refused: too complex|infinite loop|too large */

#include <weir/policy.h>

WEIR_POLICY(endless_loop)
{
	__u64 t = ctx->now_ns;

	while (t != 1) {
		t = t & 1 ? 3 * t + 1 : t / 2;
		asm volatile("" : "+r"(t));
	}
	return WEIR_PASS;
}
