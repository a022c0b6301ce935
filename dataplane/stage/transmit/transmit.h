/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Stage 10: buffers per (core, port), handed to the device in bursts at the end of a round.
 *
 * A queue of a port is used by one core. Where a port has fewer queues than there are cores that send,
 * core 0 owns the port, and the others hand packets over through one bounded ring per (core, port).
 * What a device does not take stays in the buffer and is offered again for a bounded number of rounds;
 * then it is dropped as transmit_full, as is what finds a buffer or a ring full.
 *
 * Packets and residence times are counted at the moment when the device accepts them.
 */

#ifndef WEIR_STAGE_TRANSMIT_H
#define WEIR_STAGE_TRANSMIT_H

#include "dataplane/port/port.h"
#include "dataplane/stage/stage.h"

#include <stdbool.h>

struct rte_ring;

#define TRANSMIT_BUFFER	  256u /* packets waiting for a port on one core */
#define TRANSMIT_PATIENCE 64u /* rounds in a row without progress until they are given up */
#define TRANSMIT_RING	  1024u /* slots of a ring to the core that owns the port */

/* How one core reaches one port. Written by the core itself, when it takes over a generation. */
struct transmit_lane {
	const struct port *port; /* NULL: gone or never there */
	const struct port_queue *queue; /* NULL: hand over through the ring */
	struct rte_ring *handover; /* this core's ring to the owner, or NULL */
	uint16_t count;
	uint16_t rounds; /* since the device last took something */
	struct rte_mbuf *pkts[TRANSMIT_BUFFER];
};

struct transmit {
	struct stage_core *core;
	uint32_t waiting; /* bit i: lane i has packets */
	struct transmit_lane lane[WEIR_MAX_PORTS];
};
static_assert(WEIR_MAX_PORTS <= 32, "a lane has a bit in `waiting`");

/* Put packets into the buffers of the ports in their metadata; takes all of them. */
void transmit_burst(struct transmit *t, struct rte_mbuf **pkts, uint16_t n);

/* Take what other cores handed over for a port that this core owns; at most what fits. */
uint32_t transmit_collect(struct transmit *t, uint8_t port, struct rte_ring *from);

/* Offer what waits to the devices. End of a round. */
void transmit_flush(struct transmit *t);

/* Drop what waits for a port, for the given reason: the port goes away. */
void transmit_abandon(struct transmit *t, uint8_t port, enum weir_drop_reason reason);

#endif
