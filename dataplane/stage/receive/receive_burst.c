/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/stage/receive/receive.h"

#include <rte_prefetch.h>

/*
 * Three passes, each of which asks for what the next one reads: the mbuf and its private line, then
 * the headers, whose address is in the mbuf. So the misses of a whole burst overlap.
 */
uint16_t receive_burst(struct stage_core *c, const struct port *port,
	const struct port_queue *queue, struct rte_mbuf **pkts)
{
	uint16_t n = queue->rx(queue->handle, pkts, STAGE_BURST);
	uint64_t bytes = 0;

	if (n == 0)
		return 0;
	for (uint16_t i = 0; i < n; i++)
		rte_prefetch0(pkts[i]);
	for (uint16_t i = 0; i < n; i++) {
		rte_prefetch0(rte_pktmbuf_mtod(pkts[i], const void *));
		__builtin_prefetch(packet_of(pkts[i]), 1);
	}
	for (uint16_t i = 0; i < n; i++) {
		uint32_t length = rte_pktmbuf_pkt_len(pkts[i]);

		packet_reset(packet_of(pkts[i]), c->now, port->index, length);
		bytes += length;
	}
	cell_add(&c->cell->port[port->index].packets_received, n);
	cell_add(&c->cell->port[port->index].bytes_received, bytes);
	return n;
}
