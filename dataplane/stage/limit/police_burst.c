/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/service/police.h"
#include "dataplane/stage/limit/limit.h"
#include "dataplane/table/heavy.h"

/* Packets that are no SYNs are sampled, one in so many on average. */
#define SAMPLE 64u

/* TCP: asks for a new flow. Of UDP that cannot be seen here. */
static inline bool asks(const struct work *w, const struct packet *p)
{
	return w->settings->protocol == IPPROTO_TCP && work_opens(w, p);
}

static __rte_noinline void note(
	const struct work *w, struct rte_mbuf *m, uint32_t flows, uint32_t packets)
{
	const struct service_police *police = w->settings->police;
	const uint8_t *from = work_addrs(m, packet_of(m), w->settings->ipv6);
	uint8_t address[16] = { [10] = 0xff, [11] = 0xff };
	uint64_t word[2];
	uint64_t hash;

	memcpy(address + (w->settings->ipv6 ? 0 : 12), from, w->settings->ipv6 ? 16 : 4);
	for (uint32_t i = 0; i < sizeof(address); i++)
		address[i] &= police->mask[i];
	memcpy(word, address, sizeof(word));
	hash = hash_mix(word[0] ^ police->seed.k[0], word[1] ^ police->seed.k[1]);
	hash = hash_mix(hash ^ police->seed.k[1], UINT64_C(0x9e3779b97f4a7c15));
	heavy_note(w->worker->heavy, hash, address, flows, packets,
		(uint32_t)(w->now_ns / 1000000000));
}

static void watch(const struct work *w, struct rte_mbuf **pkts, uint16_t n)
{
	struct service_worker *worker = w->worker;

	for (uint16_t i = 0; i < n; i++) {
		const struct packet *p = packet_of(pkts[i]);

		if (p->flags & (PACKET_F_FROM_BACKEND | PACKET_F_ASIDE))
			continue;
		if (asks(w, p))
			note(w, pkts[i], 1, 0);
		if (--worker->heavy_skip != 0)
			continue;
		note(w, pkts[i], 0, SAMPLE);
		/* Between 1 and twice as many less one, so that no rhythm hides from it. */
		worker->heavy_random = worker->heavy_random * 1664525u + 1013904223u;
		worker->heavy_skip = 1 + (worker->heavy_random >> 16) % (2 * SAMPLE - 1);
	}
}

/* Which reason there is to drop a packet, or WEIR_DROP_COUNT. */
static inline enum weir_drop_reason judge(const struct work *w, struct packet *p,
	const struct source_id *id, const struct source_clock *clock, struct source_use *use)
{
	const struct service_police *police = w->settings->police;
	const struct police_source *named = police_find(police, id);
	const struct source_rates *rates = &police->rates[named ? named->class : POLICE_CLASS_ONE];

	if (unlikely(named && named->boxed_until_ns > w->now_ns))
		return WEIR_DROP_SOURCE_BOXED;
	switch (source_colour(police->table, rates, id, clock, asks(w, p), use)) {
	case SOURCE_RED:
		return WEIR_DROP_SOURCE_POLICED;
	case SOURCE_YELLOW:
		p->flags |= PACKET_F_YELLOW;
		return WEIR_DROP_COUNT;
	default:
		return WEIR_DROP_COUNT;
	}
}

static uint16_t police(const struct work *w, struct rte_mbuf **pkts, uint16_t n)
{
	struct source_table *t = w->settings->police->table;
	const struct source_clock clock = {
		.tsc = w->core->now,
		.ms = w->now_ms,
		.shared = w->worker->service->worker_count > 1,
	};
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
		enum weir_drop_reason reason = WEIR_DROP_COUNT;

		if (!(p->flags & PACKET_F_FROM_BACKEND))
			reason = judge(w, p, &id[i], &clock, &use);
		if (likely(reason == WEIR_DROP_COUNT)) {
			pkts[left++] = pkts[i];
			continue;
		}
		if (asks(w, p))
			cell_add(&w->worker->cell->offered, 1);
		stage_drop(w->core, pkts[i], reason);
	}
	return left;
}

__rte_noinline uint16_t limit_police_burst(const struct work *w, struct rte_mbuf **pkts, uint16_t n)
{
	watch(w, pkts, n);
	return w->settings->police->polices ? police(w, pkts, n) : n;
}
