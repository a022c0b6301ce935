/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/net/rewrite.h"
#include "dataplane/stage/parse/parse_stage.h"
#include "dataplane/stage/service/service_stage.h"

/* Figures of packets in a row that are of one service, written to its cell in one go. */
struct attributed {
	uint16_t service;
	uint32_t packets;
	uint32_t from_backends;
	uint64_t bytes;
	uint64_t bytes_from_backends;
};

static void attributed_write(struct stage_core *c, struct attributed *a)
{
	if (a->packets) {
		struct weir_service_cell *cell = c->service_cell[a->service];

		cell_add(&cell->packets_received, a->packets);
		cell_add(&cell->bytes_received, a->bytes);
		if (a->from_backends) {
			cell_add(&cell->packets_from_backends, a->from_backends);
			cell_add(&cell->bytes_from_backends, a->bytes_from_backends);
		}
	}
	*a = (struct attributed){ .service = a->service };
}

static inline void attribute(struct stage_core *c, struct attributed *a, const struct packet *p)
{
	if (p->service != a->service) {
		attributed_write(c, a);
		a->service = p->service;
	}
	a->packets++;
	a->bytes += p->length;
	if (p->flags & PACKET_F_FROM_BACKEND) {
		a->from_backends++;
		a->bytes_from_backends += p->length;
	}
}

/* Packets without ports that count: a fragment or a broken one belongs to whoever has the address. */
static uint16_t find_by_address(
	const struct service_table *t, const uint8_t *l3, const struct packet *p)
{
	uint32_t dst;

	if (p->flags & PACKET_F_IPV6)
		return service_table_find_address6(t, l3 + REWRITE_IPV6_ADDRS + 16, p->l4_proto);
	memcpy(&dst, l3 + REWRITE_IPV4_ADDRS + 4, sizeof(dst));
	return service_table_find_address4(t, dst, p->l4_proto);
}

static inline void classify4(const struct service_table *t, const struct hash_seed *seed,
	const uint8_t *l3, struct packet *p)
{
	uint64_t addrs;
	uint32_t dst;

	memcpy(&addrs, l3 + REWRITE_IPV4_ADDRS, sizeof(addrs));
	memcpy(&dst, l3 + REWRITE_IPV4_ADDRS + 4, sizeof(dst));
	p->hash = hash_tuple4(seed, addrs, p->ports, p->l4_proto);
	p->service = service_table_find4(t, dst, p->l4_proto, p->dport);
	if (p->service == SERVICE_NONE) {
		p->service = service_table_find_source4(t, dst, p->l4_proto, p->dport);
		p->flags |= PACKET_F_FROM_BACKEND;
	}
}

static inline void classify6(const struct service_table *t, const struct hash_seed *seed,
	const uint8_t *l3, struct packet *p)
{
	const uint8_t *addrs = l3 + REWRITE_IPV6_ADDRS;

	p->hash = hash_tuple6(seed, addrs, p->ports, p->l4_proto);
	p->service = service_table_find6(t, addrs + 16, p->l4_proto, p->dport);
	if (p->service == SERVICE_NONE) {
		p->service = service_table_find_source6(t, addrs + 16, p->l4_proto, p->dport);
		p->flags |= PACKET_F_FROM_BACKEND;
	}
}

static_assert(SERVICE_NONE == PACKET_NO_SERVICE, "what lookups return goes into packets as it is");

uint16_t service_stage_burst(struct stage_core *c, const struct service_table *table,
	const struct hash_seed *seed, const struct port *port, struct rte_mbuf **pkts, uint16_t n)
{
	struct attributed run = { 0 };
	uint16_t left = 0;

	for (uint16_t i = 0; i < n; i++) {
		struct packet *p = packet_of(pkts[i]);
		const uint8_t *l3 = packet_at(pkts[i], p->l3_offset);
		bool whole = p->verdict == PARSE_OK;

		if (unlikely(!whole))
			p->service = find_by_address(table, l3, p);
		else if (p->flags & PACKET_F_IPV6)
			classify6(table, seed, l3, p);
		else
			classify4(table, seed, l3, p);
		if (unlikely(p->service == PACKET_NO_SERVICE)) {
			stage_pass_to_kernel(c, port, pkts[i], WEIR_DROP_NO_SERVICE);
			continue;
		}
		attribute(c, &run, p);
		if (unlikely(!whole)) {
			stage_drop(c, pkts[i],
				p->verdict == PARSE_FRAGMENT ? WEIR_DROP_FRAGMENT :
							       WEIR_DROP_MALFORMED);
			continue;
		}
		if (unlikely(p->ttl <= 1)) {
			stage_drop(c, pkts[i], WEIR_DROP_TTL_EXPIRED);
			continue;
		}
		/* Translation chose the port so that a reply finds its flow's bucket. */
		p->bucket = p->flags & PACKET_F_FROM_BACKEND ? (uint8_t)(ntohs(p->dport) & 0xff) :
							       hash_bucket(p->hash);
		pkts[left++] = pkts[i];
	}
	attributed_write(c, &run);
	return left;
}
