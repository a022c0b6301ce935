/* SPDX-License-Identifier: BSD-3-Clause */

/* Two policies of a service that belong together: whoever sees one without the other drops what all pass. */

#include "turns.h"

#include <weir/policy.h>

WEIR_PARAM __u32 version, again; /* always the same */
WEIR_PARAM __u32 second; /* 1: the one that stands behind */

struct pair {
	__u32 a;
	__u32 b; /* always the same */
};

WEIR_HASH(pairs, __u32, struct pair, 1024);

WEIR_POLICY(turns)
{
	__u32 from = bpf_ntohs(ctx->sport), kind = from & 3, key = 1;
	struct pair *p = bpf_map_lookup_elem(&pairs, &key);

	if (version != again || (p && p->a != p->b) || (second && ctx->mark != version))
		return WEIR_DROP_AS(9);
	ctx->mark = version;
	if (kind == (second ? TURNS_SECOND : TURNS_FIRST) && !turns_passes(version, from))
		return WEIR_DROP_AS(1);
	return second && kind == TURNS_NONE ? WEIR_DROP_AS(2) : WEIR_PASS;
}
