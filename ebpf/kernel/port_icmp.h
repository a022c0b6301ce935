/* SPDX-License-Identifier: BSD-3-Clause */

/* The part of the port's program that is about ICMP errors. Included by weir_port.bpf.c alone. */

#ifndef WEIR_EBPF_PORT_ICMP_H
#define WEIR_EBPF_PORT_ICMP_H

#define ICMP_HEADER_BYTES 8

/*
 * Of an ICMP error, the packet that it quotes: from the address that the error goes to, and from a port
 * that is Weir's when the flow is. Nothing else of it is looked at, and nothing is taken that quotes
 * less than 8 bytes of the L4 header.
 */
static __always_inline int quoted_ports_read(
	struct destination *to, struct xdp_md *ctx, __u32 offset, __u8 protocol)
{
	__u8 l4[8];

	if (!is_tcp_or_udp(protocol) || bpf_xdp_load_bytes(ctx, offset, l4, sizeof(l4)) < 0)
		return 0;
	to->protocol = protocol;
	to->port = ((__u16)l4[0] << 8) | l4[1];
	return 1;
}

/* Not static: as destination_is_weirs(). */
__noinline int icmp4_read(struct xdp_md *ctx, struct destination *to, __u32 offset)
{
	struct {
		__u8 icmp[ICMP_HEADER_BYTES];
		struct iphdr ip;
	} head;

	if (!to || to->fragment != FRAGMENT_NONE ||
		bpf_xdp_load_bytes(ctx, offset, &head, sizeof(head)) < 0)
		return 0;
	/* unreachable, time exceeded, parameter problem */
	if (head.icmp[0] != 3 && head.icmp[0] != 11 && head.icmp[0] != 12)
		return 0;
	if (head.ip.version != 4 || head.ip.ihl < 5 || (head.ip.frag_off & bpf_htons(IP_OFFSET)) ||
		differ(to->address + 12, &head.ip.saddr, 1))
		return 0;
	return quoted_ports_read(
		to, ctx, offset + ICMP_HEADER_BYTES + head.ip.ihl * 4, head.ip.protocol);
}

__noinline int icmp6_read(struct xdp_md *ctx, struct destination *to, __u32 offset)
{
	struct {
		__u8 icmp[ICMP_HEADER_BYTES];
		struct ipv6hdr ip;
	} head;
	struct destination quoted = { 0 };

	if (!to || to->fragment != FRAGMENT_NONE ||
		bpf_xdp_load_bytes(ctx, offset, &head, sizeof(head)) < 0)
		return 0;
	/* unreachable, too big, time exceeded, parameter problem */
	if (head.icmp[0] < 1 || head.icmp[0] > 4 || head.ip.version != 6 ||
		differ(to->address, &head.ip.saddr, 4))
		return 0;
	offset += sizeof(head);
	quoted.protocol = head.ip.nexthdr;
	if (!is_tcp_or_udp(quoted.protocol) &&
		(!extensions_read(&quoted, ctx, &offset, quoted.protocol) ||
			quoted.fragment == FRAGMENT_LATER))
		return 0;
	return quoted_ports_read(to, ctx, offset, quoted.protocol);
}

#endif
