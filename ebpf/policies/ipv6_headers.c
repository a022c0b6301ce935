/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * IPv6 extension headers in an order and number that an honest sender has. Reasons:
 *   1  the chain is cut off, or longer than `most` headers or `bytes` bytes
 *   2  hop-by-hop options that are not first (RFC 8200 section 4.1)
 *   3  a routing header of type 0 (deprecated by RFC 5095)
 *   4  a header that stands there twice (destination options may)
 *   5  a fragment too small to carry all headers (RFC 7112)
 *
 * IPv4 passes.
 */

#include <weir/policy.h>

WEIR_PARAM __u32 most = 4;
WEIR_PARAM __u32 bytes = 128;

#define LIMIT 8 /* that the loop can look at */

struct extension {
	__u8 next;
	__u8 units; /* of 8 bytes, after the first 8 */
	__u8 type; /* of a routing header */
	__u8 left;
};

weir_inline int is_extension(__u8 type)
{
	return type == IPPROTO_HOPOPTS || type == IPPROTO_ROUTING || type == IPPROTO_FRAGMENT ||
		type == IPPROTO_DSTOPTS || type == IPPROTO_AH;
}

weir_inline __u32 bit_of(__u8 type)
{
	return type == IPPROTO_ROUTING	 ? 1 :
		type == IPPROTO_FRAGMENT ? 2 :
		type == IPPROTO_AH	 ? 4 :
					   0;
}

WEIR_POLICY(ipv6_headers)
{
	struct ipv6hdr *ip = weir_at(ctx, ctx->l3_off, sizeof(*ip));
	__u32 at = ctx->l3_off + sizeof(*ip), seen = 0;

	if (!(ctx->flags & WEIR_F_IPV6) || !ip)
		return WEIR_PASS;
	__u8 next = ip->nexthdr;

	for (__u32 i = 0; i < LIMIT; i++) {
		if (!is_extension(next)) {
			/* The first fragment must show what it belongs to. */
			if (seen & 2 && next == IPPROTO_TCP && !weir_at(ctx, at, 20))
				return WEIR_DROP_AS(5);
			return at - ctx->l3_off - sizeof(*ip) > bytes ? WEIR_DROP_AS(1) : WEIR_PASS;
		}
		struct extension *x = weir_at(ctx, at, 8);

		if (!x || i >= most)
			return WEIR_DROP_AS(1);
		if (next == IPPROTO_HOPOPTS && i > 0)
			return WEIR_DROP_AS(2);
		if (next == IPPROTO_ROUTING && x->type == 0)
			return WEIR_DROP_AS(3);
		if (seen & bit_of(next))
			return WEIR_DROP_AS(4);
		seen |= bit_of(next);
		/* What follows in a later fragment is no header. */
		if (next == IPPROTO_FRAGMENT && bpf_ntohs(*(__u16 *)&x->type) & 0xfff8)
			return WEIR_PASS;
		at += next == IPPROTO_FRAGMENT ? 8 :
			next == IPPROTO_AH     ? (x->units + 2) * 4 :
						 (x->units + 1) * 8;
		next = x->next;
	}
	return WEIR_DROP_AS(1);
}
