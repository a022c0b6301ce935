/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/stage/aside/aside.h"
#include "dataplane/stage/flow/flow_stage.h"
#include "dataplane/table/maglev.h"

/* Its backend may be none that counts. */
__rte_noinline uint16_t flow_request(const struct work *w, struct flow *f, uint16_t flags)
{
	struct weir_backend_cell *cell = flow_backend_cell(w, f);

	flags = flow_counts_not(w->worker, f, flags);
	flow_stamp_set(f, w->now_ns);
	if (unlikely(!cell))
		return flags | FLOW_F_REQUEST;
	cell_add(&cell->requests, 1);
	load_add(w->worker, f->backend_slot, w->now_ns);
	flags = flow_finds(w->worker, f->backend_slot, flags);
	return flow_counts(w->worker, f, flags, w->now_ns) | FLOW_F_REQUEST;
}

__rte_noinline uint16_t flow_connected(const struct work *w, const struct flow *f, uint16_t flags)
{
	struct weir_backend_cell *cell = flow_backend_cell(w, f);

	if (cell)
		histogram_add_ns(&cell->connect, flow_stamp_age(f, w->now_ns), 1);
	return flags & FLOW_F_REQUEST ? flags : flow_counts_not(w->worker, f, flags);
}

/*
 * One that is ejected may be dead, or only take no new connections. What is under way there stays. A SYN
 * that comes again has waited for nothing yet, and finds its answer elsewhere. A request that begins on a
 * kept connection goes to another backend, whose reset makes the client open a new one: at once, instead of
 * after its patience.
 */
__rte_noinline bool flow_stays(const struct work *w, const struct packet *p, const struct flow *f)
{
	const struct service_backend *b = &w->settings->backend[f->backend_slot];

	if (b->epoch != f->backend_epoch || b->stay == SERVICE_STAY_NONE)
		return false;
	if (!w->settings->nat || w->settings->protocol != IPPROTO_TCP)
		return true;
	if (f->state == FLOW_SYN && !(f->flags & FLOW_F_REPLIED))
		return (p->tcp_flags & (FLOW_TCP_SYN | FLOW_TCP_ACK)) != FLOW_TCP_SYN;
	/* With this burst: flow_request(). */
	return !p->payload_length || !(f->flags & FLOW_F_REQUEST) ||
		flow_stamp_age(f, w->now_ns) != 0;
}

/* A bucket that was never used before: a few hundred times in the life of a backend. */
static __rte_noinline void first_byte_widen(struct weir_backend_cell *cell, uint32_t bucket)
{
	const uint64_t to = cell_read(&cell->first_byte_to);

	if (to == 0 || bucket < cell_read(&cell->first_byte_from))
		__atomic_store_n(&cell->first_byte_from, bucket, __ATOMIC_RELAXED);
	if (bucket >= to)
		__atomic_store_n(&cell->first_byte_to, bucket + 1, __ATOMIC_RELAXED);
}

static inline void first_byte_add(struct weir_backend_cell *cell, uint32_t found, uint64_t age_ns)
{
	const uint32_t bucket = weir_histogram_index(age_ns);

	if (unlikely(bucket < cell_read(&cell->first_byte_from) ||
		    bucket >= cell_read(&cell->first_byte_to)))
		first_byte_widen(cell, bucket);
	histogram_add_ns(&cell->first_byte, age_ns, 1);
	cell_add(&cell->found.count[found], 1);
	cell_add(&cell->found.sum_ns[found], age_ns);
}

__rte_noinline uint16_t flow_response(const struct work *w, struct flow *f, uint16_t flags)
{
	struct weir_backend_cell *cell = flow_backend_cell(w, f);

	if (cell)
		first_byte_add(cell, flags >> FLOW_FOUND_SHIFT, flow_stamp_age(f, w->now_ns));
	if (unlikely(w->settings->source_table))
		limit_source_proved(w, f);
	return flow_counts_not(w->worker, f, flags) & (uint16_t)~FLOW_F_REQUEST;
}

/* Nobody waits for an answer any more, unless only the client is done sending. */
__rte_noinline uint16_t flow_closes(const struct work *w, const struct packet *p,
	const struct flow *f, uint16_t flags, uint8_t state, bool from_backend)
{
	struct weir_backend_cell *cell;

	if (state != FLOW_CLOSED && !(state == FLOW_FIN && from_backend))
		return flags;
	if (from_backend && (p->tcp_flags & FLOW_TCP_RST) && !(flags & FLOW_F_PROBED)) {
		cell = flow_backend_cell(w, f);
		if (cell)
			cell_add(&cell->resets, 1);
	}
	return flow_counts_not(w->worker, f, flags);
}

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

/* Replies that somebody waits for say of their clients' sources that these are who they say. */
static __rte_noinline void proofs_prefetch(
	const struct work *w, struct rte_mbuf *const *pkts, struct flow *const *guess, uint16_t n)
{
	struct flow *answered[STAGE_BURST];
	uint16_t count = 0;

	for (uint16_t i = 0; i < n; i++)
		if (guess[i] && (guess[i]->flags & FLOW_F_REQUEST) &&
			work_is_reply(packet_of(pkts[i]), true))
			answered[count++] = guess[i];
	limit_source_proofs_prefetch(w, answered, count);
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
	if (unlikely(w->settings->source_table) && nat)
		proofs_prefetch(w, pkts, guess, n);
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
		} else {
			flow_insert_prefetch(work_partition(w, p));
			if (w->settings->maglev)
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
