/* SPDX-License-Identifier: BSD-3-Clause */

#include "ebpf/engine/trial.h"

#include <netinet/in.h>
#include <string.h>

#define TYPE_IPV4      0x0800
#define TYPE_IPV6      0x86dd
#define TYPE_VLAN      0x8100
#define TYPE_QINQ      0x88a8
#define MAX_EXTENSIONS 8

struct view {
	const uint8_t *bytes;
	uint32_t length;
	uint32_t at;
};

static bool has(const struct view *v, uint32_t n)
{
	return v->at <= v->length && n <= v->length - v->at;
}

static uint32_t be16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

static void parse_l4(struct weir_ctx *ctx, const struct view *v)
{
	const uint8_t *l4 = v->bytes + v->at;
	bool tcp = ctx->l4_proto == IPPROTO_TCP;
	uint32_t header = 8;

	if (!has(v, tcp ? 20 : 8))
		return;
	if (tcp) {
		header = (uint32_t)(l4[12] >> 4) * 4;
		if (header < 20 || !has(v, header))
			return;
		ctx->tcp_flags = l4[13];
	}
	ctx->l4_off = (uint16_t)v->at;
	ctx->pl_off = (uint16_t)(v->at + header);
	memcpy(&ctx->sport, l4, 2);
	memcpy(&ctx->dport, l4 + 2, 2);
}

/* Returns whether v->at is at an L4 header. */
static bool parse_ipv4(struct weir_ctx *ctx, struct view *v)
{
	const uint8_t *l3 = v->bytes + v->at;
	uint32_t header = has(v, 20) ? (uint32_t)(l3[0] & 15) * 4 : 0;

	if (header < 20 || !has(v, header))
		return false;
	ctx->l3_off = (uint16_t)v->at;
	ctx->l4_proto = l3[9];
	ctx->saddr[2] = ctx->daddr[2] = htonl(0xffff);
	memcpy(&ctx->saddr[3], l3 + 12, 4);
	memcpy(&ctx->daddr[3], l3 + 16, 4);
	v->at += header;
	if ((be16(l3 + 6) & 0x1fff) == 0)
		return true;
	ctx->flags |= WEIR_F_FRAGMENT;
	return false;
}

static bool parse_ipv6(struct weir_ctx *ctx, struct view *v)
{
	const uint8_t *l3 = v->bytes + v->at;

	if (!has(v, 40))
		return false;
	uint8_t next = l3[6];

	ctx->flags |= WEIR_F_IPV6;
	ctx->l3_off = (uint16_t)v->at;
	memcpy(ctx->saddr, l3 + 8, 16);
	memcpy(ctx->daddr, l3 + 24, 16);
	v->at += 40;
	for (unsigned int i = 0; i < MAX_EXTENSIONS; i++) {
		const uint8_t *x = v->bytes + v->at;
		bool fragment = next == IPPROTO_FRAGMENT;

		ctx->l4_proto = next;
		if (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING && next != IPPROTO_DSTOPTS &&
			next != IPPROTO_AH && !fragment)
			return true;
		if (!has(v, 8))
			return false;
		next = x[0];
		v->at += fragment		    ? 8 :
			ctx->l4_proto == IPPROTO_AH ? (x[1] + 2u) * 4 :
						      (x[1] + 1u) * 8;
		if (fragment && be16(x + 2) & 0xfff8) {
			ctx->l4_proto = next;
			ctx->flags |= WEIR_F_FRAGMENT;
			return false;
		}
	}
	return false;
}

/* As good as the data plane's for a policy that spreads by it; the figures are others. */
static uint32_t hash(const struct weir_ctx *ctx)
{
	uint64_t h = (uint64_t)ctx->sport << 24 ^ (uint64_t)ctx->dport << 8 ^ ctx->l4_proto;

	for (unsigned int i = 0; i < 4; i++) {
		h = (h ^ ctx->saddr[i]) * UINT64_C(0x9e3779b97f4a7c15);
		h = (h ^ h >> 29 ^ ctx->daddr[i]) * UINT64_C(0xbf58476d1ce4e5b9);
	}
	return (uint32_t)(h ^ h >> 32);
}

void policy_context_parse(
	struct weir_ctx *ctx, const uint8_t *bytes, uint32_t captured, uint32_t length)
{
	struct view v = { bytes, captured, 14 };

	memset(ctx, 0, sizeof(*ctx));
	ctx->service_id = WEIR_NO_SERVICE;
	ctx->pkt_len = length;
	if (captured < length)
		ctx->flags |= WEIR_F_MULTISEG;
	if (captured < 14)
		return;
	uint32_t type = be16(bytes + 12);

	for (unsigned int tags = 0; tags < 2 && (type == TYPE_VLAN || type == TYPE_QINQ); tags++) {
		if (!has(&v, 4))
			return;
		ctx->flags |= WEIR_F_VLAN;
		type = be16(bytes + v.at + 2);
		v.at += 4;
	}
	bool l4 = type == TYPE_IPV4 ? parse_ipv4(ctx, &v) :
		type == TYPE_IPV6   ? parse_ipv6(ctx, &v) :
				      false;

	if (l4 && (ctx->l4_proto == IPPROTO_TCP || ctx->l4_proto == IPPROTO_UDP))
		parse_l4(ctx, &v);
	ctx->flow_hash = hash(ctx);
}
