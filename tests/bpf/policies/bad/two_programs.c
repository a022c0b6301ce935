/* SPDX-License-Identifier: BSD-3-Clause */

/* refused: section "xdp" */

#include <weir/policy.h>

WEIR_POLICY(two_programs)
{
	return WEIR_PASS;
}

SEC("xdp")
int other(struct xdp_md *x)
{
	return x->data == 0;
}
