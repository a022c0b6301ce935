/* SPDX-License-Identifier: BSD-3-Clause */

/* The first policy of the documentation, with a map and a parameter. */

#include <weir/policy.h>

WEIR_PARAM __u64 limit = 10;

WEIR_LRU_HASH(seen, struct weir_address, __u64, 4096);
WEIR_WORKER_ARRAY(count, __u64, 1);
WEIR_LPM(known, struct weir_prefix, __u32, 1024);

WEIR_POLICY(first)
{
	struct tcphdr *t = weir_at(ctx, ctx->l4_off, sizeof(*t));
	struct weir_address source = { { ctx->saddr[0], ctx->saddr[1], ctx->saddr[2],
		ctx->saddr[3] } };
	__u64 *n = bpf_map_lookup_elem(&seen, &source), one = 1;

	if (!t)
		return WEIR_DROP_AS(1);
	if (!n)
		bpf_map_update_elem(&seen, &source, &one, BPF_ANY);
	else if (*n > limit)
		return WEIR_LIMIT(1);
	else
		weir_add(n, 1);
	return t->syn && !t->ack ? WEIR_ROUTE(2) : WEIR_PASS;
}
