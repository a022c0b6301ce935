/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * ICMP errors about TCP and UDP. What is not one, or is not whole, is the kernel's: it judges it better.
 *
 * Source: RFC 792, RFC 4443 section 2.4 for what is quoted; RFC 5508 section 4 for what must match.
 */

#include "dataplane/net/checksum.h"
#include "dataplane/net/parse_private.h"
#include "dataplane/net/rewrite.h"

#include <rte_common.h>
#include <rte_ip.h>

#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <string.h>

#define ICMP_HEADER_BYTES 8u
#define QUOTED_L4_BYTES	  8u /* at least: ports, and the UDP checksum */

/* The quoted packet was sent from where this one goes; an answer to it has its ports turned round. */
static enum parse_verdict quote_found(const struct cursor *c, struct packet *p, uint32_t l4)
{
	uint32_t ports;

	if (l4 + QUOTED_L4_BYTES > RTE_MIN(c->end, c->data_bytes))
		return PARSE_NOT_OURS;
	memcpy(&ports, c->data + l4, sizeof(ports));
	p->ports = ports << 16 | ports >> 16;
	p->quoted_l4_offset = (uint16_t)l4;
	return PARSE_ICMP_ERROR;
}

static bool is_error4(uint8_t type)
{
	return type == ICMP_UNREACH || type == ICMP_TIMXCEED || type == ICMP_PARAMPROB;
}

__rte_noinline enum parse_verdict parse_icmp4(struct cursor *c, struct packet *p)
{
	const uint8_t *l3 = c->data + c->at;
	uint32_t header_bytes = (uint32_t)(l3[0] & 15) * 4;
	uint32_t total_bytes = load_be16(l3 + 2);
	uint32_t icmp = c->at + header_bytes;
	uint32_t quote = icmp + ICMP_HEADER_BYTES;

	if (p->l4_proto != IPPROTO_ICMP || c->at + total_bytes > c->frame_bytes ||
		(load_be16(l3 + 6) & (IPV4_MORE_BIT | IPV4_OFFSET_BITS)) ||
		!checksum_ipv4_ok(l3, header_bytes))
		return PARSE_NOT_OURS;
	c->end = c->at + total_bytes;
	if (quote + sizeof(struct rte_ipv4_hdr) > RTE_MIN(c->end, c->data_bytes) ||
		!is_error4(c->data[icmp]))
		return PARSE_NOT_OURS;
	const uint8_t *q = c->data + quote;
	uint32_t quoted_bytes = (uint32_t)(q[0] & 15) * 4;

	if (q[0] >> 4 != 4 || quoted_bytes < sizeof(struct rte_ipv4_hdr) || !parse_is_ours(q[9]) ||
		(load_be16(q + 6) & IPV4_OFFSET_BITS) ||
		memcmp(q + REWRITE_IPV4_ADDRS, l3 + REWRITE_IPV4_ADDRS + 4, 4) != 0)
		return PARSE_NOT_OURS;
	p->l4_proto = q[9];
	p->l4_offset = (uint16_t)icmp;
	p->payload_offset = (uint16_t)quote;
	return quote_found(c, p, quote + quoted_bytes);
}

__rte_noinline enum parse_verdict parse_icmp6(struct cursor *c, struct packet *p)
{
	uint32_t icmp = c->at;
	uint32_t quote = icmp + ICMP_HEADER_BYTES;
	const uint8_t *l3 = c->data + p->l3_offset;

	if (p->l4_proto != IPPROTO_ICMPV6 ||
		quote + sizeof(struct rte_ipv6_hdr) > RTE_MIN(c->end, c->data_bytes))
		return PARSE_NOT_OURS;
	const uint8_t *q = c->data + quote;
	struct chain chain = { .next = q[6] };
	struct packet quoted = { .flags = 0 };

	if (c->data[icmp] < ICMP6_DST_UNREACH || c->data[icmp] > ICMP6_PARAM_PROB ||
		q[0] >> 4 != 6 ||
		memcmp(q + REWRITE_IPV6_ADDRS, l3 + REWRITE_IPV6_ADDRS + 16, 16) != 0)
		return PARSE_NOT_OURS;
	c->at = quote + (uint32_t)sizeof(struct rte_ipv6_hdr);
	if (parse_is_extension(chain.next) &&
		(parse_extensions(c, &quoted, &chain) != PARSE_OK ||
			(chain.fragment && quoted.fragment_offset != 0)))
		return PARSE_NOT_OURS;
	if (!parse_is_ours(chain.next))
		return PARSE_NOT_OURS;
	p->l4_proto = chain.next;
	p->l4_offset = (uint16_t)icmp;
	p->payload_offset = (uint16_t)quote;
	return quote_found(c, p, c->at);
}
