/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A backend's side of ipip and gue, for test machines whose kernel has neither: takes the outer headers
 * off, by XDP. What it does not know it passes on.
 */

/* Types first. */
/* clang-format off */
#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
/* clang-format on */

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>

#define GUE_PORT 6080

struct gue {
	__u8 control; /* variant 0, no control message, no optional fields: 0 */
	__u8 protocol;
	__be16 flags;
};

struct gue_headers {
	struct udphdr udp;
	struct gue gue;
};

/* The inner protocol, or 0; *bytes grows by what stands between. */
static __always_inline __u8 behind(void *l4, void *end, __u8 protocol, __u32 *bytes)
{
	struct gue_headers *h = l4;

	if (protocol != IPPROTO_UDP)
		return protocol;
	if ((void *)(h + 1) > end || h->udp.dest != bpf_htons(GUE_PORT) || h->gue.control != 0 ||
		h->gue.flags != 0)
		return 0;
	*bytes += sizeof(*h);
	return h->gue.protocol;
}

SEC("xdp")
int decap(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data, copy;
	struct iphdr *ip4 = (void *)(eth + 1);
	struct ipv6hdr *ip6 = (void *)(eth + 1);
	__u32 bytes;
	__u8 inner;

	if ((void *)(ip4 + 1) > end)
		return XDP_PASS;
	copy = *eth;
	if (eth->h_proto == bpf_htons(ETH_P_IP)) {
		bytes = sizeof(*ip4);
		if (ip4->ihl != 5)
			return XDP_PASS;
		inner = behind(ip4 + 1, end, ip4->protocol, &bytes);
		if (inner != IPPROTO_IPIP)
			return XDP_PASS;
	} else if (eth->h_proto == bpf_htons(ETH_P_IPV6)) {
		bytes = sizeof(*ip6);
		if ((void *)(ip6 + 1) > end)
			return XDP_PASS;
		inner = behind(ip6 + 1, end, ip6->nexthdr, &bytes);
		if (inner != IPPROTO_IPV6)
			return XDP_PASS;
	} else {
		return XDP_PASS;
	}
	if (bpf_xdp_adjust_head(ctx, (int)bytes))
		return XDP_DROP;
	data = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	eth = data;
	if ((void *)(eth + 1) > end)
		return XDP_DROP;
	*eth = copy;
	return XDP_PASS;
}

char _license[] SEC("license")
= "Dual BSD/GPL";
