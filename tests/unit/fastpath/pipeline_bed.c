/* SPDX-License-Identifier: BSD-3-Clause */

#include "tests/unit/fastpath/pipeline_bed.h"

#include "dataplane/core/arena.h"
#include "dataplane/core/fastpath_check.h"
#include "dataplane/net/packet.h"
#include "tests/unit/fastpath/tsan_pool.h"
#include "tests/unit/tap.h"

#include <rte_eal.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include <arpa/inet.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BED_QUEUE_SIZE 65536u

static struct rte_mempool *bed_pool;

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	printf("Bail out! %s\n", what);
	exit(1);
}

static void eal_start(void)
{
	char *argv[] = { (char[]){ "pipeline" }, (char[]){ "--no-huge" }, (char[]){ "--no-pci" },
		(char[]){ "--no-shconf" }, (char[]){ "-m" }, (char[]){ "128" }, (char[]){ "-l" },
		(char[]){ "0" }, (char[]){ "--no-telemetry" }, (char[]){ "--log-level=warning" },
		NULL };

	if (bed_pool)
		return;
	must(rte_eal_init(10, argv) >= 0, "EAL does not start");
	bed_pool = rte_pktmbuf_pool_create_by_ops("bed", 16383, 64,
		RTE_ALIGN(sizeof(struct packet), RTE_MBUF_PRIV_ALIGN), 2176, SOCKET_ID_ANY,
		POOL_OPS);
	must(bed_pool != NULL, "no memory for mbufs");
}

void bed_address(const char *text, uint8_t ret_address[16])
{
	memset(ret_address, 0, 16);
	if (strchr(text, ':')) {
		must(inet_pton(AF_INET6, text, ret_address) == 1, text);
		return;
	}
	ret_address[10] = 0xff;
	ret_address[11] = 0xff;
	must(inet_pton(AF_INET, text, ret_address + 12) == 1, text);
}

struct bed_packet bed_client(const char *from, uint16_t sport, const char *to, uint16_t dport)
{
	struct bed_packet p = {
		.protocol = 6, .sport = sport, .dport = dport, .tcp_flags = BED_SYN
	};

	bed_address(from, p.src);
	bed_address(to, p.dst);
	return p;
}

static bool is_v4(const uint8_t address[16])
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

	return memcmp(address, mapped, 12) == 0;
}

/* memory ports */

static uint16_t memory_rx(void *handle, struct rte_mbuf **pkts, uint16_t n)
{
	struct bed_queue *q = handle;
	uint32_t tail = __atomic_load_n(&q->tail, __ATOMIC_ACQUIRE);
	uint32_t head = q->head;
	uint16_t got = 0;

	while (got < n && head != tail)
		pkts[got++] = q->pkts[head++ % BED_QUEUE_SIZE];
	__atomic_store_n(&q->head, head, __ATOMIC_RELEASE);
	return got;
}

static uint16_t memory_tx(void *handle, struct rte_mbuf **pkts, uint16_t n)
{
	struct bed_queue *q = handle;
	uint32_t head = __atomic_load_n(&q->head, __ATOMIC_ACQUIRE);
	uint32_t tail = q->tail;
	uint16_t took = 0;

	while (took < n && q->room > 0 && tail - head < BED_QUEUE_SIZE) {
		if (q->room != UINT32_MAX)
			q->room--;
		q->pkts[tail++ % BED_QUEUE_SIZE] = pkts[took++];
	}
	__atomic_store_n(&q->tail, tail, __ATOMIC_RELEASE);
	return took;
}

