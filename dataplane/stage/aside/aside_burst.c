/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/net/icmp.h"
#include "dataplane/stage/answer/answer.h"
#include "dataplane/stage/aside/aside.h"
#include "dataplane/stage/flow/flow_stage.h"
#include "dataplane/table/maglev.h"

/* Source and destination the other way round: 8 or 32 bytes. */
static void addrs_turn(uint8_t *to, const uint8_t *from, const bool ipv6)
{
	const size_t size = ipv6 ? 16 : 4;

	memcpy(to, from + size, size);
	memcpy(to + size, from, size);
}

/* The ends of a flow as packets of one of its sides have them: 8 or 32 bytes. */
static const uint8_t *side_addrs(struct flow *f, unsigned int side, const bool ipv6)
{
	return ipv6 ? flow_tail(f)->addrs[side] : (const uint8_t *)&f->tuple[side].src;
}

/*
 * Both addresses as a packet of the flow has them; for an ICMP error those of an answer to what it quotes,
 * in `turned`.
 */
static const uint8_t *flow_addrs(
	struct rte_mbuf *m, const struct packet *p, uint8_t turned[32], const bool ipv6)
{
	uint32_t quoted = p->payload_offset + (ipv6 ? REWRITE_IPV6_ADDRS : REWRITE_IPV4_ADDRS);

	if (p->verdict != PARSE_ICMP_ERROR)
		return work_addrs(m, p, ipv6);
	addrs_turn(turned, packet_at(m, quoted), ipv6);
	return turned;
}

/* What chooses a new flow's backend knows that of one without an entry, too. */
static bool choose(
	const struct work *w, const struct packet *p, const uint8_t *addrs, uint16_t *ret_backend)
{
	const struct service_settings *s = w->settings;

	if (!s->maglev)
		return false;
	*ret_backend = s->affinity ? service_choose(s, p->hash, addrs, w->now_ns, false) :
				     maglev_slot(s->maglev, p->hash);
	return true;
}

/* Where the packet goes: the client or the backend of its flow; dsr can do without a flow. */
static bool send_to(const struct work *w, struct packet *p, struct flow *f, const uint8_t *addrs,
	const bool nat, enum weir_drop_reason *ret_reason)
{
	uint16_t backend;

	p->flow = f;
	if (work_is_reply(p, nat) && f)
		return true;
	if (nat && !f) {
		*ret_reason = WEIR_DROP_NO_FLOW;
		return false;
	}
	if (f && flow_is_placed(w, p, f, nat)) {
		backend = f->backend_slot;
	} else if (nat || !choose(w, p, addrs, &backend)) {
		*ret_reason = WEIR_DROP_NO_BACKEND;
		return false;
	}
	p->backend = backend;
	p->neighbour = w->settings->backend[backend].neighbour;
	return true;
}

static void ttl_decrement(uint8_t *l3, const bool ipv6)
{
	if (ipv6)
		rewrite_ttl6(l3);
	else
		rewrite_ttl4(l3);
}

/* A later fragment: addresses only. The first one's checksum has what their change makes of it. */
static void fragment_translate(
	struct rte_mbuf *m, const struct packet *p, const uint8_t *to, const bool ipv6)
{
	uint8_t *l3 = packet_at(m, p->l3_offset);
	uint64_t from, addrs;

	if (ipv6) {
		memcpy(l3 + REWRITE_IPV6_ADDRS, to, 32);
		rewrite_ttl6(l3);
		return;
	}
	memcpy(&from, l3 + REWRITE_IPV4_ADDRS, 8);
	memcpy(&addrs, to, 8);
	memcpy(l3 + REWRITE_IPV4_ADDRS, &addrs, 8);
	rewrite_ttl4_with(l3,
		checksum_delta32((uint32_t)from, (uint32_t)addrs) +
			checksum_delta32((uint32_t)(from >> 32), (uint32_t)(addrs >> 32)));
}

static void translate(
	const struct work *w, struct rte_mbuf *m, const struct packet *p, struct flow *f)
{
	const bool ipv6 = w->settings->ipv6;
	const unsigned int other = work_is_reply(p, true) ? FLOW_SIDE_CLIENT : FLOW_SIDE_BACKEND;
	const uint8_t *ends = side_addrs(f, other, ipv6);
	struct icmp_ends to;

	/* A packet goes to the other end; what an error quotes came from there. */
	addrs_turn(to.addrs, ends, ipv6);
	if (p->verdict == PARSE_FRAGMENT) {
		fragment_translate(m, p, to.addrs, ipv6);
		return;
	}
	memcpy(to.quoted_addrs, ends, ipv6 ? 32 : 8);
	to.quoted_ports = f->tuple[other].ports;
	icmp_error_translate(m, &to);
}

static bool aside_one(const struct work *w, struct rte_mbuf *m, enum weir_drop_reason *ret_reason)
{
	const bool nat = w->settings->mode == WEIR_MODE_NAT;
	const bool ipv6 = w->settings->ipv6;
	struct packet *p = packet_of(m);
	uint8_t turned[32];
	const uint8_t *addrs = flow_addrs(m, p, turned, ipv6);
	struct flow *f = flow_find(work_partition(w, p), p->hash, addrs, p->ports,
		work_is_reply(p, nat) ? FLOW_SIDE_BACKEND : FLOW_SIDE_CLIENT, ipv6);

	if (!send_to(w, p, f, addrs, nat, ret_reason))
		return false;
	if (f && p->verdict == PARSE_FRAGMENT)
		flow_touch(work_partition(w, p), f, w->now_ms);
	if (nat)
		translate(w, m, p, f);
	else
		ttl_decrement(packet_at(m, p->l3_offset), ipv6);
	return true;
}

__rte_noinline uint16_t aside_burst(const struct work *w, struct rte_mbuf **ret_pkts)
{
	struct stage_core *c = w->core;
	uint16_t left = 0;

	for (uint32_t i = 0; i < c->aside_count; i++) {
		struct rte_mbuf *m = c->aside[i];
		enum weir_drop_reason reason = WEIR_DROP_NO_FLOW;

		if (packet_of(m)->ttl <= 1)
			answer_error(w, m, WEIR_DROP_TTL_EXPIRED, ICMP_ERROR_TTL, 0);
		else if (aside_one(w, m, &reason))
			ret_pkts[left++] = m;
		else
			stage_drop(c, m, reason);
	}
	c->aside_count = 0;
	return left;
}
