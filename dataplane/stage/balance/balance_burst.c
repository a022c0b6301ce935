/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/stage/balance/balance.h"
#include "dataplane/stage/balance/room.h"
#include "dataplane/stage/flow/flow_stage.h"
#include "dataplane/stage/limit/limit.h"
#include "dataplane/table/maglev.h"

/* The backend's side of a flow, as its packets carry it: backend and translated source. */
struct placement {
	uint8_t addrs[32]; /* IPv4: the first 8 */
	uint32_t ports;
	uint16_t backend;
	uint16_t source; /* nat */
	uint16_t source_port; /* nat; host order */
	uint64_t hash; /* nat; flow_backend_hash() of addrs and ports */
};

/* A packet that has to be placed. */
struct pending {
	uint16_t index; /* in the burst */
	bool chosen; /* `to` is taken for it already */
	struct placement to;
};

struct buckets {
	uint64_t bit[FLOW_PARTITIONS / 64];
};

/* All of them, and what is shared in placing them. */
struct placing {
	struct rte_mbuf **pkts; /* the whole burst; NULL where a packet was dropped */
	uint16_t burst;
	uint16_t count;
	uint32_t
		granted[2]; /* new flows that the limit still lets open: of known sources, others */
	struct buckets held; /* of flows that packets of the burst have */
	struct buckets opened; /* of flows that were opened for this burst */
	struct pending pending[STAGE_BURST];
	uint16_t line_count;
	const void *line[2 * STAGE_BURST]; /* to be asked for */
};

static inline void bucket_add(struct buckets *b, uint8_t bucket)
{
	b->bit[bucket / 64] |= UINT64_C(1) << (bucket % 64);
}

static inline bool bucket_in(const struct buckets *b, uint8_t bucket)
{
	return b->bit[bucket / 64] >> (bucket % 64) & 1;
}

static inline void line_add(struct placing *all, const void *line)
{
	if (likely(line != NULL))
		all->line[all->line_count++] = line;
}

/* All in a row: lines on pages of their own, and the walks to those pages then overlap. */
static inline void lines_prefetch(struct placing *all)
{
	for (uint16_t i = 0; i < all->line_count; i++)
		rte_prefetch0(all->line[i]);
	all->line_count = 0;
}

static inline void buckets_hold(struct placing *all)
{
	memset(&all->held, 0, sizeof(all->held));
	memset(&all->opened, 0, sizeof(all->opened));
	for (uint16_t i = 0; i < all->burst; i++) {
		const struct packet *p = packet_of(all->pkts[i]);

		if (p->flow)
			bucket_add(&all->held, p->bucket);
	}
}

/* Which of them a packet's flow needs. */
static inline uint32_t *granted_to(struct placing *all, const struct packet *p)
{
	return &all->granted[p->flags & PACKET_F_KNOWN_SOURCE ? 0 : 1];
}

static inline uint32_t two_ports(uint16_t first_be, uint16_t second_be)
{
	union {
		uint16_t half[2];
		uint32_t both;
	} ports = { .half = { first_be, second_be } };

	return ports.both;
}

/* Both addresses as in a header. IPv4: in one store, or the hash, which loads them in one, waits for two. */
static __rte_always_inline void addrs_set(
	uint8_t *to, const uint8_t source[16], const uint8_t destination[16], const bool ipv6)
{
	rte_le32_t half[2];
	rte_le64_t both;

	if (ipv6) {
		memcpy(to, source, 16);
		memcpy(to + 16, destination, 16);
		return;
	}
	memcpy(&half[0], source + 12, sizeof(half[0]));
	memcpy(&half[1], destination + 12, sizeof(half[1]));
	both = rte_cpu_to_le_64(
		(uint64_t)rte_le_to_cpu_32(half[1]) << 32 | rte_le_to_cpu_32(half[0]));
	memcpy(to, &both, sizeof(both));
}

/*
 * Choose a backend and, in nat, a source port towards it; it counts as in flight there from now on. Returns
 * false with the reason to drop.
 */
static __rte_always_inline bool placement_choose(const struct work *w, struct rte_mbuf *m,
	struct placement *to, enum weir_drop_reason *ret_reason, const bool nat, const bool ipv6)
{
	const struct service_allowance *allowance;
	struct packet *p = packet_of(m);
	const struct service_settings *s = w->settings;
	const struct service_backend *b;
	const uint16_t *table = s->maglev;
	const size_t size = ipv6 ? 16 : 4;
	uint16_t port_be;

