/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/net/rewrite.h"
#include "dataplane/stage/parse/parse_stage.h"
#include "dataplane/stage/policy/policy_stage.h"
#include "dataplane/stage/service/service_private.h"
#include "dataplane/stage/service/service_stage.h"

/* Figures of packets in a row that are of one service, written to its cell in one go. */
struct attributed {
	uint16_t service;
	uint32_t packets;
	uint32_t from_backends;
	uint64_t bytes;
	uint64_t bytes_from_backends;
	/* Those that no device can steer, by where they are from: few, so that the others need no count. */
	uint32_t odd_clients;
	uint32_t odd_backends;
};

static void attributed_write(struct stage_core *c, const struct port *port, struct attributed *a)
{
	if (a->packets) {
		struct weir_service_cell *cell = c->service_cell[a->service];
		const uint32_t from_clients = a->packets - a->from_backends;

		cell_add(&cell->packets_received, a->packets);
		cell_add(&cell->bytes_received, a->bytes);
		if (a->from_backends) {
			cell_add(&cell->packets_from_backends, a->from_backends);
			cell_add(&cell->bytes_from_backends, a->bytes_from_backends);
		}
		cell_add(&cell->arrived[port->index][0], from_clients - a->odd_clients);
		cell_add(&cell->arrived[port->index][1], a->from_backends - a->odd_backends);
	}
	*a = (struct attributed){ .service = a->service };
}

static inline void attribute(
	struct stage_core *c, const struct port *port, struct attributed *a, const struct packet *p)
{
	if (p->service != a->service) {
		attributed_write(c, port, a);
		a->service = p->service;
	}
	a->packets++;
	a->bytes += p->length;
	if (unlikely(p->verdict != PARSE_OK)) {
		a->odd_clients += !(p->flags & PACKET_F_FROM_BACKEND);
		a->odd_backends += !!(p->flags & PACKET_F_FROM_BACKEND);
	}
	if (p->flags & PACKET_F_FROM_BACKEND) {
		a->from_backends++;
		a->bytes_from_backends += p->length;
	}
}

uint16_t service_find_by_address(
	const struct service_table *t, const uint8_t *l3, const struct packet *p)
{
	uint32_t dst;

	if (p->flags & PACKET_F_IPV6)
		return service_table_find_address6(t, l3 + REWRITE_IPV6_ADDRS + 16, p->l4_proto);
	memcpy(&dst, l3 + REWRITE_IPV4_ADDRS + 4, sizeof(dst));
	return service_table_find_address4(t, dst, p->l4_proto);
}

/* ends: source and destination as they lie in the header. */
static inline void classify4(const struct service_table *t, const struct hash_seed *seed,
	const uint8_t *ends, struct packet *p)
{
	uint64_t addrs;
	uint32_t dst;

	memcpy(&addrs, ends, sizeof(addrs));
	memcpy(&dst, ends + 4, sizeof(dst));
	p->hash = hash_tuple4(seed, addrs, p->ports, p->l4_proto);
	p->service = service_table_find4(t, dst, p->l4_proto, p->dport);
	if (p->service == SERVICE_NONE) {
		p->service = service_table_find_source4(t, dst, p->l4_proto, p->dport);
		p->flags |= PACKET_F_FROM_BACKEND;
	}
}

static inline void classify6(const struct service_table *t, const struct hash_seed *seed,
	const uint8_t *addrs, struct packet *p)
{
	p->hash = hash_tuple6(seed, addrs, p->ports, p->l4_proto);
	p->service = service_table_find6(t, addrs + 16, p->l4_proto, p->dport);
	if (p->service == SERVICE_NONE) {
		p->service = service_table_find_source6(t, addrs + 16, p->l4_proto, p->dport);
		p->flags |= PACKET_F_FROM_BACKEND;
	}
}

static inline void classify(const struct service_table *t, const struct hash_seed *seed,
	const uint8_t *l3, struct packet *p)
{
	if (p->flags & PACKET_F_IPV6)
		classify6(t, seed, l3 + REWRITE_IPV6_ADDRS, p);
	else
		classify4(t, seed, l3 + REWRITE_IPV4_ADDRS, p);
}

/* An error is of the flow that an answer to the quoted packet would be of. */
static void classify_quote(const struct service_table *t, const struct hash_seed *seed,
	const uint8_t *quote, struct packet *p)
{
	uint8_t ends[32];

	if (p->flags & PACKET_F_IPV6) {
		memcpy(ends, quote + REWRITE_IPV6_ADDRS + 16, 16);
		memcpy(ends + 16, quote + REWRITE_IPV6_ADDRS, 16);
		classify6(t, seed, ends, p);
	} else {
		memcpy(ends, quote + REWRITE_IPV4_ADDRS + 4, 4);
		memcpy(ends + 4, quote + REWRITE_IPV4_ADDRS, 4);
		classify4(t, seed, ends, p);
	}
	p->flags |= PACKET_F_ASIDE;
}

