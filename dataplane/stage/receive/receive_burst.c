/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/stage/receive/receive.h"

#include <rte_ether.h>
#include <rte_prefetch.h>

/*
 * All three lines are asked for at once: where the frame lies is guessed from the mbuf's address, as
 * reading it from the mbuf would wait for that first.
 */
uint16_t receive_poll(const struct port_queue *queue, struct rte_mbuf **pkts)
{
	uint16_t n = queue->rx(queue->handle, pkts, STAGE_BURST);

	for (uint16_t i = 0; i < n; i++) {
		rte_prefetch0(pkts[i]);
		__builtin_prefetch(packet_of(pkts[i]), 1);
		rte_prefetch0((const char *)pkts[i] + PACKET_DATA_OFFSET);
	}
	return n;
}

void receive_arrived(
	struct stage_core *c, const struct port *port, struct rte_mbuf **pkts, uint16_t n)
{
	uint64_t bytes = 0;

	for (uint16_t i = 0; i < n; i++) {
		const struct rte_ether_hdr *frame =
			rte_pktmbuf_mtod(pkts[i], const struct rte_ether_hdr *);
		uint32_t length = rte_pktmbuf_pkt_len(pkts[i]);

		/* Behind IPv6 addresses the L4 header reaches into the next line. */
		if (frame->ether_type == RTE_BE16(RTE_ETHER_TYPE_IPV6))
			rte_prefetch0((const char *)frame + RTE_CACHE_LINE_SIZE);

		packet_reset(packet_of(pkts[i]), c->now, port->index, length);
		bytes += length;
	}
	cell_add(&c->cell->port[port->index].packets_received, n);
	cell_add(&c->cell->port[port->index].bytes_received, bytes);
}
