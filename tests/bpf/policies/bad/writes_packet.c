/* SPDX-License-Identifier: BSD-3-Clause */

/* refused: cannot write into packet */

#include <weir/policy.h>

WEIR_POLICY(writes_packet)
{
	__u8 *data = weir_at(ctx, 0, 14);

	if (!data)
		return WEIR_DROP;
	data[0] = 0xff; /* here */
	return WEIR_PASS;
}
