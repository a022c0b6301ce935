/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Stage 1: take a burst from a port's queue, stamp it, count it.
 */

#ifndef WEIR_STAGE_RECEIVE_H
#define WEIR_STAGE_RECEIVE_H

#include "dataplane/port/port.h"
#include "dataplane/stage/stage.h"

/* Fills pkts with at most STAGE_BURST packets that now belong to the caller; returns how many. */
uint16_t receive_burst(struct stage_core *c, const struct port *port,
	const struct port_queue *queue, struct rte_mbuf **pkts);

#endif
