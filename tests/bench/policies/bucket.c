/* SPDX-License-Identifier: BSD-3-Clause */

/* A token bucket for each source. */

#include <weir/policy.h>

WEIR_PARAM __u64 rate = 1000000;
WEIR_PARAM __u64 burst = 200;

struct bucket {
	__u64 last_ns;
	__u64 tokens_ns;
};

WEIR_HASH(buckets, struct weir_address, struct bucket, 1048576);

WEIR_POLICY(bucket)
{
	struct weir_address source = { { ctx->saddr[0], ctx->saddr[1], ctx->saddr[2],
		ctx->saddr[3] } };
	__u64 now = ctx->now_ns, cost = 1000000000 / rate, most = cost * burst;
	struct bucket *b = bpf_map_lookup_elem(&buckets, &source);

	if (!b) {
		struct bucket first = { now, most - cost };

		bpf_map_update_elem(&buckets, &source, &first, BPF_ANY);
		return WEIR_PASS;
	}
	__u64 tokens = b->tokens_ns + (now - b->last_ns);

	if (tokens > most)
		tokens = most;
	b->last_ns = now;
	b->tokens_ns = tokens < cost ? tokens : tokens - cost;
	return tokens < cost ? WEIR_LIMIT(7) : WEIR_PASS;
}
