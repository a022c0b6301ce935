/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Stage 1: take bursts from a port's queue, stamp them, count them.
 *
 * In two steps, so that a burst's cache misses overlap with the work on the burst before it: poll takes
 * packets and asks for the lines that the path reads; arrived reads them.
 */

#ifndef WEIR_STAGE_RECEIVE_H
#define WEIR_STAGE_RECEIVE_H

#include "dataplane/port/port.h"
#include "dataplane/stage/stage.h"

#define RECEIVE_ROUND \
	256u /* packets of one queue in a round, at most; what a lane to a port holds */
#define RECEIVE_MORE (STAGE_BURST / 2) /* a burst of so many has more behind it */

/* Fills pkts with at most STAGE_BURST packets that now belong to the caller; returns how many. */
uint16_t receive_poll(const struct port_queue *queue, struct rte_mbuf **pkts);

/* Ask for what lies ahead (stage.h) from packet `first` on, all at once. */
void receive_fetch(const struct stage_core *c, uint16_t first);

/* Write the metadata of polled packets, and count them. */
void receive_arrived(
	struct stage_core *c, const struct port *port, struct rte_mbuf **pkts, uint16_t n);

#endif
