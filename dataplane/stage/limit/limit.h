/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Stage 5: what a single source may send, then the service's ceilings of packets and bits per second.
 * They hold for packets from clients; replies of known flows always pass. One claim per limit and burst
 * covers all workers.
 */

#ifndef WEIR_STAGE_LIMIT_H
#define WEIR_STAGE_LIMIT_H

#include "dataplane/stage/work.h"

/* Returns how many packets are left, at the front of pkts. */
uint16_t limit_burst(const struct work *w, struct rte_mbuf **pkts, uint16_t n);

/* Where sources are limited one by one (settings->source_table), and only there. */
__rte_noinline uint16_t limit_sources_burst(
	const struct work *w, struct rte_mbuf **pkts, uint16_t n);
/* Where directives watch or police sources (settings->police), and only there: colours, and heavy ones. */
__rte_noinline uint16_t limit_police_burst(
	const struct work *w, struct rte_mbuf **pkts, uint16_t n);
/* Whether the packet's source may open a flow now. */
__rte_noinline bool limit_source_flow(const struct work *w, struct rte_mbuf *m);
/* A backend has answered on this flow. */
__rte_noinline void limit_source_proved(const struct work *w, struct flow *f);
/* The same is about to be said of these flows: what that is going to read is asked for, of all at once. */
__rte_noinline void limit_source_proofs_prefetch(
	const struct work *w, struct flow *const *flows, uint16_t n);

/* How many of n units pass a limit of the service now. */
uint32_t limit_claim(const struct work *w, struct limiter *l, const struct limiter_rate *rate,
	const uint32_t *units, uint32_t n);

#endif
