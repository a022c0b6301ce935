/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/stage/trace/trace_private.h"

#include <rte_malloc.h>
#include <rte_ring.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static size_t round_up8(size_t bytes)
{
	return (bytes + 7) & ~(size_t)7;
}

/* An own ring needs no name among all rings of the process. Holds at least `count`. */
static struct rte_ring *ring_create(uint32_t count, int node)
{
	uint32_t size = rte_align32pow2(count + 1);
	ssize_t bytes = rte_ring_get_memsize(size);
	struct rte_ring *ring;

	if (bytes < 0)
		return NULL;
	ring = rte_zmalloc_socket("trace ring", (size_t)bytes, RTE_CACHE_LINE_SIZE, node);
	if (ring && rte_ring_init(ring, "trace", size, RING_F_SP_ENQ | RING_F_SC_DEQ) != 0) {
		rte_free(ring);
		return NULL;
	}
	return ring;
}

static int slots_create(struct trace *t, struct trace_core *tc, uint32_t count, int node)
{
	tc->slots = rte_zmalloc_socket("trace slots", count * t->stride, RTE_CACHE_LINE_SIZE, node);
	tc->spare = rte_zmalloc_socket(
		"trace slots", count * sizeof(struct trace_slot *), RTE_CACHE_LINE_SIZE, node);
	tc->home = ring_create(count, node);
	if (!tc->slots || !tc->spare || !tc->home)
		return -ENOMEM;
	tc->slot_count = count;
	/* The last is taken first. */
	for (uint32_t i = 0; i < count; i++) {
		struct trace_slot *s = trace_slot_at(tc, count - 1 - i);

		s->number = t->session << (TRACE_SLOT_BITS + TRACE_CORE_BITS) |
			tc->index << TRACE_SLOT_BITS | (count - 1 - i);
		tc->spare[i] = s;
	}
	tc->spare_count = count;
	return 0;
}

static int cores_create(struct trace *t, const struct trace_params *params)
{
	uint32_t count = (uint32_t)RTE_MIN((size_t)TRACE_SLOTS, TRACE_BYTES / t->stride);
	uint64_t seed = params->seed;
	int rc = 0;

	t->slot_count = count * (uint32_t)__builtin_popcountll(params->receives);
	for (uint32_t i = 0; rc == 0 && i < t->core_count; i++) {
		struct trace_core *tc = &t->core[i];

		tc->trace = t;
		tc->index = i;
		/* xorshift stands still at 0. */
		tc->random = (seed + i) * UINT64_C(0x9e3779b97f4a7c15) | 1;
		tc->done = ring_create(t->slot_count, params->core_node[i]);
		if (!tc->done)
			rc = -ENOMEM;
		else if (params->receives >> i & 1)
			rc = slots_create(t, tc, count, params->core_node[i]);
	}
	return rc;
}

int trace_create(const struct trace_params *params, struct trace **ret_trace)
{
	size_t program = params->instruction_count * sizeof(*params->program);
	struct trace *t = rte_zmalloc("trace", sizeof(*t) + program, RTE_CACHE_LINE_SIZE);
	int rc;

	if (!t)
		return -ENOMEM;
	t->session = params->session & TRACE_SESSION_MASK;
	t->service = params->service;
	t->port = params->port;
	t->threshold =
		params->sample <= 1 ? UINT64_C(1) << 32 : (UINT64_C(1) << 32) / params->sample;
	t->instruction_count = params->instruction_count;
	if (program)
		memcpy(t->program, params->program, program);
	t->bounded = params->count != 0;
	t->left = t->bounded ? (int64_t)RTE_MIN(params->count, (uint64_t)INT64_MAX) : 1;
	t->core_count = params->core_count;
	t->snaplen = params->snaplen;
	t->room = (uint32_t)round_up8(RTE_MAX(params->snaplen, TRACE_HEAD_MIN));
	t->stride = RTE_ALIGN_CEIL(
		sizeof(struct trace_slot) + 2 * (size_t)t->room, RTE_CACHE_LINE_SIZE);
	rc = cores_create(t, params);
	if (rc == 0) {
		t->waiting = calloc(t->slot_count, sizeof(struct trace_slot *));
		rc = t->waiting ? 0 : -ENOMEM;
	}
	if (rc < 0) {
		trace_destroy(t);
		return rc;
	}
	*ret_trace = t;
	return 0;
}

void trace_destroy(struct trace *t)
{
	if (!t)
		return;
	for (uint32_t i = 0; i < t->core_count; i++) {
		rte_free(t->core[i].slots);
		rte_free(t->core[i].spare);
		rte_free(t->core[i].home);
		rte_free(t->core[i].done);
	}
	free(t->waiting);
	rte_free(t);
}

struct trace_core *trace_core_of(struct trace *t, uint32_t core)
{
	return &t->core[core];
}

