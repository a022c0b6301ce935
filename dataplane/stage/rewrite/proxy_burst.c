/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The PROXY protocol in `nat`: before the rest of rewriting, while the packet still has the ends that it came
 * with. Only for services that ask for it, or did when some of their flows began.
 */

#include "dataplane/net/proxy.h"
#include "dataplane/stage/rewrite/rewrite_stage.h"
#include "dataplane/table/flow_journal.h"

/* A flow begins (again): note where its stream starts. */
static void note_start(const struct work *w, struct flow *f, uint32_t isn)
{
	if (f->state != FLOW_SYN)
		return;
	f->client_first = isn + 1;
	f->flags &= (uint16_t) ~(FLOW_F_PROXY | FLOW_F_PROXY_ACKED);
	if (w->settings->proxy_protocol)
		f->flags |= FLOW_F_PROXY;
}

static uint32_t tcp_bytes(const struct packet *p)
{
	return (uint32_t)(p->payload_offset - p->l4_offset) + p->payload_length;
}

/* Data on a SYN (TCP Fast Open). Returns false when it is not in one piece. */
static bool payload_cut(struct rte_mbuf *m, struct packet *p)
{
	if (m->next || (p->flags & PACKET_F_FRAGMENT) ||
		rte_pktmbuf_data_len(m) < p->payload_offset + p->payload_length)
		return false;
	proxy_cut(packet_at(m, p->l3_offset), packet_at(m, p->l4_offset), tcp_bytes(p));
	rte_pktmbuf_trim(m, (uint16_t)(rte_pktmbuf_data_len(m) - p->payload_offset));
	p->payload_length = 0;
	return true;
}

static bool header_insert(
	struct rte_mbuf *m, struct packet *p, struct flow *f, uint32_t bytes, const bool ipv6)
{
	const struct flow_tuple *client = &f->tuple[FLOW_SIDE_CLIENT];
	const void *addrs = ipv6 ? (const void *)flow_tail(f)->addrs[FLOW_SIDE_CLIENT] :
				   (const void *)&client->src;
	uint8_t header[PROXY_HEADER_MAX];

	/* A fragment that became longer would not fit to the next one. */
	if ((p->flags & PACKET_F_FRAGMENT) || !rte_pktmbuf_prepend(m, (uint16_t)bytes))
		return false;
	memmove(packet_at(m, 0), packet_at(m, bytes), p->payload_offset);
	proxy_header_write(header, addrs, client->ports, ipv6);
	proxy_insert(packet_at(m, p->l3_offset), packet_at(m, p->l4_offset), tcp_bytes(p), header,
		bytes);
	p->payload_length = (uint16_t)(p->payload_length + bytes);
	return true;
}

/* Returns false when the packet cannot go on. */
static bool from_client(const struct work *w, struct rte_mbuf *m, uint32_t bytes, const bool ipv6)
{
	struct packet *p = packet_of(m);
	uint8_t *tcp = packet_at(m, p->l4_offset);
	struct flow *f = p->flow;

	if (p->tcp_flags & FLOW_TCP_SYN) {
		if (!(p->tcp_flags & FLOW_TCP_ACK))
			note_start(w, f, proxy_sequence(tcp));
		if ((f->flags & FLOW_F_PROXY) && p->payload_length)
			return payload_cut(m, p);
		return true;
	}
	if (!(f->flags & FLOW_F_PROXY))
		return true;
	switch (proxy_need(tcp, f->client_first, f->flags & FLOW_F_PROXY_ACKED)) {
	case PROXY_INSERT:
		return header_insert(m, p, f, bytes, ipv6);
	case PROXY_SHIFT:
		proxy_shift(tcp, bytes);
		return true;
	case PROXY_NOTHING:
		return true;
	}
	return true;
}

static void from_backend(const struct work *w, struct rte_mbuf *m, uint32_t bytes)
{
	const struct packet *p = packet_of(m);
	uint8_t *tcp = packet_at(m, p->l4_offset);
	struct flow *f = p->flow;

	if (!(f->flags & FLOW_F_PROXY))
		return;
	if (p->tcp_flags & FLOW_TCP_SYN)
		proxy_make_room(tcp, bytes);
	else if (proxy_acknowledge(tcp, f->client_first, bytes) &&
		!(f->flags & FLOW_F_PROXY_ACKED)) {
		f->flags |= FLOW_F_PROXY_ACKED;
		/* A successor of this process has to know, too. */
		if (!flow_state_transient(f->state))
			flow_journal_write(work_partition(w, p), f);
	}
}

__rte_noinline uint16_t proxy_burst(const struct work *w, struct rte_mbuf **pkts, uint16_t n)
{
	const bool ipv6 = w->settings->ipv6;
	const uint32_t bytes = proxy_header_bytes(ipv6);
	uint16_t left = 0;

	for (uint16_t i = 0; i < n; i++) {
		struct rte_mbuf *m = pkts[i];
		const struct packet *p = packet_of(m);

		/* Before anything changes: the field is compared with the sum of what came. */
		if (unlikely(w->completes_checksums >> p->port_in & 1))
			checksum_complete_partial(m);
		if (work_is_reply(p, true)) {
			from_backend(w, m, bytes);
		} else if (unlikely(!from_client(w, m, bytes, ipv6))) {
			stage_drop(w->core, m, WEIR_DROP_PROXY_HEADER);
			continue;
		}
		pkts[left++] = m;
	}
	return left;
}
