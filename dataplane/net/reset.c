/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/net/reset.h"

#include "dataplane/net/checksum.h"
#include "dataplane/net/icmp.h"
#include "dataplane/net/rewrite.h"

#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_tcp.h>

#include <assert.h>
#include <netinet/in.h>
#include <string.h>

#define RESET_TTL 64u

static_assert(RESET_PROBE_BYTES == sizeof(struct rte_ipv6_hdr) + sizeof(struct rte_tcp_hdr),
	"a probe's bytes");

bool reset_allowed(struct rte_mbuf *m)
{
	const struct packet *p = packet_of(m);

	return p->verdict == PARSE_OK && p->l4_proto == IPPROTO_TCP &&
		!(p->tcp_flags & RTE_TCP_RST_FLAG) && icmp_error_allowed(m);
}

static void make_ipv4(uint8_t *l3, const uint8_t *addrs)
{
	uint16_t check;

	memset(l3, 0, sizeof(struct rte_ipv4_hdr));
	l3[0] = 0x45;
	l3[3] = sizeof(struct rte_ipv4_hdr) + sizeof(struct rte_tcp_hdr);
	l3[6] = 0x40; /* never in fragments, so it needs no identification: RFC 6864 */
	l3[REWRITE_IPV4_TTL] = RESET_TTL;
	l3[9] = IPPROTO_TCP;
	memcpy(l3 + REWRITE_IPV4_ADDRS, addrs + 4, 4);
	memcpy(l3 + REWRITE_IPV4_ADDRS + 4, addrs, 4);
	check = checksum_ipv4(l3, sizeof(struct rte_ipv4_hdr));
	memcpy(l3 + REWRITE_IPV4_CHECKSUM, &check, sizeof(check));
}

static void make_ipv6(uint8_t *l3, const uint8_t *addrs)
{
	memset(l3, 0, sizeof(struct rte_ipv6_hdr));
	l3[0] = 0x60;
	l3[5] = sizeof(struct rte_tcp_hdr);
	l3[6] = IPPROTO_TCP;
	l3[REWRITE_IPV6_HOP_LIMIT] = RESET_TTL;
	memcpy(l3 + REWRITE_IPV6_ADDRS, addrs + 16, 16);
	memcpy(l3 + REWRITE_IPV6_ADDRS + 16, addrs, 16);
}

/* seen: of the segment; taken: sequence numbers that it takes up. */
static void make_tcp(
	struct rte_tcp_hdr *tcp, const struct rte_tcp_hdr *seen, uint8_t flags, uint32_t taken)
{
	*tcp = (struct rte_tcp_hdr){
		.src_port = seen->dst_port,
		.dst_port = seen->src_port,
		.data_off = sizeof(*tcp) / 4 << 4,
		.tcp_flags = RTE_TCP_RST_FLAG,
	};
	if (flags & RTE_TCP_ACK_FLAG) {
		tcp->sent_seq = seen->recv_ack;
		return;
	}
	tcp->tcp_flags |= RTE_TCP_ACK_FLAG;
	tcp->recv_ack = htonl(ntohl(seen->sent_seq) + taken);
}

void reset_make(struct rte_mbuf *m, const uint8_t mac[6])
{
	struct packet *p = packet_of(m);
	const bool ipv6 = p->flags & PACKET_F_IPV6;
	const uint32_t l3_bytes = ipv6 ? sizeof(struct rte_ipv6_hdr) : sizeof(struct rte_ipv4_hdr);
	const uint32_t taken = p->payload_length + !!(p->tcp_flags & RTE_TCP_SYN_FLAG) +
		!!(p->tcp_flags & RTE_TCP_FIN_FLAG);
	const uint64_t rx_tsc = p->rx_tsc;
	const uint32_t link_bytes = p->l3_offset;
	const uint8_t port = p->port_in;
	uint8_t *l3 = packet_at(m, link_bytes);
	struct rte_tcp_hdr seen, tcp;
	uint8_t addrs[32];
	uint16_t check;

	memcpy(&seen, packet_at(m, p->l4_offset), sizeof(seen));
	memcpy(addrs, l3 + (ipv6 ? REWRITE_IPV6_ADDRS : REWRITE_IPV4_ADDRS), ipv6 ? 32 : 8);
	make_tcp(&tcp, &seen, p->tcp_flags, taken);
	icmp_cut(m, link_bytes + l3_bytes + sizeof(tcp));
	rewrite_macs(packet_at(m, 0), packet_at(m, RTE_ETHER_ADDR_LEN), mac);
	if (ipv6)
		make_ipv6(l3, addrs);
	else
		make_ipv4(l3, addrs);
	memcpy(l3 + l3_bytes, &tcp, sizeof(tcp));
	check = checksum_l4(l3, l3 + l3_bytes, IPPROTO_TCP, sizeof(tcp));
	memcpy(l3 + l3_bytes + REWRITE_TCP_CHECKSUM, &check, sizeof(check));

	packet_reset(p, rx_tsc, port, rte_pktmbuf_pkt_len(m));
	p->flags = PACKET_F_ORIGINATED;
	p->port_out = port;
	p->l3_offset = (uint16_t)link_bytes;
}

uint32_t reset_probe_write(uint8_t *l3, const uint8_t *addrs, uint32_t ports, bool ipv6)
{
	const uint32_t l3_bytes = ipv6 ? sizeof(struct rte_ipv6_hdr) : sizeof(struct rte_ipv4_hdr);
	struct rte_tcp_hdr tcp = {
		.data_off = sizeof(tcp) / 4 << 4,
		.tcp_flags = RTE_TCP_ACK_FLAG,
		.rx_win = htons(UINT16_MAX),
	};
	uint16_t check;

	if (ipv6)
		make_ipv6(l3, addrs);
	else
		make_ipv4(l3, addrs);
	ports = ports << 16 | ports >> 16;
	memcpy(&tcp, &ports, sizeof(ports));
	/* Any numbers will do that are not the connection's: by chance they are, one time in 100,000. */
	tcp.sent_seq = ports * 0x9e3779b1u;
	tcp.recv_ack = ports * 0x85ebca6bu;
	memcpy(l3 + l3_bytes, &tcp, sizeof(tcp));
	check = checksum_l4(l3, l3 + l3_bytes, IPPROTO_TCP, sizeof(tcp));
	memcpy(l3 + l3_bytes + REWRITE_TCP_CHECKSUM, &check, sizeof(check));
	return l3_bytes + (uint32_t)sizeof(tcp);
}

void reset_probe_make(struct rte_mbuf *m, const uint8_t *addrs, uint32_t ports, bool ipv6)
{
	const uint16_t type = htons(ipv6 ? RTE_ETHER_TYPE_IPV6 : RTE_ETHER_TYPE_IPV4);
	struct packet *p = packet_of(m);
	uint8_t *frame = packet_at(m, 0);
	const uint32_t bytes = RTE_ETHER_HDR_LEN +
		reset_probe_write(frame + RTE_ETHER_HDR_LEN, addrs, ports, ipv6);

	m->data_len = (uint16_t)bytes;
	m->pkt_len = bytes;
	memcpy(frame + 2 * RTE_ETHER_ADDR_LEN, &type, sizeof(type));
	packet_reset(p, 0, 0, bytes);
	p->flags = PACKET_F_ORIGINATED;
	p->l3_offset = RTE_ETHER_HDR_LEN;
}
