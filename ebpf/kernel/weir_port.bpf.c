/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What of a kernel interface's traffic is Weir's: packets to a configured service, and TCP and UDP to
 * a translation source address whose destination port lies in a block of ours; their fragments; ICMP
 * errors about packets that were sent from such an address and port. Everything else goes up the
 * kernel's stack untouched. A packet of ours that finds no socket, as the data plane was killed and
 * the next is not there yet, is dropped and counted: the host's stack would answer it with a reset.
 *
 * It must agree with dataplane/net/parse.h on how far headers are followed. Where that would find a
 * packet malformed, the packet is still Weir's when it certainly belongs to a service, so that it is
 * counted there.
 *
 * Only the first fragment of a datagram has ports. One that is the kernel's, on an address that Weir
 * shares with it, is remembered, so that those after it are the kernel's too; all others on such an address
 * are Weir's, which holds them when they come too early.
 *
 * Of services that have a policy which the kernel can run, packets are judged here: port_judge.h. What the data plane
 * would drop unseen is dropped here while it says so: port_hold.h.
 */

#include "steering_keys.h"

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <linux/bpf.h>

#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <stddef.h>

#define MAX_VLAN_TAGS  2
#define MAX_EXTENSIONS 8
#define MAX_QUEUES     64
#define IP_MORE	       0x2000 /* fragments */
#define IP_OFFSET      0x1fff
#define IP6_MORE       0x0001
#define IP6_OFFSET     0xfff8
#define PROTO_HOPOPTS  0
#define PROTO_ICMP     1
#define PROTO_TCP      6
#define PROTO_UDP      17
#define PROTO_ROUTING  43
#define PROTO_FRAGMENT 44
#define PROTO_AUTH     51
#define PROTO_ICMPV6   58
#define PROTO_DSTOPTS  60

#define MAX_FRAGMENTED 4096 /* datagrams of the kernel's that are remembered */
#define FRAGMENTED_NS  30000000000ULL /* as long as the kernel waits for the rest of one */

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, MAX_QUEUES);
	__type(key, __u32);
	__type(value, __u32);
} xsks_map SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, STEERING_MAX_SERVICES);
	__type(key, struct steering_service_key);
	__type(value, __u8);
} weir_services SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, STEERING_MAX_PREFIXES);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct steering_prefix_key);
	__type(value, __u8);
} weir_prefixes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, STEERING_MAX_SOURCES);
	__type(key, struct steering_source_key);
	__type(value, struct steering_blocks);
} weir_sources SEC(".maps");

/* What identifies a datagram in fragments. */
struct fragmented {
	__u8 destination[16];
	__u8 source[16];
	__u32 id;
	__u32 protocol;
};

/* The kernel's on addresses that are also Weir's -> when the first fragment came. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_FRAGMENTED);
	__type(key, struct fragmented);
	__type(value, __u64);
} weir_fragmented SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct steering_port);
} weir_port SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, STEERING_COUNTER_COUNT);
	__type(key, __u32);
	__type(value, struct steering_counter);
} weir_counters SEC(".maps");

struct vlan_header {
	__be16 tci;
	__be16 type;
};

/* Where a packet goes, as far as its headers say. */
struct destination {
	__u8 address[16];
	__u8 source[16];
	__u32 id; /* of a fragment */
	__u16 port; /* host order; 0 when it cannot be known */
	__u16 l3; /* where the IP header is, from the start of the frame */
	__u8 protocol;
	__u8 fragment; /* enum fragment_kind */
};

enum fragment_kind {
	FRAGMENT_NONE,
	FRAGMENT_FIRST,
	FRAGMENT_LATER,
};

static __always_inline int frame_is_ours(const struct ethhdr *eth)
{
	const __u32 zero = 0;
	const struct steering_port *p = bpf_map_lookup_elem(&weir_port, &zero);

	if (eth->h_dest[0] & 1)
		return 0;
	if (!p || !p->check_mac)
		return 1;
	__u8 differs = 0;
	for (int i = 0; i < ETH_ALEN; i++)
		differs |= eth->h_dest[i] ^ p->mac[i];
	return !differs;
}

