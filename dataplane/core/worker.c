/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What a packet core does from one round to the next: notice a new generation, count its time, rest
 * when there is nothing to do.
 */

#include "dataplane/api/histogram.h"
#include "dataplane/core/buckets/fence.h"
#include "dataplane/core/core.h"
#include "dataplane/core/gaps.h"
#include "dataplane/stage/early/early.h"
#include "dataplane/stage/service/service_stage.h"

#include <rte_pause.h>
#include <rte_rcu_qsbr.h>

#include <pthread.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

/*
 * What still waits for a port that is replaced or gone can only have been meant for the old one. Returns
 * true when packets that came by it must not be kept.
 */
static bool lane_take_over(struct core *c, const struct generation *g, uint8_t index)
{
	struct transmit_lane *lane = &c->transmit.lane[index];
	const struct port *port = g->port[index];
	const struct port_queue *queue = g->core[c->index].queue[index];

	const bool replaced = lane->port && lane->port != port;

	if (lane->port == port && lane->queue == queue)
		return false;
	if (lane->count)
		transmit_abandon(&c->transmit, index, WEIR_DROP_SHUTDOWN);
	lane->port = port;
	lane->queue = queue;
	lane->handover = c->handover[index];
	lane->rounds = 0;
	return replaced;
}

void core_take_over(const struct fastpath *fp, struct core *c, const struct generation *g)
{
	const struct generation_core *mine = &g->core[c->index];

	bool replaced = false;

	for (uint8_t i = 0; i < WEIR_MAX_PORTS; i++)
		replaced |= lane_take_over(c, g, i);
	if (replaced)
		service_stage_give_up(&c->stage, g->table);
	core_wait_prepare(fp, c, g);
	if (c->stage.early) {
		early_forget(c->stage.early);
		holds_forget(&c->stage);
	}
	for (uint32_t i = 0; i < mine->worker_count; i++)
		service_worker_take_over(mine->worker[i].worker, mine->worker[i].settings);
	c->stage.outside = g->outside && g->outside->place_count ? g->outside : NULL;
	c->seen = g->number;
}

static void count_round(struct core *c, uint32_t found)
{
	struct weir_core_cell *cell = c->stage.cell;

	cell_add(&cell->loops, 1);
	if (found) {
		cell_add(&cell->bursts, 1);
		cell_add(&cell->packets, found);
	}
	c->found = found;
}

static void wakeup_count(struct weir_histogram *h, uint64_t late_ns)
{
	cell_add(&h->count, 1);
	cell_add(&h->sum_ns, late_ns);
	cell_add(&h->bucket[weir_histogram_index(late_ns)], 1);
}

/* There was a sleep since the last round, or it was long ago. */
static __rte_noinline void count_delay(
	const struct fastpath *fp, struct core *c, uint64_t now, uint64_t passed)
{
	struct weir_core_cell *cell = c->stage.cell;
	const bool slept = c->asked != 0;
	const uint64_t late = passed > c->asked ? passed - c->asked : 0;

	if (c->asked == CORE_WAIT_EVENT) {
		c->asked = 0;
		return;
	}
	c->asked = 0;
	if (slept)
		wakeup_count(&cell->wakeup, stage_ns(&c->stage, late));
	if (late <= c->gap_least)
		return;
	gap_note(&cell->gaps,
		stage_ns(&c->stage, now) + __atomic_load_n(&fp->clock_ns, __ATOMIC_RELAXED),
		stage_ns(&c->stage, late),
		slept		 ? WEIR_GAP_ASLEEP :
			c->found ? WEIR_GAP_PACKETS :
				   WEIR_GAP_IDLE,
		c->found);
}

/* The time since the last round was that round's, and the sleep after it. */
static void count_time(const struct fastpath *fp, struct core *c, uint64_t now)
{
	struct weir_core_cell *cell = c->stage.cell;
	const uint64_t passed = now - c->last_now;

	if (c->last_now) {
		cell_add(c->found ? &cell->busy_cycles : &cell->idle_cycles, passed);
		if (unlikely(c->asked != 0 || passed > c->gap_least))
			count_delay(fp, c, now, passed);
	}
	c->last_now = now;
}

/*
 * The end of the round before is the last service's whose packets were in it, as is what the core did for all of
 * them at its end. Workers of a generation that was left may be gone: the round in which that happened is nobody's.
 */
static inline void charge_round(struct core *c, const struct generation *g, uint64_t now)
{
	if (c->charged && c->seen == g->number)
		cell_add(&c->charged->cell->busy_cycles, now - c->charged_from);
	c->charged = NULL;
	c->charged_from = now;
}

