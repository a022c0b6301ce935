/* SPDX-License-Identifier: BSD-3-Clause */

/* The made-up devices: see isolation.h. */

#include "tests/bench/isolation.h"

#include <rte_cycles.h>
#include <rte_mbuf.h>

#include <arpa/inet.h>
#include <string.h>

#define ETH_LENGTH 14
#define IP_LENGTH  20
#define IP_CHECK   (ETH_LENGTH + 10)
#define IP_SOURCE  (ETH_LENGTH + 12)
#define L4	   (ETH_LENGTH + IP_LENGTH)
#define PORTS_LOG2 15 /* flows of one client */

static void put16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

void source_init(struct source *s, const struct port *port, const uint8_t to[16], uint16_t to_port,
	uint8_t protocol, uint8_t net)
{
	uint8_t *ip = s->frame + ETH_LENGTH;

	*s = (struct source){ 0 };
	memcpy(s->frame, port->mac, 6);
	memcpy(s->frame + 6, (uint8_t[]){ 2, 0, 0, 2, 0, net }, 6);
	put16(s->frame + 12, 0x0800);
	ip[0] = 0x45;
	put16(ip + 2, ISOLATION_FRAME - ETH_LENGTH);
	ip[8] = 64;
	ip[9] = protocol;
	ip[12] = 64;
	ip[13] = net;
	memcpy(ip + 16, to + 12, 4);
	put16(s->frame + L4 + 2, to_port);
	if (protocol == IPPROTO_UDP)
		put16(s->frame + L4 + 4, ISOLATION_FRAME - L4);
	else
		s->frame[L4 + 12] = 5 << 4;
	source_flags(s, TH_SYN);
	/* With a source address that ends in zeros: each packet adds its own. */
	uint32_t sum = 0;
	for (unsigned int i = 0; i < IP_LENGTH; i += 2)
		sum += get16(ip + i);
	s->sum = (uint16_t)(sum % 0xffff);
}

void source_flags(struct source *s, uint8_t tcp_flags)
{
	if (s->frame[ETH_LENGTH + 9] == IPPROTO_TCP)
		s->frame[L4 + 13] = tcp_flags;
}

/* Nobody on the way looks at the checksum of the L4 header, so it is left at zero. */
static inline void source_write(struct source *s, struct rte_mbuf *m)
{
	const uint32_t flow =
		s->new_flows ? s->next++ : (s->next = s->next + 1 < s->flows ? s->next + 1 : 0);
	const uint16_t client = (uint16_t)(flow >> PORTS_LOG2);
	uint32_t sum = (uint32_t)s->sum + client;
	uint8_t *frame = rte_pktmbuf_mtod(m, uint8_t *);

	memcpy(frame, s->frame, sizeof(s->frame));
	put16(frame + IP_SOURCE + 2, client);
	put16(frame + IP_CHECK, (uint16_t) ~(sum + (sum >> 16)));
	put16(frame + L4, (uint16_t)(1024 + (flow & ((1u << PORTS_LOG2) - 1))));
	m->data_len = ISOLATION_FRAME;
	m->pkt_len = ISOLATION_FRAME;
}

/* Those that have come since the last look. */
static uint64_t source_come(struct source *s, uint64_t ticks, uint64_t hz)
{
	const uint64_t rate = __atomic_load_n(&s->rate, __ATOMIC_RELAXED);
	uint64_t count;

	if (rate == ISOLATION_ALWAYS)
		return ISOLATION_QUEUE;
	s->credit += (uint64_t)(((unsigned __int128)ticks * rate << 32) / hz);
	count = s->credit >> 32;
	s->credit &= UINT32_MAX;
	return count;
}

/* In the order of their coming: as if all had come evenly. What finds no room is lost. */
static void queue_take_in(struct device_queue *q, uint64_t now)
{
	const uint64_t ticks = now - q->polled;
	uint64_t left[SIDES] = { 0 };

	q->polled = now;
	for (int i = 0; i < SIDES; i++)
		left[i] = q->source[i] ? source_come(q->source[i], ticks, q->hz) : 0;
	const uint64_t all = left[SIDE_A] + left[SIDE_B], b = left[SIDE_B];
	for (uint64_t i = 0, turn = all / 2; i < all && q->tail - q->head < ISOLATION_QUEUE; i++) {
		enum isolation_side side = SIDE_A;

		turn += b;
		if (turn >= all) {
			turn -= all;
			side = SIDE_B;
		}
		left[side]--;
		q->waiting[q->tail++ % ISOLATION_QUEUE] = (uint8_t)side;
		q->source[side]->offered++;
	}
	for (int i = 0; i < SIDES; i++) {
		if (!q->source[i] || q->source[i]->rate == ISOLATION_ALWAYS)
			continue;
		q->source[i]->offered += left[i];
		q->source[i]->missed += left[i];
	}
}

uint16_t device_receive(void *queue, struct rte_mbuf **pkts, uint16_t n)
{
	struct device_queue *q = queue;

	queue_take_in(q, rte_rdtsc());
	n = (uint16_t)RTE_MIN((uint32_t)n, q->tail - q->head);
	if (n == 0 || rte_pktmbuf_alloc_bulk(q->pool, pkts, n))
		return 0;
	for (uint16_t i = 0; i < n; i++)
		source_write(q->source[q->waiting[q->head++ % ISOLATION_QUEUE]], pkts[i]);
	return n;
}

uint16_t device_send(void *queue, struct rte_mbuf **pkts, uint16_t n)
{
	(void)queue;
	rte_pktmbuf_free_bulk(pkts, n);
	return n;
}