uint32_t trace_slots(const struct trace *t)
{
	return t->slot_count;
}

static void slot_return(struct trace *t, struct trace_slot *s)
{
	(void)rte_ring_sp_enqueue(t->core[s->core_in].home, s);
}

void trace_poll(struct trace *t)
{
	t->waiting_end -= t->waiting_first;
	memmove(t->waiting, t->waiting + t->waiting_first,
		t->waiting_end * sizeof(struct trace_slot *));
	t->waiting_first = 0;
	for (uint32_t i = 0; i < t->core_count; i++) {
		void *found;

		while (rte_ring_sc_dequeue(t->core[i].done, &found) == 0) {
			struct trace_slot *s = found;

			if (!s->wanted) {
				slot_return(t, s);
				continue;
			}
			t->waiting[t->waiting_end++] = s;
			t->sorted = false;
		}
	}
}

uint32_t trace_record_max(const struct trace *t)
{
	return (uint32_t)(sizeof(struct weir_trace_record) + round_up8(2 * (size_t)t->snaplen));
}

static uint8_t parse_of(uint8_t verdict)
{
	switch (verdict) {
	case PARSE_OK:
		return WEIR_TRACE_PARSE_OK;
	case PARSE_NOT_OURS:
		return WEIR_TRACE_PARSE_NOT_OURS;
	case PARSE_FRAGMENT:
		return WEIR_TRACE_PARSE_FRAGMENT;
	case PARSE_ICMP_ERROR:
		return WEIR_TRACE_PARSE_ICMP_ERROR;
	case PARSE_MALFORMED_L4:
		return WEIR_TRACE_PARSE_MALFORMED;
	default:
		return WEIR_TRACE_PARSE_UNREADABLE;
	}
}

static uint16_t flags_of(uint16_t flags)
{
	return (uint16_t)((flags & PACKET_F_IPV6 ? WEIR_TRACE_F_IPV6 : 0) |
		(flags & PACKET_F_VLAN ? WEIR_TRACE_F_VLAN : 0) |
		(flags & PACKET_F_FRAGMENT ? WEIR_TRACE_F_FRAGMENT : 0) |
		(flags & PACKET_F_FROM_BACKEND ? WEIR_TRACE_F_FROM_BACKEND : 0) |
		(flags & PACKET_F_EXTENSIONS ? WEIR_TRACE_F_OPTIONS : 0));
}

/* Read both ends from the headers, where parse has found them. */
static void ends_read(const struct packet *p, const uint8_t *frame, uint32_t bytes,
	struct weir_trace_ends *ret_ends)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	const bool ipv6 = p->flags & PACKET_F_IPV6;
	uint32_t at = p->l3_offset + (ipv6 ? REWRITE_IPV6_ADDRS : REWRITE_IPV4_ADDRS);
	uint16_t ports[2];

	if (p->verdict == PARSE_NOT_OURS || p->verdict == PARSE_MALFORMED_L3)
		return;
	if (at + (ipv6 ? 32 : 8) > bytes)
		return;
	if (ipv6) {
		memcpy(ret_ends->source, frame + at, 16);
		memcpy(ret_ends->destination, frame + at + 16, 16);
	} else {
		memcpy(ret_ends->source, mapped, sizeof(mapped));
		memcpy(ret_ends->source + 12, frame + at, 4);
		memcpy(ret_ends->destination, mapped, sizeof(mapped));
		memcpy(ret_ends->destination + 12, frame + at + 4, 4);
	}
	ret_ends->known = 1;
	if (p->verdict != PARSE_OK && !(p->flags & PACKET_F_FIRST_FRAGMENT))
		return;
	if (p->l4_offset == 0 || p->l4_offset + sizeof(ports) > bytes)
		return;
	memcpy(ports, frame + p->l4_offset, sizeof(ports));
	ret_ends->source_port = ntohs(ports[0]);
	ret_ends->destination_port = ntohs(ports[1]);
}

/* The stage that it did not get through: the one behind the last that it did. */
static uint8_t last_stage(const struct trace_slot *s)
{
	if (s->verdict == WEIR_TRACE_DROPPED && s->reason == WEIR_DROP_WORKER_RING_FULL)
		return WEIR_STAGE_DISPATCH;
	if (s->verdict == WEIR_TRACE_DROPPED &&
		(s->reason == WEIR_DROP_WORKER_BEHIND || s->reason == WEIR_DROP_OVER_SHARE))
		return WEIR_STAGE_RECEIVE;
	uint32_t last = 31u - (uint32_t)__builtin_clz(s->stages);

	/* Services without policies have no such stage. */
	if (last == WEIR_STAGE_DISPATCH && s->reason != WEIR_DROP_POLICY &&
		s->reason != WEIR_DROP_POLICY_ERROR && s->reason != WEIR_DROP_LIMIT_CLASS)
		last = WEIR_STAGE_POLICY;
	return (uint8_t)RTE_MIN(last + 1, (uint32_t)WEIR_STAGE_TRANSMIT);
}

