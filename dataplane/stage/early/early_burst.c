/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/net/glance.h"
#include "dataplane/net/parse.h"
#include "dataplane/stage/early/early.h"
#include "dataplane/stage/trace/trace.h"

#define STAYS WEIR_DROP_COUNT

/* Packets in a row that are of one service and go for one reason, counted in one go. */
struct gone {
	uint64_t bytes;
	uint32_t packets;
	uint16_t slot;
	uint8_t reason;
};

/* Who was looked up last in a burst: in a flood the next packet mostly has the same destination. */
struct found {
	uint32_t dst;
	uint32_t rest; /* protocol and port; 0: nobody was */
	uint16_t slot;
};

static inline uint16_t port_to(const struct glance *g)
{
	uint16_t port;

	memcpy(&port, (const uint8_t *)&g->ports + 2, sizeof(port));
	return port;
}

static inline uint16_t service_of(
	const struct service_table *t, const struct glance *g, struct found *last)
{
	const uint16_t port = port_to(g);
	uint32_t rest, dst;

	if (g->ipv6)
		return service_table_find6(t, g->addrs + 16, g->protocol, port);
	memcpy(&dst, g->addrs + 4, sizeof(dst));
	rest = (uint32_t)g->protocol << 16 | port;
	if (last->dst != dst || last->rest != rest)
		*last = (struct found){ .dst = dst,
			.rest = rest,
			.slot = service_table_find4(t, dst, g->protocol, port) };
	return last->slot;
}

static inline bool worker_is_behind(
	const struct service *s, const struct hash_seed *seed, const struct glance *g)
{
	uint64_t hash, addrs;

	if (s->worker_count == 1)
		return true;
	if (g->ipv6) {
		hash = hash_tuple6(seed, g->addrs, g->ports, g->protocol);
	} else {
		memcpy(&addrs, g->addrs, sizeof(addrs));
		hash = hash_tuple4(seed, addrs, g->ports, g->protocol);
	}
	return s->worker[s->bucket_worker[hash_bucket(hash)]]->behind;
}

/* By what a service sent in the sample before. */
static enum early_fault fault_of(const struct early *e, const struct early_sent *sent)
{
	if (sent->sample + 1 != e->sample)
		return EARLY_LITTLE;
	/* Half an equal part, as well: a service that hardly sends is not who is too much for this core. */
	if (2 * sent->gone > sent->sampled &&
		UINT64_C(2) * sent->gone * e->senders_before > e->packets_before)
		return EARLY_FLOODED;
	return (uint64_t)sent->sampled * e->senders_before > e->packets_before ? EARLY_MUCH :
										 EARLY_LITTLE;
}

static __rte_noinline void sample_begin(struct early *e, struct early_sent *sent)
{
	sent->fault = fault_of(e, sent);
	sent->sample = e->sample;
	sent->sampled = 0;
	sent->gone = 0;
	e->faults[sent->fault]++;
	e->senders++;
}

static inline bool is_over_share(struct early *e, uint16_t slot)
{
	struct early_sent *sent = &e->sent[slot];

	if (unlikely(sent->sample != e->sample))
		sample_begin(e, sent);
	if (sent->round != e->round) {
		sent->round = e->round;
		sent->packets = 0;
	}
	e->packets++;
	sent->sampled++;
	return ++sent->packets > e->share[sent->fault];
}

/* Why a packet of a service goes, or STAYS. */
static inline enum weir_drop_reason judge(struct early *e, const struct service *s, uint16_t slot,
	const struct hash_seed *seed, const struct glance *g)
{
	/* Counted also when it goes for another reason: this core has had to look at it. */
	const bool over = e->step && is_over_share(e, slot);

	if (e->workers_behind[slot] && worker_is_behind(s, seed, g))
		return WEIR_DROP_WORKER_BEHIND;
	return over ? WEIR_DROP_OVER_SHARE : STAYS;
}

/* Who is flooded stays so when its share keeps its workers from being behind. */
static void gone_judge(struct early *e, const struct gone *gone)
{
	struct early_sent *sent = &e->sent[gone->slot];

	if (gone->reason == WEIR_DROP_WORKER_BEHIND || sent->fault == EARLY_FLOODED)
		sent->gone += gone->packets;
}

static void gone_write(struct stage_core *c, const struct port *port, struct gone *gone)
{
	struct weir_service_cell *cell;

	if (gone->packets == 0)
		return;
	cell = c->service_cell[gone->slot];
	cell_add(&cell->packets_received, gone->packets);
	cell_add(&cell->bytes_received, gone->bytes);
	cell_add(&cell->dropped[gone->reason], gone->packets);
	cell_add(&c->cell->port[port->index].packets_received, gone->packets);
	cell_add(&c->cell->port[port->index].bytes_received, gone->bytes);
	holds_saw(&c->early->holds, gone->slot);
	if (c->early->step)
		gone_judge(c->early, gone);
	gone->packets = 0;
	gone->bytes = 0;
}

/* While a trace is on, those that go are given what a record is made of. */
static __rte_noinline void drops_trace(struct stage_core *c, struct trace_core *tc,
	const struct port *port, struct rte_mbuf *m, const struct gone *gone)
{
	struct packet *p = packet_of(m);

	packet_reset(p, c->now, port->index, rte_pktmbuf_pkt_len(m));
	(void)parse_one(rte_pktmbuf_mtod(m, const uint8_t *), rte_pktmbuf_data_len(m),
		rte_pktmbuf_pkt_len(m), p);
	p->service = gone->slot;
	p->drop = gone->reason;
	trace_mark(tc, &m, 1);
	trace_drop(c, tc, m);
}

uint16_t early_burst(struct stage_core *c, const struct service_table *table,
	const struct hash_seed *seed, struct service *const *service, const struct port *port,
	struct rte_mbuf **pkts, uint16_t n)
{
	struct trace_core *tc = stage_trace(c);
	struct rte_mbuf *drops[STAGE_BURST];
	struct found last = { .rest = 0 };
	struct gone gone = { 0 };
	uint16_t dropped = 0;
	uint16_t left = 0;

	for (uint16_t i = 0; i < n; i++) {
		struct rte_mbuf *m = pkts[i];
		enum weir_drop_reason reason = STAYS;
		uint16_t slot = SERVICE_NONE;
		struct glance g;

		stage_fetch_ahead(c, i, STAGE_AHEAD_MBUF);
		stage_fetch_ahead(c, i, STAGE_AHEAD_FRAME);
		if (likely(glance_at(
			    rte_pktmbuf_mtod(m, const uint8_t *), rte_pktmbuf_data_len(m), &g)))
			slot = service_of(table, &g, &last);
		if (slot != SERVICE_NONE)
			reason = judge(c->early, service[slot], slot, seed, &g);
		if (reason == STAYS) {
			pkts[left++] = m;
			continue;
		}
		if (gone.packets && (gone.slot != slot || gone.reason != reason))
			gone_write(c, port, &gone);
		gone.slot = slot;
		gone.reason = (uint8_t)reason;
		gone.packets++;
		gone.bytes += rte_pktmbuf_pkt_len(m);
		if (unlikely(tc != NULL))
			drops_trace(c, tc, port, m, &gone);
		drops[dropped++] = m;
	}
	gone_write(c, port, &gone);
	rte_pktmbuf_free_bulk(drops, dropped);
	return left;
}