static void memory_port_start(struct bed_port *p, uint8_t index, uint16_t tx_queues)
{
	memset(p, 0, sizeof(*p));
	p->port.index = index;
	p->port.kind = WEIR_PORT_KERNEL;
	p->port.up = true;
	memcpy(p->port.mac, (uint8_t[]){ 2, 0xee, 0, 0, 0, index }, 6);
	p->port.mtu = 1500;
	p->port.rx_queue_count = BED_QUEUES;
	p->port.tx_queue_count = tx_queues;
	p->port.rx_queue = p->rx_queue;
	p->port.tx_queue = p->tx_queue;
	for (uint32_t i = 0; i < BED_QUEUES; i++) {
		p->in[i].pkts = calloc(BED_QUEUE_SIZE, sizeof(struct rte_mbuf *));
		p->out[i].pkts = calloc(BED_QUEUE_SIZE, sizeof(struct rte_mbuf *));
		must(p->in[i].pkts && p->out[i].pkts, "no memory for queues");
		p->out[i].room = UINT32_MAX;
		p->rx_queue[i] = (struct port_queue){ .rx = memory_rx, .handle = &p->in[i] };
		p->tx_queue[i] = (struct port_queue){ .tx = memory_tx, .handle = &p->out[i] };
	}
}

static void queue_empty(struct bed_queue *q)
{
	while (q->head != q->tail)
		rte_pktmbuf_free(q->pkts[q->head++ % BED_QUEUE_SIZE]);
}

static void memory_port_stop(struct bed_port *p)
{
	for (uint32_t i = 0; i < BED_QUEUES; i++) {
		queue_empty(&p->in[i]);
		queue_empty(&p->out[i]);
		free(p->in[i].pkts);
		free(p->out[i].pkts);
	}
}

struct rte_ring *bed_kernel_ring(uint32_t slots)
{
	struct rte_ring *ring = NULL;

	CU_ASSERT_FATAL(
		posix_memalign((void **)&ring, 64, (size_t)rte_ring_get_memsize(slots)) == 0);
	CU_ASSERT_FATAL(rte_ring_init(ring, "kernel", slots, RING_F_SP_ENQ | RING_F_SC_DEQ) == 0);
	return ring;
}

/* life of a bed */

struct fastpath_journal bed_journal;
void (*bed_give_up)(void *ctx, uint32_t cpu);

void bed_start_with(
	struct bed *b, uint32_t core_count, uint16_t tx_queues, uint64_t memory_bytes, bool threads)
{
	struct fastpath_params params = {
		.core_count = core_count,
		.idle = WEIR_IDLE_SLEEP,
		.memory_bytes = memory_bytes,
		.seed = 1,
		.tsc_hz = threads ? rte_get_tsc_hz() : BED_HZ,
		.single_threaded = !threads,
		.journal = bed_journal,
		.give_up = bed_give_up,
	};

	eal_start();
	memset(b, 0, sizeof(*b));
	must(arena_create(UINT64_C(1) << 32, &b->arena) == 0, "no arena");
	b->telemetry = arena_telemetry(b->arena);
	b->core_count = core_count;
	b->now = 1000 * BED_SECOND;
	b->port_count = BED_PORTS;
	for (uint32_t i = 0; i < core_count; i++)
		params.core[i] = (struct fastpath_core_params){ .cpu = i, .node = 0 };
	params.arena = b->arena;
	if (threads)
		params.tsc_hz = rte_get_tsc_hz();
	must(fastpath_create(&params, &b->fp) == 0, "no fast path");
	for (uint8_t i = 0; i < BED_PORTS; i++)
		memory_port_start(&b->port[i], i, tx_queues);
}

void bed_start(struct bed *b, uint32_t core_count, uint16_t tx_queues)
{
	bed_start_with(b, core_count, tx_queues, UINT64_C(16) << 20, false);
}

void bed_stop(struct bed *b)
{
	char err[256] = "";
	unsigned int in_use;

	CU_ASSERT_EQUAL(fastpath_check_balance(b->fp, err, sizeof(err)), 0);
	if (err[0])
		printf("# balance: %s\n", err);
	fastpath_destroy(b->fp);
	for (uint32_t i = 0; i < BED_PORTS; i++)
		memory_port_stop(&b->port[i]);
	arena_destroy(b->arena);
	in_use = rte_mempool_in_use_count(bed_pool);
	CU_ASSERT_EQUAL(in_use, 0);
}

/* configuration */