	if (unlikely(p->pool))
		table = room_routed(w, p);
	if (unlikely(!table)) {
		*ret_reason = WEIR_DROP_NO_BACKEND;
		return false;
	}
	to->backend = maglev_slot(table, p->hash);
	if (unlikely(s->affinity) && !p->pool)
		to->backend = service_choose(s, p->hash, work_addrs(m, p, ipv6), w->now_ns, true);
	allowance = __atomic_load_n(&w->worker->service->allowance, __ATOMIC_ACQUIRE);
	if (unlikely(allowance != NULL) && !p->flow && work_opens(w, p) &&
		!room_find(w, p, allowance, table, &to->backend)) {
		*ret_reason =
			p->flags & PACKET_F_YELLOW ? WEIR_DROP_SOURCE_POLICED : WEIR_DROP_SHED;
		return false;
	}
	to->source = 0;
	b = &s->backend[to->backend];
	port_be = b->port_be ? b->port_be : p->dport;
	if (!nat) {
		memcpy(to->addrs, b->address + 16 - size, size);
		memset(to->addrs + size, 0, size);
		to->ports = two_ports(port_be, 0);
		load_add(w->worker, to->backend, w->now_ns);
		return true;
	}
	if (unlikely(!nat_ports_take(
		    s->nat, p->bucket, to->backend, &to->source, &to->source_port))) {
		*ret_reason = WEIR_DROP_NO_TRANSLATION_PORT;
		return false;
	}
	addrs_set(to->addrs, b->address, s->nat->source[to->source].address, ipv6);
	to->ports = two_ports(port_be, htons(to->source_port));
	to->hash = flow_backend_hash(work_partition(w, p), to->addrs, to->ports, ipv6);
	load_add(w->worker, to->backend, w->now_ns);
	return true;
}

static inline void placement_undo(
	const struct work *w, const struct packet *p, const struct placement *to, const bool nat)
{
	load_drop(w->worker, to->backend);
	if (nat)
		nat_ports_give(
			w->settings->nat, p->bucket, to->backend, to->source, to->source_port);
}

static inline void packet_send_to(const struct work *w, struct packet *p, uint16_t backend)
{
	p->backend = backend;
	p->neighbour = w->settings->backend[backend].neighbour;
}

static inline void flow_goes_to(const struct work *w, struct flow *f, const struct placement *to)
{
	f->backend_slot = to->backend;
	f->backend_epoch = w->settings->backend[to->backend].epoch;
	f->source_slot = to->source;
	cell_add(&w->worker->backend_cell[to->backend].new_flows, 1);
	if (f->state == FLOW_SYN)
		cell_add(&w->worker->backend_cell[to->backend].syn_sent, 1);
}

/* It counts as in flight at its backend, as placement_choose() has it, or no more. */
static inline void flow_settles(const struct work *w, struct flow *f, bool counts)
{
	if (likely(counts))
		f->flags = flow_counts(w->worker, f, f->flags, w->now_ns);
	else
		load_drop(w->worker, f->backend_slot);
}

/* A known flow gets another backend, and in nat another translation. */
static __rte_noinline bool flow_move(const struct work *w, struct rte_mbuf *m, struct flow *f,
	enum weir_drop_reason *ret_reason, const bool nat, const bool ipv6)
{
	struct packet *p = packet_of(m);
	struct weir_backend_cell *cell = flow_backend_cell(w, f);
	uint16_t old_backend = f->backend_slot;
	uint16_t old_source = f->source_slot;
	uint16_t old_port = ntohs(f->tuple[FLOW_SIDE_BACKEND].dport);
	struct placement to;

