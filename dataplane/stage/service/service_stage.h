/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Stage 3: whose packet is it? Attributes each packet to a service and a direction, and computes the
 * hash and the bucket that place it.
 */

#ifndef WEIR_STAGE_SERVICE_H
#define WEIR_STAGE_SERVICE_H

#include "dataplane/net/hash.h"
#include "dataplane/port/port.h"
#include "dataplane/stage/stage.h"
#include "dataplane/table/service_table.h"

/* Returns how many packets are left, at the front of pkts: whole packets of services. */
uint16_t service_stage_burst(struct stage_core *c, const struct service_table *table,
	const struct hash_seed *seed, const struct port *port, struct rte_mbuf **pkts, uint16_t n);

#endif
