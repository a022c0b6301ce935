/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What every stage needs: the core that it runs on, that core's telemetry cells, and the one way to
 * drop a packet. All of it belongs to the packet core; nothing here is shared but the cells, which
 * others only read.
 */

#ifndef WEIR_STAGE_STAGE_H
#define WEIR_STAGE_STAGE_H

#include "dataplane/api/histogram.h"
#include "dataplane/api/telemetry.h"
#include "dataplane/net/packet.h"
#include "dataplane/service/cell.h"
#include "dataplane/table/limiter.h"

#include <rte_branch_prediction.h>
#include <rte_cycles.h>
#include <rte_mbuf.h>
#include <rte_prefetch.h>

#include <stdbool.h>
#include <stdint.h>

struct early;
struct fragment_table;
struct policy_core;
struct policy_set;

#define STAGE_BURST 64u /* packets in a burst, at most */

struct trace_core;

/* Packets that Weir makes itself, each kind with a limit of its own: one flood must not use up all. */
#define STAGE_MADE_KINDS      5u
#define STAGE_MADE_PER_SECOND 1000u /* of each kind, on each core */
#define STAGE_SHED_PER_SECOND 50000u /* of resets to who is shed */
#define STAGE_MADE_BURST_NS   UINT64_C(100000000)

struct stage_core {
	uint64_t now; /* TSC of this round */
	uint64_t ns_per_tick; /* 32.32 fixed point */
	/* The burst that comes next, polled already. */
	struct rte_mbuf **ahead;
	uint16_t ahead_count;
	bool ahead_ipv6; /* likely: some of this burst is */
	bool made_up_clock; /* `now` is all the time there is: replay, tests */
	struct weir_core_cell *cell;
	/* NULL: nothing is traced. Set and cleared by the main thread. */
	struct trace_core *trace;
	/* By slot; NULL where this core never touches the service. Set by the main thread before the
	 * service is published, cleared after nothing of it is queued any more. */
	struct weir_service_cell *service_cell[WEIR_MAX_SERVICES];
	struct policy_core *policy; /* owned; for running any */
	/* For packets that are no service's; NULL: none. Of the generation that the core is in. */
	const struct policy_set *outside;
	struct fragment_table *fragments; /* owned; NULL on cores that do not receive */
	struct early *early; /* owned; NULL on cores that do not dispatch */
	uint64_t handed; /* bit i: something was put into a ring of core i in this round */
	uint32_t drop_count;
	struct rte_mbuf *drops[STAGE_BURST]; /* counted already, to be freed in one go */
	/* Of the burst at hand: what waits until its other packets are on their way. */
	uint32_t aside_count;
	struct rte_mbuf *aside[STAGE_BURST]; /* PACKET_F_ASIDE: see aside.h */
	uint32_t made_count;
	struct rte_mbuf *made[STAGE_BURST]; /* by Weir itself; port_out is set: see answer.h */
	struct limiter_rate made_rate;
	struct limiter_rate shed_rate;
	struct limiter made_limit[STAGE_MADE_KINDS];
};

static inline uint64_t stage_ns(const struct stage_core *c, uint64_t ticks)
{
	return (uint64_t)(((unsigned __int128)ticks * c->ns_per_tick) >> 32);
}

/* What a packet needs in the cache when its turn comes. */
enum stage_ahead {
	STAGE_AHEAD_MBUF,
	STAGE_AHEAD_FRAME,
	STAGE_AHEAD_PACKET
};

/*
 * Ask for a line of the next burst's packet i. Loops over packets on the receiving core ask for one in each
 * turn: a core has room for some twenty lines under way, and who asks for all at once stands still.
 * Where the frame lies is guessed from the mbuf's address, as reading it from the mbuf would wait for that.
 */
static __rte_always_inline void stage_fetch_ahead(
	const struct stage_core *c, uint16_t i, const enum stage_ahead what)
{
	struct rte_mbuf *m;

	if (unlikely(i >= c->ahead_count))
		return;
	m = c->ahead[i];
	if (what == STAGE_AHEAD_MBUF)
		rte_prefetch0(m);
	else if (what == STAGE_AHEAD_PACKET)
		__builtin_prefetch(packet_of(m), 1);
	else
		rte_prefetch0((const char *)m + PACKET_DATA_OFFSET);
	/* Behind IPv6 addresses the L4 header reaches into the next line. */
	if (what == STAGE_AHEAD_PACKET && c->ahead_ipv6)
		rte_prefetch0((const char *)m + PACKET_DATA_OFFSET + RTE_CACHE_LINE_SIZE);
}

/* The time at this moment, for what is timed within a round: once a transmit burst. */
static inline uint64_t stage_clock(const struct stage_core *c)
{
	return c->made_up_clock ? c->now : rte_rdtsc();
}

/* Add `times` equal values to a histogram. */
static inline void histogram_add_ns(struct weir_histogram *h, uint64_t ns, uint32_t times)
{
	cell_add(&h->bucket[weir_histogram_index(ns)], times);
	cell_add(&h->sum_ns, ns * times);
	cell_add(&h->count, times);
}

/* The trace that is on, or NULL. Who has it may use it until the end of the round. */
static inline struct trace_core *stage_trace(const struct stage_core *c)
{
	return __atomic_load_n(&c->trace, __ATOMIC_ACQUIRE);
}

/* stage/trace: note the end of those that are followed. */
void trace_drops(struct stage_core *c, struct trace_core *tc);

static inline void stage_drops_free(struct stage_core *c)
{
	struct trace_core *tc;

	if (c->drop_count == 0)
		return;
	tc = stage_trace(c);
	if (unlikely(tc != NULL))
		trace_drops(c, tc);
	rte_pktmbuf_free_bulk(c->drops, c->drop_count);
	c->drop_count = 0;
}

/*
 * Count a drop where it belongs: to the service that the packet was attributed to, or else to the port
 * that it came in by. What Weir made itself was never received, so it must not count as dropped.
 */
static inline void stage_count_drop(
	struct stage_core *c, const struct packet *p, enum weir_drop_reason reason)
{
	if (p->service != PACKET_NO_SERVICE)
		cell_add(&c->service_cell[p->service]->dropped[reason], 1);
	else if (p->flags & PACKET_F_ORIGINATED)
		cell_add(&c->cell->port[p->port_out].originated_dropped, 1);
	else
		cell_add(&c->cell->port[p->port_in].dropped[reason], 1);
}

/* The one way to drop a packet: count it and let it go. */
static inline void stage_drop(
	struct stage_core *c, struct rte_mbuf *m, enum weir_drop_reason reason)
{
	struct packet *p = packet_of(m);

	p->drop = (uint8_t)reason;
	stage_count_drop(c, p, reason);
	if (c->drop_count == STAGE_BURST)
		stage_drops_free(c);
	c->drops[c->drop_count++] = m;
}

#endif
