/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Stage 8: in nat, both ends of the packet become those of the flow's other half; in dsr the packet
 * stays as it is. TTL or hop limit is decremented in both, so that a loop ends.
 */

#ifndef WEIR_STAGE_REWRITE_H
#define WEIR_STAGE_REWRITE_H

#include "dataplane/stage/work.h"

/* Drops nothing; returns n. */
uint16_t rewrite_burst(const struct work *w, struct rte_mbuf **pkts, uint16_t n);

/* Make a packet again what it was before rewrite_burst(): for an error about it. Cold. */
void rewrite_undo(const struct work *w, struct rte_mbuf *m);

#endif
