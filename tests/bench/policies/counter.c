/* SPDX-License-Identifier: BSD-3-Clause */

/* Parses the packet by itself, and counts packets and bytes by protocol, for each worker. */

#include <weir/policy.h>

struct count {
	__u64 packets;
	__u64 bytes;
};

WEIR_WORKER_ARRAY(counts, struct count, 256);

WEIR_POLICY(counter)
{
	struct ethhdr *eth = weir_at(ctx, 0, sizeof(*eth));
	__u32 protocol;

	if (!eth)
		return WEIR_DROP;
	if (eth->h_proto == bpf_htons(ETH_P_IP)) {
		struct iphdr *ip = weir_at(ctx, 14, sizeof(*ip));

		if (!ip || ip->ihl < 5)
			return WEIR_DROP;
		protocol = ip->protocol;
	} else if (eth->h_proto == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr *ip6 = weir_at(ctx, 14, sizeof(*ip6));

		if (!ip6)
			return WEIR_DROP;
		protocol = ip6->nexthdr;
	} else {
		return WEIR_PASS;
	}
	struct count *c = bpf_map_lookup_elem(&counts, &protocol);

	if (c) {
		c->packets++;
		c->bytes += ctx->pkt_len;
	}
	return WEIR_PASS;
}
