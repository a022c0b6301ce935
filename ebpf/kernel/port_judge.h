/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The part of the port's program that has policies judge packets in the kernel. A judge is a program of its
 * own: the policy's verified instructions behind a harness (ebpf/engine/offload.h). The way of a packet that
 * has one goes by tail calls: xsk_def_prog -> judge -> weir_verdict. What is dropped is counted here; all else
 * goes on to the data plane with the verdict in front of it. What a judge passes goes to the next one of the
 * service, where it has several here; any other verdict ends that, and the data plane judges the rest.
 *
 * Judged are whole TCP and UDP packets to a service, all of whose headers are in order; of others the data plane
 * judges by itself. Where services have ranges of addresses or ports, the most specific one decides, as in
 * dataplane/table/service_table.h: then the maps have those without a judge, too. Included by weir_port.bpf.c
 * alone.
 */

#ifndef WEIR_EBPF_PORT_JUDGE_H
#define WEIR_EBPF_PORT_JUDGE_H

#include <weir/policy_abi.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, STEERING_MAX_SERVICES);
	__type(key, struct steering_service_key);
	__type(value, __u32);
} weir_judged SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, STEERING_MAX_PREFIXES);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct steering_prefix_key);
	__type(value, struct steering_range);
} weir_ranges SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, STEERING_MAX_JUDGES);
	__type(key, __u32);
	__type(value, __u32);
} weir_programs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, STEERING_MAX_JUDGES);
	__type(key, __u32);
	__type(value, struct steering_judge);
} weir_judges SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct steering_packet);
} weir_packet SEC(".maps");

_Static_assert(sizeof(struct weir_ctx) == sizeof(((struct steering_packet *)0)->context),
	"a packet's context fits");

static __always_inline const __u32 *judge_of_address(const struct destination *to, __u16 port)
{
	struct steering_service_key key = {
		.port = port, .protocol = to->protocol, .kind = STEERING_KIND_PORT
	};

	__builtin_memcpy(key.address, to->address, sizeof(key.address));
	return bpf_map_lookup_elem(&weir_judged, &key);
}

static __always_inline const struct steering_range *judge_of_range(
	const struct destination *to, __u16 port)
{
	struct steering_prefix_key key = {
		.bits = STEERING_PREFIX_FIXED_BITS + 128,
		.port = port,
		.protocol = to->protocol,
		.kind = STEERING_KIND_PORT,
	};

	__builtin_memcpy(key.address, to->address, sizeof(key.address));
	return bpf_map_lookup_elem(&weir_ranges, &key);
}

/* The longer prefix first, then the port before any. Not static: as destination_is_weirs(). */
__noinline int judge_of_others(struct destination *to)
{
	if (!to)
		return 0;
	const __u32 *index = judge_of_address(to, 0);

	if (index)
		return (int)*index;
	const struct steering_range *range = judge_of_range(to, 0);
	__u32 judge = 0, bits = 0;

	if (range) {
		judge = range->judge;
		bits = range->bits;
	}
	range = judge_of_range(to, to->port);
	return (int)(range && range->bits >= bits ? range->judge : judge);
}

/* Index of the service's first judge, 0: there is none. */
static __always_inline __u32 judge_find(struct destination *to)
{
	const __u32 zero = 0;
	const struct steering_judge *all = bpf_map_lookup_elem(&weir_judges, &zero);

	if (!all || !all->id || !to->port || to->fragment != FRAGMENT_NONE)
		return 0;
	const __u32 *index = judge_of_address(to, to->port);

	if (index)
		return *index;
	return all->ranges ? (__u32)judge_of_others(to) : 0;
}

/* From the L4 header to the context; 0 when something is wrong with it. end: of the datagram, an offset. */
static __always_inline int judge_l4(
	struct xdp_md *ctx, struct steering_packet *p, __u8 protocol, __u32 l4, __u32 end)
{
	struct weir_ctx *c = (void *)p->context;
	__u8 head[20];
	__u32 bytes = 8;

