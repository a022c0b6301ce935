/* SPDX-License-Identifier: BSD-3-Clause */

/* For tests, as docs/operators/policies.md has it: two lists, and a number that says which one counts. */

#include <weir/policy.h>

WEIR_LPM(list_0, struct weir_prefix, __u32, 1000);
WEIR_LPM(list_1, struct weir_prefix, __u32, 1000);
WEIR_ARRAY(which, __u32, 1);

WEIR_POLICY(two_lists)
{
	struct weir_prefix source = { 128,
		{ ctx->saddr[0], ctx->saddr[1], ctx->saddr[2], ctx->saddr[3] } };
	__u32 zero = 0, *n = bpf_map_lookup_elem(&which, &zero), *reason;

	if (n && *n)
		reason = bpf_map_lookup_elem(&list_1, &source);
	else
		reason = bpf_map_lookup_elem(&list_0, &source);
	return reason ? WEIR_DROP_AS(*reason) : WEIR_PASS;
}
