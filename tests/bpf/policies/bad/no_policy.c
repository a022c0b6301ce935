/* SPDX-License-Identifier: BSD-3-Clause */

/* refused: not a policy */

#include <weir/policy.h>

SEC("xdp")
int other(struct xdp_md *x)
{
	return x->data == 0;
}
