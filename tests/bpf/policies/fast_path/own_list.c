/* SPDX-License-Identifier: BSD-3-Clause */

/* Puts entries into its hash, so the hash is the fast path's. */

#include <weir/policy.h>

WEIR_HASH(seen, struct weir_address, __u64, 1024);

WEIR_POLICY(own_list)
{
	struct weir_address source = { { ctx->saddr[0], ctx->saddr[1], ctx->saddr[2],
		ctx->saddr[3] } };
	__u64 now = ctx->now_ns;

	bpf_map_update_elem(&seen, &source, &now, BPF_ANY);
	return WEIR_PASS;
}
