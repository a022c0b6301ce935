/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The way of a packet, the whole of it: receive_side() and work_side(). Everything here runs on packet
 * cores, over bursts, to completion; between the two sides lies a ring where they run on different
 * cores, and nothing where one core does both: the only one, or one that a device steers its services to.
 */

#include "dataplane/core/buckets/move.h"
#include "dataplane/core/buckets/takeover.h"
#include "dataplane/core/core.h"
#include "dataplane/stage/aside/aside.h"
#include "dataplane/stage/balance/balance.h"
#include "dataplane/stage/dispatch/dispatch.h"
#include "dataplane/stage/early/early.h"
#include "dataplane/stage/flow/flow_stage.h"
#include "dataplane/stage/limit/limit.h"
#include "dataplane/stage/neighbour/neighbour.h"
#include "dataplane/stage/parse/parse_stage.h"
#include "dataplane/stage/policy/judged.h"
#include "dataplane/stage/policy/policy_stage.h"
#include "dataplane/stage/receive/receive.h"
#include "dataplane/stage/rewrite/rewrite_stage.h"
#include "dataplane/stage/service/service_stage.h"
#include "dataplane/stage/trace/trace.h"
#include "dataplane/table/fragment_table.h"

#include <rte_ring.h>

/*
 * Some rounds are watched: timed, where cycles since the last lap go to the stage that has just ended,
 * or traced, where marked packets note what it made of them.
 */
struct laps {
	bool watched;
	struct weir_core_cell *cell; /* NULL: this round is not timed */
	struct trace_core *trace; /* NULL: nothing is traced */
	const struct work *work; /* NULL on the receive side */
	uint64_t mark;
};

static inline struct laps laps_start(struct core *c, const struct work *w)
{
	struct laps laps = { .trace = stage_trace(&c->stage), .work = w };

	if (unlikely(c->timed)) {
		laps.cell = c->stage.cell;
		laps.mark = rte_rdtsc();
	}
	laps.watched = laps.cell || laps.trace;
	return laps;
}

static __rte_noinline void lap_watched(struct laps *laps, enum weir_stage stage, uint16_t in,
	struct rte_mbuf **pkts, uint16_t left)
{
	uint64_t now;

	if (laps->trace)
		trace_note(laps->trace, laps->work, stage, pkts, left);
	if (!laps->cell || in == 0)
		return;
	now = rte_rdtsc();
	cell_add(&laps->cell->stage_cycles[stage], now - laps->mark);
	cell_add(&laps->cell->stage_packets[stage], in);
	laps->mark = now;
}

/* For whoever looks at a core that does not come round. */
static inline void enter(struct core *c, enum weir_stage stage)
{
	__atomic_store_n(&c->at, (uint8_t)stage, __ATOMIC_RELAXED);
}

/* A stage that was given `in` packets has ended, and `left` of them are left. */
static inline void lap(struct laps *laps, enum weir_stage stage, uint16_t in,
	struct rte_mbuf **pkts, uint16_t left)
{
	if (unlikely(laps->watched))
		lap_watched(laps, stage, in, pkts, left);
}

/* What had to wait until the burst was on its way: what was laid aside, then what Weir made of it. */
static __rte_noinline void late_side(struct core *c, const struct work *w)
{
	struct rte_mbuf *pkts[STAGE_BURST];
	struct laps laps = laps_start(c, w);
	uint16_t in = (uint16_t)c->stage.aside_count;
	uint16_t n = aside_burst(w, pkts);

	lap(&laps, WEIR_STAGE_FLOW, in, pkts, n);
	if (unlikely(w->settings->tunnel != NULL))
		n = tunnel_burst(w, pkts, n);
	lap(&laps, WEIR_STAGE_REWRITE, n, pkts, n);
	in = n;
	n = neighbour_burst(w, pkts, n);
	lap(&laps, WEIR_STAGE_NEIGHBOUR, in, pkts, n);
	transmit_burst(&c->transmit, pkts, n);
	transmit_burst(&c->transmit, c->stage.made, (uint16_t)c->stage.made_count);
	c->stage.made_count = 0;
}

