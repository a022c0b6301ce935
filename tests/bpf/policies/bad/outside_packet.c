/* SPDX-License-Identifier: BSD-3-Clause */

/* refused: outside of the packet */

#include <weir/policy.h>

WEIR_POLICY(outside_packet)
{
	__u8 *data = ctx->data;

	return data[40] ? WEIR_PASS : WEIR_DROP; /* here */
}