/*
 * A packet that is not whole TCP or UDP. Returns false when it is gone; else its service is known, or that
 * it has none, and p->drop is set when it has to be refused.
 */
static __rte_noinline bool classify_other(struct stage_core *c, const struct service_table *t,
	const struct hash_seed *seed, struct rte_mbuf *m, struct packet *p)
{
	const uint8_t *l3 = packet_at(m, p->l3_offset);

	if (p->verdict == PARSE_ICMP_ERROR) {
		classify_quote(t, seed, packet_at(m, p->payload_offset), p);
		return true;
	}
	if (p->verdict != PARSE_FRAGMENT) {
		p->service = service_find_by_address(t, l3, p);
		p->drop = 1 + WEIR_DROP_MALFORMED;
		return true;
	}
	switch (service_fragment_take(c, t, m)) {
	case SERVICE_FRAGMENT_GONE:
		return false;
	case SERVICE_FRAGMENT_FOREIGN:
		return true;
	case SERVICE_FRAGMENT_OVERLAPS:
		p->drop = 1 + WEIR_DROP_FRAGMENT_OVERLAP;
		break;
	case SERVICE_FRAGMENT_PLACED:
		break;
	}
	classify(t, seed, l3, p);
	return true;
}

/* A packet that is no service's: the kernel's, unless a policy for those drops it. */
static void foreign(struct stage_core *c, const struct port *port, struct rte_mbuf *m)
{
	enum weir_drop_reason reason;

	if (unlikely(c->outside != NULL) && policy_outside_drops(c, m, &reason))
		stage_drop(c, m, reason);
	else
		stage_pass_to_kernel(c, port, m, WEIR_DROP_NO_SERVICE);
}

/* Where it goes on: translation chose the port so that a reply finds its flow's bucket. */
static inline uint8_t bucket_of(const struct packet *p)
{
	return p->flags & PACKET_F_FROM_BACKEND ? (uint8_t)(ntohs(p->dport) & 0xff) :
						  hash_bucket(p->hash);
}

static_assert(SERVICE_NONE == PACKET_NO_SERVICE, "what lookups return goes into packets as it is");

uint16_t service_stage_burst(struct stage_core *c, const struct service_table *table,
	const struct hash_seed *seed, const struct port *port, struct rte_mbuf **pkts, uint16_t n)
{
	struct attributed run = { 0 };
	uint16_t left = 0;

	for (uint16_t i = 0; i < n; i++) {
		struct packet *p = packet_of(pkts[i]);

		stage_fetch_ahead(c, i, STAGE_AHEAD_PACKET);
		if (likely(p->verdict == PARSE_OK))
			classify(table, seed, packet_at(pkts[i], p->l3_offset), p);
		else if (!classify_other(c, table, seed, pkts[i], p))
			continue;
		if (unlikely(p->service == PACKET_NO_SERVICE)) {
			foreign(c, port, pkts[i]);
			continue;
		}
		attribute(c, port, &run, p);
		if (unlikely(p->drop != 0)) {
			stage_drop(c, pkts[i], p->drop - 1);
			continue;
		}
		/* Only a core that works can answer the sender. */
		if (unlikely(p->ttl <= 1))
			p->flags |= PACKET_F_ASIDE;
		p->bucket = bucket_of(p);
		pkts[left++] = pkts[i];
	}
	attributed_write(c, port, &run);
	return left;
}

uint16_t service_stage_own(struct stage_core *c, const struct service_table *table,
	const struct hash_seed *seed, struct service *const *service, uint32_t core,
	const struct port *port, struct rte_mbuf **pkts, uint16_t n, struct strays *ret_strays)
{
	struct attributed run = { 0 };
	uint16_t left = 0;

	ret_strays->count = 0;
	for (uint16_t i = 0; i < n; i++) {
		struct packet *p = packet_of(pkts[i]);
		const struct service *s;

		stage_fetch_ahead(c, i, STAGE_AHEAD_PACKET);
		if (likely(p->verdict == PARSE_OK)) {
			classify(table, seed, packet_at(pkts[i], p->l3_offset), p);
			s = p->service == PACKET_NO_SERVICE ? NULL : service[p->service];
			p->bucket = bucket_of(p);
			if (likely(s && s->bucket_direct[p->bucket] == core)) {
				attribute(c, port, &run, p);
				if (unlikely(p->ttl <= 1))
					p->flags |= PACKET_F_ASIDE;
				pkts[left++] = pkts[i];
				continue;
			}
			p->service = PACKET_NO_SERVICE;
			p->flags &= (uint16_t)~PACKET_F_FROM_BACKEND;
		}
		ret_strays->pkts[ret_strays->count++] = pkts[i];
	}
	attributed_write(c, port, &run);
	return left;
}