/* Another service's turn in the same round: only then does a core's time have to be looked up to be divided. */
static __rte_noinline void charge_next(struct core *c, struct service_worker *worker)
{
	const uint64_t now = stage_clock(&c->stage);

	cell_add(&c->charged->cell->busy_cycles, now - c->charged_from);
	c->charged_from = now;
	c->charged = worker;
}

/* The time from here on, up to the next service's turn or the next round, is this one's. */
static inline void charge(struct core *c, struct service_worker *worker)
{
	if (c->charged == NULL)
		c->charged = worker;
	else if (c->charged != worker)
		charge_next(c, worker);
}

static void work_side(struct core *c, const struct generation *g, struct service_worker *worker,
	struct rte_mbuf **pkts, uint16_t n)
{
	const uint64_t now_ns = stage_ns(&c->stage, c->stage.now);
	const struct work w = {
		.core = &c->stage,
		.worker = worker,
		.settings = worker->settings,
		.neighbours = g->neighbours,
		.port = g->port,
		.completes_checksums = g->completes_checksums,
		.now_ms = (uint32_t)(now_ns / 1000000),
		.now_ns = now_ns,
	};
	struct laps laps = laps_start(c, &w);
	uint16_t in = n;

	charge(c, worker);
	if (unlikely(worker->close_left))
		idle_burst(&w, pkts[0]->pool);
	/* Not before: on the dispatcher's core they may be another's by then. */
	if (unlikely(laps.trace != NULL))
		trace_note(laps.trace, &w, WEIR_STAGE_DISPATCH, pkts, n);
	if (unlikely(worker->settings->judged)) {
		enter(c, WEIR_STAGE_POLICY);
		n = policy_burst(&w, pkts, n);
		lap(&laps, WEIR_STAGE_POLICY, in, pkts, n);
		in = n;
	}
	enter(c, WEIR_STAGE_LIMIT);
	n = limit_burst(&w, pkts, n);
	lap(&laps, WEIR_STAGE_LIMIT, in, pkts, n);
	in = n;
	enter(c, WEIR_STAGE_FLOW);
	n = flow_burst(&w, pkts, n);
	lap(&laps, WEIR_STAGE_FLOW, in, pkts, n);
	in = n;
	enter(c, WEIR_STAGE_BALANCE);
	n = balance_burst(&w, pkts, n);
	lap(&laps, WEIR_STAGE_BALANCE, in, pkts, n);
	in = n;
	enter(c, WEIR_STAGE_REWRITE);
	n = rewrite_burst(&w, pkts, n);
	if (unlikely(w.settings->tunnel != NULL))
		n = tunnel_burst(&w, pkts, n);
	lap(&laps, WEIR_STAGE_REWRITE, in, pkts, n);
	in = n;
	enter(c, WEIR_STAGE_NEIGHBOUR);
	n = neighbour_burst(&w, pkts, n);
	lap(&laps, WEIR_STAGE_NEIGHBOUR, in, pkts, n);
	enter(c, WEIR_STAGE_TRANSMIT);
	transmit_burst(&c->transmit, pkts, n);
	lap(&laps, WEIR_STAGE_TRANSMIT, n, pkts, 0);
	if (unlikely(c->stage.aside_count + c->stage.made_count != 0))
		late_side(c, &w);
}

/* Hand packets to their workers, and do what is this core's own. */
static void dispatch_side(struct core *c, const struct generation *g, struct rte_mbuf **pkts,
	uint16_t n, struct laps *laps)
{
	struct dispatch own;

	enter(c, WEIR_STAGE_DISPATCH);
	dispatch_burst(&c->stage, g->service, pkts, n, &own);
	lap(laps, WEIR_STAGE_DISPATCH, n, pkts, 0);
	for (uint32_t i = 0; i < own.count; i++) {
		struct service_worker *worker = own.worker[i];

		work_side(c, g, worker, worker->stage, (uint16_t)worker->staged);
		worker->staged = 0;
	}
}

