/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Taking over the work of a core that does not answer, while it may wake up at any moment (fence.h says what it can
 * still do then, and core/move.c how buckets move when both cores answer).
 *
 *   main     has raised the fence; chooses for each bucket another worker of the service, or where the core was the
 *            service's only one the least loaded core that works; makes partitions of the flow table for
 *            them, and publishes a generation that names the takeover, in which the buckets have other sets of
 *            translated ports                                                        TAKEOVER_WANTED
 *   core 0   lets packets of the buckets wait                                        TAKEOVER_HELD
 *   main     copies the flows (service/rescue.c), and makes the new workers owners   TAKEOVER_RESCUED
 *   core 0   gives what waited to the new workers' rings, and once that is empty the buckets, too
 *                                                                                    TAKEOVER_DONE
 *   main     publishes a generation without the takeover
 *
 * Packets that had been given to the core before are its own: they are dropped as core_taken_over when it is at the
 * gate. What a device steers to its queue waits there, as the core alone may poll it, and goes by core 0 when it polls
 * again; the device's rules go at once (fastpath_takeover_tick() says so).
 *
 * When the core goes round again its buckets come home by ordinary moves, after a quiet time.
 *
 * Core 0 answers within a round. When it does not, all waits where it is until it does.
 */

#include "dataplane/core/buckets/takeover.h"

#include "dataplane/core/apply.h"
#include "dataplane/core/buckets/core_plan.h"
#include "dataplane/core/buckets/fence.h"
#include "dataplane/core/buckets/move.h"
#include "dataplane/core/core.h"
#include "dataplane/service/rescue.h"

#include <rte_malloc.h>
#include <rte_ring.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Workers that have no place for all that was held for so long are flooded. */
#define EMPTYING_NS UINT64_C(20000000)
/* Core 0 is waited for at most so long at a time. */
#define WAIT_NS	    UINT64_C(50000000)
#define WAIT_NAP_NS 20000

static uint8_t state_of(const struct takeover *t)
{
	return __atomic_load_n(&t->state, __ATOMIC_ACQUIRE);
}

static void state_set(struct takeover *t, enum takeover_state state)
{
	__atomic_store_n(&t->state, (uint8_t)state, __ATOMIC_RELEASE);
}

/* ---- core 0 ---- */

static void dispatch_hold(struct taken *t)
{
	struct service *s = t->service;

	for (uint32_t i = 0; i < FLOW_PARTITIONS; i++) {
		if (t->target[i] == SERVICE_NOBODY)
			continue;
		__atomic_store_n(&s->bucket_direct[i], SERVICE_NOBODY, __ATOMIC_RELEASE);
		__atomic_store_n(&s->bucket_worker[i], SERVICE_HOLD, __ATOMIC_RELEASE);
	}
}

/* So many fit into each of the new workers' rings. */
static uint32_t room_of(const struct taken *t)
{
	uint32_t room = STAGE_BURST;

	for (uint32_t i = 0; i < FLOW_PARTITIONS; i++) {
		const struct service_worker *w =
			t->target[i] == SERVICE_NOBODY ? NULL : t->service->worker[t->target[i]];

		if (w && (i == 0 || t->target[i] != t->target[i - 1]))
			room = RTE_MIN(room, rte_ring_free_count(w->ring));
	}
	return room;
}

/* Give what was held to the new workers. Returns true when nothing is left. */
static bool hold_empty(struct core *c, const struct takeover *t, struct taken *taken)
{
	struct rte_mbuf *pkts[STAGE_BURST];
	uint32_t n = 1;

	while (n && !rte_ring_empty(taken->hold.ring)) {
		n = rte_ring_sc_dequeue_burst(
			taken->hold.ring, (void **)pkts, room_of(taken), NULL);
		for (uint32_t i = 0; i < n; i++) {
			const uint8_t target = taken->target[packet_of(pkts[i])->bucket];

			rte_ring_sp_enqueue(taken->service->worker[target]->ring, pkts[i]);
		}
	}
	if (stage_ns(&c->stage, c->stage.now) - t->emptying_ns > EMPTYING_NS)
		while (rte_ring_sc_dequeue(taken->hold.ring, (void **)pkts) == 0)
			stage_drop(&c->stage, pkts[0], WEIR_DROP_WORKER_RING_FULL);
	return rte_ring_empty(taken->hold.ring);
}

