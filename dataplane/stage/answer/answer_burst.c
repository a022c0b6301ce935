/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/stage/answer/answer.h"
#include "dataplane/stage/trace/trace.h"

__rte_noinline void answer_error(const struct work *w, struct rte_mbuf *m,
	enum weir_drop_reason reason, enum icmp_error_kind kind, uint16_t mtu)
{
	struct stage_core *c = w->core;
	struct packet *p = packet_of(m);
	const struct port *back = w->port[p->port_in];
	struct trace_core *tc = stage_trace(c);

	if (!back || c->made_count == STAGE_BURST || !icmp_error_allowed(m) ||
		!limiter_claim_single(&c->made_limit[kind], &c->made_rate, c->now, NULL, 1)) {
		stage_drop(c, m, reason);
		return;
	}
	stage_count_drop(c, p, reason);
	if (unlikely(tc != NULL)) {
		p->drop = (uint8_t)reason;
		trace_drop(c, tc, m);
	}
	icmp_error_make(m, kind, mtu, back->mac);
	c->made[c->made_count++] = m;
}