/* What this core received for itself goes to its workers, those of one service at a time. */
static void own_side(struct core *c, const struct generation *g, struct rte_mbuf **pkts, uint16_t n)
{
	struct rte_mbuf *batch[STAGE_BURST];

	while (n) {
		const uint16_t slot = packet_of(pkts[0])->service;
		uint16_t taken = 0, left = 0;

		for (uint16_t i = 0; i < n; i++) {
			if (likely(packet_of(pkts[i])->service == slot))
				batch[taken++] = pkts[i];
			else
				pkts[left++] = pkts[i];
		}
		work_side(c, g, g->service[slot]->on_core[c->index], batch, taken);
		n = left;
	}
}

/* What was steered to this core and is not for its workers: core 0 knows what to do with it. */
static __rte_noinline void strays_send(
	struct core *c, const struct port *port, const struct strays *strays)
{
	uint32_t took = rte_ring_sp_enqueue_burst(
		c->stray, (void *const *)strays->pkts, strays->count, NULL);

	c->stage.handed |= 1;
	cell_add(&c->stage.cell->port[port->index].astray, strays->count);
	for (uint32_t i = took; i < strays->count; i++)
		stage_drop(&c->stage, strays->pkts[i], WEIR_DROP_WORKER_RING_FULL);
}

/* A burst that a device steered to this core. */
static void own_burst(const struct fastpath *fp, struct core *c, const struct generation *g,
	const struct port *port, struct rte_mbuf **pkts, uint16_t n, struct laps *laps)
{
	struct strays strays;
	uint16_t left;

	enter(c, WEIR_STAGE_PARSE);
	parse_stage_own(&c->stage, port, pkts, n);
	lap(laps, WEIR_STAGE_PARSE, n, pkts, n);
	enter(c, WEIR_STAGE_SERVICE);
	left = service_stage_own(
		&c->stage, g->table, &fp->seed, g->service, c->index, port, pkts, n, &strays);
	lap(laps, WEIR_STAGE_SERVICE, n, pkts, left);
	if (unlikely(strays.count != 0))
		strays_send(c, port, &strays);
	own_side(c, g, pkts, left);
}

/* Fragments that were held: they come behind the burst that their first one came in. */
static __rte_noinline void ready_side(
	const struct fastpath *fp, struct core *c, const struct generation *g)
{
	struct rte_mbuf *pkts[STAGE_BURST];
	struct laps laps = laps_start(c, NULL);
	uint16_t n;

	while ((n = service_stage_ready(&c->stage, g->table, &fp->seed, g->port, pkts)) != 0) {
		lap(&laps, WEIR_STAGE_SERVICE, n, pkts, n);
		dispatch_side(c, g, pkts, n, &laps);
	}
}

/* Core 0: what devices steered to other cores' queues and was not for their workers; parsed already. */
static uint32_t stray_side(const struct fastpath *fp, struct core *c, const struct generation *g,
	struct rte_ring *strays)
{
	struct rte_mbuf *pkts[STAGE_BURST];
	uint16_t n = (uint16_t)rte_ring_sc_dequeue_burst(strays, (void **)pkts, STAGE_BURST, NULL);

	for (uint16_t from = 0, end = 0; from < n; from = end) {
		const uint8_t index = packet_of(pkts[from])->port_in;
		struct laps laps = laps_start(c, NULL);
		uint16_t left = 0;

		while (end < n && packet_of(pkts[end])->port_in == index)
			end++;
		if (likely(g->port[index] != NULL)) {
			left = parse_stage_strays(
				&c->stage, g->port[index], &pkts[from], (uint16_t)(end - from));
			left = service_stage_burst(
				&c->stage, g->table, &fp->seed, g->port[index], &pkts[from], left);
			lap(&laps, WEIR_STAGE_SERVICE, (uint16_t)(end - from), &pkts[from], left);
			dispatch_side(c, g, &pkts[from], left, &laps);
			continue;
		}
		for (uint16_t i = from; i < end; i++)
			stage_drop(&c->stage, pkts[i], WEIR_DROP_PORT_DOWN);
	}
	return n;
}