static void ways_fill(const struct trace *t, struct trace_slot *s, struct weir_trace_record *r)
{
	const struct packet *p = &s->packet;
	uint8_t *frame = trace_frame(t, s, 0);

	ends_read(p, frame, s->kept[0], &r->received);
	if (s->kept[0] >= sizeof(r->mac_in) + 2) {
		memcpy(r->mac_in, frame, sizeof(r->mac_in));
		r->ether_type = (uint16_t)(frame[12] << 8 | frame[13]);
	}
	frame = trace_frame(t, s, 1);
	if (s->stages & 1u << WEIR_STAGE_REWRITE)
		ends_read(p, frame, s->kept[1], &r->left);
	if (s->stages & 1u << WEIR_STAGE_NEIGHBOUR)
		memcpy(r->mac_out, frame, sizeof(r->mac_out));
}

static void record_fill(const struct trace *t, const struct trace_clock *clock,
	struct trace_slot *s, struct weir_trace_record *r)
{
	const struct packet *p = &s->packet;
	uint64_t age = clock->now_ticks > p->rx_tsc ? clock->now_ticks - p->rx_tsc : 0;
	uint64_t stay = s->ended_tsc > p->rx_tsc ? s->ended_tsc - p->rx_tsc : 0;

	r->stages = s->stages;
	r->received_ns = clock->now_ns - stage_ns(clock->core, age);
	r->residence_ns = stage_ns(clock->core, stay);
	r->verdict = s->verdict;
	r->reason = s->reason;
	r->stage = last_stage(s);
	r->parse = parse_of(p->verdict);
	r->protocol = r->parse == WEIR_TRACE_PARSE_NOT_OURS ? 0 : p->l4_proto;
	r->tcp_flags = p->tcp_flags;
	r->ttl = p->ttl;
	r->bucket = p->bucket;
	r->limits = s->limits;
	r->flow = s->flow;
	r->flow_state = s->flow_state;
	r->placement = s->placement;
	r->flags = flags_of(p->flags);
	r->payload = p->verdict == PARSE_ICMP_ERROR ? 0 : p->payload_length;
	r->backend_port = s->backend_port;
	memcpy(r->backend_address, s->backend_address, sizeof(r->backend_address));
	r->policy_count = s->policy_count;
	memcpy(r->policy, s->policy, sizeof(r->policy));
	r->mark = s->mark;
	r->pool = p->pool;
	r->policy_class = p->policy_class;
	r->received_length = s->length[0];
	r->left_length = s->length[1];
	ways_fill(t, s, r);
}

static int came_earlier(const void *a, const void *b)
{
	const struct trace_slot *x = *(struct trace_slot *const *)a;
	const struct trace_slot *y = *(struct trace_slot *const *)b;

	if (x->packet.rx_tsc != y->packet.rx_tsc)
		return x->packet.rx_tsc < y->packet.rx_tsc ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

bool trace_take(struct trace *t, const struct trace_clock *clock, void *buf,
	struct trace_places *ret_places)
{
	struct weir_trace_record *r = buf;
	struct trace_slot *s;

	if (t->waiting_first == t->waiting_end)
		return false;
	if (!t->sorted)
		qsort(&t->waiting[t->waiting_first], t->waiting_end - t->waiting_first,
			sizeof(struct trace_slot *), came_earlier);
	t->sorted = true;
	s = t->waiting[t->waiting_first++];
	memset(buf, 0, trace_record_max(t));
	record_fill(t, clock, s, r);
	r->received_bytes = RTE_MIN(s->kept[0], t->snaplen);
	r->left_bytes = RTE_MIN(s->kept[1], t->snaplen);
	uint8_t *to = (uint8_t *)(r + 1);
	memcpy(to, trace_frame(t, s, 0), r->received_bytes);
	memcpy(to + r->received_bytes, trace_frame(t, s, 1), r->left_bytes);
	r->size = (uint32_t)round_up8(sizeof(*r) + r->received_bytes + r->left_bytes);
	*ret_places = (struct trace_places){
		.service = s->packet.service,
		.port_in = s->packet.port_in,
		.port_out = s->stages & 1u << WEIR_STAGE_NEIGHBOUR ? s->packet.port_out : UINT8_MAX,
		.core_in = s->core_in,
		.core_work = s->core_work,
	};
	slot_return(t, s);
	return true;
}

uint64_t trace_lost(const struct trace *t)
{
	uint64_t lost = 0;

	for (uint32_t i = 0; i < t->core_count; i++)
		lost += cell_read(&t->core[i].lost);
	return lost;
}

bool trace_is_complete(const struct trace *t)
{
	return t->bounded && __atomic_load_n(&t->left, __ATOMIC_RELAXED) <= 0;
}
