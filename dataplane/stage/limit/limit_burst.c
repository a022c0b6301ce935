/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/stage/limit/limit.h"

uint32_t limit_claim(const struct work *w, struct limiter *l, const struct limiter_rate *rate,
	const uint32_t *units, uint32_t n)
{
	if (w->worker->service->worker_count == 1)
		return limiter_claim_single(l, rate, w->core->now, units, n);
	return limiter_claim(l, rate, w->core->now, units, n);
}

uint16_t limit_burst(const struct work *w, struct rte_mbuf **pkts, uint16_t n)
{
	const struct service_settings *s = w->settings;
	struct service *service = w->worker->service;
	uint32_t bits[STAGE_BURST];
	uint32_t clients = 0;
	uint32_t under_packets;
	uint32_t under_bits;
	uint32_t seen = 0;
	uint16_t left = 0;

	if (likely(!s->limits_packets && !s->limits_bits))
		return n;
	for (uint16_t i = 0; i < n; i++)
		if (!(packet_of(pkts[i])->flags & PACKET_F_FROM_BACKEND))
			bits[clients++] = packet_of(pkts[i])->length * 8;
	under_packets = clients;
	if (s->limits_packets && clients)
		under_packets = limit_claim(w, &service->packets, &s->packets, NULL, clients);
	under_bits = under_packets;
	if (s->limits_bits && under_packets)
		under_bits = limit_claim(w, &service->bits, &s->bits, bits, under_packets);
	for (uint16_t i = 0; i < n; i++) {
		uint32_t client;

		if (packet_of(pkts[i])->flags & PACKET_F_FROM_BACKEND) {
			pkts[left++] = pkts[i];
			continue;
		}
		client = seen++;
		if (client < under_bits)
			pkts[left++] = pkts[i];
		else
			stage_drop(w->core, pkts[i],
				client < under_packets ? WEIR_DROP_LIMIT_BITS :
							 WEIR_DROP_LIMIT_PACKETS);
	}
	return left;
}