/*
 * The way of one burst as far as the receiving core goes, and on where that is the worker as well. Returns how
 * many were dropped early.
 */
static uint16_t burst_side(const struct fastpath *fp, struct core *c, const struct generation *g,
	const struct port *port, struct rte_mbuf **pkts, uint16_t n)
{
	struct laps laps = laps_start(c, NULL);
	const uint16_t found = n;
	uint16_t in, early;

	if (unlikely(c->stage.early && c->stage.early->on))
		n = early_burst(&c->stage, g->table, &fp->seed, g->service, port, pkts, n);
	early = found - n;
	in = n;
	receive_arrived(&c->stage, port, pkts, n);
	if (unlikely(laps.trace != NULL))
		trace_mark(laps.trace, pkts, n);
	lap(&laps, WEIR_STAGE_RECEIVE, found, pkts, n);
	if (unlikely(c->index != 0)) {
		own_burst(fp, c, g, port, pkts, n, &laps);
		return 0;
	}
	enter(c, WEIR_STAGE_PARSE);
	n = parse_stage_burst(&c->stage, port, pkts, n);
	lap(&laps, WEIR_STAGE_PARSE, in, pkts, n);
	in = n;
	enter(c, WEIR_STAGE_SERVICE);
	n = service_stage_burst(&c->stage, g->table, &fp->seed, port, pkts, n);
	lap(&laps, WEIR_STAGE_SERVICE, in, pkts, n);
	dispatch_side(c, g, pkts, n, &laps);
	if (unlikely(fragment_table_held(c->stage.fragments) != 0))
		ready_side(fp, c, g);
	return early;
}

/*
 * While more waits than one burst, the next is taken before the one at hand is worked on. What is dropped
 * early costs little of the round, so that who stands behind a flood has its turn sooner. Each burst has a time of its
 * own: else all that a round takes would have waited since the round began.
 */
static uint32_t receive_side(const struct fastpath *fp, struct core *c, const struct generation *g,
	const struct receive_queue *from)
{
	struct rte_mbuf *pkts[2][STAGE_BURST];
	struct stage_core *stage = &c->stage;
	uint64_t polled =
		stage->now; /* when the burst ahead was taken; a round of many takes its time */
	uint32_t found = 0, spent = 0;
	uint16_t n = 0;

	enter(c, WEIR_STAGE_RECEIVE);
	stage->ahead = pkts[0];
	stage->ahead_count = receive_poll(from->queue, pkts[0]);
	for (unsigned int at = 0; stage->ahead_count; at ^= 1) {
		uint32_t early;

		enter(c, WEIR_STAGE_RECEIVE);
		receive_fetch(stage, n); /* what the burst before was too short for */
		n = stage->ahead_count;
		__atomic_store_n(&stage->now, polled, __ATOMIC_RELAXED);
		found += n;
		spent += n;
		stage->ahead = pkts[at ^ 1];
		stage->ahead_count = 0;
		if (n >= RECEIVE_MORE && spent + STAGE_BURST <= RECEIVE_ROUND) {
			polled = stage_clock(stage);
			stage->ahead_count = receive_poll(from->queue, stage->ahead);
		} else if (unlikely(n >= RECEIVE_MORE && stage->early)) {
			stage->early->full = true;
		}
		early = burst_side(fp, c, g, from->port, pkts[at], n);
		spent -= early - early / EARLY_PRICE;
	}
	return found;
}

/* One burst from each worker's ring in each round, so a flooded service cannot starve its neighbour. */
static uint32_t ring_side(struct core *c, const struct generation *g, struct service_worker *worker)
{
	struct rte_mbuf *pkts[STAGE_BURST];
	uint32_t n = rte_ring_sc_dequeue_burst(worker->ring, (void **)pkts, STAGE_BURST, NULL);

	if (n)
		work_side(c, g, worker, pkts, (uint16_t)n);
	return n;
}

