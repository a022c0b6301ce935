/* SPDX-License-Identifier: BSD-3-Clause */

#include <weir/policy.h>

WEIR_POLICY(loop)
{
	__u32 sum = 0;

	for (int i = 0; i < 64; i++) {
		__u8 *b = weir_at(ctx, 14 + i, 1);

		if (!b)
			break;
		sum = sum * 31 + *b;
	}
	return sum & 1 ? WEIR_PASS : WEIR_DROP;
}
