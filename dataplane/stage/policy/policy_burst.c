/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/stage/flow/flow_stage.h"
#include "dataplane/stage/limit/limit.h"
#include "dataplane/stage/policy/judged.h"
#include "dataplane/stage/policy/policy_context.h"
#include "dataplane/stage/policy/policy_stage.h"
#include "dataplane/stage/trace/trace.h"

#include <assert.h>

static_assert(WEIR_MAX_POOLS_PER_SERVICE <= UINT8_MAX, "a pool's number fits into a packet");
static_assert(WEIR_MAX_CLASSES_PER_SERVICE <= 64,
	"a class's number fits, and a bit for each into a word");
static_assert(
	(int)WEIR_POLICY_ACTION_COUNT == (int)WEIR_ACTION_COUNT, "telemetry counts by action");

/* One policy on one burst. */
struct run {
	const struct work *w;
	const struct policy_place *place;
	struct policy_core *core;
	struct weir_policy_cell *cell;
	struct trace_core *trace; /* NULL: nothing is traced */
	uint8_t number; /* of the place */
	bool dropped; /* some packets were: they leave gaps */
};

/*
 * Packets that would open a flow: a bare SYN, or a datagram of UDP, that no flow is known for or that opens
 * its tuple anew. The only thing about flows that a policy can ask, so the only lookup before the flow stage.
 */
static __rte_always_inline bool is_new_flow(
	const struct work *w, struct rte_mbuf *m, const struct packet *p, const bool ipv6)
{
	const struct flow *f;

	if (!work_opens(w, p) || (p->flags & PACKET_F_ASIDE))
		return false;
	f = flow_find(work_partition(w, p), p->hash, work_addrs(m, p, ipv6), p->ports,
		FLOW_SIDE_CLIENT, ipv6);
	return !f ||
		(w->settings->protocol == IPPROTO_TCP && flow_tcp_reopens(f->state, p->tcp_flags));
}

static void drop(struct run *r, struct rte_mbuf **m, enum weir_drop_reason reason)
{
	stage_drop(r->w->core, *m, reason);
	*m = NULL;
	r->dropped = true;
}

/* Which action a verdict stands for; one that means nothing here is ABORTED. */
static uint32_t verdict_check(const struct run *r, uint32_t verdict)
{
	const uint32_t argument = WEIR_VERDICT_ARGUMENT(verdict);
	const struct service_settings *s = r->w->settings;
	const uint32_t action = policy_action(verdict);

	if (action == WEIR_ACTION_LIMIT && argument - 1 >= s->policies->class_count) {
		cell_add(&r->cell->no_class, 1);
		return WEIR_ACTION_ABORTED;
	}
	if (action == WEIR_ACTION_ROUTE && argument - 1 >= s->pool_count) {
		cell_add(&r->cell->no_pool, 1);
		return WEIR_ACTION_ABORTED;
	}
	return action;
}

/* Any verdict but a plain PASS. */
static __rte_noinline void act(struct run *r, struct rte_mbuf **m, uint32_t verdict)
{
	const uint32_t argument = WEIR_VERDICT_ARGUMENT(verdict);
	const uint32_t action = verdict_check(r, verdict);
	const bool enforce = !r->place->observe;
	struct packet *p = packet_of(*m);

	cell_add(&r->cell->verdicts[action], 1);
	switch (action) {
	case WEIR_ACTION_DROP:
		cell_add(&r->cell->reasons[RTE_MIN(argument, WEIR_POLICY_REASONS - 1u)], 1);
		if (enforce)
			drop(r, m, WEIR_DROP_POLICY);
		break;
	case WEIR_ACTION_ABORTED:
		if (enforce && r->place->drop_on_error)
			drop(r, m, WEIR_DROP_POLICY_ERROR);
		break;
	case WEIR_ACTION_LIMIT:
		if (enforce && !p->policy_class)
			p->policy_class = (uint8_t)argument;
		break;
	case WEIR_ACTION_ROUTE:
		if (enforce && !p->pool)
			p->pool = (uint8_t)argument;
		break;
	default:
		break;
	}
}

