/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Two services on one fast path, on two CPUs: what the one costs the other. Devices are made up here: packets come to
 * them at a given rate, they hold so many, lose the others, and write those that are asked for.
 *
 * CPU 0 runs core 0, which receives for all where no device steers, and core 1, which works for A; in turn, by the
 * thread that calls. CPU 1 runs core 2, which works for B, in a thread of its own.
 */

#ifndef WEIR_TESTS_BENCH_ISOLATION_H
#define WEIR_TESTS_BENCH_ISOLATION_H

#include "dataplane/api/messages.h"
#include "dataplane/port/port.h"
#include "tests/bench/bench.h"

#include <rte_common.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdalign.h>

#define ISOLATION_CORES	 3u
#define ISOLATION_QUEUE	 4096u /* packets that a device holds: a third of a millisecond */
#define ISOLATION_FRAME	 60u
#define ISOLATION_FLOWS	 10000u /* of who sends known ones */
#define ISOLATION_ALWAYS UINT64_MAX /* as a rate: there is always one more */

enum isolation_side {
	SIDE_A,
	SIDE_B,
	SIDES
};

/* Where packets of one service come from. Belongs to who polls the queue, but for the rate. */
struct source {
	alignas(RTE_CACHE_LINE_SIZE) uint8_t frame[64];
	uint64_t rate; /* packets a second; relaxed atomic; 0: none */
	uint64_t credit; /* 32.32 packets */
	uint64_t offered;
	uint64_t missed; /* of them; the device had no room for them */
	uint32_t flows; /* known ones, in turn */
	uint32_t next;
	bool new_flows; /* each packet has its own */
	uint16_t sum; /* of the IP header */
};

/* A receive queue; all of it belongs to the thread that polls it. */
struct device_queue {
	alignas(RTE_CACHE_LINE_SIZE) struct source *source[SIDES]; /* NULL: none of it comes here */
	struct rte_mempool *pool;
	uint64_t polled; /* when */
	uint64_t hz;
	uint32_t head, tail;
	uint8_t waiting[ISOLATION_QUEUE]; /* whose */
};

/* What A is flooded with. */
struct flood {
	const char *name;
	uint8_t mode;
	uint8_t protocol;
	bool new_flows;
	bool full; /* its flow table is small, and full of flows that stay */
	bool slow; /* it has a policy that takes its time */
	enum weir_drop_reason
		reason; /* what it must lose packets for; DROP_COUNT: nothing in particular */
};

struct isolation {
	struct bench *bench;
	const struct flood *flood;
	bool steered; /* each service has a receive queue of its own */
	struct policy_image *policy; /* borrowed; the slow one */
	bool hurried; /* before others on the same CPUs, if we may */
	int cpu[2];
	struct arena *arena;
	struct fastpath *fp;
	struct port port[BENCH_PORTS];
	struct port_queue rx[BENCH_PORTS][ISOLATION_CORES];
	struct port_queue tx[BENCH_PORTS][ISOLATION_CORES];
	struct device_queue queue[ISOLATION_CORES]; /* of the front port, by core */
	struct source source[SIDES];
	uint64_t step; /* ticks between two turns of A's worker; 0: each time */
	uint64_t next_step;
	uint64_t dispatcher_cycles,
		worker_cycles; /* of rounds of core 0 and 1 that found packets */
	pthread_t thread;
	bool runs; /* the thread does */
};

/* isolation_device.c */
void source_init(struct source *s, const struct port *port, const uint8_t to[16], uint16_t to_port,
	uint8_t protocol, uint8_t net);
void source_flags(struct source *s, uint8_t tcp_flags);
uint16_t device_receive(void *queue, struct rte_mbuf **pkts, uint16_t n);
uint16_t device_send(void *queue, struct rte_mbuf **pkts, uint16_t n);

/* isolation_bed.c: made anew for each flood; bench, flood, steered, policy and cpu are set. */
void isolation_start(struct isolation *b);
void isolation_stop(struct isolation *b);
/* Let CPU 0 work for so long. */
void isolation_run(struct isolation *b, uint64_t microseconds);
void isolation_rates(struct isolation *b, uint64_t of_a, uint64_t of_b);
/* A service on a core; NULL: there is nothing. */
const struct weir_service_cell *isolation_cell(
	const struct isolation *b, enum isolation_side side, uint32_t core);
const struct weir_core_cell *isolation_core(const struct isolation *b, uint32_t core);
/* How often one of the two CPUs was somebody else's for more than WEIR_GAP_LEAST_NS. */
uint64_t isolation_gaps(const struct isolation *b);

#endif