/* L4 ports, when their four bytes are there: else 0, which only an `any` service takes. */
static __always_inline void port_read(struct destination *to, const void *l4, const void *end)
{
	const __be16 *ports = l4;

	if ((const void *)(ports + 2) <= end)
		to->port = bpf_ntohs(ports[1]);
}

static __always_inline void mapped(__u8 address[16], const __be32 *ipv4)
{
	address[10] = 0xff;
	address[11] = 0xff;
	__builtin_memcpy(address + 12, ipv4, 4);
}

/* There is no memcmp(). */
static __always_inline int differ(const void *a, const void *b, int words)
{
	const __u32 *x = a, *y = b;
	__u32 bits = 0;

	for (int i = 0; i < words; i++)
		bits |= x[i] ^ y[i];
	return bits != 0;
}

static __always_inline int is_tcp_or_udp(__u8 protocol)
{
	return protocol == PROTO_TCP || protocol == PROTO_UDP;
}

static __always_inline int ipv4_read(struct destination *to, const void *l3, const void *end)
{
	const struct iphdr *ip = l3;

	if ((const void *)(ip + 1) > end || ip->version != 4 || ip->ihl < 5)
		return 0;
	mapped(to->address, &ip->daddr);
	to->protocol = ip->protocol;
	if (ip->frag_off & bpf_htons(IP_MORE | IP_OFFSET)) {
		mapped(to->source, &ip->saddr);
		to->id = ip->id;
		to->fragment =
			ip->frag_off & bpf_htons(IP_OFFSET) ? FRAGMENT_LATER : FRAGMENT_FIRST;
	}
	if (to->fragment != FRAGMENT_LATER)
		port_read(to, l3 + ip->ihl * 4, end);
	return 1;
}

/* The walk along IPv6 extension headers. */
struct extension_walk {
	struct xdp_md *ctx;
	__u32 offset; /* of the header that `next` speaks of */
	__u32 id;
	__u8 next;
	__u8 result; /* enum walk_result */
	__u8 fragment; /* enum fragment_kind */
};

enum walk_result {
	WALK_ON,
	WALK_L4, /* next and offset are those of the L4 header, in a later fragment of what would be */
	WALK_ELSE, /* not ours to judge */
};

static long extension_step(__u32 index __attribute__((unused)), void *arg)
{
	struct extension_walk *w = arg;
	__u8 head[8];

	w->result = WALK_ELSE;
	if (bpf_xdp_load_bytes(w->ctx, w->offset, head, sizeof(head)) < 0)
		return 1;
	switch (w->next) {
	case PROTO_ROUTING:
		if (head[3] != 0)
			return 1; /* segments left: the kernel has it to forward */
		/* fall through */
	case PROTO_HOPOPTS:
	case PROTO_DSTOPTS:
		w->offset += ((__u32)head[1] + 1) * 8;
		break;
	case PROTO_AUTH:
		w->offset += ((__u32)head[1] + 2) * 4;
		break;
	case PROTO_FRAGMENT:
		if (head[3] & IP6_MORE)
			w->fragment = FRAGMENT_FIRST;
		if ((((__u32)head[2] << 8) | head[3]) & IP6_OFFSET)
			w->fragment = FRAGMENT_LATER;
		__builtin_memcpy(&w->id, head + 4, 4);
		w->offset += 8;
		break;
	default:
		return 1;
	}
	w->next = head[0];
	w->result = is_tcp_or_udp(w->next) || w->next == PROTO_ICMPV6 ? WALK_L4 : WALK_ON;
	return w->result == WALK_L4 || w->fragment == FRAGMENT_LATER;
}

