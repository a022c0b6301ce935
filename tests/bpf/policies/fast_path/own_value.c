/* SPDX-License-Identifier: BSD-3-Clause */

/* Counts in the entries of a prefix list that others fill, so the list is the fast path's. */

#include <weir/policy.h>

WEIR_LPM(regions, struct weir_prefix, __u64, 1024);

WEIR_POLICY(own_value)
{
	struct weir_prefix source = { 128,
		{ ctx->saddr[0], ctx->saddr[1], ctx->saddr[2], ctx->saddr[3] } };
	__u64 *count = bpf_map_lookup_elem(&regions, &source);

	if (count)
		weir_add(count, 1);
	return WEIR_PASS;
}