static void dispatch_targets(struct core *c, struct takeover *t)
{
	bool all = true;

	if (t->emptying_ns == 0)
		t->emptying_ns = stage_ns(&c->stage, c->stage.now);
	for (uint32_t i = 0; i < t->count; i++) {
		struct taken *taken = &t->taken[i];

		if (!hold_empty(c, t, taken)) {
			all = false;
			continue;
		}
		for (uint32_t b = 0; b < FLOW_PARTITIONS; b++)
			if (taken->target[b] != SERVICE_NOBODY)
				__atomic_store_n(&taken->service->bucket_worker[b],
					taken->target[b], __ATOMIC_RELEASE);
	}
	if (all)
		state_set(t, TAKEOVER_DONE);
}

__rte_noinline void takeover_dispatch(struct core *c, struct takeover *t)
{
	switch (state_of(t)) {
	case TAKEOVER_WANTED:
		for (uint32_t i = 0; i < t->count; i++)
			dispatch_hold(&t->taken[i]);
		state_set(t, TAKEOVER_HELD);
		break;
	case TAKEOVER_RESCUED:
		dispatch_targets(c, t);
		break;
	default:
		break;
	}
}

/* ---- main thread: who gets what ---- */

static bool goes_round(const struct core *c)
{
	return !core_is_fenced(c) && c->pulse.state == PULSE_BEATS;
}

static bool has_bucket(const struct service *s, const struct service_worker *w, uint32_t bucket)
{
	return w &&
		(service_worker_has(w, bucket) ||
			__atomic_load_n(&s->bucket_worker[bucket], __ATOMIC_RELAXED) == w->number);
}

static uint32_t bucket_count(const struct service *s, uint32_t core)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < FLOW_PARTITIONS; i++)
		count += has_bucket(s, s->on_core[core], i);
	return count;
}

/* Cores for a service instead of this one; the service's own when there are others. Returns how many. */
static uint32_t targets_choose(const struct fastpath *fp, const struct service *s, uint32_t but,
	uint32_t *load, uint8_t ret_core[WEIR_MAX_CORES])
{
	const uint32_t first = core_plan_first_worker(fp->core_count);
	uint32_t best = UINT32_MAX, count = 0;

	for (uint32_t i = first; i < fp->core_count; i++) {
		if (i == but || !goes_round(fp->core[i]))
			continue;
		if (s->on_core[i] && service_worker_buckets(s->on_core[i]))
			ret_core[count++] = (uint8_t)i;
		if (best == UINT32_MAX || load[i] < load[best])
			best = i;
	}
	if (count || best == UINT32_MAX)
		return count;
	load[best] += load[best] != CORE_PLAN_UNFIT;
	ret_core[0] = (uint8_t)best;
	return 1;
}

/* Everything that can fail for one service, and changes nothing yet that anybody sees. Returns 0 or -errno. */
static int taken_make(struct fastpath *fp, struct taken *t, struct service *s, uint32_t core,
	uint32_t *load, struct service_settings **changed)
{
	bool shifted[FLOW_PARTITIONS];
	uint8_t target[WEIR_MAX_CORES];
	uint32_t targets = targets_choose(fp, s, core, load, target);
	char err[128];
	int ret = targets ? 0 : -ENOENT;

	t->service = s;
	t->hold.service = s;
	t->hold.number = SERVICE_HOLD;
	t->hold.core = SERVICE_NOBODY;
	t->hold.ring = service_ring_create(fp->core[0]->node);
	t->lost = rescue_begin(s, s->on_core[core]);
	if (ret == 0 && (!t->hold.ring || !t->lost))
		ret = -ENOMEM;
	for (uint32_t i = 0; i < FLOW_PARTITIONS; i++) {
		const uint8_t to = target[targets ? t->buckets % targets : 0];
		struct service_worker *w;

		t->target[i] = SERVICE_NOBODY;
		shifted[i] = has_bucket(s, s->on_core[core], i);
		if (!shifted[i] || ret)
			continue;
		ret = move_worker_find(fp, s, to, &w, err, sizeof(err));
		if (ret == 0)
			ret = rescue_prepare(t->lost, s, (uint8_t)i, w, fp->core[to]->node);
		if (ret)
			continue;
		t->target[i] = w->number;
		t->buckets++;
	}
	if (ret == 0)
		ret = service_settings_shift(fp->generation->settings[s->slot], shifted, &fp->seed,
			t->lane, &changed[s->slot]);
	return ret;
}

