/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/stage/receive/receive.h"

#include <rte_prefetch.h>

/* How many packets ahead the metadata line and the headers are fetched. */
#define RECEIVE_AHEAD 4u

uint16_t receive_burst(struct stage_core *c, const struct port *port,
	const struct port_queue *queue, struct rte_mbuf **pkts)
{
	uint16_t n = queue->rx(queue->handle, pkts, STAGE_BURST);
	uint64_t bytes = 0;

	if (n == 0)
		return 0;
	for (uint16_t i = 0; i < n; i++) {
		struct rte_mbuf *m = pkts[i];
		uint32_t length = rte_pktmbuf_pkt_len(m);

		if (i + RECEIVE_AHEAD < n) {
			rte_prefetch0(packet_of(pkts[i + RECEIVE_AHEAD]));
			rte_prefetch0(rte_pktmbuf_mtod(pkts[i + RECEIVE_AHEAD], const void *));
		}
		packet_reset(packet_of(m), c->now, port->index, length);
		bytes += length;
	}
	cell_add(&c->cell->port[port->index].packets_received, n);
	cell_add(&c->cell->port[port->index].bytes_received, bytes);
	return n;
}