struct weir_config_service *bed_add_service(struct bed *b, const char *name, uint8_t mode,
	uint8_t protocol, const char *address, uint16_t port)
{
	uint32_t i = b->service_count++;
	struct weir_config_service *s = &b->service[i];

	must(i < BED_SERVICES, "too many services");
	memset(s, 0, sizeof(*s));
	snprintf(s->name, sizeof(s->name), "%s", name);
	bed_address(address, s->address);
	s->prefix_length = 128;
	s->protocol = protocol;
	s->mode = mode;
	s->port = port;
	s->cores = 1;
	s->limit_packets = WEIR_UNLIMITED;
	s->limit_bits = WEIR_UNLIMITED;
	s->limit_connections = WEIR_UNLIMITED;
	s->per_source_packets = WEIR_UNLIMITED;
	s->per_source_connections = WEIR_UNLIMITED;
	s->burst_ns = 10 * BED_MS;
	if (mode != WEIR_MODE_DSR) {
		struct weir_config_source *source = &b->source[i];

		memset(source, 0, sizeof(*source));
		bed_address(is_v4(s->address) ? "10.9.0.1" : "fd09::1", source->address);
		for (uint32_t block = 4 + 16 * i; mode == WEIR_MODE_NAT && block < 20 + 16 * i;
			block++)
			source->blocks[block / 8] |= (uint8_t)(1u << (block % 8));
		s->source_count = 1;
	}
	return s;
}

struct weir_config_backend *bed_add_backend(
	struct bed *b, uint32_t service, const char *address, uint16_t port)
{
	uint32_t i = b->backend_count[service]++;
	uint32_t n = b->neighbour_count;
	struct weir_config_backend *backend = &b->backend[service][i];
	struct weir_config_neighbour *neighbour;

	must(i < BED_BACKENDS, "too many backends");
	memset(backend, 0, sizeof(*backend));
	bed_address(address, backend->address);
	backend->port = port;
	backend->weight = 100;
	backend->state = WEIR_BACKEND_UP;
	for (n = 0; n < b->neighbour_count; n++)
		if (memcmp(b->neighbour[n].address, backend->address, 16) == 0)
			break;
	must(n < BED_BACKENDS, "too many neighbours");
	backend->neighbour = n;
	if (n < b->neighbour_count)
		return backend;
	neighbour = &b->neighbour[b->neighbour_count++];
	memset(neighbour, 0, sizeof(*neighbour));
	memcpy(neighbour->address, backend->address, 16);
	memcpy(neighbour->mac, (uint8_t[]){ 2, 0xbb, 0, 0, 0, (uint8_t)n }, 6);
	neighbour->port = 1;
	neighbour->resolved = 1;
	return backend;
}

static void append(uint8_t *body, size_t *length, const void *data, size_t size)
{
	memcpy(body + *length, data, size);
	*length += size;
}

int bed_try_apply(struct bed *b)
{
	static alignas(8) uint8_t body[1 << 18];
	struct weir_config header = {
		.digest = 7,
		.port_count = b->port_count,
		.service_count = b->service_count,
		.neighbour_count = b->neighbour_count,
		.hop_group_count = b->group_count,
		.policy_count = b->policy_count,
		.class_count = b->class_count,
		.outside_policy_count = b->outside_count,
	};
	struct port *ports[BED_PORTS];
	size_t length = 0;

	for (uint32_t i = 0; i < BED_PORTS; i++)
		ports[i] = b->absent >> i & 1 ? NULL : &b->port[i].port;
	for (uint32_t i = 0; i < b->service_count; i++) {
		b->service[i].first_backend = header.backend_count;
		b->service[i].backend_count = b->backend_count[i];
		b->service[i].first_source = header.source_count;
		header.backend_count += b->backend_count[i];
		header.source_count += b->service[i].source_count;
	}
	b->service[0].first_policy = b->outside_count;
	append(body, &length, &header, sizeof(header));
	for (uint32_t i = 0; i < b->port_count; i++) {
		struct weir_config_port port = { .kind = b->port[i].port.kind };

		snprintf(port.name, sizeof(port.name), "port%u", i);
		snprintf(port.device, sizeof(port.device), "memory%u", i);
		append(body, &length, &port, sizeof(port));
	}
	append(body, &length, b->service, b->service_count * sizeof(b->service[0]));
	for (uint32_t i = 0; i < b->service_count; i++)
		append(body, &length, b->backend[i],
			b->backend_count[i] * sizeof(b->backend[0][0]));
	for (uint32_t i = 0; i < b->service_count; i++)
		append(body, &length, &b->source[i],
			b->service[i].source_count * sizeof(b->source[0]));
	append(body, &length, b->neighbour, b->neighbour_count * sizeof(b->neighbour[0]));
	append(body, &length, b->group, b->group_count * sizeof(b->group[0]));
	append(body, &length, b->policy, b->policy_count * sizeof(b->policy[0]));
	append(body, &length, b->class, b->class_count * sizeof(b->class[0]));
	b->err[0] = '\0';
	return fastpath_apply(
		b->fp, (const struct weir_config *)body, length, ports, b->err, sizeof(b->err));
}

