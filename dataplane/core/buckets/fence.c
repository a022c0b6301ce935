/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/core/buckets/fence.h"

#include "dataplane/core/buckets/core_plan.h"
#include "dataplane/core/core.h"
#include "dataplane/service/rescue.h"
#include "dataplane/stage/trace/trace.h"

#include <rte_rcu_qsbr.h>
#include <rte_ring.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define GATE_NAP_NS 50000
/* A core that was stuck is left without buckets for so long, twice as long each further time, up to a limit. */
#define SHUN_NS	    UINT64_C(1000000000)
#define SHUN_TIMES  7u
/* It was well for so long: what was before is forgotten. */
#define QUIET_NS    UINT64_C(600000000000)

/* What goes when no core may look at it any more. */
struct kept {
	struct kept *next; /* owned */
	uint64_t cores; /* bit i: core i may */
	fence_let_go_fn let_go;
	void *what;
};

/* ---- the core's own ---- */

__rte_noinline void fence_wait(struct fastpath *fp, struct core *c)
{
	const struct timespec nap = { .tv_nsec = GATE_NAP_NS };

	rte_rcu_qsbr_thread_offline(fp->qsbr, c->index);
	while (!__atomic_load_n(&fp->stop, __ATOMIC_RELAXED)) {
		uint8_t fence = __atomic_load_n(&c->fence, __ATOMIC_ACQUIRE);

		if (fence == CORE_FREE)
			break;
		/* Also when it was let in, stopped before it saw that, and was fenced again. */
		if (fence == CORE_FENCED)
			__atomic_store_n(&c->fence, CORE_AT_GATE, __ATOMIC_RELEASE);
		nanosleep(&nap, NULL);
	}
	rte_rcu_qsbr_thread_online(fp->qsbr, c->index);
	c->last_now = 0; /* nobody's time */
	c->asked = 0;
}

/* ---- main thread ---- */

static uint8_t fence_of(const struct core *c)
{
	return __atomic_load_n(&c->fence, __ATOMIC_ACQUIRE);
}

bool fence_is_fit(const struct core *c)
{
	return fence_of(c) == CORE_FREE && c->pulse.state == PULSE_BEATS && !c->fenced.shunned;
}

/* What is kept is kept until fence_tick() has let the core in. */
uint64_t fence_holders(const struct fastpath *fp)
{
	return fence_holders_of_generation(fp, 0);
}

bool fence_is_up(const struct fastpath *fp)
{
	return fence_holders(fp) != 0;
}

uint64_t fence_holders_of_generation(const struct fastpath *fp, uint64_t number)
{
	uint64_t cores = 0;

	for (uint32_t i = 0; i < fp->core_count; i++)
		if (fence_of(fp->core[i]) != CORE_FREE && fp->core[i]->fenced.generation >= number)
			cores |= UINT64_C(1) << i;
	return cores;
}

static void generation_kept_free(struct fastpath *fp, void *what)
{
	RTE_SET_USED(fp);
	generation_destroy(what);
}

void generation_let_go(struct fastpath *fp, struct generation *g)
{
	if (g)
		fence_keep(fp, fence_holders_of_generation(fp, g->number), generation_kept_free, g);
}

uint64_t fence_holders_of_service(const struct fastpath *fp, const struct service *s)
{
	uint64_t cores = 0;

	for (const struct kept *k = fp->kept; k; k = k->next) {
		const struct generation *g = k->let_go == generation_kept_free ? k->what : NULL;

		if (g && g->service[s->slot] == s)
			cores |= k->cores;
	}
	return cores;
}

bool fastpath_ports_are_held(const struct fastpath *fp)
{
	return fence_is_up(fp);
}

void fence_keep(struct fastpath *fp, uint64_t cores, fence_let_go_fn let_go, void *what)
{
	struct kept *k = cores ? malloc(sizeof(*k)) : NULL, **at = &fp->kept;

	if (!cores) {
		let_go(fp, what);
		return;
	}
	if (!k)
		return; /* lost to us, which is better than taken from who may use it */
	*k = (struct kept){ .cores = cores, .let_go = let_go, .what = what };
	/* Let go in the same order: a generation before the services that it is made of. */
	while (*at)
		at = &(*at)->next;
	*at = k;
}

