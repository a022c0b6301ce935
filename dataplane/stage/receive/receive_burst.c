/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/stage/receive/receive.h"

#include <rte_ether.h>
#include <rte_prefetch.h>

uint16_t receive_poll(const struct port_queue *queue, struct rte_mbuf **pkts)
{
	return queue->rx(queue->handle, pkts, STAGE_BURST);
}

void receive_fetch(const struct stage_core *c, uint16_t first)
{
	for (uint16_t i = first; i < c->ahead_count; i++) {
		stage_fetch_ahead(c, i, STAGE_AHEAD_MBUF);
		stage_fetch_ahead(c, i, STAGE_AHEAD_FRAME);
		stage_fetch_ahead(c, i, STAGE_AHEAD_PACKET);
	}
}

void receive_arrived(
	struct stage_core *c, const struct port *port, struct rte_mbuf **pkts, uint16_t n)
{
	uint64_t bytes = 0;
	bool ipv6 = false;

	for (uint16_t i = 0; i < n; i++) {
		const struct rte_ether_hdr *frame =
			rte_pktmbuf_mtod(pkts[i], const struct rte_ether_hdr *);
		uint32_t length = rte_pktmbuf_pkt_len(pkts[i]);

		stage_fetch_ahead(c, i, STAGE_AHEAD_MBUF);
		ipv6 |= frame->ether_type == RTE_BE16(RTE_ETHER_TYPE_IPV6);
		packet_reset(packet_of(pkts[i]), c->now, port->index, length);
		bytes += length;
	}
	c->ahead_ipv6 = ipv6;
	cell_add(&c->cell->port[port->index].packets_received, n);
	cell_add(&c->cell->port[port->index].bytes_received, bytes);
}
