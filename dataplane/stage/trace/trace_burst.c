/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/net/filter.h"
#include "dataplane/stage/flow/flow_stage.h"
#include "dataplane/stage/policy/policy_stage.h"
#include "dataplane/stage/trace/trace_private.h"
#include "dataplane/table/flow_table.h"

#include <rte_ring.h>

/* The slot of a marked packet, or NULL when it was marked for a trace that has ended. */
static struct trace_slot *slot_of(const struct trace_core *tc, struct rte_mbuf *m)
{
	const struct trace *t = tc->trace;
	uint32_t number = m->hash.usr;
	uint32_t core = number >> TRACE_SLOT_BITS & ((1u << TRACE_CORE_BITS) - 1);
	uint32_t index = number & ((1u << TRACE_SLOT_BITS) - 1);

	if (!(packet_of(m)->flags & PACKET_F_MARKED) ||
		number >> (TRACE_SLOT_BITS + TRACE_CORE_BITS) != t->session ||
		index >= t->core[core].slot_count)
		return NULL;
	return trace_slot_at(&t->core[core], index);
}

/* xorshift64: Marsaglia, "Xorshift RNGs", 2003. */
static uint32_t random_next(struct trace_core *tc)
{
	uint64_t x = tc->random;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	tc->random = x;
	return (uint32_t)(x >> 32);
}

static bool frame_matches(const struct trace *t, const struct rte_mbuf *m)
{
	return t->instruction_count == 0 ||
		filter_run(t->program, rte_pktmbuf_mtod(m, const uint8_t *),
			rte_pktmbuf_data_len(m), rte_pktmbuf_pkt_len(m)) != 0;
}

static void frame_keep(
	const struct trace *t, struct trace_slot *s, unsigned int which, const struct rte_mbuf *m)
{
	uint8_t *to = trace_frame(t, s, which);
	uint32_t length = rte_pktmbuf_pkt_len(m);
	const void *from;

	s->length[which] = length;
	s->kept[which] = RTE_MIN(length, t->room);
	from = rte_pktmbuf_read(m, 0, s->kept[which], to);
	if (from && from != to)
		memcpy(to, from, s->kept[which]);
}

static struct trace_slot *slot_take(struct trace_core *tc)
{
	if (tc->spare_count == 0)
		tc->spare_count = rte_ring_sc_dequeue_burst(
			tc->home, (void **)tc->spare, tc->slot_count, NULL);
	return tc->spare_count ? tc->spare[--tc->spare_count] : NULL;
}

/* Where it came from, when that is this core; else the main thread sees to it. */
static void slot_give(struct trace_core *tc, struct trace_slot *s)
{
	if (s->core_in == tc->index) {
		tc->spare[tc->spare_count++] = s;
		return;
	}
	s->wanted = false;
	/* There is room for all slots, so this cannot fail. */
	(void)rte_ring_sp_enqueue(tc->done, s);
}

void trace_mark(struct trace_core *tc, struct rte_mbuf **pkts, uint16_t n)
{
	struct trace *t = tc->trace;

	if (tc->slot_count == 0 || __atomic_load_n(&t->left, __ATOMIC_RELAXED) <= 0)
		return;
	for (uint16_t i = 0; i < n; i++) {
		struct trace_slot *s;
		bool matched;

		if (random_next(tc) >= t->threshold)
			continue;
		matched = frame_matches(t, pkts[i]);
		s = slot_take(tc);
		if (!s) {
			if (matched)
				cell_add(&tc->lost, 1);
			continue;
		}
		memset(&s->stages, 0, sizeof(*s) - offsetof(struct trace_slot, stages));
		s->stages = 1u << WEIR_STAGE_RECEIVE;
		s->order = tc->order++;
		s->core_in = (uint8_t)tc->index;
		s->matched = matched;
		frame_keep(t, s, 0, pkts[i]);
		pkts[i]->hash.usr = s->number;
		packet_of(pkts[i])->flags |= PACKET_F_MARKED;
	}
}

/* A marked packet has come to its end. */
static void slot_end(
	const struct trace *t, struct trace_slot *s, struct rte_mbuf *m, uint8_t verdict)
{
	s->packet = *packet_of(m);
	s->verdict = verdict;
	s->matched = s->matched || frame_matches(t, m);
	frame_keep(t, s, 1, m);
}

/* The same, and nothing will undo it. Who finds the last wanted packet ends the search. */
static void slot_finish(struct trace_core *tc, struct trace_slot *s, uint64_t now_tsc)
{
	struct trace *t = tc->trace;
	const struct packet *p = &s->packet;
	bool by_port = t->port == TRACE_ANY_PORT || p->port_in == t->port ||
		((s->stages & 1u << WEIR_STAGE_NEIGHBOUR) && p->port_out == t->port);

	s->ended_tsc = now_tsc;
	s->wanted = s->matched && by_port &&
		(t->service == TRACE_ANY_SERVICE || p->service == t->service) &&
		(!t->bounded || __atomic_fetch_sub(&t->left, 1, __ATOMIC_RELAXED) > 0);
	if (s->wanted)
		(void)rte_ring_sp_enqueue(tc->done, s);
	else
		slot_give(tc, s);
}

static void note_flow(const struct work *w, struct trace_slot *s, const struct packet *p)
{
	const bool nat = w->settings->mode == WEIR_MODE_NAT;

	if (!p->flow)
		s->flow = WEIR_TRACE_FLOW_NONE;
	else if (p->backend != PACKET_NO_BACKEND || work_is_reply(p, nat))
		s->flow = WEIR_TRACE_FLOW_KNOWN;
	else
		s->flow = WEIR_TRACE_FLOW_HOMELESS;
}

