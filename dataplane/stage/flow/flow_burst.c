/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/stage/aside/aside.h"
#include "dataplane/stage/flow/flow_stage.h"
#include "dataplane/table/maglev.h"

/*
 * A flow was removed, for a new connection on its tuple. Its last packets may lie before that in the
 * burst, and must not be sent where the record's next flow goes.
 */
static __rte_noinline uint16_t flow_drop_ended(
	const struct work *w, struct rte_mbuf **pkts, uint16_t n, const struct flow *ended)
{
	for (uint16_t i = 0; i < n; i++) {
		if (packet_of(pkts[i])->flow != ended)
			continue;
		stage_drop(w->core, pkts[i], WEIR_DROP_NO_FLOW);
		pkts[i] = NULL;
	}
	return work_compact(pkts, n);
}

static __rte_always_inline uint16_t flow_body(
	const struct work *w, struct rte_mbuf **pkts, uint16_t n, const bool nat, const bool ipv6)
{
	struct flow *guess[STAGE_BURST];
	uint16_t left = 0;

	/* Without a ring between, the dispatch stage has done it. */
	for (uint16_t i = 0; w->worker->ring && i < n; i++) {
		const struct packet *p = packet_of(pkts[i]);

		flow_prefetch(work_partition(w, p), p->hash);
	}
	for (uint16_t i = 0; i < n; i++) {
		const struct packet *p = packet_of(pkts[i]);

		guess[i] = flow_prefetch_record(work_partition(w, p), p->hash,
			work_is_reply(p, nat) ? FLOW_SIDE_BACKEND : FLOW_SIDE_CLIENT);
	}
	for (uint16_t i = 0; i < n; i++) {
		struct packet *p = packet_of(pkts[i]);
		bool reply = work_is_reply(p, nat);

		if (unlikely(p->flags & PACKET_F_ASIDE)) {
			aside_put(w->core, pkts[i]);
			continue;
		}
		struct flow *f = flow_find_guessed(work_partition(w, p), guess[i], p->hash,
			work_addrs(pkts[i], p, ipv6), p->ports,
			reply ? FLOW_SIDE_BACKEND : FLOW_SIDE_CLIENT, ipv6);

		if (likely(f != NULL)) {
			if (unlikely(!flow_known(w, pkts[i], p, f, nat)))
				left = flow_drop_ended(w, pkts, left, f);
		} else if (reply) {
			stage_drop(w->core, pkts[i], WEIR_DROP_NO_FLOW);
			continue;
		} else if (w->settings->maglev) {
			maglev_prefetch(w->settings->maglev, p->hash);
		}
		pkts[left++] = pkts[i];
	}
	return left;
}

uint16_t flow_burst(const struct work *w, struct rte_mbuf **pkts, uint16_t n)
{
	return WORK_SPECIALISE(flow_body, w, pkts, n);
}