	if (bpf_xdp_load_bytes(ctx, l4, head, 8) < 0)
		return 0;
	c->tcp_flags = 0;
	if (protocol == PROTO_TCP) {
		if (bpf_xdp_load_bytes(ctx, l4, head, sizeof(head)) < 0)
			return 0;
		bytes = (__u32)(head[12] >> 4) * 4;
		if (bytes < sizeof(head))
			return 0;
		c->tcp_flags = head[13];
	} else {
		__u32 length = (__u32)head[4] << 8 | head[5];

		if (length < bytes || l4 + length > end)
			return 0;
	}
	if (l4 + bytes > end)
		return 0;
	__builtin_memcpy(&c->sport, head, 4);
	__builtin_memcpy(&p->seal, head, 8);
	c->l4_off = (__u16)l4;
	c->pl_off = (__u16)(l4 + bytes);
	c->l4_proto = protocol;
	return 1;
}

/* The same for the IP header, which steering has found to be there. Returns where the datagram ends, or 0. */
static __always_inline __u32 judge_l3(struct xdp_md *ctx, struct weir_ctx *c, __u32 l3, __u32 *l4)
{
	union {
		struct iphdr ip;
		struct ipv6hdr ip6;
		__u16 half[20];
	} h;

	if (bpf_xdp_load_bytes(ctx, l3, &h, sizeof(h.ip)) < 0)
		return 0;
	c->l3_off = (__u16)l3;
	if (h.ip.version == 4) {
		__u32 sum = 0;

		/* With options, the data plane does it. */
		if (h.ip.ihl != 5)
			return 0;
		for (int i = 0; i < 10; i++)
			sum += h.half[i];
		sum = (sum & 0xffff) + (sum >> 16);
		if (((sum & 0xffff) + (sum >> 16)) != 0xffff)
			return 0;
		c->saddr[0] = c->saddr[1] = c->daddr[0] = c->daddr[1] = 0;
		c->saddr[2] = c->daddr[2] = bpf_htonl(0xffff);
		c->saddr[3] = h.ip.saddr;
		c->daddr[3] = h.ip.daddr;
		*l4 = l3 + sizeof(h.ip);
		__u32 length = bpf_ntohs(h.ip.tot_len);
		return length < sizeof(h.ip) ? 0 : l3 + length;
	}
	if (bpf_xdp_load_bytes(ctx, l3, &h, sizeof(h.ip6)) < 0)
		return 0;
	if (h.ip6.nexthdr != PROTO_TCP && h.ip6.nexthdr != PROTO_UDP)
		return 0;
	c->flags |= WEIR_F_IPV6;
	__builtin_memcpy(c->saddr, &h.ip6.saddr, 32);
	*l4 = l3 + sizeof(h.ip6);
	return *l4 + bpf_ntohs(h.ip6.payload_len);
}

/*
 * Write down what the judge needs, and make room for its verdict. Not static: as destination_is_weirs().
 * Returns 0 when it is not to judge this packet.
 */