static void kept_release(struct fastpath *fp, uint64_t cores)
{
	struct kept **at = &fp->kept;

	while (*at) {
		struct kept *k = *at;

		k->cores &= ~cores;
		if (k->cores) {
			at = &k->next;
			continue;
		}
		*at = k->next;
		k->let_go(fp, k->what);
		free(k);
	}
}

void fence_end(struct fastpath *fp)
{
	kept_release(fp, UINT64_MAX);
}

/* ---- raising it ---- */

/* Is there another core that works? */
static bool others_work(const struct fastpath *fp, const struct core *c)
{
	for (uint32_t i = core_plan_first_worker(fp->core_count); i < fp->core_count; i++) {
		const struct core *other = fp->core[i];

		if (other != c && fence_of(other) == CORE_FREE &&
			other->pulse.state == PULSE_BEATS &&
			__atomic_load_n(&other->runs, __ATOMIC_ACQUIRE))
			return true;
	}
	return false;
}

static void fence_raise(struct fastpath *fp, struct core *c, uint64_t now_ns)
{
	struct fenced *f = &c->fenced;

	if (f->times && now_ns - f->shunned_ns > QUIET_NS && now_ns > f->shunned_ns)
		f->times = 0;
	f->times++;
	f->generation = fp->generation_count;
	f->since_ns = c->pulse.now_ns;
	f->taken = false;
	__atomic_store_n(&c->fence, CORE_FENCED, __ATOMIC_SEQ_CST);
	rte_rcu_qsbr_thread_unregister(fp->qsbr, c->index);
}

void fence_look(
	struct fastpath *fp, struct core *c, uint64_t now_ns, fastpath_event event, void *ctx)
{
	char object[32];

	if (c->pulse.state == PULSE_BEATS)
		c->fenced.told = false;
	if (!pulse_is_gone(&c->pulse))
		return;
	if (c->index >= core_plan_first_worker(fp->core_count) && c->index != 0 &&
		others_work(fp, c)) {
		fence_raise(fp, c, now_ns);
		return;
	}
	if (c->pulse.watched_ns >= FASTPATH_GIVE_UP_NS && fp->params.give_up)
		fp->params.give_up(fp->params.give_up_ctx, fp->params.core[c->index].cpu);
	if (c->fenced.told)
		return;
	c->fenced.told = true;
	snprintf(object, sizeof(object), "CPU %u", fp->params.core[c->index].cpu);
	event(ctx, object,
		c->index == 0 ?
			"receives for all services, so that nobody can take its work over: if it does not "
			"go round in 10 s the data plane is started anew" :
			"no other core works that could take over what it has: if it does not go round in "
			"10 s the data plane is started anew");
}

/* ---- taking it away ---- */

/* Packets of workers that have lost their buckets; how many. */
static uint32_t rings_held(const struct fastpath *fp, uint32_t core)
{
	uint32_t held = 0;

	for (uint32_t slot = 0; slot < WEIR_MAX_SERVICES; slot++) {
		const struct service_worker *w =
			fp->service[slot] ? fp->service[slot]->on_core[core] : NULL;

		if (w && w->ring)
			held += rte_ring_count(w->ring);
	}
	return held;
}

static uint32_t lanes_held(const struct core *c)
{
	uint32_t held = 0;

	for (uint32_t i = 0; i < WEIR_MAX_PORTS; i++)
		held += __atomic_load_n(&c->transmit.lane[i].count, __ATOMIC_RELAXED);
	return held;
}

static void show(struct fastpath *fp, const struct core *c, uint32_t taken_over, uint32_t held)
{
	struct weir_core_entry *entry = &fp->telemetry->core[c->index];

	__atomic_store_n(&entry->taken_over, taken_over, __ATOMIC_RELAXED);
	__atomic_store_n(&entry->held, held, __ATOMIC_RELAXED);
}