void bed_apply(struct bed *b)
{
	int ret = bed_try_apply(b);

	CU_ASSERT_EQUAL(ret, 0);
	if (ret)
		printf("# apply: %d %s\n", ret, b->err);
}

int bed_backend_state(
	struct bed *b, uint32_t service, uint32_t backend, uint8_t state, uint16_t weight)
{
	struct weir_config_backend *c = &b->backend[service][backend];
	struct weir_backend_update update = { .port = c->port, .weight = weight, .state = state };

	memcpy(update.service, b->service[service].name, sizeof(update.service));
	memcpy(update.address, c->address, 16);
	c->state = state;
	c->weight = weight;
	return fastpath_update_backends(b->fp, &update, 1, b->err, sizeof(b->err));
}

/* packets */

static uint32_t sum16(const uint8_t *p, uint32_t length, uint32_t sum)
{
	for (uint32_t i = 0; i < length; i++)
		sum += i % 2 ? p[i] : (uint32_t)p[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static uint32_t pseudo_sum(const struct bed_packet *p, uint32_t l4_length)
{
	bool v4 = is_v4(p->src);
	uint32_t sum = p->protocol + l4_length;

	sum = sum16(v4 ? p->src + 12 : p->src, v4 ? 4 : 16, sum);
	return sum16(v4 ? p->dst + 12 : p->dst, v4 ? 4 : 16, sum);
}

static void put16(uint8_t *p, uint32_t value)
{
	p[0] = (uint8_t)(value >> 8);
	p[1] = (uint8_t)value;
}

static uint32_t get16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

static uint32_t write_l4(uint8_t *l4, const struct bed_packet *p)
{
	uint32_t header = p->protocol == 6 ? 20 : 8;
	uint32_t length = header + p->payload;
	uint32_t at = p->protocol == 6 ? 16 : 6;
	uint32_t sum;

	memset(l4, 0, header);
	for (uint32_t i = 0; i < p->payload; i++)
		l4[header + i] = (uint8_t)(i * 7 + p->sport);
	if (p->payload >= sizeof(p->tag))
		memcpy(l4 + header, &p->tag, sizeof(p->tag));
	put16(l4, p->sport);
	put16(l4 + 2, p->dport);
	if (p->protocol == 6) {
		l4[12] = 5 << 4;
		l4[13] = p->tcp_flags;
		put16(l4 + 14, 512);
	} else {
		put16(l4 + 4, length);
		if (p->no_udp_checksum)
			return length;
	}
	sum = 0xffff & ~sum16(l4, length, pseudo_sum(p, length));
	if (p->partial_checksum)
		sum = pseudo_sum(p, length);
	put16(l4 + at, p->protocol == 17 && sum == 0 ? 0xffff : sum);
	return length;
}

static uint32_t write_frame(uint8_t *frame, const struct bed_packet *p)
{
	uint8_t *ip = frame + 14;
	bool v4 = is_v4(p->src);
	uint32_t l3 = v4 ? 20 : 40;
	uint32_t l4_length = write_l4(ip + l3, p);
	uint8_t ttl = p->ttl ? p->ttl : 64;

	memcpy(frame, p->dmac, 6);
	memcpy(frame + 6, p->smac, 6);
	put16(frame + 12, v4 ? 0x0800 : 0x86dd);
	memset(ip, 0, l3);
	if (v4) {
		ip[0] = 0x45;
		put16(ip + 2, l3 + l4_length);
		put16(ip + 6, 0x4000);
		ip[8] = ttl;
		ip[9] = p->protocol;
		memcpy(ip + 12, p->src + 12, 4);
		memcpy(ip + 16, p->dst + 12, 4);
		put16(ip + 10, 0xffff & ~sum16(ip, 20, 0));
	} else {
		ip[0] = 0x60;
		put16(ip + 4, l4_length);
		ip[6] = p->protocol;
		ip[7] = ttl;
		memcpy(ip + 8, p->src, 16);
		memcpy(ip + 24, p->dst, 16);
	}
	return 14 + l3 + l4_length;
}

static void send_bytes(
	struct bed *b, uint8_t port, uint16_t queue, const uint8_t *frame, uint32_t length)
{
	struct bed_queue *q = &b->port[port].in[queue];
	struct rte_mbuf *m = rte_pktmbuf_alloc(bed_pool);

	must(m != NULL, "out of mbufs");
	memcpy(rte_pktmbuf_append(m, (uint16_t)length), frame, length);
	m->ol_flags |= b->port[port].ol_flags;
	must(q->tail - __atomic_load_n(&q->head, __ATOMIC_ACQUIRE) < BED_QUEUE_SIZE, "queue full");
	q->pkts[q->tail % BED_QUEUE_SIZE] = m;
	__atomic_store_n(&q->tail, q->tail + 1, __ATOMIC_RELEASE);
}

void bed_send_bytes_on(
	struct bed *b, uint8_t port, uint16_t queue, const uint8_t *frame, uint32_t length)
{
	send_bytes(b, port, queue, frame, length);
}

void bed_send_bytes(struct bed *b, uint8_t port, const uint8_t *frame, uint32_t length)
{
	send_bytes(b, port, 0, frame, length);
}

uint32_t bed_frame(
	const struct bed *b, uint8_t port, const struct bed_packet *packet, uint8_t *ret_frame)
{
	struct bed_packet p = *packet;

	if (!p.protocol)
		p.protocol = 6;
	if (!p.smac[0])
		memcpy(p.smac, (uint8_t[]){ 2, 0xcc, 0, 0, 0, 1 }, 6);
	memcpy(p.dmac, b->port[port].port.mac, 6);
	return write_frame(ret_frame, &p);
}

void bed_send_on(struct bed *b, uint8_t port, uint16_t queue, const struct bed_packet *p)
{
	uint8_t frame[2048];
	uint32_t length = bed_frame(b, port, p, frame);

	if (p->broken)
		length = 14 + (is_v4(p->src) ? 20 : 40) + 6;
	send_bytes(b, port, queue, frame, length);
}

void bed_send(struct bed *b, uint8_t port, const struct bed_packet *p)
{
	bed_send_on(b, port, 0, p);
}

void bed_run(struct bed *b)
{
	uint32_t found;

	do {
		found = 0;
		for (uint32_t i = 0; i < b->core_count; i++)
			found += fastpath_core_step(b->fp, i, b->now);
	} while (found);
}

static void map_v4(uint8_t ret_address[16], const uint8_t *v4)
{
	memset(ret_address, 0, 10);
	memset(ret_address + 10, 0xff, 2);
	memcpy(ret_address + 12, v4, 4);
}

static void read_frame(const uint8_t *frame, uint32_t length, struct bed_packet *p)
{
	const uint8_t *ip = frame + 14;
	bool v4 = get16(frame + 12) == 0x0800;
	uint32_t l3 = v4 ? 20 : 40;
	uint32_t l4_length = v4 ? get16(ip + 2) - 20 : get16(ip + 4);
	const uint8_t *l4 = ip + l3;

	memset(p, 0, sizeof(*p));
	memcpy(p->dmac, frame, 6);
	memcpy(p->smac, frame + 6, 6);
	p->frame_length = (uint16_t)length;
	CU_ASSERT_EQUAL(14 + l3 + l4_length, length);
	if (v4) {
		CU_ASSERT_EQUAL(sum16(ip, 20, 0), 0xffff);
		p->ttl = ip[8];
		p->protocol = ip[9];
		map_v4(p->src, ip + 12);
		map_v4(p->dst, ip + 16);
	} else {
		p->ttl = ip[7];
		p->protocol = ip[6];
		memcpy(p->src, ip + 8, 16);
		memcpy(p->dst, ip + 24, 16);
	}
	p->sport = (uint16_t)get16(l4);
	p->dport = (uint16_t)get16(l4 + 2);
	if (p->protocol == 6)
		p->tcp_flags = l4[13];
	p->payload = (uint16_t)(l4_length - (p->protocol == 6 ? 20 : 8));
	if (p->payload >= sizeof(p->tag))
		memcpy(&p->tag, l4 + (p->protocol == 6 ? 20 : 8), sizeof(p->tag));
	p->no_udp_checksum = p->protocol == 17 && get16(l4 + 6) == 0;
	if (!p->no_udp_checksum)
		CU_ASSERT_EQUAL(sum16(l4, l4_length, pseudo_sum(p, l4_length)), 0xffff);
}

static struct rte_mbuf *take(struct bed *b, uint8_t port)
{
	for (uint32_t i = 0; i < BED_QUEUES; i++) {
		struct bed_queue *q = &b->port[port].out[i];
		struct rte_mbuf *m;

		if (q->head == __atomic_load_n(&q->tail, __ATOMIC_ACQUIRE))
			continue;
		m = q->pkts[q->head % BED_QUEUE_SIZE];
		__atomic_store_n(&q->head, q->head + 1, __ATOMIC_RELEASE);
		return m;
	}
	return NULL;
}

bool bed_receive(struct bed *b, uint8_t port, struct bed_packet *ret_p)
{
	struct rte_mbuf *m = take(b, port);

	if (!m)
		return false;
	read_frame(rte_pktmbuf_mtod(m, const uint8_t *), rte_pktmbuf_pkt_len(m), ret_p);
	ret_p->port = port;
	rte_pktmbuf_free(m);
	return true;
}

uint32_t bed_receive_bytes(struct bed *b, uint8_t port, uint8_t ret_frame[2048])
{
	struct rte_mbuf *m = take(b, port);
	uint32_t length = m ? rte_pktmbuf_pkt_len(m) : 0;

	must(length <= 2048 && (!m || m->nb_segs == 1), "a frame in one piece");
	if (m)
		memcpy(ret_frame, rte_pktmbuf_mtod(m, const void *), length);
	rte_pktmbuf_free(m);
	return length;
}

uint32_t bed_waiting(const struct bed *b, uint8_t port)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < BED_QUEUES; i++) {
		const struct bed_queue *q = &b->port[port].in[i];

		n += q->tail - __atomic_load_n(&q->head, __ATOMIC_ACQUIRE);
	}
	return n;
}

