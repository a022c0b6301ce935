/* SPDX-License-Identifier: BSD-3-Clause */

/* refused: leaks addr */

#include <weir/policy.h>

WEIR_ARRAY(kept, __u64, 16);

WEIR_POLICY(leaks_address)
{
	__u32 key = 0;
	__u64 *value = bpf_map_lookup_elem(&kept, &key);

	if (value)
		*value = (__u64)ctx->data; /* here */
	return WEIR_PASS;
}
