/* SPDX-License-Identifier: BSD-3-Clause */

/* A policy that says what it is told to, of some packets, and notes in maps what it saw. */

#include <weir/policy.h>

WEIR_PARAM __u32 verdict = WEIR_PASS;
WEIR_PARAM __u32 otherwise = WEIR_PASS; /* of packets that the following leave out */
WEIR_PARAM __u32 sport; /* only packets from this port; 0: all */
WEIR_PARAM __u32 odd; /* 1: only from odd ports */
WEIR_PARAM __u32 new_only; /* 1: only those that open a flow */
WEIR_PARAM __u32 mark; /* added to the packet's mark */
WEIR_PARAM __u32 want_mark; /* only packets that have this mark by now; 0: all */
WEIR_PARAM __u32 loops; /* turns in vain */
WEIR_PARAM __u32 twin_a = 1, twin_b = 1; /* always the same: else it is two halves */

#define REASON_HALF 9

WEIR_ARRAY(seen, __u64, 4); /* packets; of IPv6; with an L4 header; bytes */
WEIR_WORKER_ARRAY(by_worker, __u64, 1);
WEIR_HASH(last, struct weir_address, __u32, 64); /* by source: its destination's last word */
WEIR_HASH(blocked, __u32, __u32, 64); /* source ports that are dropped, and as what */

weir_inline void note(__u32 index, __u64 n)
{
	__u64 *at = bpf_map_lookup_elem(&seen, &index);

	if (at)
		weir_add(at, n);
}

weir_inline void notes(struct weir_ctx *ctx)
{
	struct weir_address from = { { ctx->saddr[0], ctx->saddr[1], ctx->saddr[2],
		ctx->saddr[3] } };
	__u32 zero = 0, to = ctx->daddr[3];
	__u64 *mine = bpf_map_lookup_elem(&by_worker, &zero);

	note(0, 1);
	if (ctx->flags & WEIR_F_IPV6)
		note(1, 1);
	if (ctx->l4_off)
		note(2, 1);
	note(3, ctx->pkt_len);
	if (mine)
		++*mine;
	bpf_map_update_elem(&last, &from, &to, BPF_ANY);
}

WEIR_POLICY(say)
{
	__u32 from = bpf_ntohs(ctx->sport);
	__u32 *reason = bpf_map_lookup_elem(&blocked, &from);

	notes(ctx);
	if (twin_a != twin_b)
		return WEIR_DROP_AS(REASON_HALF);
	if (reason)
		return WEIR_VERDICT(WEIR_ACTION_DROP, *reason);
	for (__u32 i = 0; i < loops && i < 1000000; i++)
		asm volatile("" ::: "memory");
	if (want_mark && ctx->mark != want_mark)
		return otherwise;
	ctx->mark += mark;
	if ((sport && from != sport) || (odd && !(from & 1)) ||
		(new_only && !(ctx->flags & WEIR_F_NEW_FLOW)))
		return otherwise;
	return verdict;
}