/* bpf_loop(), as the verifier looks at one step only, where it would try all ways of a loop. */
static __always_inline int extensions_read(
	struct destination *to, struct xdp_md *ctx, __u32 *offset, __u8 next)
{
	struct extension_walk w = { .ctx = ctx, .offset = *offset, .next = next };
	__u8 ports[4];

	bpf_loop(MAX_EXTENSIONS, extension_step, &w, 0);
	if (w.result != WALK_L4)
		return 0;
	to->protocol = w.next;
	to->fragment = w.fragment;
	to->id = w.id;
	*offset = w.offset;
	if (w.fragment == FRAGMENT_LATER)
		return 1;
	if (bpf_xdp_load_bytes(ctx, w.offset, ports, sizeof(ports)) == 0)
		to->port = ((__u16)ports[2] << 8) | ports[3];
	return 1;
}

/* l4: where the L4 header is, from the start of the frame. */
static __always_inline int ipv6_read(
	struct destination *to, struct xdp_md *ctx, const void *l3, const void *end, __u32 *l4)
{
	const struct ipv6hdr *ip = l3;

	if ((const void *)(ip + 1) > end || ip->version != 6)
		return 0;
	__builtin_memcpy(to->address, &ip->daddr, 16);
	__builtin_memcpy(to->source, &ip->saddr, 16);
	to->protocol = ip->nexthdr;
	*l4 = (__u32)((long)(ip + 1) - (long)ctx->data);
	if (is_tcp_or_udp(to->protocol)) {
		port_read(to, ip + 1, end);
		return 1;
	}
	return to->protocol == PROTO_ICMPV6 || extensions_read(to, ctx, l4, to->protocol);
}

#include "port_icmp.h"

static __always_inline int service_has(const struct destination *to, __u16 port, __u8 kind)
{
	struct steering_service_key key = { .port = port, .protocol = to->protocol, .kind = kind };

	__builtin_memcpy(key.address, to->address, sizeof(key.address));
	if (bpf_map_lookup_elem(&weir_services, &key))
		return 1;
	struct steering_prefix_key prefix = {
		.bits = STEERING_PREFIX_FIXED_BITS + 128,
		.port = port,
		.protocol = to->protocol,
		.kind = kind,
	};
	__builtin_memcpy(prefix.address, to->address, sizeof(prefix.address));
	return bpf_map_lookup_elem(&weir_prefixes, &prefix) != NULL;
}

static __always_inline const struct steering_blocks *source_blocks(const struct destination *to)
{
	struct steering_source_key key = { .protocol = to->protocol };

	__builtin_memcpy(key.address, to->address, sizeof(key.address));
	return bpf_map_lookup_elem(&weir_sources, &key);
}

static __always_inline int source_has(const struct destination *to)
{
	const struct steering_blocks *b = source_blocks(to);
	if (!b)
		return 0;
	__u32 block = to->port >> 8;
	return (b->bits[(block >> 3) & 31] >> (block & 7)) & 1;
}

/* Some service, or some translation, of this protocol has the address. */
static __always_inline int address_is_shared(const struct destination *to)
{
	return service_has(to, 0, STEERING_KIND_FRAGMENT) || source_blocks(to);
}

static __always_inline int port_is_weirs(const struct destination *to)
{
	if (to->port && service_has(to, to->port, STEERING_KIND_PORT))
		return 1;
	return service_has(to, 0, STEERING_KIND_PORT) || (to->port && source_has(to));
}

/* Not static: the verifier then looks at it once, and not once for each way to it. */
__noinline int fragment_is_weirs(struct destination *to)
{
	if (!to || !address_is_shared(to))
		return 0;
	struct fragmented key = { .id = to->id, .protocol = to->protocol };
	__builtin_memcpy(key.destination, to->address, 16);
	__builtin_memcpy(key.source, to->source, 16);
	const __u64 *seen = bpf_map_lookup_elem(&weir_fragmented, &key);
	__u64 now = bpf_ktime_get_ns();

	if (to->fragment == FRAGMENT_LATER)
		return !seen || now - *seen > FRAGMENTED_NS;
	if (!port_is_weirs(to)) {
		bpf_map_update_elem(&weir_fragmented, &key, &now, BPF_ANY);
		return 0;
	}
	if (seen) /* the identification is used again */
		bpf_map_delete_elem(&weir_fragmented, &key);
	return 1;
}