uint32_t bed_discard(struct bed *b, uint8_t port)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < BED_QUEUES; i++) {
		struct bed_queue *q = &b->port[port].out[i];
		uint32_t tail = __atomic_load_n(&q->tail, __ATOMIC_ACQUIRE);
		uint32_t head = q->head;

		n += tail - head;
		while (head != tail)
			rte_pktmbuf_free(q->pkts[head++ % BED_QUEUE_SIZE]);
		__atomic_store_n(&q->head, head, __ATOMIC_RELEASE);
	}
	return n;
}

bool bed_exchange(struct bed *b, uint8_t port, const struct bed_packet *p, struct bed_packet *ret_p)
{
	bed_send(b, port, p);
	bed_run(b);
	for (uint8_t i = 0; i < BED_PORTS; i++)
		if (bed_receive(b, i, ret_p))
			return true;
	return false;
}

struct bed_packet bed_reply(const struct bed_packet *p, uint8_t tcp_flags, uint16_t payload)
{
	struct bed_packet r = {
		.sport = p->dport,
		.dport = p->sport,
		.protocol = p->protocol,
		.tcp_flags = tcp_flags,
		.payload = payload,
	};

	memcpy(r.src, p->dst, 16);
	memcpy(r.dst, p->src, 16);
	memcpy(r.smac, p->dmac, 6);
	return r;
}

