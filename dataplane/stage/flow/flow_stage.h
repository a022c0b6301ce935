/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Stage 6: which known flow does a packet belong to? Follows its state, measures connect and
 * first-byte times, and notes the backend. Packets of clients without a flow, or whose flow has lost
 * its backend, go on with backend PACKET_NO_BACKEND: the balance stage places them.
 */

#ifndef WEIR_STAGE_FLOW_H
#define WEIR_STAGE_FLOW_H

#include "dataplane/service/load.h"
#include "dataplane/stage/flow/idle.h"
#include "dataplane/stage/limit/limit.h"
#include "dataplane/stage/work.h"

/* Returns how many packets are left, at the front of pkts. */
uint16_t flow_burst(const struct work *w, struct rte_mbuf **pkts, uint16_t n);

static inline void flow_stamp_set(struct flow *f, uint64_t now_ns)
{
	uint32_t stamp = (uint32_t)(now_ns >> FLOW_STAMP_SHIFT);

	memcpy(f->user, &stamp, sizeof(f->user));
}

static inline uint64_t flow_stamp_age(const struct flow *f, uint64_t now_ns)
{
	return (uint64_t)((uint32_t)(now_ns >> FLOW_STAMP_SHIFT) - flow_stamp(f))
		<< FLOW_STAMP_SHIFT;
}

/* What others are told of a flow's state: enum weir_flow_state. */
static inline uint8_t flow_public_state(uint8_t state)
{
	switch (state) {
	case FLOW_SYN:
	case FLOW_UDP_NEW:
		return WEIR_FLOW_NEW;
	case FLOW_ESTABLISHED:
	case FLOW_UDP_STREAM:
		return WEIR_FLOW_ESTABLISHED;
	case FLOW_CLOSED:
	case FLOW_FIN:
		return WEIR_FLOW_CLOSING;
	default:
		return WEIR_FLOW_NONE;
	}
}

/* The cell of a flow's backend, or NULL when its slot has another backend by now. */
static inline struct weir_backend_cell *flow_backend_cell(
	const struct work *w, const struct flow *f)
{
	if (unlikely(w->worker->cell_epoch[f->backend_slot] != f->backend_epoch))
		return NULL;
	return &w->worker->backend_cell[f->backend_slot];
}

/* Where the replies of a flow go: back to whoever sent its last packet. */
static inline void flow_note_client(struct rte_mbuf *m, const struct packet *p, struct flow *f)
{
	const uint8_t *source = packet_at(m, 6);

	if (likely(f->port_in == p->port_in && memcmp(f->client_mac, source, 6) == 0))
		return;
	f->port_in = p->port_in;
	memcpy(f->client_mac, source, 6);
}

/*
 * What is not on every packet's way, out of line: a request begins; the backend answers a SYN; a response
 * begins; a TCP flow begins to end. flags: of the flow; they return the new ones.
 */
__rte_noinline uint16_t flow_request(const struct work *w, struct flow *f, uint16_t flags);
__rte_noinline uint16_t flow_connected(const struct work *w, const struct flow *f, uint16_t flags);
__rte_noinline uint16_t flow_response(const struct work *w, struct flow *f, uint16_t flags);
__rte_noinline uint16_t flow_closes(const struct work *w, const struct packet *p,
	const struct flow *f, uint16_t flags, uint8_t state, bool from_backend);

/*
 * Times that only nat can see. A request begins with the first payload of the client after the last
 * response began; the response begins with the backend's next payload.
 *
 * flags  of the flow before this packet
 */
static __rte_always_inline uint16_t flow_measure(const struct work *w, const struct packet *p,
	struct flow *f, uint16_t flags, const bool from_backend)
{
	if (!from_backend) {
		if (p->payload_length &&
			(!(flags & FLOW_F_REQUEST) ||
				(w->settings->protocol == IPPROTO_UDP &&
					flow_stamp_age(f, w->now_ns) > WEIR_UDP_PATIENCE_NS)))
			return flow_request(w, f, flags);
		return flags;
	}
	if (f->state == FLOW_SYN && !(flags & FLOW_F_REPLIED) &&
		(p->tcp_flags & (FLOW_TCP_SYN | FLOW_TCP_ACK)) == (FLOW_TCP_SYN | FLOW_TCP_ACK))
		return flow_connected(w, f, flags);
	if (p->payload_length && (flags & FLOW_F_REQUEST))
		return flow_response(w, f, flags);
	return flags;
}

/* Its backend is not what it was: does the packet go there all the same? Out of line. */
__rte_noinline bool flow_stays(const struct work *w, const struct packet *p, const struct flow *f);

/* True when the flow's backend still takes the packet and, in nat, its source address is still ours. */
static inline bool flow_is_placed(
	const struct work *w, const struct packet *p, const struct flow *f, const bool nat)
{
	const struct service_settings *s = w->settings;
	const struct service_backend *b = &s->backend[f->backend_slot];

	if (unlikely(b->epoch != f->backend_epoch || b->stay != SERVICE_STAY) &&
		!flow_stays(w, p, f))
		return false;
	if (nat && unlikely(s->source_leaving)) {
		const uint64_t *usable = s->nat->source[f->source_slot].usable;

		return (usable[0] | usable[1] | usable[2] | usable[3]) != 0;
	}
	return true;
}

/*
 * Note a packet of a known flow.
 *
 * Returns false when the flow has ended and this packet opens a new one: the old one is removed, and
 * the packet has no flow.
 */
static __rte_always_inline bool flow_known(
	const struct work *w, struct rte_mbuf *m, struct packet *p, struct flow *f, const bool nat)
{
	struct flow_partition *part = work_partition(w, p);
	const bool from_backend = work_is_reply(p, nat);
	const bool tcp = w->settings->protocol == IPPROTO_TCP;
	uint16_t flags = f->flags;
	uint8_t state;

	if (tcp && !from_backend && unlikely(flow_tcp_reopens(f->state, p->tcp_flags))) {
		flow_remove(part, f);
		return false;
	}
	if (nat && unlikely(flags & FLOW_F_PROBED))
		flags = idle_answered(w, m, f, flags, from_backend);
	if (nat)
		flags = flow_measure(w, p, f, flags, from_backend);
	state = tcp ? flow_tcp_next(f->state, &flags, p->tcp_flags, from_backend, nat) :
		      flow_udp_next(f->state, &flags, from_backend, nat);
	if (tcp && unlikely(state != f->state))
		flags = flow_closes(w, p, f, flags, state, from_backend);
	if (flags != f->flags)
		f->flags = flags;
	if (unlikely(state != f->state))
		flow_set_state(part, f, state, w->now_ms);
	else
		flow_touch(part, f, w->now_ms);
	p->flow = f;
	if (from_backend)
		return true;
	if (nat)
		flow_note_client(m, p, f);
	if (likely(flow_is_placed(w, p, f, nat))) {
		p->backend = f->backend_slot;
		p->neighbour = w->settings->backend[f->backend_slot].neighbour;
	}
	return true;
}

#endif
