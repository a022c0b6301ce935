/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Stage 9: link addresses and the port to leave by. Packets to a backend go to its next hop, replies
 * back to where the client's last packet came from.
 */

#ifndef WEIR_STAGE_NEIGHBOUR_H
#define WEIR_STAGE_NEIGHBOUR_H

#include "dataplane/stage/work.h"

/* Returns how many packets are left, at the front of pkts, with port_out set. */
uint16_t neighbour_burst(const struct work *w, struct rte_mbuf **pkts, uint16_t n);

#endif