static __rte_always_inline void judge(struct run *r, struct rte_mbuf **pkts, uint16_t n,
	const bool nat, const bool ipv6, const bool first)
{
	const struct policy_program *program = r->place->seat->program;
	struct policy_worker *worker = &r->core->worker;
	struct policy_frame *frame = &r->core->frame;
	struct trace_core *const trace = r->trace;
	const bool observe = r->place->observe;
	const bool offload = r->place->offload;
	const struct work *w = r->w;
	const uint64_t now_ns = worker->now_ns;
	uint32_t passed = 0, before = 0;

	for (uint16_t i = 0; i < n; i++) {
		struct rte_mbuf *m = pkts[i];
		const struct packet *p = packet_of(m);
		const uint32_t mark = first ? 0 : policy_mark(m);
		uint32_t verdict, written;

		if (work_is_reply(p, nat))
			continue;
		if (offload && judged_read(w, m, p, r->number, ipv6, &verdict, &written)) {
			policy_mark_set(m, written);
			before++;
		} else {
			policy_context_fill(&frame->ctx, m, p, now_ns, mark,
				is_new_flow(w, m, p, ipv6) ? WEIR_F_NEW_FLOW : 0, ipv6);
			verdict = policy_program_run(program, frame, worker);
			policy_mark_set(m, observe ? mark : frame->ctx.mark);
		}
		if (unlikely(trace != NULL))
			trace_policy(trace, m, r->number, verdict, observe);
		if (likely(verdict == WEIR_PASS))
			passed++;
		else
			act(r, &pkts[i], verdict);
	}
	cell_add(&r->cell->verdicts[WEIR_ACTION_PASS], passed);
	if (offload)
		cell_add(&r->cell->kernel, before);
}

/* A policy that was over its budget judges nothing; its on-error says what becomes of packets. */
static __rte_noinline void without(struct run *r, struct rte_mbuf **pkts, uint16_t n)
{
	const bool nat = r->w->settings->mode == WEIR_MODE_NAT;

	for (uint16_t i = 0; i < n; i++) {
		if (work_is_reply(packet_of(pkts[i]), nat))
			continue;
		if (r->number == 0)
			policy_mark_set(pkts[i], 0);
		if (r->place->drop_on_error && !r->place->observe)
			drop(r, &pkts[i], WEIR_DROP_POLICY_ERROR);
	}
}

static __rte_always_inline void run_body(
	struct run *r, struct rte_mbuf **pkts, uint16_t n, const bool nat, const bool ipv6)
{
	if (r->number == 0)
		judge(r, pkts, n, nat, ipv6, true);
	else
		judge(r, pkts, n, nat, ipv6, false);
}

static void run_burst(struct run *r, struct rte_mbuf **pkts, uint16_t n)
{
	const struct service_settings *s = r->w->settings;

	if (unlikely(__atomic_load_n(&r->place->seat->detached, __ATOMIC_RELAXED)))
		without(r, pkts, n);
	else if (s->mode == WEIR_MODE_NAT && s->ipv6)
		run_body(r, pkts, n, true, true);
	else if (s->mode == WEIR_MODE_NAT)
		run_body(r, pkts, n, true, false);
	else if (s->ipv6)
		run_body(r, pkts, n, false, true);
	else
		run_body(r, pkts, n, false, false);
}

