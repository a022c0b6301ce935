/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The part of the port's program that drops early: packets of a service that the data plane holds back, for as long
 * as it says so. While it holds nobody that is one look into an array. Only whole TCP and UDP packets to a service's
 * own address and port are held back, without options, extension headers and tags: what dataplane/net/glance.h takes,
 * too. Included by weir_port.bpf.c alone.
 */

#ifndef WEIR_EBPF_PORT_HOLD_H
#define WEIR_EBPF_PORT_HOLD_H

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, STEERING_HOLDS);
	__type(key, __u32);
	__type(value, struct steering_hold);
} weir_holds SEC(".maps");

/* ICMP errors and packets with extension headers have another protocol in their IP header than in `to`. */
static __always_inline int is_plain(struct xdp_md *ctx, const struct destination *to)
{
	__u8 head[10];

	if (!to->port || to->fragment != FRAGMENT_NONE || to->l3 != sizeof(struct ethhdr) ||
		bpf_xdp_load_bytes(ctx, sizeof(struct ethhdr), head, sizeof(head)) < 0)
		return 0;
	return head[0] == 0x45 ? head[9] == to->protocol :
				 head[0] >> 4 == 6 && head[6] == to->protocol;
}

/* Not static: the verifier then looks at it once. */
__noinline int hold_drops(struct xdp_md *ctx, const struct destination *to)
{
	if (!to)
		return 0;
	struct steering_service_key key = {
		.port = to->port, .protocol = to->protocol, .kind = STEERING_KIND_PORT
	};
	__builtin_memcpy(key.address, to->address, sizeof(key.address));
	__u32 place = steering_hold_place(&key);
	struct steering_hold *h = bpf_map_lookup_elem(&weir_holds, &place);

	if (!h || differ(&h->key, &key, sizeof(key) / 4) || h->until <= bpf_ktime_get_ns() ||
		!is_plain(ctx, to) || bpf_get_prandom_u32() < h->pass)
		return 0;
	__sync_fetch_and_add(&h->bytes, bpf_xdp_get_buff_len(ctx));
	__sync_fetch_and_add(&h->packets, 1);
	return 1;
}

static __always_inline int held_back(struct xdp_md *ctx, const struct destination *to)
{
	const __u32 zero = 0;
	const struct steering_hold *any = bpf_map_lookup_elem(&weir_holds, &zero);

	return any && any->until && hold_drops(ctx, to);
}

#endif
