/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * On the core that dispatches, before a packet is stamped and parsed: what would be dropped anyhow, or has
 * to go so that others may stay, goes for the price of a look at its destination. Two causes:
 *
 * - A worker is behind: its ring is nearly full. Clients' packets for it go, until the ring has room
 *   again; what is left of the ring is for replies, fragments and others that need a closer look.
 * - This core is behind: its queues have had more than a round's packets for many rounds. Then services have
 *   a share of a round, and what they send beyond it goes. First those that are flooded: their workers are behind and have no
 *   room for half of what they send. Where none is, those that send more than an equal part of all that came
 *   lately. The share is halved until the core keeps up, and grows again when it does. When that is not enough, and there is
 *   somebody who sends little, those who send much but are not flooded have a share as well, never less than an
 *   equal part of a round. Who sends less than the share or an equal part, and is not flooded, loses nothing here, however
 *   small the others' flood makes the share. Where only one service sends there is nobody to protect, and the device
 *   drops more cheaply than we could.
 *
 * What goes here has cost a copy where its port is a kernel interface's; there the XDP program is told to drop it: holds.h.
 *
 * All of it belongs to the dispatching core, but for what early_create() and early_destroy() do.
 */

#ifndef WEIR_STAGE_EARLY_H
#define WEIR_STAGE_EARLY_H

#include "dataplane/net/hash.h"
#include "dataplane/port/port.h"
#include "dataplane/service/service.h"
#include "dataplane/stage/early/holds.h"
#include "dataplane/stage/stage.h"
#include "dataplane/table/service_table.h"

#define EARLY_PRESS   (SERVICE_RING / 8) /* free slots: with fewer a worker is behind, */
#define EARLY_RELEASE (SERVICE_RING / 4) /* and with so many no longer */
#define EARLY_SHARE   128u /* packets of a service in a round, the first time this core is behind, */
#define EARLY_STEPS   5u /* as often it may be halved, the first time counted: 8 packets at least */
#define EARLY_SAMPLE  1024u /* packets, at least, by which it is judged who sends much */
#define EARLY_ROUNDS  16u /* in a row, full or not, until the share changes */
#define EARLY_PRICE   4u /* so many early drops are as much work as a packet that stays */

/* What a service was found to do, in the sample before. */
enum early_fault {
	EARLY_LITTLE, /* sends no more than an equal part; or was not there */
	EARLY_MUCH, /* more than that */
	EARLY_FLOODED, /* its workers have no room for half of it */
	EARLY_FAULTS
};

/* What a service has sent in a round, and in a sample; of another one: nothing yet. */
struct early_sent {
	uint32_t round;
	uint32_t packets;
	uint32_t sample;
	uint32_t sampled;
	uint32_t gone; /* of them, because a worker is behind, or was when the sample began */
	uint32_t fault; /* enum early_fault */
};

struct early {
	bool on; /* packets have to be looked at */
	bool full; /* in this round a queue had more than the round takes */
	bool was_full; /* the same, of the round before */
	bool several; /* more than one service has sent since `rounds` began */
	uint32_t
		step; /* how often the share was halved, the first time counted; 0: there is none */
	uint32_t share[EARLY_FAULTS]; /* of a service in a round, while there is one */
	/* While there is a share: packets in this sample and the one before, and services that sent some. */
	uint32_t sample; /* counts */
	uint32_t samples; /* since there is a share */
	uint32_t packets, packets_before;
	uint32_t senders, senders_before;
	uint32_t faults[EARLY_FAULTS],
		faults_before[EARLY_FAULTS]; /* the same, by what was found */
	uint32_t round; /* counts */
	uint32_t rounds; /* in a row that were as the last one: full, or not */
	const struct service *last; /* who has sent; only compared */
	struct service_worker *behind; /* borrowed: list by next_behind */
	uint8_t workers_behind[WEIR_MAX_SERVICES]; /* by slot */
	struct early_sent sent[WEIR_MAX_SERVICES]; /* by slot */
	struct holds holds;
};

/* Main thread. Returns 0 or -ENOMEM. */
int early_create(int node, struct early **ret_early);
void early_destroy(struct early *e); /* NULL is fine */

/*
 * Sort out polled packets: count and free those that go. When early->on.
 *
 * service  by slot: the services of the generation
 * Returns how many are left, at the front of pkts.
 */
uint16_t early_burst(struct stage_core *c, const struct service_table *table,
	const struct hash_seed *seed, struct service *const *service, const struct port *port,
	struct rte_mbuf **pkts, uint16_t n);

/* A worker's ring has few free slots. */
void early_press(struct early *e, struct service_worker *w);

/* A round begins: what has changed since the last one? */
void early_round(struct early *e);

/* Another generation begins: services may be gone. While those of the old one are still there. */
void early_forget(struct early *e);

/* Packets of a service are dispatched. */
static inline void early_saw(struct early *e, const struct service *s)
{
	e->several |= e->last && e->last != s;
	e->last = s;
}

#endif
