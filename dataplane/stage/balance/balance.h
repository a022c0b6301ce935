/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Stage 7: a backend for packets of clients that have none yet: the first packet of a flow, and flows
 * whose backend is gone. Maglev chooses; nat takes a source port whose reply finds the same bucket.
 */

#ifndef WEIR_STAGE_BALANCE_H
#define WEIR_STAGE_BALANCE_H

#include "dataplane/stage/work.h"

/* Returns how many packets are left, at the front of pkts: each has a flow or (dsr) at least a backend. */
uint16_t balance_burst(const struct work *w, struct rte_mbuf **pkts, uint16_t n);

#endif