	if (!placement_choose(w, m, &to, ret_reason, nat, ipv6))
		return false;
	if (!flow_rebind(work_partition(w, p), f, to.addrs, to.ports)) {
		placement_undo(w, p, &to, nat);
		*ret_reason = WEIR_DROP_FLOW_TABLE_FULL;
		return false;
	}
	if (nat)
		nat_ports_give(w->settings->nat, p->bucket, old_backend, old_source, old_port);
	if (cell)
		cell_add(&cell->closed_flows, 1);
	f->flags = flow_counts_not(w->worker, f, f->flags);
	flow_goes_to(w, f, &to);
	/* The new backend has to answer for itself. */
	f->flags &= (uint16_t) ~(FLOW_F_REPLIED | FLOW_F_FIN_BACKEND | FLOW_F_PROXY_ACKED);
	if (f->state == FLOW_SYN || load_expires(w->settings))
		flow_stamp_set(f, w->now_ns);
	flow_settles(w, f,
		f->state != FLOW_CLOSED &&
			(!nat || f->state == FLOW_SYN || (f->flags & FLOW_F_REQUEST)));
	packet_send_to(w, p, to.backend);
	return true;
}

/*
 * A flow was ended while packets of it are still in this burst: a full partition made room for a new
 * flow, or a SYN opened the same tuple anew. The record may be another flow's by now, and they must not
 * be sent where that one goes.
 *
 * record  of the flow that ended; others that ended with it are free by now
 */
static __rte_noinline void flow_forget(const struct work *w, const struct placing *all,
	const struct flow *record, enum weir_drop_reason reason)
{
	for (uint16_t i = 0; i < all->burst; i++) {
		struct packet *p;

		if (!all->pkts[i])
			continue;
		p = packet_of(all->pkts[i]);
		if (!p->flow || (p->flow != record && p->flow->state != FLOW_FREE))
			continue;
		stage_drop(w->core, all->pkts[i], reason);
		all->pkts[i] = NULL;
	}
}

static __rte_always_inline struct flow *flow_open(const struct work *w, struct placing *all,
	struct rte_mbuf *m, struct packet *p, const struct placement *to, const bool nat,
	const bool ipv6)
{
	struct flow_partition *part = work_partition(w, p);
	const bool tcp = w->settings->protocol == IPPROTO_TCP;
	const struct flow_new fresh = {
		.hash = p->hash,
		.client_addrs = work_addrs(m, p, ipv6),
		.backend_addrs = to->addrs,
		.client_ports = p->ports,
		.backend_ports = to->ports,
		.state = tcp ? FLOW_SYN : FLOW_UDP_NEW,
	};
	uint32_t before = part->count;
	struct flow *f = nat ? flow_insert_hashed(part, &fresh, to->hash, w->now_ms) :
			       flow_insert(part, &fresh, w->now_ms);

	if (unlikely(!f))
		return NULL;
	/* Only flows of this partition can have made room, and mostly no packet here has one of those. */
	if (part->count != before + 1 && unlikely(bucket_in(&all->held, p->bucket)))
		flow_forget(w, all, f, WEIR_DROP_FLOW_TABLE_FULL);
	bucket_add(&all->held, p->bucket);
	bucket_add(&all->opened, p->bucket);
	flow_goes_to(w, f, to);
	flow_note_client(m, p, f);
	flow_stamp_set(f, w->now_ns);
	if (p->payload_length) {
		f->flags |= FLOW_F_REQUEST;
		if (nat)
			f->flags = flow_finds(w->worker, to->backend, f->flags);
		cell_add(&w->worker->backend_cell[to->backend].requests, nat);
	}
	flow_settles(w, f, !nat || tcp || p->payload_length);
	cell_add(&w->worker->cell->new_flows, 1);
	p->flow = f;
	p->flags |= PACKET_F_NEW_FLOW;
	return f;
}

/* dsr can do without an entry: any Weir with the same pool chooses the same backend. */
static inline void place_stateless(
	const struct work *w, struct packet *p, const struct placement *to)
{
	p->flags |= PACKET_F_STATELESS;
	load_drop(w->worker, to->backend);
	cell_add(&w->worker->cell->stateless, 1);
	packet_send_to(w, p, to->backend);
}

/*
 * Place the first packet of a flow. In the middle of a connection nat cannot know the translation any
 * more; dsr goes on by hashing, as after a restart, and enters the flow unless it is ending. A flow
 * that is entered in the middle is no new one for the limit: without a grant it just is not entered.
 */
static __rte_always_inline bool place_new(const struct work *w, struct placing *all,
	struct pending *pending, struct rte_mbuf *m, struct packet *p,
	enum weir_drop_reason *ret_reason, const bool nat, const bool ipv6)
{
	const struct placement *to = &pending->to;
	const bool opener = work_opens(w, p);
	uint32_t *granted = granted_to(all, p);