/* figures */

static const struct weir_service_entry *entry_of(const struct bed *b, uint32_t service)
{
	for (uint32_t i = 0; i < WEIR_MAX_SERVICES; i++) {
		const struct weir_service_entry *e = &b->telemetry->service[i];

		if (e->used && strcmp(e->name, b->service[service].name) == 0)
			return e;
	}
	must(false, "the service is not in the directory");
	return NULL;
}

const struct weir_core_cell *bed_core(const struct bed *b, uint32_t core)
{
	return (const struct weir_core_cell *)((const uint8_t *)b->telemetry +
		b->telemetry->core[core].cell_offset);
}

/* Under the directory's sequence number, as every reader has to: another thread may be applying. */
static void cells_find(const struct bed *b, uint32_t service, uint64_t ret_offset[WEIR_MAX_CORES])
{
	const struct weir_telemetry *t = b->telemetry;
	uint64_t before;

	do {
		before = __atomic_load_n(&t->directory_seq, __ATOMIC_ACQUIRE);
		TSAN_READS_HIDE();
		memcpy(ret_offset, entry_of(b, service)->cell_offset,
			WEIR_MAX_CORES * sizeof(ret_offset[0]));
		TSAN_READS_SHOW();
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
	} while (before & 1 || __atomic_load_n(&t->directory_seq, __ATOMIC_RELAXED) != before);
}