/* What came before its buckets were lost has been overtaken. Returns how many packets. */
static uint32_t held_drop(struct fastpath *fp, struct core *c)
{
	uint32_t dropped = lanes_held(c);
	struct rte_mbuf *m;

	for (uint8_t i = 0; i < WEIR_MAX_PORTS; i++) {
		transmit_abandon(&c->transmit, i, WEIR_DROP_CORE_TAKEN_OVER);
		c->transmit.lane[i].port = NULL;
	}
	for (uint32_t slot = 0; slot < WEIR_MAX_SERVICES; slot++) {
		const struct service_worker *w =
			fp->service[slot] ? fp->service[slot]->on_core[c->index] : NULL;

		while (w && w->lost && rte_ring_sc_dequeue(w->ring, (void **)&m) == 0) {
			stage_drop(&c->stage, m, WEIR_DROP_CORE_TAKEN_OVER);
			dropped++;
		}
	}
	stage_drops_free(&c->stage);
	return dropped;
}

static void lost_settle(struct fastpath *fp, const struct core *c)
{
	for (uint32_t slot = 0; slot < WEIR_MAX_SERVICES; slot++) {
		struct service *s = fp->service[slot];
		struct service_lost *next;

		for (struct service_lost *l = s ? s->lost : NULL; l; l = next) {
			next = l->next;
			if (l->worker->core != c->index)
				continue;
			rescue_settle(s, l);
		}
	}
	directory_memory(fp);
}

/* It was fenced while it gave buckets up, and nobody took them: they are its own. */
static void owners_restore(struct fastpath *fp, const struct core *c)
{
	for (uint32_t slot = 0; slot < WEIR_MAX_SERVICES; slot++) {
		struct service *s = fp->service[slot];
		const struct service_worker *w = s ? s->on_core[c->index] : NULL;

		for (uint32_t i = 0; w && !fp->move && i < FLOW_PARTITIONS; i++)
			if (s->bucket_owner[i] == SERVICE_NOBODY &&
				s->bucket_worker[i] == w->number)
				__atomic_store_n(&s->bucket_owner[i], w->number, __ATOMIC_RELEASE);
	}
}

static void let_in(
	struct fastpath *fp, struct core *c, uint64_t now_ns, fastpath_event event, void *ctx)
{
	struct fenced *f = &c->fenced;
	const uint64_t ms = (now_ns - f->since_ns) / 1000000;
	const uint32_t dropped = f->taken ? held_drop(fp, c) : 0;
	char object[32], text[192];

	lost_settle(fp, c);
	if (!f->taken)
		owners_restore(fp, c);
	kept_release(fp, UINT64_C(1) << c->index);
	f->shunned = true;
	f->shunned_ns = now_ns + (SHUN_NS << (RTE_MIN(f->times, SHUN_TIMES) - 1));
	c->pulse = (struct pulse){ .begun = false };
	__atomic_store_n(&fp->telemetry->core[c->index].state, WEIR_CORE_ANSWERS, __ATOMIC_RELAXED);
	show(fp, c, 0, 0);
	__atomic_store_n(&c->stage.trace,
		fp->traced.trace ? trace_core_of(fp->traced.trace, c->index) : NULL,
		__ATOMIC_RELEASE);
	rte_rcu_qsbr_thread_register(fp->qsbr, c->index);
	__atomic_store_n(&c->fence, CORE_FREE, __ATOMIC_RELEASE);
	snprintf(object, sizeof(object), "CPU %u", fp->params.core[c->index].cpu);
	snprintf(text, sizeof(text),
		"goes round again, after %" PRIu64
		" ms; %u packets that it held were dropped, and it "
		"gets no buckets for %" PRIu64 " s",
		ms, dropped, (f->shunned_ns - now_ns) / 1000000000);
	event(ctx, object, text);
}

void fence_tick(struct fastpath *fp, uint64_t now_ns, fastpath_event event, void *ctx)
{
	for (uint32_t i = 0; i < fp->core_count; i++) {
		struct core *c = fp->core[i];

		if (c->fenced.shunned && now_ns >= c->fenced.shunned_ns && fence_of(c) == CORE_FREE)
			c->fenced.shunned = false;
		if (fence_of(c) == CORE_FENCED)
			show(fp, c, c->fenced.taken, rings_held(fp, i) + lanes_held(c));
		else if (fence_of(c) == CORE_AT_GATE && !fp->takeover)
			let_in(fp, c, now_ns, event, ctx);
	}
}
