/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/net/checksum.h"
#include "dataplane/net/reset.h"
#include "dataplane/service/directive.h"
#include "dataplane/stage/flow/idle.h"

#define SWEEP	  256u /* flows that are looked at with a burst */
#define PROBES	  8u /* backends that are asked with it, at most */
#define TCP_FLAGS 13u /* offset in the header */

/* By which it is drawn what a share of all flows is. */
static const uint64_t lot_keys[2] = { UINT64_C(0xa0761d6478bd642f), UINT64_C(0xe7037ed1a0b428db) };

/* Idle, and among the share of its backend's flows that is to be closed. */
static bool is_due(const struct work *w, const struct flow *f, uint32_t number)
{
	const struct service_allowance *a = w->worker->service->directives->allowance;
	uint64_t lot = hash_mix(number ^ lot_keys[0], w->worker->close_serial ^ lot_keys[1]);
	uint32_t share;

	if (f->state != FLOW_ESTABLISHED || (f->flags & (FLOW_F_REQUEST | FLOW_F_PROBED)) ||
		w->now_ms - f->last_seen_ms < IDLE_MS ||
		w->settings->backend[f->backend_slot].epoch != f->backend_epoch)
		return false;
	share = __atomic_load_n(&a[f->backend_slot].close_idle, __ATOMIC_RELAXED);
	return ((lot >> 32) * 1000) >> 32 < share;
}

static union neighbour_word next_hop(const struct work *w, struct flow *f)
{
	uint32_t at = w->settings->backend[f->backend_slot].neighbour;

	if (at != WEIR_NO_NEIGHBOUR && (at & WEIR_HOP_GROUP))
		at = neighbours_choose(w->neighbours, at, 0, &f->hop);
	return neighbours_read(w->neighbours, at);
}

/* False: not now, as there is no room. */
static bool probe(const struct work *w, struct flow *f, struct rte_mempool *pool)
{
	const union neighbour_word hop = next_hop(w, f);
	const bool ipv6 = w->settings->ipv6;
	const struct port *port =
		hop.resolved && hop.port < WEIR_MAX_PORTS ? w->port[hop.port] : NULL;
	struct rte_mbuf *m;

	if (!port)
		return true;
	m = w->core->made_count < STAGE_BURST ? rte_pktmbuf_alloc(pool) : NULL;
	if (!m)
		return false;
	reset_probe_make(m,
		ipv6 ? flow_tail(f)->addrs[FLOW_SIDE_BACKEND] :
		       (const uint8_t *)&f->tuple[FLOW_SIDE_BACKEND].src,
		f->tuple[FLOW_SIDE_BACKEND].ports, ipv6);
	rewrite_macs(packet_at(m, 0), hop.mac, port->mac);
	packet_of(m)->rx_tsc = w->core->now;
	packet_of(m)->port_in = packet_of(m)->port_out = hop.port;
	w->core->made[w->core->made_count++] = m;
	f->flags |= FLOW_F_PROBED;
	return true;
}

__rte_noinline void idle_burst(const struct work *w, struct rte_mempool *pool)
{
	struct service_worker *k = w->worker;
	uint32_t probes = 0;

	for (uint32_t i = 0; i < SWEEP && k->close_left; i++) {
		const struct flow_partition *part = k->part[k->close_bucket];
		struct flow *f;

		if (!service_worker_has(k, k->close_bucket) ||
			k->close_record >= flow_partition_extent(part)) {
			k->close_record = 0;
			k->close_left--;
			k->close_bucket = service_worker_next(k, k->close_bucket);
			continue;
		}
		f = flow_at(part, k->close_record);
		if (is_due(w, f, k->close_record * FLOW_PARTITIONS + k->close_bucket) &&
			(++probes > PROBES || !probe(w, f, pool)))
			return; /* goes on with this one */
		k->close_record++;
	}
}

/* A copy goes back to the backend as the reset that it will heed. */
static bool reset_backend(const struct work *w, struct rte_mbuf *m)
{
	const struct packet *p = packet_of(m);
	const struct port *port = w->port[p->port_in];
	struct rte_mbuf *copy;

	if (!port || w->core->made_count == STAGE_BURST || !reset_allowed(m))
		return false;
	copy = rte_pktmbuf_copy(m, m->pool, 0, UINT32_MAX);
	if (!copy)
		return false;
	*packet_of(copy) = *p;
	reset_make(copy, port->mac);
	w->core->made[w->core->made_count++] = copy;
	return true;
}

__rte_noinline uint16_t idle_answered(const struct work *w, struct rte_mbuf *m,
	const struct flow *f, uint16_t flags, bool from_backend)
{
	struct packet *p = packet_of(m);
	uint8_t *l4 = packet_at(m, p->l4_offset);
	uint16_t before, after, check;

	flags &= (uint16_t)~FLOW_F_PROBED;
	if (!from_backend || f->state != FLOW_ESTABLISHED || (flags & FLOW_F_REQUEST) ||
		p->payload_length || (p->tcp_flags & ~0x08u) != FLOW_TCP_ACK ||
		!reset_backend(w, m))
		return flags;
	/* Before anything changes: see the rewrite stage. */
	if (w->completes_checksums >> p->port_in & 1)
		checksum_complete_partial(m);
	memcpy(&before, l4 + TCP_FLAGS - 1, sizeof(before));
	l4[TCP_FLAGS] = FLOW_TCP_RST | FLOW_TCP_ACK;
	memcpy(&after, l4 + TCP_FLAGS - 1, sizeof(after));
	memcpy(&check, l4 + REWRITE_TCP_CHECKSUM, sizeof(check));
	check = checksum_apply(check, checksum_delta16(before, after));
	memcpy(l4 + REWRITE_TCP_CHECKSUM, &check, sizeof(check));
	p->tcp_flags = FLOW_TCP_RST | FLOW_TCP_ACK;
	cell_add(&w->worker->cell->closed_idle, 1);
	return flags | FLOW_F_PROBED;
}
