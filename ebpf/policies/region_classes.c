/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Sources by prefix into limiter classes, for instance by region: so each has a limit of its own, and
 * can be held to it while the others go on. Prefixes are those of `classes`, as in block_list.c; class 0
 * and sources in no prefix pass.
 */

#include <weir/policy.h>

WEIR_PARAM __u16 others = 0; /* class of who is in no prefix */

WEIR_LPM(classes, struct weir_prefix, __u32, 262144);

WEIR_POLICY(region_classes)
{
	struct weir_prefix source = { 128,
		{ ctx->saddr[0], ctx->saddr[1], ctx->saddr[2], ctx->saddr[3] } };
	__u32 *class = bpf_map_lookup_elem(&classes, &source);
	__u32 n = class ? *class : others;

	if (!ctx->l3_off || n == 0)
		return WEIR_PASS;
	ctx->mark = n;
	return WEIR_LIMIT(n);
}
