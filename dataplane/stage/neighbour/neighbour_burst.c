/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/stage/answer/answer.h"
#include "dataplane/stage/neighbour/neighbour.h"
#include "dataplane/stage/rewrite/rewrite_stage.h"

/* Count a packet for its backend; replies of a backend that left are nobody's. */
static inline void count_backend(
	const struct work *w, const struct rte_mbuf *m, const struct packet *p, const bool reply)
{
	struct weir_backend_cell *cell;
	uint32_t bytes = rte_pktmbuf_pkt_len(m);

	if (!reply) {
		cell = &w->worker->backend_cell[p->backend];
		cell_add(&cell->packets, 1);
		cell_add(&cell->bytes, bytes);
		return;
	}
	if (w->worker->cell_epoch[p->flow->backend_slot] != p->flow->backend_epoch)
		return;
	cell = &w->worker->backend_cell[p->flow->backend_slot];
	cell_add(&cell->packets_from, 1);
	cell_add(&cell->bytes_from, bytes);
}

/*
 * Too big for the port: the sender is told how big it may be. In IPv4 also when it allowed fragmentation:
 * then it is for the sender to do it from now on, as it is in IPv6.
 */
static __rte_noinline void refuse_too_big(const struct work *w, struct rte_mbuf *m, uint16_t mtu)
{
	/* What fits into a tunnel is less by its headers. */
	if (w->settings->tunnel) {
		tunnel_undo(w, m);
		mtu = (uint16_t)(mtu - w->settings->tunnel->overhead);
	}
	/* An ICMP error, or a later fragment, whose first one gets the answer. */
	if (!(packet_of(m)->flags & PACKET_F_ASIDE))
		rewrite_undo(w, m);
	answer_error(w, m, WEIR_DROP_TOO_BIG, ICMP_ERROR_TOO_BIG, mtu);
}

/*
 * The next hop of a packet whose `neighbour` is not one that is known: when it is a group of several, the
 * one of them that the flow has or gets. Here, so that one next hop alone costs no thought of groups.
 */
static __rte_noinline union neighbour_word hop_from_group(
	const struct work *w, const struct packet *p)
{
	const union neighbour_word none = { .word = 0 };

	if (!(p->neighbour & WEIR_HOP_GROUP))
		return none;
	return neighbours_read(w->neighbours,
		neighbours_choose(
			w->neighbours, p->neighbour, p->hash, p->flow ? &p->flow->hop : NULL));
}

uint16_t neighbour_burst(const struct work *w, struct rte_mbuf **pkts, uint16_t n)
{
	const bool nat = w->settings->mode == WEIR_MODE_NAT;
	uint16_t left = 0;

	for (uint16_t i = 0; i < n; i++) {
		struct rte_mbuf *m = pkts[i];
		struct packet *p = packet_of(m);
		const bool reply = work_is_reply(p, nat);
		union neighbour_word hop;
		const struct port *port;

		if (reply) {
			hop.port = p->flow->port_in;
			hop.resolved = 1;
			memcpy(hop.mac, p->flow->client_mac, sizeof(hop.mac));
		} else {
			hop = neighbours_read(w->neighbours, p->neighbour);
		}
		if (unlikely(!hop.resolved))
			hop = hop_from_group(w, p);
		if (unlikely(!hop.resolved)) {
			stage_drop(w->core, m, WEIR_DROP_NEIGHBOUR_UNRESOLVED);
			continue;
		}
		port = hop.port < WEIR_MAX_PORTS ? w->port[hop.port] : NULL;
		if (unlikely(!port)) {
			stage_drop(w->core, m, WEIR_DROP_PORT_DOWN);
			continue;
		}
		if (unlikely(rte_pktmbuf_pkt_len(m) - p->l3_offset > port->mtu)) {
			refuse_too_big(w, m, port->mtu);
			continue;
		}
		rewrite_macs(packet_at(m, 0), hop.mac, port->mac);
		p->port_out = hop.port;
		count_backend(w, m, p, reply);
		pkts[left++] = m;
	}
	return left;
}