	if (opener)
		cell_add(&w->worker->cell->offered, 1);
	if (nat && !opener) {
		*ret_reason = WEIR_DROP_NO_FLOW;
		return false;
	}
	if (unlikely(*granted == 0) && opener) {
		*ret_reason = WEIR_DROP_LIMIT_CONNECTIONS;
		return false;
	}
	if (!pending->chosen && !placement_choose(w, m, &pending->to, ret_reason, nat, ipv6))
		return false;
	pending->chosen = false; /* used up, one way or the other */
	if (!nat && !opener && ((p->tcp_flags & (FLOW_TCP_RST | FLOW_TCP_FIN)) || *granted == 0)) {
		place_stateless(w, p, to);
		return true;
	}
	if (likely(flow_open(w, all, m, p, to, nat, ipv6) != NULL)) {
		--*granted;
		packet_send_to(w, p, to->backend);
		return true;
	}
	if (!nat) {
		place_stateless(w, p, to);
		return true;
	}
	placement_undo(w, p, to, nat);
	*ret_reason = WEIR_DROP_FLOW_TABLE_FULL;
	return false;
}

static __rte_always_inline bool place(const struct work *w, struct placing *all,
	struct pending *pending, struct rte_mbuf *m, enum weir_drop_reason *ret_reason,
	const bool nat, const bool ipv6)
{
	struct packet *p = packet_of(m);

	/* An earlier packet of this burst may have opened the flow. */
	if (!p->flow && unlikely(bucket_in(&all->opened, p->bucket))) {
		struct flow *f = flow_find(work_partition(w, p), p->hash, work_addrs(m, p, ipv6),
			p->ports, FLOW_SIDE_CLIENT, ipv6);

		if (unlikely(f != NULL) && !flow_known(w, m, p, f, nat))
			flow_forget(w, all, f, WEIR_DROP_NO_FLOW);
	}
	if (unlikely(p->backend != PACKET_NO_BACKEND))
		return true;
	if (unlikely(p->flow != NULL))
		return flow_move(w, m, p->flow, ret_reason, nat, ipv6);
	return place_new(w, all, pending, m, p, ret_reason, nat, ipv6);
}

/*
 * How many different new flows there are, of sources that are known or of others; two packets of one open
 * it once.
 */
static uint32_t count_new_flows(const struct work *w, const struct placing *all, bool known)
{
	uint64_t hash[STAGE_BURST];
	uint32_t count = 0;

	for (uint16_t i = 0; i < all->count; i++) {
		const struct packet *p = packet_of(all->pkts[all->pending[i].index]);
		uint32_t j = 0;

		if (p->flow || !work_opens(w, p) || !!(p->flags & PACKET_F_KNOWN_SOURCE) != known)
			continue;
		while (j < count && hash[j] != p->hash)
			j++;
		if (j == count)
			hash[count++] = p->hash;
	}
	return count;
}

/* New flows that their source or class may not open are gone before they claim anything of the service's. */
static __rte_noinline void flows_admit(const struct work *w, struct placing *all)
{
	enum weir_drop_reason why[STAGE_BURST];
	uint64_t hash[STAGE_BURST];
	bool may[STAGE_BURST];
	uint32_t count = 0;
	uint16_t left = 0;

	for (uint16_t i = 0; i < all->count; i++) {
		struct rte_mbuf **m = &all->pkts[all->pending[i].index];
		const struct packet *p = packet_of(*m);
		uint32_t j = 0;

		if (!p->flow && work_opens(w, p)) {
			while (j < count && hash[j] != p->hash)
				j++;
			if (j == count) {
				hash[count] = p->hash;
				may[count] = room_admits(w, *m, &why[count]);
				count++;
			}
			if (!may[j]) {
				cell_add(&w->worker->cell->offered, 1);
				stage_drop(w->core, *m, why[j]);
				*m = NULL;
				continue;
			}
		}
		all->pending[left++] = all->pending[i];
	}
	all->count = left;
}

