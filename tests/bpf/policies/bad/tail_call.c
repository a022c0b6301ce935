/* SPDX-License-Identifier: BSD-3-Clause */

/* refused: tail call */

#include <weir/policy.h>

WEIR_ARRAY(kept, __u64, 16);

WEIR_POLICY(tail_call)
{
	bpf_tail_call(ctx, &kept, 0); /* here */
	return WEIR_PASS;
}
