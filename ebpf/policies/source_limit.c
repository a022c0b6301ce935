/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * New flows of each source, limited. A source is a prefix: /32 and /64 unless set otherwise, because who
 * has one IPv6 address has 2^64 of them. What is over the limit goes to limiter class `class`, or is
 * dropped when that is 0. Packets of flows that exist are not looked at.
 *
 * The 65,536 sources seen last are remembered; with more, the least active ones start anew.
 *
 * Source: ITU-T I.371 annex A (GCRA, virtual scheduling).
 */

#include <weir/policy.h>

WEIR_PARAM __u64 rate = 100; /* new flows a second */
WEIR_PARAM __u64 burst = 50; /* at once */
WEIR_PARAM __u32 prefix4 = 32;
WEIR_PARAM __u32 prefix6 = 64;
WEIR_PARAM __u16 class = 0;

/* When all new flows of the source would be paid for at its rate. */
WEIR_LRU_HASH(sources, struct weir_address, __u64, 65536);

/* Host order bits of word n that belong to a prefix. */
weir_inline __u32 mask(__u32 bits, __u32 n)
{
	__u32 before = n * 32;

	if (bits >= before + 32)
		return 0xffffffff;
	if (bits <= before)
		return 0;
	return bpf_htonl(0xffffffffu << ((before + 32 - bits) & 31));
}

WEIR_POLICY(source_limit)
{
	int tcp_new = ctx->l4_proto == IPPROTO_TCP && (ctx->tcp_flags & 0x12) == 0x02;
	__u32 bits = ctx->flags & WEIR_F_IPV6 ? prefix6 : 96 + prefix4;
	struct weir_address source = {};

	if (!tcp_new && !(ctx->flags & WEIR_F_NEW_FLOW))
		return WEIR_PASS;
	source.word[0] = ctx->saddr[0] & mask(bits, 0);
	source.word[1] = ctx->saddr[1] & mask(bits, 1);
	source.word[2] = ctx->saddr[2] & mask(bits, 2);
	source.word[3] = ctx->saddr[3] & mask(bits, 3);

	__u64 now = ctx->now_ns, cost = 1000000000 / (rate ? rate : 1);
	__u64 *paid = bpf_map_lookup_elem(&sources, &source);

	if (!paid) {
		__u64 first = now + cost;

		bpf_map_update_elem(&sources, &source, &first, BPF_ANY);
		return WEIR_PASS;
	}
	__u64 at = *paid > now ? *paid : now;

	if (at + cost > now + cost * burst)
		return class ? WEIR_LIMIT(class) : WEIR_DROP_AS(1);
	*paid = at + cost;
	return WEIR_PASS;
}