static void taken_undo(struct taken *t)
{
	rte_free(t->hold.ring);
	if (t->lost)
		rescue_undo(t->service, t->lost);
}

void takeover_free(struct takeover *t)
{
	if (!t)
		return;
	for (uint32_t i = 0; i < t->count; i++)
		rte_free(t->taken[i].hold.ring);
	rte_free(t);
}

/* ---- main thread: events ---- */

static void stays_tell(const struct fastpath *fp, const struct service *s, uint32_t core, int ret,
	fastpath_event event, void *ctx)
{
	char text[192];

	snprintf(text, sizeof(text), "cannot be taken over from CPU %u, which does not answer: %s",
		fp->params.core[core].cpu,
		ret == -ENOENT	      ? "no other core works" :
			ret == -EBUSY ? "too many cores have had its buckets, and none of them "
					"answers" :
					"no memory for its flows");
	event(ctx, s->identity.name, text);
}

static void takeover_tell(const struct fastpath *fp, const struct takeover *t, uint64_t now_ns,
	fastpath_event event, void *ctx)
{
	const struct fenced *f = &fp->core[t->core]->fenced;
	uint32_t buckets = 0, flows = 0, refused = 0;
	char object[32], names[96] = "", text[256];
	size_t used = 0;

	for (uint32_t i = 0; i < t->count; i++) {
		const struct taken *taken = &t->taken[i];

		buckets += taken->buckets;
		flows += taken->lost->entered;
		refused += taken->lost->refused;
		if (used < sizeof(names))
			used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s",
				used ? ", " : "", taken->service->identity.name);
	}
	snprintf(object, sizeof(object), "CPU %u", fp->params.core[t->core].cpu);
	snprintf(text, sizeof(text),
		"was taken over %" PRIu64
		" ms after its last round: %u buckets of %s; %u flows go on, "
		"%u do not",
		(now_ns - f->since_ns) / 1000000, buckets, names, flows, refused);
	event(ctx, object, text);
}

/* ---- main thread: step by step ---- */

/* What was made is in force: from here on the worker has lost its buckets. */
static void taken_commit(struct fastpath *fp, struct taken *t)
{
	struct service *s = t->service;

	if (s->ports)
		nat_ports_shifted(s->ports, t->lane, t->lost->lane);
	__atomic_store_n(&t->lost->worker->lost, true, __ATOMIC_RELAXED);
}

static struct takeover *takeover_make(struct fastpath *fp, uint32_t core,
	struct service_settings **changed, fastpath_event event, void *ctx)
{
	uint32_t load[WEIR_MAX_CORES] = { 0 }, count = 0;
	struct takeover *t;

	services_load(fp, load);
	for (uint32_t slot = 0; slot < WEIR_MAX_SERVICES; slot++)
		count += fp->service[slot] && bucket_count(fp->service[slot], core);
	t = rte_zmalloc("takeover of a core", sizeof(*t) + count * sizeof(t->taken[0]), 64);
	if (!t)
		return NULL;
	t->core = core;
	for (uint32_t slot = 0; slot < WEIR_MAX_SERVICES; slot++) {
		struct service *s = fp->service[slot];
		int ret;

		if (!s || !bucket_count(s, core))
			continue;
		ret = taken_make(fp, &t->taken[t->count], s, core, load, changed);
		if (ret == 0) {
			t->count++;
			continue;
		}
		taken_undo(&t->taken[t->count]);
		memset(&t->taken[t->count], 0, sizeof(t->taken[0]));
		stays_tell(fp, s, core, ret, event, ctx);
	}
	return t;
}

