/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/net/checksum.h"

#include "dataplane/net/packet.h"
#include "dataplane/net/rewrite.h"

#include <netinet/in.h>

uint64_t checksum_add(uint64_t sum, const void *data, uint32_t bytes)
{
	const uint8_t *p = (const uint8_t *)data;

	while (bytes >= 4) {
		uint32_t w;

		memcpy(&w, p, 4);
		sum += w;
		p += 4;
		bytes -= 4;
	}
	if (bytes != 0) {
		/* A tail of 1 to 3 bytes, padded with zeros behind. */
		uint32_t w = 0;

		memcpy(&w, p, bytes);
		sum += w;
	}
	return sum;
}

uint16_t checksum_ipv4(const uint8_t *header, uint32_t header_bytes)
{
	uint64_t sum = checksum_add(0, header, REWRITE_IPV4_CHECKSUM);

	sum = checksum_add(
		sum, header + REWRITE_IPV4_CHECKSUM + 2, header_bytes - REWRITE_IPV4_CHECKSUM - 2);
	return (uint16_t)~checksum_fold(sum);
}

static uint64_t pseudo_sum(const uint8_t *l3, uint8_t l4_proto, uint32_t l4_bytes)
{
	uint64_t sum = l3[0] >> 4 == 4 ? checksum_add(0, l3 + REWRITE_IPV4_ADDRS, 8) :
					 checksum_add(0, l3 + REWRITE_IPV6_ADDRS, 32);

	return sum + htonl(l4_proto) + htonl(l4_bytes);
}

uint16_t checksum_pseudo(const uint8_t *l3, uint8_t l4_proto, uint32_t l4_bytes)
{
	return checksum_fold(pseudo_sum(l3, l4_proto, l4_bytes));
}

static uint32_t field_offset(uint8_t l4_proto)
{
	return l4_proto == IPPROTO_TCP ? REWRITE_TCP_CHECKSUM : REWRITE_UDP_CHECKSUM;
}

/* Sum of L4 -> field: complemented, and never "none" for UDP. */
static uint16_t field_value(uint64_t sum, uint8_t l4_proto)
{
	uint16_t c = (uint16_t)~checksum_fold(sum);

	return c == 0 && l4_proto == IPPROTO_UDP ? 0xffffu : c;
}

uint16_t checksum_l4(const uint8_t *l3, const uint8_t *l4, uint8_t l4_proto, uint32_t l4_bytes)
{
	uint16_t old;
	uint64_t sum = pseudo_sum(l3, l4_proto, l4_bytes);

	memcpy(&old, l4 + field_offset(l4_proto), 2);
	sum = checksum_add(sum, l4, l4_bytes);
	return field_value(sum + (uint16_t)~old, l4_proto);
}

uint64_t checksum_segments(const struct rte_mbuf *m, uint32_t offset, uint32_t bytes)
{
	uint64_t sum = 0;
	bool odd = false;

	for (; m != NULL && bytes != 0; m = m->next) {
		if (offset >= m->data_len) {
			offset -= m->data_len;
			continue;
		}
		uint32_t run = m->data_len - offset;

		if (run > bytes)
			run = bytes;
		uint16_t part = checksum_fold(
			checksum_add(0, rte_pktmbuf_mtod_offset(m, const uint8_t *, offset), run));

		/* A run that starts at an odd place has its bytes swapped (RFC 1071, section 2B). */
		sum += odd ? (uint16_t)(part << 8 | part >> 8) : part;
		odd ^= (run & 1) != 0;
		bytes -= run;
		offset = 0;
	}
	return sum;
}

bool checksum_complete_partial(struct rte_mbuf *m)
{
	const struct packet *p = packet_of(m);

	/* Who cuts a datagram into fragments has nobody after him to complete it. */
	if (p->flags & PACKET_F_FRAGMENT)
		return false;
	const uint8_t *l3 = packet_at(m, p->l3_offset);
	uint8_t *field = packet_at(m, p->l4_offset + field_offset(p->l4_proto));
	uint32_t l4_bytes = (uint32_t)(p->payload_offset - p->l4_offset) + p->payload_length;
	uint16_t bare = checksum_pseudo(l3, p->l4_proto, l4_bytes);
	uint16_t old;

	memcpy(&old, field, 2);
	if (old != bare)
		return false;
	uint64_t sum = bare + checksum_segments(m, p->l4_offset, l4_bytes) + (uint16_t)~old;
	uint16_t value = field_value(sum, p->l4_proto);

	memcpy(field, &value, 2);
	return true;
}