static void grant_new_flows(const struct work *w, struct placing *all)
{
	const struct service_settings *s = w->settings;
	struct service *service = w->worker->service;
	/* Without limits per source nobody is known, and the whole limit is everybody's. */
	const struct limiter_rate *rate[] = { &s->connections,
		s->source_table ? &s->others_connections : &s->connections };

	for (uint32_t i = 0; i < 2; i++) {
		uint32_t wanted;

		all->granted[i] = UINT32_MAX;
		if (!s->limits_connections)
			continue;
		wanted = count_new_flows(w, all, i == 0);
		all->granted[i] =
			wanted ? limit_claim(w, &service->connections, rate[i], NULL, wanted) : 0;
	}
}

/* Fetch what ending a partition's oldest lingering flow will touch, should it have to make room. */
static __rte_always_inline void prefetch_more(
	const struct work *w, struct placing *all, const struct packet *p, const bool nat)
{
	const struct flow_partition *part = work_partition(w, p);
	const struct flow *victim;

	victim = flow_insert_prefetch_more(part);
	if (nat && victim)
		line_add(all,
			nat_ports_set(w->settings->nat, p->bucket, victim->backend_slot,
				victim->source_slot));
}

/*
 * An insert touches a dozen cache lines, each of which is found through another. So it is done in
 * passes over all packets that have to be placed, which ask for what the next pass needs: the flow stage for
 * the record, balance_body() for what ending its flow will touch, this for the new flow's other index line.
 */
static __rte_always_inline void prepare(
	const struct work *w, struct placing *all, const bool nat, const bool ipv6)
{
	uint32_t left[] = { all->granted[0], all->granted[1] };

	if (!nat)
		return;
	for (uint16_t i = 0; i < all->count; i++) {
		struct pending *pending = &all->pending[i];
		struct rte_mbuf *m = all->pkts[pending->index];
		const struct packet *p = packet_of(m);
		uint32_t *granted = &left[p->flags & PACKET_F_KNOWN_SOURCE ? 0 : 1];
		enum weir_drop_reason ignored;

		if (*granted == 0 || p->flow || !work_opens(w, p))
			continue;
		pending->chosen = placement_choose(w, m, &pending->to, &ignored, nat, ipv6);
		if (!pending->chosen)
			continue;
		flow_prefetch(work_partition(w, p), pending->to.hash);
		__builtin_prefetch(&w->worker->backend_cell[pending->to.backend].new_flows, 1);
		--*granted;
	}
}

static __rte_always_inline uint16_t balance_body(
	const struct work *w, struct rte_mbuf **pkts, uint16_t n, const bool nat, const bool ipv6)
{
	struct placing all;

	all.count = 0;
	all.line_count = 0;
	for (uint16_t i = 0; i < n; i++) {
		const struct packet *p = packet_of(pkts[i]);

		if (likely(p->backend != PACKET_NO_BACKEND) || work_is_reply(p, nat))
			continue;
		all.pending[all.count].index = i;
		all.pending[all.count++].chosen = false;
		prefetch_more(w, &all, p, nat);
		if (nat && w->settings->maglev)
			line_add(&all,
				nat_ports_next_set(w->settings->nat, p->bucket,
					maglev_slot(w->settings->maglev, p->hash)));
	}
	if (all.count == 0)
		return n;
	lines_prefetch(&all);
	all.pkts = pkts;
	all.burst = n;
	buckets_hold(&all);
	if (unlikely(w->settings->source_table || w->settings->judged))
		flows_admit(w, &all);
	grant_new_flows(w, &all);
	prepare(w, &all, nat, ipv6);
	for (uint16_t i = 0; i < all.count; i++) {
		struct pending *pending = &all.pending[i];
		struct rte_mbuf *m = pkts[pending->index];
		enum weir_drop_reason reason = WEIR_DROP_NO_BACKEND;
		bool placed = m && place(w, &all, pending, m, &reason, nat, ipv6);

		if (unlikely(m && pending->chosen))
			placement_undo(w, packet_of(m), &pending->to, nat);
		if (!m || likely(placed))
			continue;
		if ((w->settings->maglev && !room_is_missing(reason)) || w->settings->silent)
			stage_drop(w->core, m, reason);
		else
			room_refuse(w, m, reason);
		pkts[pending->index] = NULL;
	}
	return work_compact(pkts, n);
}

uint16_t balance_burst(const struct work *w, struct rte_mbuf **pkts, uint16_t n)
{
	return WORK_SPECIALISE(balance_body, w, pkts, n);
}
