/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Payloads of sizes that are not usual for the service. Each worker learns how often sizes come, in
 * steps of 64 bytes, and forgets slowly; after `learn` packets a size that fewer than one in `rare` have goes to limiter
 * class `class` (0: is dropped). Floods are made of packets of one size, and soon it would be usual: so what is
 * not let through is not learned.
 */

#include <weir/policy.h>

WEIR_PARAM __u32 learn = 10000;
WEIR_PARAM __u32 rare = 1000;
WEIR_PARAM __u16 class = 1;

#define STEPS	 32
#define HALVE_AT (1u << 20)

struct sizes {
	__u32 total;
	__u32 count[STEPS];
};

WEIR_WORKER_ARRAY(usual, struct sizes, 1);

weir_inline void forget(struct sizes *s)
{
	s->total /= 2;
	for (int i = 0; i < STEPS; i++)
		s->count[i] /= 2;
}

WEIR_POLICY(payload_size)
{
	__u32 zero = 0, bytes = ctx->pkt_len - ctx->pl_off;
	struct sizes *s = bpf_map_lookup_elem(&usual, &zero);

	if (!s || !ctx->pl_off || ctx->pl_off > ctx->pkt_len)
		return WEIR_PASS;
	__u32 step = bytes / 64 < STEPS ? bytes / 64 : STEPS - 1;

	step &= STEPS - 1;
	if (s->total >= learn && (__u64)s->count[step] * rare < s->total)
		return class ? WEIR_LIMIT(class) : WEIR_DROP_AS(1);
	s->count[step]++;
	if (++s->total >= HALVE_AT)
		forget(s);
	return WEIR_PASS;
}