uint32_t fastpath_core_step(struct fastpath *fp, uint32_t index, uint64_t now_tsc)
{
	const struct generation *g = __atomic_load_n(&fp->generation, __ATOMIC_ACQUIRE);
	struct core *c = fp->core[index];
	uint32_t found = 0;

	__atomic_store_n(&c->stage.now, now_tsc, __ATOMIC_RELAXED);
	count_time(fp, c, now_tsc);
	/* After g was read: what is published behind a fence is not for who is in front of it. */
	if (unlikely(core_is_fenced(c))) {
		fence_wait(fp, c);
		return 0;
	}
	if (g) {
		charge_round(c, g, now_tsc);
		if (unlikely(c->seen != g->number))
			core_take_over(fp, c, g);
		found = pipeline_round(fp, c, g);
	}
	count_round(c, found);
	if (unlikely(fp->params.bells && c->stage.handed))
		core_wake_others(fp, c);
	return found;
}

/*
 * Nothing to do: spin for a while, then sleep, longer each time up to CORE_SLEEP_MAX_NS. A sleeping core
 * holds nothing of a generation, so it is offline for the grace period. Returns the next sleep's length.
 */
static long rest(struct fastpath *fp, struct core *c, uint32_t idle_rounds, long sleep_ns)
{
	const struct timespec t = { .tv_nsec = sleep_ns };

	if (fp->idle == WEIR_IDLE_SPIN || idle_rounds < CORE_IDLE_SPINS || c->transmit.waiting) {
		rte_pause();
		return CORE_SLEEP_MIN_NS;
	}
	cell_add(&c->stage.cell->sleeps, 1);
	rte_rcu_qsbr_thread_offline(fp->qsbr, c->index);
	nanosleep(&t, NULL);
	rte_rcu_qsbr_thread_online(fp->qsbr, c->index);
	c->asked = (uint64_t)sleep_ns * fp->tsc_hz / 1000000000;
	return RTE_MIN(sleep_ns * 2, (long)CORE_SLEEP_MAX_NS);
}

void fastpath_core_run(struct fastpath *fp, uint32_t index)
{
	struct core *c = fp->core[index];
	long sleep_ns = CORE_SLEEP_MIN_NS;
	uint32_t idle_rounds = 0;

	/* The kernel rounds sleeps up by the timer slack, 50 us unless told otherwise. */
	prctl(PR_SET_TIMERSLACK, 1000, 0, 0, 0);
	c->tid = gettid();
	if (pthread_getcpuclockid(pthread_self(), &c->cpu_clock) == 0)
		__atomic_store_n(&c->runs, true, __ATOMIC_RELEASE);
	rte_rcu_qsbr_thread_register(fp->qsbr, index);
	rte_rcu_qsbr_thread_online(fp->qsbr, index);
	while (!__atomic_load_n(&fp->stop, __ATOMIC_RELAXED)) {
		uint32_t found = fastpath_core_step(fp, index, rte_rdtsc());

		rte_rcu_qsbr_quiescent(fp->qsbr, index);
		if (found) {
			idle_rounds = 0;
			continue;
		}
		if (c->wait.possible && idle_rounds >= CORE_IDLE_SPINS && !c->transmit.waiting) {
			if (core_wait(fp, c))
				idle_rounds = 0;
			continue;
		}
		sleep_ns = rest(fp, c, idle_rounds, sleep_ns);
		idle_rounds += idle_rounds < CORE_IDLE_SPINS;
	}
	__atomic_store_n(&c->runs, false, __ATOMIC_RELEASE);
	rte_rcu_qsbr_thread_offline(fp->qsbr, index);
	rte_rcu_qsbr_thread_unregister(fp->qsbr, index);
}

bool fastpath_is_alive(struct fastpath *fp)
{
	for (uint32_t i = 0; i < fp->core_count; i++)
		if (cell_read(&fp->core[i]->stage.cell->loops) == fp->loops_seen[i] &&
			!fp->core[i]->fenced.taken)
			return false;
	for (uint32_t i = 0; i < fp->core_count; i++)
		fp->loops_seen[i] = cell_read(&fp->core[i]->stage.cell->loops);
	return true;
}

void fastpath_clock_tick(struct fastpath *fp, uint64_t now_tsc, uint64_t now_ns)
{
	__atomic_store_n(
		&fp->clock_ns, now_ns - stage_ns(&fp->core[0]->stage, now_tsc), __ATOMIC_RELAXED);
}

void fastpath_stop(struct fastpath *fp)
{
	__atomic_store_n(&fp->stop, true, __ATOMIC_RELAXED);
}
