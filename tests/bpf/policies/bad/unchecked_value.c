/* SPDX-License-Identifier: BSD-3-Clause */

/* refused: map_value_or_null */

#include <weir/policy.h>

WEIR_HASH(seen, __u32, __u64, 16);

WEIR_POLICY(unchecked_value)
{
	__u32 key = ctx->sport;
	__u64 *value = bpf_map_lookup_elem(&seen, &key);

	*value += 1; /* here */
	return WEIR_PASS;
}
