/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Buckets that move back and forth between workers that run, by hand or as directives want more cores and
 * fewer, with packets of all flows in both directions: each flow's come out in the order they went in, none is missing, and no flow is placed anew. Where
 * packets leave, a device of the test looks at them; what it keeps of a flow it writes without a lock, so
 * that two workers that had the same bucket at the same time would be found out.
 */

#include "tests/unit/fastpath/pipeline_direct.h"
#include "tests/unit/fastpath/random.h"
#include "tests/unit/tap.h"

#include <rte_mbuf.h>

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLIENT	  "198.51.100.7"
#define SERVICE	  "203.0.113.10"
#define FLOWS	  512u
#define SECONDS	  3u
#define MOVES_MIN 40u
#define CORES_MAX 3u /* that work */
#define UNDER_WAY 256u /* packets inside at a time: fewer than any ring takes */

/* Of one direction; written by whoever sends the flow's packets. */
struct line {
	uint32_t next[FLOWS];
	uint16_t port[FLOWS]; /* to the backend: the translated one */
	uint32_t backend[FLOWS];
	uint32_t wrong[BED_QUEUES]; /* by transmit queue */
	uint32_t count[BED_QUEUES]; /* atomic */
};

static struct line to_backend, to_client;

struct outlet {
	struct line *line;
	uint32_t queue;
};

static void look(struct line *l, uint32_t queue, const uint8_t *frame)
{
	const uint8_t *ip = frame + 14;
	uint16_t sport;
	uint32_t tag, dst;

	memcpy(&sport, ip + 20, sizeof(sport));
	memcpy(&tag, ip + 28, sizeof(tag));
	memcpy(&dst, ip + 16, sizeof(dst));
	const uint32_t flow = tag >> 20, number = tag & 0xfffff;

	if (number == 0) {
		l->port[flow] = ntohs(sport);
		l->backend[flow] = dst;
	}
	l->wrong[queue] +=
		number != l->next[flow] || l->port[flow] != ntohs(sport) || l->backend[flow] != dst;
	l->next[flow] = number + 1;
}

static uint16_t outlet_tx(void *handle, struct rte_mbuf **pkts, uint16_t n)
{
	const struct outlet *o = handle;

	for (uint16_t i = 0; i < n; i++)
		look(o->line, o->queue, rte_pktmbuf_mtod(pkts[i], const uint8_t *));
	rte_pktmbuf_free_bulk(pkts, n);
	__atomic_fetch_add(&o->line->count[o->queue], n, __ATOMIC_RELEASE);
	return n;
}

static uint32_t came_out(void)
{
	uint32_t sum = 0;

	for (uint32_t i = 0; i < BED_QUEUES; i++)
		sum += __atomic_load_n(&to_backend.count[i], __ATOMIC_ACQUIRE) +
			__atomic_load_n(&to_client.count[i], __ATOMIC_ACQUIRE);
	return sum;
}

struct mover {
	struct bed *bed;
	struct random random;
	uint8_t on[WEIR_BUCKETS]; /* which CPU has a bucket */
	struct weir_core_move wanted;
	uint32_t moves;
	uint32_t stayed;
	uint32_t times; /* that so many cores were asked for, and were there */
	uint16_t cores;
};

static void ended(void *ctx, const char *service, const char *text)
{
	struct mover *m = ctx;

	if (strstr(text, "stay on")) {
		m->stayed++;
		return;
	}
	m->moves++;
	if (m->cores)
		return;
	for (uint32_t i = 0; i < WEIR_BUCKETS; i++)
		if (m->on[i] == m->wanted.from_cpu &&
			((m->wanted.flags & WEIR_CORE_MOVE_F_ALL) ||
				(m->wanted.buckets[i / 8] >> (i % 8) & 1)))
			m->on[i] = (uint8_t)m->wanted.to_cpu;
}

/* All that one has, or about the half of it, to the other. */
static void move_some(struct mover *m)
{
	const uint32_t from = 1 + random_below(&m->random, 2);
	uint32_t count;

	m->wanted =
		(struct weir_core_move){ .service = "web", .from_cpu = from, .to_cpu = 3 - from };
	if (random_below(&m->random, 4) == 0)
		m->wanted.flags = WEIR_CORE_MOVE_F_ALL;
	for (uint32_t i = 0; !m->wanted.flags && i < WEIR_BUCKETS; i++)
		if (m->on[i] == from && random_below(&m->random, 2))
			m->wanted.buckets[i / 8] |= (uint8_t)(1u << (i % 8));
	if (fastpath_move(m->bed->fp, &m->wanted, bed_clock_ns(), &count, m->bed->err,
		    sizeof(m->bed->err)))
		CU_ASSERT_PTR_NOT_NULL(strstr(m->bed->err, "no buckets on"));
}

/* Once it has as many as it is to have: more, or fewer. */
static void grow_or_shrink(struct mover *m)
{
	const struct weir_service_entry *e = &m->bed->telemetry->service[0];
	struct direct d;

	if ((uint16_t)__builtin_popcountll(e->worker_mask) != m->cores)
		return;
	m->times++;
	m->cores = (uint16_t)(1 + (m->cores + random_below(&m->random, CORES_MAX - 1)) % CORES_MAX);
	direct_begin(&d, m->bed);
	d.header.issued_ns = bed_clock_ns();
	d.header.cores = m->cores;
	CU_ASSERT_EQUAL(direct_send(&d, m->bed), 0);
}

