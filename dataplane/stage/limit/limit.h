/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Stage 5: the service's ceilings of packets and bits per second. They hold for packets from clients;
 * replies of known flows always pass. One claim per limit and burst covers all workers.
 */

#ifndef WEIR_STAGE_LIMIT_H
#define WEIR_STAGE_LIMIT_H

#include "dataplane/stage/work.h"

/* Returns how many packets are left, at the front of pkts. */
uint16_t limit_burst(const struct work *w, struct rte_mbuf **pkts, uint16_t n);

/* How many of n units pass a limit of the service now. */
uint32_t limit_claim(const struct work *w, struct limiter *l, const struct limiter_rate *rate,
	const uint32_t *units, uint32_t n);

#endif