/* Offer what waits to the devices; in a timed round this is timed as well. */
static void transmit_side(struct core *c)
{
	uint64_t start;

	if (c->transmit.waiting == 0)
		return;
	if (likely(!c->timed)) {
		transmit_flush(&c->transmit);
		return;
	}
	start = rte_rdtsc();
	transmit_flush(&c->transmit);
	cell_add(&c->stage.cell->stage_cycles[WEIR_STAGE_TRANSMIT], rte_rdtsc() - start);
}

/* End flows that were idle for too long: once a millisecond, one partition each of some workers. */
static void age_side(struct core *c, const struct generation_core *mine)
{
	uint64_t now_ns = stage_ns(&c->stage, c->stage.now);
	uint32_t now_ms = (uint32_t)(now_ns / 1000000);
	uint32_t workers = RTE_MIN(mine->worker_count, CORE_AGE_WORKERS);
	bool behind = false;

	if (likely(now_ms == c->aged_ms && !c->age_behind))
		return;
	c->aged_ms = now_ms;
	for (uint32_t i = 0; i < workers; i++) {
		if (c->age_worker >= mine->worker_count)
			c->age_worker = 0;
		behind |= service_worker_age(
			mine->worker[c->age_worker++].worker, now_ns, now_ms, CORE_AGE_BUDGET);
	}
	c->age_behind = behind;
}

/* What the kernel dropped, and is to drop: once a millisecond, by the time of ageing. */
static void kernel_side(const struct fastpath *fp, struct core *c, const struct generation *g)
{
	const uint64_t now_ns = stage_ns(&c->stage, c->stage.now);

	if (likely((uint32_t)(now_ns / 1000000) == c->aged_ms))
		return;
	for (uint32_t i = 0; i < WEIR_MAX_PORTS; i++)
		if (g->port[i] && g->port[i]->judges)
			judged_collect(&c->stage, g->port[i], g->settings);
	if (c->stage.early)
		holds_look(&c->stage, g->port, g->service,
			now_ns + __atomic_load_n(&fp->clock_ns, __ATOMIC_RELAXED));
}

uint32_t pipeline_round(const struct fastpath *fp, struct core *c, const struct generation *g)
{
	const struct generation_core *mine = &g->core[c->index];
	uint32_t found = 0;

	if (c->index == 0) {
		if (c->stage.early)
			early_round(c->stage.early);
		if (unlikely(g->move != NULL))
			move_dispatch(c, g->move);
		if (unlikely(g->takeover != NULL))
			takeover_dispatch(c, g->takeover);
		if (unlikely(fragment_table_held(c->stage.fragments) != 0))
			service_stage_expire(&c->stage, g->table);
		kernel_side(fp, c, g);
		for (uint32_t i = 1; i < fp->core_count; i++)
			if (unlikely(g->core[i].stray != NULL))
				found += stray_side(fp, c, g, g->core[i].stray);
	}
	/* What core 0 handed over came before what a device, that was told to, sends here by itself. */
	for (uint32_t i = 0; i < mine->worker_count && !core_is_fenced(c); i++)
		if (mine->worker[i].worker->ring)
			found += ring_side(c, g, mine->worker[i].worker);
	for (uint32_t i = 0; i < mine->receive_count && !core_is_fenced(c); i++)
		found += receive_side(fp, c, g, &mine->receive[i]);
	if (c->index == 0)
		for (uint32_t i = 0; i < g->collect_count; i++)
			found += transmit_collect(
				&c->transmit, g->collect[i].port, g->collect[i].ring);
	/* It was away for too long: what it still holds has been overtaken. */
	if (unlikely(core_is_fenced(c)))
		return found;
	enter(c, WEIR_STAGE_TRANSMIT);
	transmit_side(c);
	stage_drops_free(&c->stage);
	enter(c, WEIR_STAGE_FLOW);
	age_side(c, mine);
	if (unlikely(g->move != NULL) && g->move->from->core == c->index)
		move_release(c, g->move);
	if (found)
		c->timed = (++c->busy_rounds & CORE_SAMPLE_MASK) == 0;
	return found;
}