__noinline int judge_prepare(struct xdp_md *ctx, __u32 index, __u32 l3)
{
	const __u32 zero = 0;
	struct steering_packet *p = bpf_map_lookup_elem(&weir_packet, &zero);
	__u32 frame = (__u32)bpf_xdp_get_buff_len(ctx), l4 = 0;

	if (!p)
		return 0;
	struct weir_ctx *c = (void *)p->context;
	c->flags = l3 > ETH_HLEN ? WEIR_F_VLAN : 0;
	__u32 end = judge_l3(ctx, c, l3, &l4);
	if (!end || end > frame)
		return 0;
	__u8 protocol = 0;
	if (bpf_xdp_load_bytes(ctx, l3 + (c->flags & WEIR_F_IPV6 ? 6 : 9), &protocol, 1) < 0)
		return 0;
	/* Else it is an ICMP error about a packet of the service's. */
	if (!is_tcp_or_udp(protocol) || !judge_l4(ctx, p, protocol, l4, end))
		return 0;
	c->now_ns = bpf_ktime_get_ns();
	c->flow_hash = 0;
	c->service_id = WEIR_NO_SERVICE;
	c->port_id = 0;
	c->stage = WEIR_STAGE_XDP;
	c->queue = 0;
	c->pkt_len = frame;
	c->mark = 0;
	c->reserved = 0;
	p->judge = index;
	p->judged = 0;
	p->verdict = 0;
	p->seal = steering_seal(0, p->seal, c->saddr[3], frame);
	/* Where a device has no room for metadata, a verdict could not reach the data plane. */
	return bpf_xdp_adjust_meta(ctx, -(int)sizeof(struct steering_meta)) == 0;
}

static __always_inline struct steering_meta *meta_of(struct xdp_md *ctx)
{
	struct steering_meta *m = (void *)(long)ctx->data_meta;

	return (void *)(m + 1) <= (void *)(long)ctx->data ? m : NULL;
}

/* Does not come back when there is a judge. */
static __always_inline void judge(struct xdp_md *ctx, struct destination *to)
{
	__u32 index = judge_find(to);

	if (!index || !judge_prepare(ctx, index, to->l3))
		return;
	struct steering_meta *m = meta_of(ctx);

	if (m)
		m->magic = 0;
	bpf_tail_call(ctx, &weir_programs, index);
}

/* Those before the one that drops it have passed it, which nobody else will ever see. */
static __always_inline void drop_count(
	struct xdp_md *ctx, const struct steering_packet *p, struct steering_judge *j)
{
	__u32 reason = WEIR_VERDICT_ARGUMENT(p->verdict);

	if (reason >= STEERING_JUDGE_REASONS)
		reason = STEERING_JUDGE_REASONS - 1;
	__sync_fetch_and_add(&j->reasons[reason], 1);
	__sync_fetch_and_add(&j->bytes, bpf_xdp_get_buff_len(ctx));
	for (__u32 i = 0; i < STEERING_MAX_CHAIN && i + 1 < p->judged; i++) {
		__u32 before = p->judges[i];
		struct steering_judge *b = bpf_map_lookup_elem(&weir_judges, &before);

		if (b)
			__sync_fetch_and_add(&b->passed, 1);
	}
	__sync_fetch_and_add(&j->packets, 1);
}

/* True when the packet is to be dropped; else its verdict is in front of it. Goes to the next judge by itself. */
static __always_inline int judged(struct xdp_md *ctx)
{
	const __u32 zero = 0;
	struct steering_packet *p = bpf_map_lookup_elem(&weir_packet, &zero);

	if (!p || p->judged >= STEERING_MAX_CHAIN)
		return 0;
	__u32 index = p->judge;
	struct steering_judge *j = bpf_map_lookup_elem(&weir_judges, &index);

	if (!j)
		return 0;
	p->judges[p->judged & (STEERING_MAX_CHAIN - 1)] = index;
	p->judged++;
	if (WEIR_VERDICT_ACTION(p->verdict) == WEIR_ACTION_DROP && !(p->verdict >> 24)) {
		drop_count(ctx, p, j);
		return 1;
	}
	struct steering_meta *m = meta_of(ctx);

	if (m) {
		const struct weir_ctx *c = (const void *)p->context;

		m->magic = STEERING_META_MAGIC;
		m->verdict = p->verdict;
		m->seal = j->chain ^ p->seal;
		m->mark = c->mark;
		m->judged = p->judged;
	}
	if (p->verdict == WEIR_PASS && j->next) {
		p->judge = j->next;
		p->verdict = 0;
		/* Where it is gone, what has been said so far goes on. */
		bpf_tail_call(ctx, &weir_programs, p->judge);
	}
	return 0;
}

#endif