/* Claim for the packets of one class, as the limit stage does for all. */
static void class_claim(const struct work *w, struct rte_mbuf **pkts, uint16_t n, uint8_t number)
{
	const struct policy_class_limits *limits = &w->settings->policies->class[number - 1];
	struct weir_class_cell *cell = limits->class->cell[w->worker->core];
	uint32_t bits[STAGE_BURST];
	uint32_t count = 0, under_packets, under_bits, seen = 0;

	for (uint16_t i = 0; i < n; i++)
		if (pkts[i] && packet_of(pkts[i])->policy_class == number)
			bits[count++] = packet_of(pkts[i])->length * 8;
	under_packets = count;
	if (limits->limits_packets)
		under_packets =
			limit_claim(w, &limits->class->packets, &limits->packets, NULL, count);
	under_bits = under_packets;
	if (limits->limits_bits && under_packets)
		under_bits =
			limit_claim(w, &limits->class->bits, &limits->bits, bits, under_packets);
	cell_add(&cell->packets, count);
	cell_add(&cell->dropped_packets, count - under_packets);
	cell_add(&cell->dropped_bits, under_packets - under_bits);
	for (uint16_t i = 0; i < n && under_bits < count; i++) {
		if (!pkts[i] || packet_of(pkts[i])->policy_class != number || seen++ < under_bits)
			continue;
		stage_drop(w->core, pkts[i], WEIR_DROP_LIMIT_CLASS);
		pkts[i] = NULL;
	}
}

/* A burst has few classes, mostly none or one. */
static uint16_t classes_claim(const struct work *w, struct rte_mbuf **pkts, uint16_t n)
{
	const bool nat = w->settings->mode == WEIR_MODE_NAT;
	uint64_t seen = 0;

	for (uint16_t i = 0; i < n; i++) {
		uint8_t number;

		if (!pkts[i] || work_is_reply(packet_of(pkts[i]), nat))
			continue;
		number = packet_of(pkts[i])->policy_class;
		if (number == 0 || (seen >> (number - 1) & 1))
			continue;
		seen |= UINT64_C(1) << (number - 1);
		class_claim(w, pkts, n, number);
	}
	return seen ? work_compact(pkts, n) : n;
}

/* On a core with a ring before it nothing of the packets is near yet. */
static void prefetch(const struct work *w, struct rte_mbuf **pkts, uint16_t n)
{
	const bool udp = w->settings->protocol != IPPROTO_TCP;
	const bool nat = w->settings->mode == WEIR_MODE_NAT;

	for (uint16_t i = 0; w->worker->ring && i < n; i++) {
		const struct packet *p = packet_of(pkts[i]);

		rte_prefetch0(packet_at(pkts[i], 0));
		flow_prefetch(work_partition(w, p), p->hash);
	}
	for (uint16_t i = 0; udp && i < n; i++) {
		const struct packet *p = packet_of(pkts[i]);

		flow_prefetch_record(work_partition(w, p), p->hash,
			work_is_reply(p, nat) ? FLOW_SIDE_BACKEND : FLOW_SIDE_CLIENT);
	}
}

__rte_noinline uint16_t policy_burst(const struct work *w, struct rte_mbuf **pkts, uint16_t n)
{
	const struct policy_set *set = w->settings->policies;
	uint64_t start = rte_rdtsc();

	w->core->policy->worker.now_ns = policy_now_ns(w->core->policy, w->now_ns);
	prefetch(w, pkts, n);
	for (uint32_t i = 0; i < set->place_count && n; i++) {
		struct run r = {
			.w = w,
			.place = &set->place[i],
			.core = w->core->policy,
			.cell = set->place[i].seat->cell[w->worker->core],
			.trace = stage_trace(w->core),
			.number = (uint8_t)i,
		};
		uint64_t now;

		run_burst(&r, pkts, n);
		if (r.dropped)
			n = work_compact(pkts, n);
		now = rte_rdtsc();
		cell_add(&r.cell->cycles, now - start);
		start = now;
	}
	return set->class_count ? classes_claim(w, pkts, n) : n;
}

__rte_noinline bool policy_class_flow(const struct work *w, const struct packet *p)
{
	const struct policy_class_limits *limits;
	struct weir_class_cell *cell;

	if (!p->policy_class)
		return true;
	limits = &w->settings->policies->class[p->policy_class - 1];
	cell = limits->class->cell[w->worker->core];
	cell_add(&cell->new_flows, 1);
	if (!limits->limits_connections ||
		limit_claim(w, &limits->class->connections, &limits->connections, NULL, 1) == 1)
		return true;
	cell_add(&cell->dropped_connections, 1);
	return false;
}
