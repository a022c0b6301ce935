/* SPDX-License-Identifier: BSD-3-Clause */

/* refused: helper 6, */

#include <weir/policy.h>

WEIR_POLICY(helper)
{
	bpf_printk("x"); /* here */
	return WEIR_PASS;
}
