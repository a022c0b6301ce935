/* SPDX-License-Identifier: BSD-3-Clause */

#include "tests/bench/bench.h"

#include <rte_mbuf.h>

#include <stdatomic.h>
#include <string.h>

#define ETH_LENGTH   14
#define IP4_LENGTH   20
#define IP6_LENGTH   40
#define TCP_LENGTH   20
#define TCP_F_SYN    0x02
#define TCP_F_PSH    0x08
#define TCP_F_ACK    0x10
#define PROTOCOL_TCP 6

static void mapped_set(uint8_t ret_address[16], uint32_t ip)
{
	memset(ret_address, 0, 10);
	ret_address[10] = ret_address[11] = 0xff;
	for (int i = 0; i < 4; i++)
		ret_address[12 + i] = (uint8_t)(ip >> (24 - 8 * i));
}

static void address_set(
	int family, uint8_t ret_address[16], uint16_t net, uint32_t ip4, uint32_t host)
{
	if (family == 4) {
		mapped_set(ret_address, ip4 + host);
		return;
	}
	static const uint8_t prefix[4] = { 0x20, 0x01, 0x0d, 0xb8 };
	memset(ret_address, 0, 16);
	memcpy(ret_address, prefix, sizeof(prefix));
	ret_address[4] = (uint8_t)(net >> 8);
	ret_address[5] = (uint8_t)net;
	for (int i = 0; i < 4; i++)
		ret_address[12 + i] = (uint8_t)(host >> (24 - 8 * i));
}

void bench_address_service(int family, uint8_t ret_address[16])
{
	address_set(family, ret_address, 1, 0xcb00710au, 0); /* 203.0.113.10 */
}

void bench_address_backend(int family, uint32_t index, uint8_t ret_address[16])
{
	address_set(family, ret_address, 2, 0x0a010000u, 1 + index); /* 10.1.0.0/16 */
}

void bench_address_source(int family, uint32_t index, uint8_t ret_address[16])
{
	address_set(family, ret_address, 3, 0x0a020000u, 1 + index); /* 10.2.0.0/16 */
}

void bench_mac_backend(uint32_t index, uint8_t ret_mac[6])
{
	const uint8_t mac[6] = { 2, 0, 0, 1, (uint8_t)(index >> 8), (uint8_t)index };
	memcpy(ret_mac, mac, 6);
}

void bench_mac_client(uint32_t flow, uint8_t ret_mac[6])
{
	/* Clients are behind a few routers. */
	const uint8_t mac[6] = { 2, 0, 0, 2, 0, (uint8_t)(flow & 3) };
	memcpy(ret_mac, mac, 6);
}

/* Flows that are neighbours in number have clients that are far apart. */
void bench_client(int family, uint32_t flow, uint8_t ret_address[16], uint16_t *ret_port)
{
	uint32_t mixed = flow * 0x9e3779b1u;
	address_set(family, ret_address, 4, 0x40000000u, mixed >> 10); /* 64.0.0.0/10 */
	*ret_port = (uint16_t)(1024 + (mixed & 1023));
}

static void put16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

/* RFC 1071 section 1: the sum of 16-bit words, carries added back in the end. */
static uint32_t words_sum(const uint8_t *p, size_t length, uint32_t sum)
{
	for (size_t i = 0; i + 1 < length; i += 2)
		sum += (uint32_t)(p[i] << 8 | p[i + 1]);
	if (length & 1)
		sum += (uint32_t)p[length - 1] << 8;
	return sum;
}

