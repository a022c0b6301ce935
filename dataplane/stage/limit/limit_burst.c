/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/stage/limit/limit.h"

uint32_t limit_claim(const struct work *w, struct limiter *l, const struct limiter_rate *rate,
	const uint32_t *units, uint32_t n)
{
	if (w->worker->service->worker_count == 1)
		return limiter_claim_single(l, rate, w->core->now, units, n);
	return limiter_claim(l, rate, w->core->now, units, n);
}

/*
 * Claim for the packets of one kind; those over a limit are dropped and leave gaps.
 *
 * mask, kind  which flags of a packet say what kind it is
 */
static __rte_always_inline void claim_for(const struct work *w, struct rte_mbuf **pkts, uint16_t n,
	const uint16_t mask, const uint16_t kind, const struct limiter_rate *packets,
	const struct limiter_rate *bits)
{
	const struct service_settings *s = w->settings;
	struct service *service = w->worker->service;
	uint32_t frame_bits[STAGE_BURST];
	uint32_t clients = 0;
	uint32_t under_packets;
	uint32_t under_bits;
	uint32_t seen = 0;

	for (uint16_t i = 0; i < n; i++)
		if (pkts[i] && (packet_of(pkts[i])->flags & mask) == kind)
			frame_bits[clients++] = packet_of(pkts[i])->length * 8;
	under_packets = clients;
	if (s->limits_packets && clients)
		under_packets = limit_claim(w, &service->packets, packets, NULL, clients);
	under_bits = under_packets;
	if (s->limits_bits && under_packets)
		under_bits = limit_claim(w, &service->bits, bits, frame_bits, under_packets);
	for (uint16_t i = 0; i < n && under_bits < clients; i++) {
		uint32_t client;

		if (!pkts[i] || (packet_of(pkts[i])->flags & mask) != kind)
			continue;
		client = seen++;
		if (client < under_bits)
			continue;
		stage_drop(w->core, pkts[i],
			client < under_packets ? WEIR_DROP_LIMIT_BITS : WEIR_DROP_LIMIT_PACKETS);
		pkts[i] = NULL;
	}
}

uint16_t limit_burst(const struct work *w, struct rte_mbuf **pkts, uint16_t n)
{
	const uint16_t client = PACKET_F_FROM_BACKEND;
	const uint16_t source = PACKET_F_FROM_BACKEND | PACKET_F_KNOWN_SOURCE;
	const struct service_settings *s = w->settings;

	if (unlikely(s->directs_sources))
		n = limit_police_burst(w, pkts, n);
	if (unlikely(s->source_table))
		n = limit_sources_burst(w, pkts, n);
	if (likely(!s->limits_packets && !s->limits_bits))
		return n;
	if (likely(!s->source_table)) {
		claim_for(w, pkts, n, client, 0, &s->packets, &s->bits);
	} else {
		/* Known sources first, and others cannot drain what those will need next. */
		claim_for(w, pkts, n, source, PACKET_F_KNOWN_SOURCE, &s->packets, &s->bits);
		claim_for(w, pkts, n, source, 0, &s->others_packets, &s->others_bits);
	}
	return work_compact(pkts, n);
}