uint64_t bed_sum_at(const struct bed *b, uint32_t service, size_t word)
{
	uint64_t offset[WEIR_MAX_CORES];
	uint64_t sum = 0;

	cells_find(b, service, offset);
	for (uint32_t i = 0; i < b->core_count; i++) {
		const uint8_t *cell = (const uint8_t *)b->telemetry + offset[i];

		if (offset[i])
			sum += __atomic_load_n(
				(const uint64_t *)(const void *)cell + word, __ATOMIC_RELAXED);
	}
	return sum;
}

uint64_t bed_dropped(const struct bed *b, uint32_t service, enum weir_drop_reason reason)
{
	return bed_sum_at(b, service,
		offsetof(struct weir_service_cell, dropped) / sizeof(uint64_t) + reason);
}

uint64_t bed_dropped_all(const struct bed *b, uint32_t service)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < WEIR_DROP_COUNT; i++)
		sum += bed_dropped(b, service, i);
	return sum;
}

const struct weir_backend_entry *bed_backend_entry(
	const struct bed *b, uint32_t service, uint32_t backend)
{
	const struct weir_service_entry *e = entry_of(b, service);
	const struct weir_backend_entry *entries =
		(const struct weir_backend_entry *)((const uint8_t *)b->telemetry +
			e->backend_offset);
	const struct weir_config_backend *c = &b->backend[service][backend];

	for (uint32_t i = 0; i < e->backend_count; i++)
		if (entries[i].state != WEIR_BACKEND_UNUSED && entries[i].port == c->port &&
			memcmp(entries[i].address, c->address, 16) == 0)
			return &entries[i];
	must(false, "the backend is not in the directory");
	return NULL;
}

const struct weir_backend_cell *bed_backend_cell(
	const struct bed *b, uint32_t core, uint32_t service, uint32_t backend)
{
	const struct weir_service_entry *e = entry_of(b, service);
	const struct weir_backend_entry *first =
		(const struct weir_backend_entry *)((const uint8_t *)b->telemetry +
			e->backend_offset);
	const struct weir_backend_entry *entry = bed_backend_entry(b, service, backend);

	must(e->backend_cell_offset[core] != 0, "no cells of backends on this core");
	return (const struct weir_backend_cell *)((const uint8_t *)b->telemetry +
		       e->backend_cell_offset[core]) +
		(entry - first);
}

void *bed_run_core(void *runner)
{
	const struct bed_runner *r = runner;

	fastpath_core_run(r->bed->fp, r->core);
	return NULL;
}

void bed_nap(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 20000 }, NULL);
}

uint64_t bed_clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}
