/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Stage 3: whose packet is it? Attributes each packet to a service and a direction, and computes the
 * hash and the bucket that place it.
 */

#ifndef WEIR_STAGE_SERVICE_H
#define WEIR_STAGE_SERVICE_H

#include "dataplane/net/hash.h"
#include "dataplane/port/port.h"
#include "dataplane/service/service.h"
#include "dataplane/stage/stage.h"
#include "dataplane/table/service_table.h"

/*
 * Returns how many packets are left, at the front of pkts: whole packets of services, first fragments,
 * and marked as ASIDE what aside.h is about. Later fragments whose first one has not come are held.
 */
uint16_t service_stage_burst(struct stage_core *c, const struct service_table *table,
	const struct hash_seed *seed, const struct port *port, struct rte_mbuf **pkts, uint16_t n);

/* What a core that is not core 0 received and has no worker for. */
struct strays {
	uint16_t count;
	struct rte_mbuf *pkts[STAGE_BURST];
};

/*
 * The same on a core that a device steers services to: what its own workers take is left; all else, and
 * whatever is not simply a packet of a service, is as if it had not been looked at, and core 0's.
 *
 * service  by slot: the services of the generation
 */
uint16_t service_stage_own(struct stage_core *c, const struct service_table *table,
	const struct hash_seed *seed, struct service *const *service, uint32_t core,
	const struct port *port, struct rte_mbuf **pkts, uint16_t n, struct strays *ret_strays);

/* Held fragments whose first one has come meanwhile, as if they came now; room for STAGE_BURST. */
uint16_t service_stage_ready(struct stage_core *c, const struct service_table *table,
	const struct hash_seed *seed, struct port *const *ports, struct rte_mbuf **pkts);
/* Drop held fragments whose time is over; or all of them. */
void service_stage_expire(struct stage_core *c, const struct service_table *table);
void service_stage_give_up(struct stage_core *c, const struct service_table *table);

#endif
