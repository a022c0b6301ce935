/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Sources by prefix: those of `allowed` pass whatever else is said, those of `blocked` are dropped and counted
 * under the reason that stands with their prefix; the longest prefix decides. Both lists are maps,
 * so they change while traffic flows. Addresses are 128 bits: 192.0.2.0/24 is ::ffff:192.0.2.0/120.
 */

#include <weir/policy.h>

/* 1: what is in no list is dropped as well */
WEIR_PARAM __u8 only_allowed = 0;

WEIR_LPM(allowed, struct weir_prefix, __u32, 65536);
WEIR_LPM(blocked, struct weir_prefix, __u32, 1000000);

WEIR_POLICY(block_list)
{
	struct weir_prefix source = { 128,
		{ ctx->saddr[0], ctx->saddr[1], ctx->saddr[2], ctx->saddr[3] } };

	if (!ctx->l3_off || bpf_map_lookup_elem(&allowed, &source))
		return WEIR_PASS;
	__u32 *reason = bpf_map_lookup_elem(&blocked, &source);

	if (reason)
		return WEIR_DROP_AS(*reason);
	return only_allowed ? WEIR_DROP : WEIR_PASS;
}
