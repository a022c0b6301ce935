/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Stage 2: find the headers (net/parse.h) and take out what cannot be a service's.
 */

#ifndef WEIR_STAGE_PARSE_H
#define WEIR_STAGE_PARSE_H

#include "dataplane/port/port.h"
#include "dataplane/stage/stage.h"

/* Returns how many packets are left, at the front of pkts: their verdict names addresses at least. */
uint16_t parse_stage_burst(
	struct stage_core *c, const struct port *port, struct rte_mbuf **pkts, uint16_t n);

/*
 * The two halves of it, for queues that a device steers services to: their core finds the headers and takes nothing
 * out; what it has no worker for is core 0's, which takes out without looking again.
 */
void parse_stage_own(
	struct stage_core *c, const struct port *port, struct rte_mbuf **pkts, uint16_t n);
uint16_t parse_stage_strays(
	struct stage_core *c, const struct port *port, struct rte_mbuf **pkts, uint16_t n);

/* Put a packet into the ring to the kernel. */
void stage_hand_to_kernel(struct stage_core *c, const struct port *port, struct rte_mbuf *m);

/*
 * A packet that is the host's own. A PCI port's twin carries it to the kernel. A capture port counts it as passed to the kernel. On a kernel
 * interface the XDP program has sorted these out already; one that slipped through while the
 * configuration changed cannot be given back, so it is dropped for `reason`.
 */
static inline void stage_pass_to_kernel(struct stage_core *c, const struct port *port,
	struct rte_mbuf *m, enum weir_drop_reason reason)
{
	if (port->to_kernel) {
		stage_hand_to_kernel(c, port, m);
		return;
	}
	if (port->kind != WEIR_PORT_CAPTURE) {
		stage_drop(c, m, reason);
		return;
	}
	packet_of(m)->flags |= PACKET_F_TO_KERNEL;
	cell_add(&c->cell->port[port->index].packets_to_kernel, 1);
	if (c->drop_count == STAGE_BURST)
		stage_drops_free(c);
	c->drops[c->drop_count++] = m;
}

#endif
