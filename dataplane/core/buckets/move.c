/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Moving buckets from one worker of a service to another, while packets of them come.
 *
 * What belongs to a bucket (its part of the flow table with queues and wheel, its journal, its translated
 * ports) has one writer, bucket_owner, and stays where it lies: moving is a change of the writer. What
 * workers share (limits, budgets of sources, affinity) needs none. What a worker counts stays with it, as
 * all who read it add up workers (load.h). Packets of a bucket come to its worker by one ring, which only core 0
 * fills, so that core 0 alone can say which of them is the last one for the old worker:
 *
 *   main        publishes a generation that names the move                           MOVE_WANTED
 *   core 0      takes the buckets out of bucket_direct, gives them to the hold, which is a ring of its own
 *               that looks like a worker to the dispatcher, and marks how far the old worker's ring is filled
 *                                                                                    MOVE_DRAINING
 *   old worker  works on up to the mark, waits until what it made of it has left its buffers, and gives up
 *               ownership of the buckets at the end of a round                       MOVE_RELEASED
 *   core 0      makes the new worker the owner, moves what was held into its ring, and once the hold is empty
 *               gives it the buckets                                                 MOVE_DONE
 *   main        publishes a generation without the move, and frees it
 *
 * No packet of a bucket is dispatched to the new worker before its elders have left the old one, and in the
 * hold and the rings they keep their order. Other buckets of either worker, and other services, go on all
 * the while. Nothing of it costs a packet anything: the dispatcher looks its worker up as ever, and each
 * round looks once whether there is a move.
 *
 * Nothing is lost unless more packets come than the hold takes (as many as a worker's ring): those are counted
 * as worker_behind or worker_ring_full, as they would be by a worker that lags as far behind.
 *
 * An old worker that does not get there in MOVE_PATIENCE_NS (its port takes nothing, its CPU is taken away)
 * keeps its buckets: core 0 gives what was held to its ring, and the buckets. Whether it releases them or they
 * are taken back is decided by one compare-and-swap.
 *
 * XXX: a device orders what lies in one transmit queue. Where the two workers send by queues of their own,
 * a packet may overtake one that the device took before, by what the device still has in the other queue.
 */

#include "dataplane/core/buckets/move.h"

#include "dataplane/core/apply.h"
#include "dataplane/core/buckets/core_plan.h"
#include "dataplane/core/buckets/cores.h"
#include "dataplane/core/buckets/fence.h"
#include "dataplane/core/buckets/spread.h"
#include "dataplane/core/core.h"
#include "dataplane/service/load.h"

#include <rte_malloc.h>
#include <rte_ring.h>

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static_assert(FLOW_PARTITIONS == WEIR_BUCKETS, "a bucket is a partition of the flow table");

#define MOVE_PATIENCE_NS UINT64_C(1000000000)
/* A worker that has no place for all that was held for so long is flooded. */
#define MOVE_EMPTYING_NS UINT64_C(20000000)

static bool has(const struct move *m, uint32_t bucket)
{
	return m->bucket[bucket / 64] >> (bucket % 64) & 1;
}

static uint8_t state_of(const struct move *m)
{
	return __atomic_load_n(&m->state, __ATOMIC_ACQUIRE);
}

static void state_set(struct move *m, enum move_state state)
{
	__atomic_store_n(&m->state, (uint8_t)state, __ATOMIC_RELEASE);
}

/* From one state to another, unless somebody else was faster. */
static bool state_change(struct move *m, enum move_state from, enum move_state to)
{
	uint8_t expected = (uint8_t)from;

	return __atomic_compare_exchange_n(
		&m->state, &expected, (uint8_t)to, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

static void buckets_set(const struct move *m, uint8_t *what, uint8_t value)
{
	for (uint32_t i = 0; i < FLOW_PARTITIONS; i++)
		if (has(m, i))
			__atomic_store_n(&what[i], value, __ATOMIC_RELEASE);
}

/* ---- core 0 ---- */

static void dispatch_hold(struct move *m)
{
	buckets_set(m, m->service->bucket_direct, SERVICE_NOBODY);
	buckets_set(m, m->service->bucket_worker, SERVICE_HOLD);
	m->mark = m->from->ring->prod.tail;
	state_set(m, MOVE_DRAINING);
}

/* Give what was held to a worker. Returns true when nothing is left. */
static bool hold_empty(struct core *c, struct move *m, const struct service_worker *to)
{
	const uint64_t now_ns = stage_ns(&c->stage, c->stage.now);
	struct rte_mbuf *pkts[STAGE_BURST];
	uint32_t room = rte_ring_free_count(to->ring);
	uint32_t n = 1;

	if (m->emptying_ns == 0)
		m->emptying_ns = now_ns;
	for (; n && room; room -= n) {
		n = rte_ring_sc_dequeue_burst(
			m->hold.ring, (void **)pkts, RTE_MIN(room, STAGE_BURST), NULL);
		rte_ring_sp_enqueue_burst(to->ring, (void *const *)pkts, n, NULL);
		c->stage.handed |= UINT64_C(1) << to->core;
	}
	if (now_ns - m->emptying_ns > MOVE_EMPTYING_NS)
		while (rte_ring_sc_dequeue(m->hold.ring, (void **)pkts) == 0)
			stage_drop(&c->stage, pkts[0], WEIR_DROP_WORKER_RING_FULL);
	return rte_ring_empty(m->hold.ring);
}

static void dispatch_to(
	struct core *c, struct move *m, const struct service_worker *to, enum move_state end)
{
	for (uint32_t i = 0; i < FLOW_PARTITIONS; i++)
		if (has(m, i))
			m->service->part[i]->release_ctx = m->service->worker[to->number];
	buckets_set(m, m->service->bucket_owner, to->number);
	if (!hold_empty(c, m, to))
		return;
	buckets_set(m, m->service->bucket_worker, to->number);
	state_set(m, end);
}

__rte_noinline void move_dispatch(struct core *c, struct move *m)
{
	switch (state_of(m)) {
	case MOVE_WANTED:
		dispatch_hold(m);
		break;
	case MOVE_DRAINING:
		if (__atomic_load_n(&m->patience_ended, __ATOMIC_RELAXED))
			state_change(m, MOVE_DRAINING, MOVE_TAKEN_BACK);
		break;
	case MOVE_RELEASED:
		dispatch_to(c, m, m->to, MOVE_DONE);
		break;
	case MOVE_TAKEN_BACK:
		dispatch_to(c, m, m->from, MOVE_REFUSED);
		break;
	default:
		break;
	}
}

/* ---- the old worker's core ---- */

/* Has a ring been emptied up to a mark? */
static bool is_past(const struct rte_ring *ring, uint32_t mark)
{
	return (int32_t)(__atomic_load_n(&ring->cons.tail, __ATOMIC_ACQUIRE) - mark) >= 0;
}

/* What this core sends through core 0 is there; what it sends by itself, the devices have. */
static bool has_left(const struct core *c, const struct move *m)
{
	for (uint32_t i = 0; i < WEIR_MAX_PORTS; i++)
		if (c->handover[i] && !is_past(c->handover[i], m->handover_mark[i]))
			return false;
	return c->transmit.waiting == 0;
}

__rte_noinline void move_release(struct core *c, struct move *m)
{
	if (state_of(m) != MOVE_DRAINING || !is_past(m->from->ring, m->mark))
		return;
	if (!m->drained) {
		m->drained = true;
		for (uint32_t i = 0; i < WEIR_MAX_PORTS; i++)
			if (c->handover[i])
				m->handover_mark[i] = c->handover[i]->prod.tail;
	}
	if (!has_left(c, m))
		return;
	if (!state_change(m, MOVE_DRAINING, MOVE_RELEASING))
		return;
	load_moved(m->from);
	/* Unless it was taken over in between. */
	for (uint32_t i = 0; i < FLOW_PARTITIONS; i++) {
		uint8_t mine = m->from->number;

		if (has(m, i))
			__atomic_compare_exchange_n(&m->service->bucket_owner[i], &mine,
				SERVICE_NOBODY, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
	}
	state_change(m, MOVE_RELEASING, MOVE_RELEASED);
}

/* ---- main thread ---- */

void move_hurry(struct fastpath *fp)
{
	struct move *m = fp->move;

	__atomic_store_n(&m->patience_ended, true, __ATOMIC_RELAXED);
	/* Who was fenced while it gave its buckets up has not given them up. */
	if (core_is_fenced(fp->core[m->from->core]))
		state_change(m, MOVE_RELEASING, MOVE_TAKEN_BACK);
}

static const struct weir_core_entry *entry_of(
	const struct fastpath *fp, const struct service_worker *w)
{
	return &fp->telemetry->core[w->core];
}

/* Which core a CPU is, or -errno: one that works. */
static int core_find(const struct fastpath *fp, uint32_t cpu, char *err, size_t err_size)
{
	for (uint32_t i = core_plan_first_worker(fp->core_count); i < fp->core_count; i++)
		if (fp->params.core[i].cpu == cpu)
			return (int)i;
	snprintf(err, err_size,
		"CPU %u works for no service: `weirctl core list` shows those that do", cpu);
	return -ENOENT;
}

static int buckets_choose(
	const struct weir_core_move *wanted, struct move *m, char *err, size_t err_size)
{
	for (uint32_t i = 0; i < FLOW_PARTITIONS; i++) {
		const bool asked = wanted->buckets[i / 8] >> (i % 8) & 1;
		const bool there = m->from && service_worker_has(m->from, i);

		if (asked && !there && !(wanted->flags & WEIR_CORE_MOVE_F_ALL)) {
			snprintf(err, err_size,
				"service %s: bucket %u is not on CPU %u: `weirctl service show` tells where they are",
				m->service->identity.name, i, wanted->from_cpu);
			return -EINVAL;
		}
		if (!there || (!asked && !(wanted->flags & WEIR_CORE_MOVE_F_ALL)))
			continue;
		m->bucket[i / 64] |= UINT64_C(1) << (i % 64);
		m->count++;
	}
	if (m->count)
		return 0;
	snprintf(err, err_size, "service %s has no buckets on CPU %u", m->service->identity.name,
		wanted->from_cpu);
	return -EINVAL;
}

int move_worker_find(struct fastpath *fp, struct service *s, uint32_t core,
	struct service_worker **ret_worker, char *err, size_t err_size)
{
	int ret = 0;

	if (!s->on_core[core]) {
		ret = directory_cells_add(fp, &s->cells, core);
		if (ret == 0)
			ret = service_worker_add(s, (uint8_t)core, fp->core[core]->node);
		if (ret)
			snprintf(err, err_size, "no memory for a worker of service %s on CPU %u",
				s->identity.name, fp->params.core[core].cpu);
	}
	/* A core that works for the service already has it, and reads it all the time. */
	if (fp->core[core]->stage.service_cell[s->slot] != s->cells.cell[core])
		fp->core[core]->stage.service_cell[s->slot] = s->cells.cell[core];
	*ret_worker = s->on_core[core];
	return ret;
}

static int move_create(struct fastpath *fp, const struct weir_core_move *wanted, struct move *m,
	char *err, size_t err_size)
{
	int from = core_find(fp, wanted->from_cpu, err, err_size);
	int to = core_find(fp, wanted->to_cpu, err, err_size);
	int ret;

	m->service = fastpath_service(fp, wanted->service);
	if (!m->service) {
		snprintf(err, err_size, "there is no service %s", wanted->service);
		return -ENOENT;
	}
	if (from < 0 || to < 0)
		return from < 0 ? from : to;
	if (core_is_fenced(fp->core[from]) || core_is_fenced(fp->core[to])) {
		snprintf(err, err_size, "CPU %u does not answer: `weirctl core list`",
			core_is_fenced(fp->core[from]) ? wanted->from_cpu : wanted->to_cpu);
		return -EBUSY;
	}
	if (from == to) {
		snprintf(err, err_size, "from CPU %u to CPU %u is no way: name two",
			wanted->from_cpu, wanted->to_cpu);
		return -EINVAL;
	}
	m->from = m->service->on_core[from];
	ret = buckets_choose(wanted, m, err, err_size);
	if (ret)
		return ret;
	m->hold.service = m->service;
	m->hold.number = SERVICE_HOLD;
	m->hold.core = SERVICE_NOBODY;
	m->hold.ring = service_ring_create(fp->core[0]->node);
	if (!m->hold.ring) {
		snprintf(err, err_size, "no memory for packets to wait in");
		return -ENOMEM;
	}
	return move_worker_find(fp, m->service, (uint32_t)to, &m->to, err, err_size);
}

void move_free(struct move *m)
{
	if (!m)
		return;
	rte_free(m->hold.ring);
	rte_free(m);
}

int fastpath_move(struct fastpath *fp, const struct weir_core_move *wanted, uint64_t now_ns,
	uint32_t *ret_count, char *err, size_t err_size)
{
	struct move *m;
	int ret;

	if (fp->move) {
		snprintf(err, err_size,
			"buckets of service %s are on the move: try again in a moment",
			fp->move->service->identity.name);
		return -EBUSY;
	}
	if (fp->takeover) {
		snprintf(err, err_size, "a core is being taken over: try again in a moment");
		return -EBUSY;
	}
	m = rte_zmalloc("move of buckets", sizeof(*m), RTE_CACHE_LINE_SIZE);
	if (!m)
		return -ENOMEM;
	ret = move_create(fp, wanted, m, err, err_size);
	if (ret) {
		move_free(m);
		return ret;
	}
	m->began_ns = now_ns;
	*ret_count = m->count;
	m->service->worker[SERVICE_HOLD] = &m->hold;
	m->service->moved = true;
	for (uint32_t i = 0; i < FLOW_PARTITIONS; i++)
		if (has(m, i))
			m->service->bucket_home[i] = SERVICE_NOBODY;
	m->service->spreading =
		false; /* where they are now is what somebody wants; spread() knows better */
	m->service->cores_short = 0;
	fp->move = m;
	ret = apply_again(fp, err, err_size);
	if (ret == 0)
		return 0;
	fp->move = NULL;
	m->service->worker[SERVICE_HOLD] = NULL;
	move_free(m);
	return ret;
}

/* The next step towards as many cores as a service is to have. Returns true when one has begun. */
static bool service_spread(
	struct fastpath *fp, struct service *s, uint64_t now_ns, fastpath_event event, void *ctx)
{
	struct weir_core_move wanted = { .flags = 0 };
	uint16_t buckets[WEIR_MAX_CORES] = { 0 };
	uint32_t rank[WEIR_MAX_CORES];
	struct spread_step step;
	char err[256];
	uint32_t count, have = 0;

	for (uint32_t i = 0; i < s->worker_count; i++) {
		buckets[s->worker[i]->core] = (uint16_t)service_worker_buckets(s->worker[i]);
		have += buckets[s->worker[i]->core] != 0;
	}
	cores_rank_for(fp, s, have, rank);
	s->spreading = spread_next(buckets, rank, core_plan_first_worker(fp->core_count),
		fp->core_count, s->cores_wanted, &step);
	if (!s->spreading) {
		cores_settled(fp, s, have, now_ns, event, ctx);
		return false;
	}
	memcpy(wanted.service, s->identity.name, sizeof(wanted.service));
	wanted.from_cpu = fp->params.core[step.from].cpu;
	wanted.to_cpu = fp->params.core[step.to].cpu;
	for (uint32_t i = 0; step.count && i < FLOW_PARTITIONS; i++) {
		if (!service_worker_has(s->on_core[step.from], i))
			continue;
		wanted.buckets[i / 8] |= (uint8_t)(1u << (i % 8));
		step.count--;
	}
	if (fastpath_move(fp, &wanted, now_ns, &count, err, sizeof(err)) == 0) {
		s->spreading = true;
		return true;
	}
	s->spreading = false;
	event(ctx, s->identity.name, err);
	return false;
}

static bool spread(struct fastpath *fp, uint64_t now_ns, fastpath_event event, void *ctx)
{
	for (uint32_t slot = 0; slot < WEIR_MAX_SERVICES; slot++) {
		struct service *s = fp->service[slot];

		if (s && s->spreading && now_ns >= s->spread_again_ns &&
			service_spread(fp, s, now_ns, event, ctx))
			return true;
	}
	return false;
}

static void move_tell(
	struct fastpath *fp, const struct move *m, uint64_t now_ns, fastpath_event event, void *ctx)
{
	const uint32_t from = entry_of(fp, m->from)->cpu, to = entry_of(fp, m->to)->cpu;
	const uint32_t held = m->hold.ring->prod.tail;
	char text[256];

	if (state_of(m) == MOVE_DONE)
		snprintf(text, sizeof(text),
			"%u bucket%s moved from CPU %u to CPU %u in %" PRIu64
			" us, %u packets waited",
			m->count, m->count == 1 ? "" : "s", from, to, (now_ns - m->began_ns) / 1000,
			held);
	else
		snprintf(text, sizeof(text),
			"%u bucket%s stay on CPU %u: for a second it did not get round to what they had, "
			"or its ports took nothing",
			m->count, m->count == 1 ? "" : "s", from);
	event(ctx, m->service->identity.name, text);
}

void move_kept_free(struct fastpath *fp, void *what)
{
	RTE_SET_USED(fp);
	move_free(what);
}

bool fastpath_move_tick(struct fastpath *fp, uint64_t now_ns, fastpath_event event, void *ctx)
{
	struct move *m = fp->move;
	char err[128];

	cores_look(fp, now_ns);
	if (!m)
		return !fp->takeover && spread(fp, now_ns, event, ctx);
	if (now_ns - m->began_ns > MOVE_PATIENCE_NS)
		__atomic_store_n(&m->patience_ended, true, __ATOMIC_RELAXED);
	if (state_of(m) != MOVE_DONE && state_of(m) != MOVE_REFUSED)
		return true;
	fp->move = NULL;
	if (apply_again(fp, err, sizeof(err))) {
		fp->move = m; /* without memory for a generation; the next tick tries again */
		return true;
	}
	m->service->worker[SERVICE_HOLD] = NULL;
	m->service->spreading &= state_of(m) == MOVE_DONE;
	for (uint32_t i = 0; state_of(m) == MOVE_DONE && i < FLOW_PARTITIONS; i++)
		if (has(m, i) && m->service->bucket_home[i] == m->to->core)
			m->service->bucket_home[i] = SERVICE_NOBODY;
	move_tell(fp, m, now_ns, event, ctx);
	fence_keep(fp, fence_holders(fp), move_kept_free, m);
	return false;
}