static uint8_t placement_of(
	const struct work *w, const struct trace_slot *s, const struct packet *p)
{
	if (work_is_reply(p, w->settings->mode == WEIR_MODE_NAT))
		return WEIR_TRACE_PLACEMENT_REPLY;
	if (p->flags & PACKET_F_NEW_FLOW)
		return WEIR_TRACE_PLACEMENT_NEW;
	if (p->flags & PACKET_F_STATELESS)
		return WEIR_TRACE_PLACEMENT_STATELESS;
	if (s->flow == WEIR_TRACE_FLOW_NONE)
		return WEIR_TRACE_PLACEMENT_JOINED;
	return s->flow == WEIR_TRACE_FLOW_HOMELESS ? WEIR_TRACE_PLACEMENT_MOVED :
						     WEIR_TRACE_PLACEMENT_KNOWN;
}

/* The flow's record may be another's when the packet has come to its end: what is said of it is now. */
static void note_balance(const struct work *w, struct trace_slot *s, const struct packet *p)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

	s->placement = placement_of(w, s, p);
	if (p->flow)
		s->flow_state = flow_public_state(p->flow->state);
	if (s->placement != WEIR_TRACE_PLACEMENT_REPLY) {
		const struct service_backend *b = &w->settings->backend[p->backend];

		memcpy(s->backend_address, b->address, 16);
		s->backend_port = ntohs(b->port_be ? b->port_be : p->dport);
		return;
	}
	s->backend_port = ntohs(p->flow->tuple[FLOW_SIDE_BACKEND].sport);
	if (w->settings->ipv6) {
		memcpy(s->backend_address, flow_tail(p->flow)->addrs[FLOW_SIDE_BACKEND], 16);
		return;
	}
	memcpy(s->backend_address, mapped, sizeof(mapped));
	memcpy(s->backend_address + 12, &p->flow->tuple[FLOW_SIDE_BACKEND].src, 4);
}

static uint8_t limits_of(const struct service_settings *s)
{
	return (uint8_t)((s->limits_packets ? WEIR_TRACE_LIMIT_PACKETS : 0) |
		(s->limits_bits ? WEIR_TRACE_LIMIT_BITS : 0) |
		(s->limits_connections ? WEIR_TRACE_LIMIT_CONNECTIONS : 0));
}

static void note_one(struct trace_core *tc, const struct work *w, enum weir_stage stage,
	struct rte_mbuf *m, struct trace_slot *s)
{
	const struct trace *t = tc->trace;
	struct packet *p = packet_of(m);

	s->stages |= 1u << stage;
	switch (stage) {
	case WEIR_STAGE_SERVICE:
		if (t->service == TRACE_ANY_SERVICE || p->service == t->service)
			break;
		p->flags &= (uint16_t)~PACKET_F_MARKED;
		slot_give(tc, s);
		break;
	case WEIR_STAGE_DISPATCH:
		s->core_work = (uint8_t)tc->index;
		s->limits = limits_of(w->settings);
		break;
	case WEIR_STAGE_FLOW:
		note_flow(w, s, p);
		break;
	case WEIR_STAGE_BALANCE:
		note_balance(w, s, p);
		break;
	default:
		break;
	}
}

void trace_policy(
	struct trace_core *tc, struct rte_mbuf *m, uint8_t number, uint32_t verdict, bool observed)
{
	struct trace_slot *s = slot_of(tc, m);

	if (!s || number >= WEIR_MAX_POLICIES_PER_SERVICE)
		return;
	s->policy[number] = (struct weir_trace_policy){
		.action = (uint8_t)policy_action(verdict),
		.observed = observed,
		.argument = (uint16_t)WEIR_VERDICT_ARGUMENT(verdict),
	};
	s->policy_count = number + 1;
	s->mark = policy_mark(m);
}

void trace_note(struct trace_core *tc, const struct work *w, enum weir_stage stage,
	struct rte_mbuf **pkts, uint16_t n)
{
	for (uint16_t i = 0; i < n; i++) {
		struct trace_slot *s = slot_of(tc, pkts[i]);

		if (s)
			note_one(tc, w, stage, pkts[i], s);
	}
}

/* Once a frame is given to the device it is not ours to look at, so all is kept before. */
uint16_t trace_transmit(struct stage_core *c, struct trace_core *tc, const struct port_queue *queue,
	struct rte_mbuf **pkts, uint16_t n)
{
	struct trace_slot *slot[STAGE_BURST];
	uint64_t now;
	uint16_t took;

	for (uint16_t i = 0; i < n; i++) {
		slot[i] = slot_of(tc, pkts[i]);
		if (slot[i])
			slot_end(tc->trace, slot[i], pkts[i], WEIR_TRACE_TRANSMITTED);
	}
	took = queue->tx(queue->handle, pkts, n);
	now = stage_clock(c);
	for (uint16_t i = 0; i < took; i++) {
		if (!slot[i])
			continue;
		slot[i]->stages |= 1u << WEIR_STAGE_TRANSMIT;
		slot_finish(tc, slot[i], now);
	}
	return took;
}

void trace_drop(struct stage_core *c, struct trace_core *tc, struct rte_mbuf *m)
{
	struct trace_slot *s = slot_of(tc, m);
	const struct packet *p = packet_of(m);

	if (!s)
		return;
	s->reason = p->drop;
	slot_end(tc->trace, s, m,
		p->flags & PACKET_F_TO_KERNEL ? WEIR_TRACE_TO_KERNEL : WEIR_TRACE_DROPPED);
	slot_finish(tc, s, stage_clock(c));
}

void trace_drops(struct stage_core *c, struct trace_core *tc)
{
	for (uint32_t i = 0; i < c->drop_count; i++)
		trace_drop(c, tc, c->drops[i]);
}
