/* SPDX-License-Identifier: BSD-3-Clause */

/* refused: write into map forbidden */

#include <weir/policy.h>

WEIR_PARAM __u64 limit = 5;

WEIR_POLICY(writes_parameter)
{
	*(volatile __u64 *)&limit = ctx->now_ns; /* here */
	return WEIR_PASS;
}
