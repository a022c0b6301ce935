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

/*
 * Returns how many packets are left, at the front of pkts: whole packets of services, first fragments,
 * and marked as ASIDE what aside.h is about. Later fragments whose first one has not come are held.
 */
uint16_t service_stage_burst(struct stage_core *c, const struct service_table *table,
	const struct hash_seed *seed, const struct port *port, struct rte_mbuf **pkts, uint16_t n);

/* Held fragments whose first one has come meanwhile, as if they came now; room for STAGE_BURST. */
uint16_t service_stage_ready(struct stage_core *c, const struct service_table *table,
	const struct hash_seed *seed, struct port *const *ports, struct rte_mbuf **pkts);
/* Drop held fragments whose time is over; or all of them. */
void service_stage_expire(struct stage_core *c, const struct service_table *table);
void service_stage_give_up(struct stage_core *c, const struct service_table *table);

#endif
