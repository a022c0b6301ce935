/* SPDX-License-Identifier: BSD-3-Clause */

/* From a packet, as parse and service have left it, to a policy's context. Only fields that a policy can see. */

#ifndef WEIR_STAGE_POLICY_CONTEXT_H
#define WEIR_STAGE_POLICY_CONTEXT_H

#include "dataplane/net/packet.h"
#include "dataplane/net/rewrite.h"

#include <weir/policy_abi.h>

#include <assert.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>

/*
 * What is not a whole TCP or UDP packet: of later fragments there is no L4 header, and of an ICMP error the
 * ports are those of the packet that it quotes, which is another story.
 */
static __rte_noinline void policy_context_mend(struct weir_ctx *ctx, const struct packet *p)
{
	const bool first = (p->flags & (PACKET_F_FRAGMENT | PACKET_F_FIRST_FRAGMENT)) ==
		(PACKET_F_FRAGMENT | PACKET_F_FIRST_FRAGMENT);

	if (p->verdict == PARSE_FRAGMENT && first)
		return;
	ctx->l4_off = ctx->pl_off = 0;
	ctx->sport = ctx->dport = 0;
	ctx->tcp_flags = 0;
	if (p->verdict == PARSE_FRAGMENT)
		ctx->flags |= WEIR_F_FRAGMENT;
	else if (p->verdict == PARSE_ICMP_ERROR)
		ctx->l4_proto = p->flags & PACKET_F_IPV6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
}

/* Fields that lie together in the context are written together: a dozen words, where there are 20 fields. */
static __rte_always_inline void policy_context_put(
	struct weir_ctx *ctx, size_t offset, uint64_t word)
{
	memcpy((char *)ctx + offset, &word, sizeof(word));
}

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "contexts are little-endian");
static_assert(offsetof(struct packet, payload_offset) == offsetof(struct packet, l3_offset) + 4 &&
		offsetof(struct packet, l4_offset) == offsetof(struct packet, l3_offset) + 2 &&
		offsetof(struct weir_ctx, pl_off) == offsetof(struct weir_ctx, l3_off) + 4,
	"the offsets are in the same order");

static __rte_always_inline void policy_context_addresses(
	struct weir_ctx *ctx, const uint8_t *addrs, const bool ipv6)
{
	const uint64_t mapped = htonl(0xffff);
	uint64_t ends;

	if (ipv6) {
		memcpy(ctx->saddr, addrs, 32);
		return;
	}
	memcpy(&ends, addrs, sizeof(ends));
	policy_context_put(ctx, offsetof(struct weir_ctx, saddr), 0);
	policy_context_put(ctx, offsetof(struct weir_ctx, saddr) + 8, mapped | ends << 32);
	policy_context_put(ctx, offsetof(struct weir_ctx, daddr), 0);
	policy_context_put(ctx, offsetof(struct weir_ctx, daddr) + 8, mapped | (ends >> 32) << 32);
}

/* A policy may write all of its context, so all of it is filled for each packet. */
static __rte_always_inline void policy_context_fill(struct weir_ctx *ctx, struct rte_mbuf *m,
	const struct packet *p, uint64_t now_ns, uint32_t mark, uint16_t flags, const bool ipv6)
{
	const uint8_t *data = rte_pktmbuf_mtod(m, const uint8_t *);
	const uint16_t all = (uint16_t)(flags | (ipv6 ? WEIR_F_IPV6 : 0) |
		(p->flags & PACKET_F_VLAN ? WEIR_F_VLAN : 0) |
		(m->nb_segs > 1 ? WEIR_F_MULTISEG : 0));
	uint64_t offsets;

	memcpy(&offsets, &p->l3_offset, sizeof(offsets));
	ctx->data = (uintptr_t)data;
	ctx->data_end = (uintptr_t)data + rte_pktmbuf_data_len(m);
	ctx->now_ns = now_ns;
	policy_context_put(ctx, offsetof(struct weir_ctx, flow_hash),
		(uint32_t)p->hash | (uint64_t)p->service << 32 | (uint64_t)p->port_in << 48);
	policy_context_put(ctx, offsetof(struct weir_ctx, l3_off),
		(offsets & UINT64_C(0xffffffffffff)) | (uint64_t)p->l4_proto << 48 |
			(uint64_t)p->tcp_flags << 56);
	policy_context_put(ctx, offsetof(struct weir_ctx, sport),
		p->ports | (uint64_t)all << 32 | (uint64_t)WEIR_STAGE_FAST << 48);
	policy_context_put(
		ctx, offsetof(struct weir_ctx, pkt_len), p->length | (uint64_t)mark << 32);
	policy_context_addresses(
		ctx, data + p->l3_offset + (ipv6 ? REWRITE_IPV6_ADDRS : REWRITE_IPV4_ADDRS), ipv6);
	ctx->reserved = 0;
	if (unlikely(p->verdict != PARSE_OK))
		policy_context_mend(ctx, p);
}

#endif