/* Publish what names the takeover. Without memory for that, the next tick tries again. */
static void takeover_begin(struct fastpath *fp, uint32_t core, fastpath_event event, void *ctx)
{
	struct service_settings **changed = calloc(WEIR_MAX_SERVICES, sizeof(*changed));
	struct takeover *t = changed ? takeover_make(fp, core, changed, event, ctx) : NULL;
	char err[128];

	if (t && t->count == 0) {
		takeover_free(t);
		fp->core[core]->fenced.taken = true;
		t = NULL;
	}
	if (!t)
		goto out;
	for (uint32_t i = 0; i < t->count; i++)
		t->taken[i].service->worker[SERVICE_HOLD] = &t->taken[i].hold;
	fp->takeover = t;
	if (apply_settings(fp, changed, err, sizeof(err)) == 0) {
		for (uint32_t i = 0; i < t->count; i++)
			taken_commit(fp, &t->taken[i]);
		goto out;
	}
	fp->takeover = NULL;
	for (uint32_t i = 0; i < t->count; i++) {
		t->taken[i].service->worker[SERVICE_HOLD] = NULL;
		taken_undo(&t->taken[i]);
	}
	rte_free(t);
	for (uint32_t i = 0; i < WEIR_MAX_SERVICES; i++)
		service_settings_release(changed[i]);
out:
	free(changed);
}

/* The clock of the flow tables. */
static uint32_t flows_ms(const struct fastpath *fp)
{
	const struct stage_core *c = &fp->core[0]->stage;

	return (uint32_t)(stage_ns(c, stage_clock(c)) / 1000000);
}

static void takeover_rescue(struct fastpath *fp, struct takeover *t)
{
	for (uint32_t i = 0; i < t->count; i++) {
		struct taken *taken = &t->taken[i];
		struct service *s = taken->service;

		for (uint32_t b = 0; b < FLOW_PARTITIONS; b++) {
			if (taken->target[b] == SERVICE_NOBODY)
				continue;
			rescue_bucket(taken->lost, fp->generation->settings[s->slot], (uint8_t)b,
				s->worker[taken->target[b]], &fp->seed, flows_ms(fp));
			if (s->bucket_home[b] == SERVICE_NOBODY)
				s->bucket_home[b] = (uint8_t)t->core;
		}
		s->moved = true;
		s->away = true;
	}
	state_set(t, TAKEOVER_RESCUED);
}

/* Returns true when it is over. */
static bool takeover_end(
	struct fastpath *fp, struct takeover *t, uint64_t now_ns, fastpath_event event, void *ctx)
{
	char err[128];

	fp->takeover = NULL;
	if (apply_again(fp, err, sizeof(err))) {
		fp->takeover = t; /* without memory for a generation; the next tick tries again */
		return false;
	}
	for (uint32_t i = 0; i < t->count; i++)
		t->taken[i].service->worker[SERVICE_HOLD] = NULL;
	fp->core[t->core]->fenced.taken = true;
	takeover_tell(fp, t, now_ns, event, ctx);
	takeover_free(t);
	return true;
}

static bool state_wait(const struct takeover *t, enum takeover_state state)
{
	const struct timespec nap = { .tv_nsec = WAIT_NAP_NS };

	for (uint64_t waited = 0; state_of(t) != state; waited += WAIT_NAP_NS) {
		if (waited >= WAIT_NS)
			return false;
		nanosleep(&nap, NULL);
	}
	return true;
}

/* On from where it is. Returns true when it is over. */
static bool takeover_go_on(struct fastpath *fp, uint64_t now_ns, fastpath_event event, void *ctx)
{
	struct takeover *t = fp->takeover;

	if (state_of(t) <= TAKEOVER_HELD) {
		if (!state_wait(t, TAKEOVER_HELD))
			return false;
		takeover_rescue(fp, t);
	}
	return state_wait(t, TAKEOVER_DONE) && takeover_end(fp, t, now_ns, event, ctx);
}

bool fastpath_takeover_tick(struct fastpath *fp, uint64_t now_ns, fastpath_event event, void *ctx)
{
	bool over = fp->takeover && takeover_go_on(fp, now_ns, event, ctx);

	fence_tick(fp, now_ns, event, ctx);
	for (uint32_t i = 0; i < fp->core_count && !fp->takeover; i++) {
		const struct core *c = fp->core[i];

		if (!core_is_fenced(c) || c->fenced.taken)
			continue;
		if (fp->move) {
			move_hurry(fp);
			return over;
		}
		if (fp->generation)
			takeover_begin(fp, i, event, ctx);
		over |= fp->takeover && takeover_go_on(fp, now_ns, event, ctx);
	}
	if (!fp->takeover && !fp->move)
		homecoming_tick(fp, now_ns, event, ctx);
	return over;
}
