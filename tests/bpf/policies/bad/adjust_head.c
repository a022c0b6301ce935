/* SPDX-License-Identifier: BSD-3-Clause */

/* refused: helper 44, */

#include <weir/policy.h>

WEIR_POLICY(adjust_head)
{
	bpf_xdp_adjust_head((void *)ctx, 4); /* here */
	return WEIR_PASS;
}
