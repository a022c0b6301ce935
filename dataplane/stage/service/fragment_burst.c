/* SPDX-License-Identifier: BSD-3-Clause */

/* Fragments on the core that receives: which ports a later one has, and what waits for its first one. */

#include "dataplane/net/rewrite.h"
#include "dataplane/stage/parse/parse_stage.h"
#include "dataplane/stage/service/service_private.h"
#include "dataplane/stage/service/service_stage.h"
#include "dataplane/table/fragment_table.h"

static uint32_t now_ms(const struct stage_core *c)
{
	return (uint32_t)(stage_ns(c, c->now) / 1000000);
}

static struct fragment_key key_of(const struct packet *p, const uint8_t *l3)
{
	struct fragment_key key = { .id = p->fragment_id, .protocol = p->l4_proto };

	if (p->flags & PACKET_F_IPV6) {
		key.ipv6 = 1;
		memcpy(key.addrs, l3 + REWRITE_IPV6_ADDRS, 32);
	} else {
		memcpy(key.addrs, l3 + REWRITE_IPV4_ADDRS, 8);
	}
	return key;
}

/* Could it be a service's, or a reply to one of its translated ports? */
static bool may_be_ours(const struct service_table *t, const uint8_t *l3, const struct packet *p)
{
	uint32_t dst;

	if (service_find_by_address(t, l3, p) != SERVICE_NONE)
		return true;
	if (p->flags & PACKET_F_IPV6)
		return service_table_has_source6(t, l3 + REWRITE_IPV6_ADDRS + 16, p->l4_proto);
	memcpy(&dst, l3 + REWRITE_IPV4_ADDRS + 4, sizeof(dst));
	return service_table_has_source4(t, dst, p->l4_proto);
}

/* Nobody knows whose it is; it counts for whoever has the address. */
static void drop_unplaced(
	struct stage_core *c, const struct service_table *table, struct rte_mbuf *m)
{
	struct packet *p = packet_of(m);

	p->service = service_find_by_address(table, packet_at(m, p->l3_offset), p);
	if (p->service != PACKET_NO_SERVICE) {
		struct weir_service_cell *cell = c->service_cell[p->service];

		cell_add(&cell->packets_received, 1);
		cell_add(&cell->bytes_received, p->length);
	}
	stage_drop(c, m, WEIR_DROP_FRAGMENT);
}

enum service_fragment service_fragment_take(
	struct stage_core *c, const struct service_table *table, struct rte_mbuf *m)
{
	struct packet *p = packet_of(m);
	const uint8_t *l3 = packet_at(m, p->l3_offset);
	const struct fragment_key key = key_of(p, l3);
	struct fragment_first first;

	if (!may_be_ours(table, l3, p))
		return SERVICE_FRAGMENT_FOREIGN;
	if (p->flags & PACKET_F_FIRST_FRAGMENT) {
		first = (struct fragment_first){ .ports = p->ports, .bytes = p->fragment_bytes };
		fragment_table_note(c->fragments, &key, &first, now_ms(c));
		return SERVICE_FRAGMENT_PLACED;
	}
	if (!fragment_table_find(c->fragments, &key, now_ms(c), &first)) {
		if (!fragment_table_hold(c->fragments, &key, m, now_ms(c)))
			drop_unplaced(c, table, m);
		return SERVICE_FRAGMENT_GONE;
	}
	p->ports = first.ports;
	p->flags |= PACKET_F_ASIDE;
	return p->fragment_offset < first.bytes ? SERVICE_FRAGMENT_OVERLAPS :
						  SERVICE_FRAGMENT_PLACED;
}

uint16_t service_stage_ready(struct stage_core *c, const struct service_table *table,
	const struct hash_seed *seed, struct port *const *ports, struct rte_mbuf **pkts)
{
	struct rte_mbuf *m;
	uint16_t left = 0;

	while (left < STAGE_BURST && (m = fragment_table_ready(c->fragments)) != NULL) {
		const struct port *port = ports[packet_of(m)->port_in];

		if (!port) {
			stage_drop(c, m, WEIR_DROP_PORT_DOWN);
			continue;
		}
		pkts[left] = m;
		left += service_stage_burst(c, table, seed, port, pkts + left, 1);
	}
	return left;
}

void service_stage_expire(struct stage_core *c, const struct service_table *table)
{
	struct rte_mbuf *m;

	while ((m = fragment_table_expired(c->fragments, now_ms(c))) != NULL)
		drop_unplaced(c, table, m);
}

void service_stage_give_up(struct stage_core *c, const struct service_table *table)
{
	struct rte_mbuf *m;

	while (c->fragments && (m = fragment_table_drop(c->fragments)) != NULL)
		drop_unplaced(c, table, m);
}