__noinline int destination_is_weirs(struct destination *to)
{
	if (!to || !is_tcp_or_udp(to->protocol))
		return 0;
	return to->fragment != FRAGMENT_NONE ? fragment_is_weirs(to) : port_is_weirs(to);
}

#include "port_hold.h"
#include "port_judge.h"

static __always_inline int is_weirs(
	struct xdp_md *ctx, const void *data, const void *end, struct destination *to)
{
	const struct ethhdr *eth = data;
	const void *l3 = eth + 1;

	if (l3 > end || !frame_is_ours(eth))
		return 0;
	__be16 type = eth->h_proto;
	for (int i = 0; i < MAX_VLAN_TAGS; i++) {
		const struct vlan_header *tag = l3;

		if (type != bpf_htons(ETH_P_8021Q) && type != bpf_htons(ETH_P_8021AD))
			break;
		if ((const void *)(tag + 1) > end)
			return 0;
		type = tag->type;
		l3 = tag + 1;
	}
	__u32 l4 = 0;

	to->l3 = (__u16)((long)l3 - (long)data);
	if (type == bpf_htons(ETH_P_IP)) {
		const struct iphdr *ip = l3;

		if (!ipv4_read(to, l3, end))
			return 0;
		l4 = (__u32)((long)l3 - (long)data) + ip->ihl * 4;
		if (to->protocol == PROTO_ICMP && !icmp4_read(ctx, to, l4))
			return 0;
	} else if (type == bpf_htons(ETH_P_IPV6)) {
		if (!ipv6_read(to, ctx, l3, end, &l4))
			return 0;
		if (to->protocol == PROTO_ICMPV6 && !icmp6_read(ctx, to, l4))
			return 0;
	} else {
		return 0;
	}
	return destination_is_weirs(to);
}

static __always_inline int counted(struct xdp_md *ctx, int action)
{
	__u32 index = STEERING_REDIRECTED;

	if (action == XDP_PASS)
		index = STEERING_PASSED;
	else if (action == XDP_DROP)
		index = STEERING_NO_SOCKET;
	struct steering_counter *c = bpf_map_lookup_elem(&weir_counters, &index);
	if (c) {
		c->packets++;
		c->bytes += (__u64)((long)ctx->data_end - (long)ctx->data);
	}
	return action;
}

static __always_inline int redirected(struct xdp_md *ctx)
{
	return counted(ctx, (int)bpf_redirect_map(&xsks_map, ctx->rx_queue_index, XDP_DROP));
}

/*
 * The name, and the version at the end of this file, are what libxdp knows its own default program by.
 * So the AF_XDP driver finds this one attached and puts its sockets into xsks_map, instead of
 * attaching a program that would take all packets.
 */
SEC("xdp")
int xsk_def_prog(struct xdp_md *ctx)
{
	struct destination to = { 0 };

	if (!is_weirs(ctx, (const void *)(long)ctx->data, (const void *)(long)ctx->data_end, &to))
		return counted(ctx, XDP_PASS);
	if (held_back(ctx, &to))
		return XDP_DROP;
	judge(ctx, &to);
	return redirected(ctx);
}

/* A judge has come to its verdict. */
SEC("xdp")
int weir_verdict(struct xdp_md *ctx)
{
	return judged(ctx) ? XDP_DROP : redirected(ctx);
}

#define XSK_PROG_VERSION 1 /* 1: a program that does not count its users */
__uint(xsk_prog_version, XSK_PROG_VERSION) SEC("xdp_metadata");

char _license[] SEC("license")
= "Dual BSD/GPL";
