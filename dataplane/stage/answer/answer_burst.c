/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/net/reset.h"
#include "dataplane/stage/answer/answer.h"
#include "dataplane/stage/trace/trace.h"

/* The drop is counted, and m may become the answer: true. Else it is dropped. */
static bool answer_begin(const struct work *w, struct rte_mbuf *m, enum weir_drop_reason reason,
	uint32_t kind, bool allowed)
{
	struct stage_core *c = w->core;
	struct packet *p = packet_of(m);
	struct trace_core *tc = stage_trace(c);
	const struct limiter_rate *rate = kind == ANSWER_SHED ? &c->shed_rate : &c->made_rate;

	if (!w->port[p->port_in] || c->made_count == STAGE_BURST || !allowed ||
		!limiter_claim_single(&c->made_limit[kind], rate, c->now, NULL, 1)) {
		stage_drop(c, m, reason);
		return false;
	}
	stage_count_drop(c, p, reason);
	if (unlikely(tc != NULL)) {
		p->drop = (uint8_t)reason;
		trace_drop(c, tc, m);
	}
	return true;
}

__rte_noinline void answer_error(const struct work *w, struct rte_mbuf *m,
	enum weir_drop_reason reason, enum icmp_error_kind kind, uint16_t mtu)
{
	const uint8_t port = packet_of(m)->port_in;

	if (!answer_begin(w, m, reason, kind, icmp_error_allowed(m)))
		return;
	icmp_error_make(m, kind, mtu, w->port[port]->mac);
	w->core->made[w->core->made_count++] = m;
}

__rte_noinline void answer_refusal(
	const struct work *w, struct rte_mbuf *m, enum weir_drop_reason reason)
{
	const uint8_t port = packet_of(m)->port_in;

	if (w->settings->protocol != IPPROTO_TCP) {
		answer_error(w, m, reason, ICMP_ERROR_PORT, 0);
		return;
	}
	const bool shed = reason == WEIR_DROP_SHED || reason == WEIR_DROP_SOURCE_POLICED;

	if (!answer_begin(w, m, reason, shed ? ANSWER_SHED : ANSWER_RESET, reset_allowed(m)))
		return;
	reset_make(m, w->port[port]->mac);
	w->core->made[w->core->made_count++] = m;
}