static uint16_t sum_finish(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

void bench_checksums_set(int family, uint8_t *frame, uint16_t length)
{
	uint8_t *ip = frame + ETH_LENGTH;
	uint8_t *tcp = ip + (family == 4 ? IP4_LENGTH : IP6_LENGTH);
	uint16_t tcp_length = (uint16_t)(frame + length - tcp);
	const uint8_t *addresses = ip + (family == 4 ? 12 : 8);

	if (family == 4) {
		put16(ip + 10, 0);
		put16(ip + 10, sum_finish(words_sum(ip, IP4_LENGTH, 0)));
	}
	put16(tcp + 16, 0);
	uint32_t sum = words_sum(addresses, family == 4 ? 8 : 32, PROTOCOL_TCP + tcp_length);
	put16(tcp + 16, sum_finish(words_sum(tcp, tcp_length, sum)));
}

static void ip_write(int family, uint8_t *ip, const uint8_t from[16], const uint8_t to[16])
{
	uint16_t rest = TCP_LENGTH + BENCH_PAYLOAD;
	if (family == 4) {
		memset(ip, 0, IP4_LENGTH);
		ip[0] = 0x45;
		put16(ip + 2, (uint16_t)(IP4_LENGTH + rest));
		ip[6] = 0x40; /* don't fragment */
		ip[8] = BENCH_TTL;
		ip[9] = PROTOCOL_TCP;
		memcpy(ip + 12, from + 12, 4);
		memcpy(ip + 16, to + 12, 4);
		return;
	}
	memset(ip, 0, 8);
	ip[0] = 0x60;
	put16(ip + 4, rest);
	ip[6] = PROTOCOL_TCP;
	ip[7] = BENCH_TTL;
	memcpy(ip + 8, from, 16);
	memcpy(ip + 24, to, 16);
}

static void frame_write(struct bench *b, uint32_t flow, uint32_t number, struct bench_frame *frame)
{
	static const uint8_t tcp_flags[] = {
		[BENCH_SYN] = TCP_F_SYN,
		[BENCH_SYN_ACK] = TCP_F_SYN | TCP_F_ACK,
		[BENCH_DATA] = TCP_F_PSH | TCP_F_ACK,
		[BENCH_DATA_REPLY] = TCP_F_PSH | TCP_F_ACK,
	};
	uint8_t from[16], to[16];
	uint16_t from_port, to_port;
	uint8_t *p = frame->bytes;
	bool reply = bench_kind_is_reply(b->kind);

	if (reply) {
		const struct bench_translation *t = &b->translations[flow];
		bench_address_backend(b->family, t->backend, from);
		bench_address_source(b->family, t->source, to);
		from_port = BENCH_BACKEND_PORT;
		to_port = t->source_port;
		memcpy(p, b->port[BENCH_PORT_BACK].mac, 6);
		bench_mac_backend(t->backend, p + 6);
	} else {
		bench_client(b->family, flow, from, &from_port);
		bench_address_service(b->family, to);
		to_port = BENCH_SERVICE_PORT;
		memcpy(p, b->port[BENCH_PORT_FRONT].mac, 6);
		bench_mac_client(flow, p + 6);
	}
	put16(p + 12, b->family == 4 ? 0x0800 : 0x86dd);

	uint8_t *ip = p + ETH_LENGTH;
	ip_write(b->family, ip, from, to);
	uint8_t *tcp = ip + (b->family == 4 ? IP4_LENGTH : IP6_LENGTH);
	memset(tcp, 0, TCP_LENGTH);
	put16(tcp, from_port);
	put16(tcp + 2, to_port);
	put16(tcp + 4, (uint16_t)flow);
	tcp[12] = TCP_LENGTH / 4 << 4;
	tcp[13] = tcp_flags[b->kind];
	put16(tcp + 14, 0xffff);

	uint8_t *payload = tcp + TCP_LENGTH;
	payload[0] = 'w';
	payload[1] = 'r';
	memcpy(payload + 2, &number, sizeof(number));
	frame->length = (uint16_t)(payload + BENCH_PAYLOAD - p);
	bench_checksums_set(b->family, p, frame->length);
}

void bench_set_fill(struct bench *b, enum bench_kind kind, uint32_t first, uint32_t count)
{
	int port = bench_kind_is_reply(kind) ? BENCH_PORT_BACK : BENCH_PORT_FRONT;

	b->kind = kind;
	b->filled = count;
	b->sent_count = 0;
	memset(b->seen, 0, BENCH_SET);
	for (uint32_t i = 0; i < count; i++) {
		uint32_t flow = b->order ? b->order[(first + i) % b->flows] : first + i;
		struct rte_mbuf *m = b->mbufs[i];
		b->flow_of[i] = flow;
		frame_write(b, flow, i, &b->originals[i]);
		rte_pktmbuf_reset(m);
		/* What an earlier round has left there must not help. */
		memset(rte_mbuf_to_priv(m), 0xa5, BENCH_PRIVATE_SIZE);
		memcpy(rte_pktmbuf_mtod(m, void *), b->originals[i].bytes, b->originals[i].length);
		m->data_len = b->originals[i].length;
		m->pkt_len = b->originals[i].length;
	}
	for (int i = 0; i < BENCH_PORTS; i++) {
		b->queue[i].next = 0;
		b->queue[i].end = i == port ? count : 0;
	}
}

void bench_order_make(struct bench *b)
{
	uint64_t state = 7;

	b->order = calloc(b->flows, sizeof(*b->order));
	b->translations = calloc(b->flows, sizeof(*b->translations));
	if (!b->order || !b->translations)
		bench_fail("no memory for %u flows", b->flows);
	for (uint32_t i = 0; i < b->flows; i++) {
		state = state * 6364136223846793005u + 1442695040888963407u;
		uint32_t j = (uint32_t)((state >> 33) % (i + 1));
		b->order[i] = b->order[j];
		b->order[j] = i;
	}
}

void bench_order_free(struct bench *b)
{
	free(b->order);
	free(b->translations);
	b->order = NULL;
	b->translations = NULL;
}

static uint16_t queue_receive(void *queue, struct rte_mbuf **pkts, uint16_t n)
{
	struct bench_queue *q = queue;
	uint32_t left = q->end - q->next;

	if (n > BENCH_BURST)
		n = BENCH_BURST;
	if (n > left)
		n = (uint16_t)left;
	memcpy(pkts, &q->packets[q->next], n * sizeof(*pkts));
	q->next += n;
	return n;
}

/* The set is used again, so nothing is freed; the checker looks at what was sent. */
static uint16_t queue_send(void *queue, struct rte_mbuf **pkts, uint16_t n)
{
	struct bench_queue *q = queue;

	if (*q->sent_count + n > BENCH_SET)
		bench_fail("more packets were sent than received");
	memcpy(&q->sent[*q->sent_count], pkts, n * sizeof(*pkts));
	*q->sent_count += n;
	return n;
}

static void port_init(struct bench *b, int index)
{
	struct port *port = &b->port[index];

	b->queue[index] = (struct bench_queue){
		.packets = b->mbufs,
		.sent = b->sent,
		.sent_count = &b->sent_count,
	};
	b->rx[index] = (struct port_queue){ .rx = queue_receive, .handle = &b->queue[index] };
	b->tx[index] = (struct port_queue){ .tx = queue_send, .handle = &b->queue[index] };
	*port = (struct port){
		.index = (uint8_t)index,
		.kind = WEIR_PORT_CAPTURE,
		.mac = { 2, 0, 0, 0, 0, (uint8_t)(1 + index) },
		.mtu = 1500,
		.node = -1,
		.rx_queue_count = 1,
		.tx_queue_count = 1,
		.rx_queue = &b->rx[index],
		.tx_queue = &b->tx[index],
	};
	atomic_store(&port->up, true);
}

void bench_set_create(struct bench *b)
{
	b->pool = rte_pktmbuf_pool_create("bench", BENCH_SET, 0, BENCH_PRIVATE_SIZE,
		RTE_PKTMBUF_HEADROOM + 2 * BENCH_FRAME_MAX, b->node);
	b->mbufs = calloc(BENCH_SET, sizeof(*b->mbufs));
	b->originals = calloc(BENCH_SET, sizeof(*b->originals));
	b->flow_of = calloc(BENCH_SET, sizeof(*b->flow_of));
	b->sent = calloc(BENCH_SET, sizeof(struct rte_mbuf *));
	b->seen = calloc(BENCH_SET, 1);
	if (!b->pool || !b->mbufs || !b->originals || !b->flow_of || !b->sent || !b->seen)
		bench_fail("no memory for the packets");
	if (rte_pktmbuf_alloc_bulk(b->pool, b->mbufs, BENCH_SET))
		bench_fail("the packet pool is too small");
	/* A pool hands buffers out in order of their address only while it is new. */
	uint64_t state = 1;
	for (uint32_t i = BENCH_SET - 1; i > 0; i--) {
		state = state * 6364136223846793005u + 1442695040888963407u;
		uint32_t j = (uint32_t)((state >> 33) % (i + 1));
		struct rte_mbuf *m = b->mbufs[i];
		b->mbufs[i] = b->mbufs[j];
		b->mbufs[j] = m;
	}
	for (int i = 0; i < BENCH_PORTS; i++)
		port_init(b, i);
}
