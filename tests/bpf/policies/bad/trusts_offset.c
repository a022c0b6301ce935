/* SPDX-License-Identifier: BSD-3-Clause */

/* refused: outside of the packet */

#include <weir/policy.h>

WEIR_POLICY(trusts_offset)
{
	__u8 *data = ctx->data + ctx->l4_off;

	return *data ? WEIR_PASS : WEIR_DROP; /* here */
}