static void send_one(struct bed *b, uint32_t flow, uint32_t number, bool reply)
{
	struct bed_packet p = bed_client(CLIENT, (uint16_t)(1024 + flow), SERVICE, 80);

	p.protocol = 17;
	p.payload = 8;
	p.tag = flow << 20 | number;
	if (reply) {
		memcpy(p.src + 12, &to_backend.backend[flow], 4);
		p.sport = 8080;
		bed_address("10.9.0.1", p.dst);
		p.dport = to_backend.port[flow];
	}
	bed_send(b, reply, &p);
}

static uint32_t wait_for(uint32_t sent, uint32_t under_way, uint64_t deadline)
{
	while (sent - came_out() > under_way && bed_clock_ns() < deadline)
		bed_nap();
	return sent - came_out();
}

static void ways_out(struct bed *b, struct outlet outlets[BED_PORTS][BED_QUEUES])
{
	for (uint32_t port = 0; port < BED_PORTS; port++)
		for (uint32_t queue = 0; queue < BED_QUEUES; queue++) {
			outlets[port][queue] =
				(struct outlet){ port ? &to_backend : &to_client, queue };
			b->port[port].tx_queue[queue] = (struct port_queue){ .tx = outlet_tx,
				.handle = &outlets[port][queue] };
		}
}

static void sums_check(struct bed *b, const struct mover *m, uint32_t sent)
{
	CU_ASSERT_EQUAL(came_out(), sent);
	for (uint32_t queue = 0; queue < BED_QUEUES; queue++) {
		CU_ASSERT_EQUAL(to_backend.wrong[queue], 0);
		CU_ASSERT_EQUAL(to_client.wrong[queue], 0);
	}
	CU_ASSERT_EQUAL(bed_dropped_all(b, 0), 0);
	CU_ASSERT_EQUAL(bed_sum(b, 0, new_flows), FLOWS);
	CU_ASSERT_EQUAL(m->stayed, 0);
	CU_ASSERT_TRUE(m->moves >= MOVES_MIN);
	printf("# %u moves, %u times another number of cores, %u packets\n", m->moves, m->times,
		sent);
}

/* cores: that the service has at first; 0: two, and they are moved between by hand */
static void back_and_forth(uint16_t tx_queues, uint16_t cores)
{
	static uint32_t number[2][FLOWS];
	static struct bed b;
	static struct outlet outlets[BED_PORTS][BED_QUEUES];
	const uint32_t core_count = cores ? 1 + CORES_MAX : 3;
	struct bed_runner runner[] = { { &b, 0 }, { &b, 1 }, { &b, 2 }, { &b, 3 } };
	struct mover m = { .bed = &b, .random = random_start("moves"), .cores = cores };
	struct weir_config_service *s;
	pthread_t thread[1 + CORES_MAX];
	uint32_t sent = 0;

	memset(number, 0, sizeof(number));
	memset(&to_backend, 0, sizeof(to_backend));
	memset(&to_client, 0, sizeof(to_client));
	bed_start_with(&b, core_count, tx_queues, UINT64_C(16) << 20, true);
	ways_out(&b, outlets);
	s = bed_add_service(&b, "web", WEIR_MODE_NAT, 17, SERVICE, 80);
	s->cores = cores ? cores : 2;
	s->cores_max = cores ? CORES_MAX : 0;
	bed_add_backend(&b, 0, "10.0.0.11", 8080);
	bed_add_backend(&b, 0, "10.0.0.12", 8080);
	bed_apply(&b);
	for (uint32_t i = 0; i < WEIR_BUCKETS; i++)
		m.on[i] = 1 + i % 2;
	for (uint32_t i = 0; i < core_count; i++)
		CU_ASSERT_EQUAL_FATAL(
			pthread_create(&thread[i], NULL, bed_run_core, &runner[i]), 0);
	const uint64_t start = bed_clock_ns(), deadline = start + 60 * BED_SECOND;

	for (uint32_t i = 0; i < FLOWS; i++, sent++) {
		wait_for(sent, UNDER_WAY / 2, deadline);
		send_one(&b, i, number[0][i]++, false);
	}
	wait_for(sent, 0, deadline);
	while (bed_clock_ns() < deadline &&
		(bed_clock_ns() < start + SECONDS * BED_SECOND || m.moves < MOVES_MIN)) {
		wait_for(sent, UNDER_WAY - 64, deadline);
		for (uint32_t i = 0; i < 64; i++, sent++) {
			const uint32_t flow = random_below(&m.random, FLOWS);
			const bool reply = random_below(&m.random, 2);

			send_one(&b, flow, number[reply][flow]++, reply);
		}
		if (fastpath_move_tick(b.fp, bed_clock_ns(), ended, &m))
			continue;
		if (cores)
			grow_or_shrink(&m);
		else
			move_some(&m);
	}
	while (fastpath_move_tick(b.fp, bed_clock_ns(), ended, &m) && bed_clock_ns() < deadline)
		bed_nap();
	wait_for(sent, 0, deadline);
	fastpath_stop(b.fp);
	for (uint32_t i = 0; i < core_count; i++)
		pthread_join(thread[i], NULL);
	sums_check(&b, &m, sent);
	bed_stop(&b);
}

static void own_queues(void)
{
	back_and_forth(2, 0);
}

static void by_core_0(void)
{
	back_and_forth(1, 0);
}

static void by_directives(void)
{
	back_and_forth(1 + CORES_MAX, 1);
}

static void by_directives_and_core_0(void)
{
	back_and_forth(1, 1);
}

static const struct tap_case cases[] = {
	{ "buckets move under traffic: workers send by queues of their own", own_queues },
	{ "buckets move under traffic: workers send through core 0", by_core_0 },
	{ "cores come and go under traffic: workers send by queues of their own", by_directives },
	{ "cores come and go under traffic: workers send through core 0",
		by_directives_and_core_0 },
};

TAP_MAIN("move threads", cases)
