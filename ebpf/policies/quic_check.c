/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * QUIC to a server: what could open a connection must look like it. For UDP to port `port`. Reasons:
 *   1  too short, or without the fixed bit
 *   2  a version that the servers do not speak (it would cost them an answer)
 *   3  connection ids of lengths that are none (RFC 9000 section 17.2)
 *   4  an Initial packet in less than 1200 bytes (RFC 9000 section 14.1)
 *   5  version negotiation or a retry, which only servers send
 */

#include <weir/policy.h>

WEIR_PARAM __u16 port = 443;
WEIR_PARAM __u32 version1 = 0x00000001; /* RFC 9000 */
WEIR_PARAM __u32 version2 = 0x6b3343cf; /* RFC 9369 */
WEIR_PARAM __u8 other_versions = 0; /* 1: let them pass: servers answer with those that they have */

#define LONG_HEADER 0x80
#define FIXED_BIT   0x40
#define MOST_BYTES  20

weir_inline int connection_ids(struct weir_ctx *ctx, __u32 least)
{
	__u8 *destination = weir_at(ctx, ctx->pl_off + 5, 1);

	if (!destination || *destination > MOST_BYTES || *destination < least)
		return 0;
	__u8 *source = weir_at(ctx, ctx->pl_off + 6 + *destination, 1);

	return source && *source <= MOST_BYTES;
}

WEIR_POLICY(quic_check)
{
	__u8 *h = weir_at(ctx, ctx->pl_off, 7);

	if (ctx->l4_proto != IPPROTO_UDP || !ctx->l4_off || ctx->dport != bpf_htons(port))
		return WEIR_PASS;
	if (!h)
		return WEIR_DROP_AS(1);
	if (!(h[0] & LONG_HEADER))
		return h[0] & FIXED_BIT ? WEIR_PASS : WEIR_DROP_AS(1);
	__u32 version = (__u32)h[1] << 24 | (__u32)h[2] << 16 | (__u32)h[3] << 8 | h[4];

	if (version == 0)
		return WEIR_DROP_AS(5);
	if (version != version1 && version != version2)
		return other_versions ? WEIR_PASS : WEIR_DROP_AS(2);
	if (!(h[0] & FIXED_BIT))
		return WEIR_DROP_AS(1);
	/* Version 2 numbers the types one further. */
	__u32 type = ((h[0] >> 4 & 3) - (version == version2)) & 3;

	if (type == 3)
		return WEIR_DROP_AS(5);
	/* The first packet's destination is chosen by the client, and must be hard to guess. */
	if (!connection_ids(ctx, type == 0 ? 8 : 0))
		return WEIR_DROP_AS(3);
	if (type == 0 && ctx->pkt_len < ctx->pl_off + 1200u)
		return WEIR_DROP_AS(4);
	return WEIR_PASS;
}
