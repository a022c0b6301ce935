/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/stage/limit/limit.h"

static inline struct source_clock clock_of(const struct work *w)
{
	return (struct source_clock){
		.tsc = w->core->now,
		.ms = w->now_ms,
		.shared = w->worker->service->worker_count > 1,
	};
}

static void use_count(const struct work *w, const struct source_use *use)
{
	struct weir_service_cell *cell = w->worker->cell;

	if (use->tracked)
		cell_add(&cell->sources_tracked, use->tracked);
	if (use->known)
		cell_add(&cell->sources_known, use->known);
	if (use->overflow)
		cell_add(&cell->sources_overflow, use->overflow);
}

uint16_t limit_sources_burst(const struct work *w, struct rte_mbuf **pkts, uint16_t n)
{
	struct source_table *t = w->settings->source_table;
	const struct source_clock clock = clock_of(w);
	struct source_id id[STAGE_BURST];
	struct source_use use = { 0 };
	uint16_t left = 0;

	for (uint16_t i = 0; i < n; i++) {
		const struct packet *p = packet_of(pkts[i]);

		if (p->flags & PACKET_F_FROM_BACKEND)
			continue;
		id[i] = source_identify(t, work_addrs(pkts[i], p, w->settings->ipv6));
		source_prefetch(t, &id[i]);
	}
	for (uint16_t i = 0; i < n; i++)
		if (!(packet_of(pkts[i])->flags & PACKET_F_FROM_BACKEND))
			source_prefetch_entry(t, &id[i]);
	for (uint16_t i = 0; i < n; i++) {
		struct packet *p = packet_of(pkts[i]);
		enum source_verdict verdict = SOURCE_PASSED;

		if (!(p->flags & PACKET_F_FROM_BACKEND))
			verdict =
				source_packet(t, &w->settings->source_limits, &id[i], &clock, &use);
		if (unlikely(verdict == SOURCE_REFUSED)) {
			stage_drop(w->core, pkts[i], WEIR_DROP_SOURCE_PACKETS);
			continue;
		}
		if (verdict == SOURCE_PASSED_KNOWN)
			p->flags |= PACKET_F_KNOWN_SOURCE;
		pkts[left++] = pkts[i];
	}
	use_count(w, &use);
	return left;
}

bool limit_source_flow(const struct work *w, struct rte_mbuf *m)
{
	struct source_table *t = w->settings->source_table;
	const struct source_clock clock = clock_of(w);
	const struct source_id id =
		source_identify(t, work_addrs(m, packet_of(m), w->settings->ipv6));

	return source_flow(t, &w->settings->source_limits, &id, &clock);
}

static struct source_id source_of(const struct work *w, struct flow *f)
{
	return source_identify(w->settings->source_table,
		w->settings->ipv6 ? (const void *)flow_tail(f)->addrs[FLOW_SIDE_CLIENT] :
				    (const void *)&f->tuple[FLOW_SIDE_CLIENT].src);
}

void limit_source_proofs_prefetch(const struct work *w, struct flow *const *flows, uint16_t n)
{
	const struct source_table *t = w->settings->source_table;
	struct source_id id[STAGE_BURST];

	for (uint16_t i = 0; i < n; i++) {
		id[i] = source_of(w, flows[i]);
		source_prefetch(t, &id[i]);
	}
	for (uint16_t i = 0; i < n; i++)
		source_prefetch_entry(t, &id[i]);
}

void limit_source_proved(const struct work *w, struct flow *f)
{
	struct source_table *t = w->settings->source_table;
	const struct source_clock clock = clock_of(w);
	const struct source_id id = source_of(w, f);
	struct source_use use = { 0 };

	source_prove(t, &id, &clock, &use);
	use_count(w, &use);
}
