/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The benchmark's parts: a set of prepared packets, memory ports that give and take them, a checker of
 * what comes out that shares no code with the fast path, and the fast path itself on one core.
 *
 * One thread, one CPU. What is timed is fastpath_core_step() and nothing else.
 */

#ifndef WEIR_TESTS_BENCH_BENCH_H
#define WEIR_TESTS_BENCH_BENCH_H

#include "dataplane/api/messages.h"
#include "dataplane/port/port.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define BENCH_BURST	   32
/*
 * Packets that go round. With its buffer each takes eight cache lines at least, so the set is many
 * times larger than a second-level cache, and headers come from further away, as from a network card.
 */
#define BENCH_SET	   32768
#define BENCH_FRAME_MAX	   128
#define BENCH_PAYLOAD	   6 /* the last four bytes number the packet within the set */
#define BENCH_BACKENDS	   64
#define BENCH_SOURCES	   64
#define BENCH_PRIVATE_SIZE 64 /* of an mbuf, as in the pools of real ports */
#define BENCH_TTL	   64
#define BENCH_SEED	   42 /* of all hashes */
#define BENCH_SERVICE_PORT 443
#define BENCH_BACKEND_PORT 8080

enum bench_kind {
	BENCH_SYN, /* client to service: opens a flow */
	BENCH_SYN_ACK, /* backend to translated source */
	BENCH_DATA, /* client to service, of a known flow */
	BENCH_DATA_REPLY /* backend to translated source */
};

static inline bool bench_kind_is_reply(enum bench_kind kind)
{
	return kind == BENCH_SYN_ACK || kind == BENCH_DATA_REPLY;
}

/* Where a flow was sent, as its first packet showed. */
struct bench_translation {
	uint16_t source_port; /* 0: not known yet */
	uint8_t source;
	uint8_t backend;
};

struct bench_frame {
	uint16_t length;
	uint8_t bytes[BENCH_FRAME_MAX - 2];
};

/* A port's packets: what it gives out next, and what was sent through it. */
struct bench_queue {
	struct rte_mbuf **packets; /* borrowed from the set */
	uint32_t next;
	uint32_t end;
	struct rte_mbuf **sent; /* borrowed: one array for all ports, in order of sending */
	uint32_t *sent_count;
};

enum {
	BENCH_PORT_FRONT,
	BENCH_PORT_BACK,
	BENCH_PORTS
};

struct policy_image;

struct bench {
	enum weir_mode mode;
	int family; /* 4 or 6 */
	uint32_t flows;
	uint32_t capacity; /* of the flow table */
	struct policy_image *policy; /* owned; NULL: none judges the packets */
	bool sums_known; /* as of a device that has checked the sums of IPv4 headers */
	bool per_source; /* every client has a budget of its own, which it does not use up */
	uint32_t
		workers; /* cores that work beside core 0, each with queues of its own; 0: core 0 works */
	uint64_t tsc_hz;
	uint64_t memory_bytes; /* for flow tables */
	int node; /* of the CPU that all runs on */

	/* the set */
	struct rte_mempool *pool;
	struct rte_mbuf **mbufs; /* BENCH_SET, in random order of their addresses */
	struct bench_frame *originals; /* as last restored, by number within the set */
	uint32_t *flow_of; /* by number within the set */
	struct rte_mbuf **sent;
	uint32_t sent_count;
	uint8_t *seen; /* by number within the set */
	enum bench_kind kind;
	uint32_t filled; /* packets in the set now */

	/* flows */
	struct bench_translation *translations; /* by flow; NULL: every flow is new, none is kept */
	uint32_t *order; /* random permutation of the flows */

	/* ports */
	struct bench_queue queue[BENCH_PORTS];
	struct port_queue rx[BENCH_PORTS];
	struct port_queue tx[BENCH_PORTS];
	struct port port[BENCH_PORTS];

	/* the fast path */
	struct arena *arena;
	struct fastpath *fp;
	uint64_t now; /* the made-up clock, in TSC units */
	uint64_t packets_checked;
};

/* Print to standard error and exit(1): a benchmark that is wrong has no figures. */
void bench_fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/*
 * environment.c: start EAL with this one thread on the CPU (-1: the last one allowed), with hugepages
 * when they are wanted and there are enough, or root can get them (given back at exit). Returns whether
 * there are.
 */
bool bench_eal_start(struct bench *b, int cpu, unsigned int memory_mib, bool want_hugepages);

/* Two CPUs that this process may use. Returns 0, or -ENODEV when there is one only. */
int bench_two_cpus(int ret_cpu[2]);

/* This thread goes before others on its CPU from now on; false when it may not. */
bool bench_hurry(void);

/* Of count values, which it sorts; 0 of none. */
double bench_median(double *values, unsigned int count);

/* packets.c: the set, made once per process. */
void bench_set_create(struct bench *b);
/*
 * Fill the set anew with count packets of the given flows: every byte of every frame, and every field
 * of every mbuf that a fast path may have changed. The packets then wait at the port they come in on.
 *
 * first  the packets' flows are first, first + 1 ...; through b->order where that is set
 */
void bench_set_fill(struct bench *b, enum bench_kind kind, uint32_t first, uint32_t count);
void bench_address_backend(int family, uint32_t index, uint8_t ret_address[16]);
void bench_address_source(int family, uint32_t index, uint8_t ret_address[16]);
void bench_address_service(int family, uint8_t ret_address[16]);
void bench_mac_backend(uint32_t index, uint8_t ret_mac[6]);
void bench_mac_client(uint32_t flow, uint8_t ret_mac[6]);
/* Of a flow: one to one. */
void bench_client(int family, uint32_t flow, uint8_t ret_address[16], uint16_t *ret_port);
/* Write the headers' checksums, computed from nothing but the bytes. */
void bench_checksums_set(int family, uint8_t *frame, uint16_t length);

/* check.c: compare every packet that was sent with what it has to be; bench_fail() when one differs. */
void bench_set_check(struct bench *b);

/* path.c: the fast path under test */
/* A policy's object; the program ends when it cannot be read. */
struct policy_image *bench_policy_read(const char *path);
void bench_path_create(struct bench *b);
void bench_path_destroy(struct bench *b);
/* Give it flows, numbered, in random order; and take them back. */
void bench_order_make(struct bench *b);
void bench_order_free(struct bench *b);
/* What a run took. */
struct bench_time {
	uint64_t cycles;
	uint32_t packets; /* that the cycles are of */
	uint32_t packets_left_out; /* processed while the kernel took the CPU away */
};

/* Let the fast path process the filled set to its end. */
void bench_path_run(struct bench *b, struct bench_time *ret_time);
/* Receive, touch the header line, transmit: what no fast path can be faster than. */
void bench_floor_run(struct bench *b, struct bench_time *ret_time);

/* Counters that the benchmark looks at, of the one core and the one service. */
struct bench_counters {
	uint64_t port_received;
	uint64_t port_transmitted;
	uint64_t service_received;
	uint64_t service_transmitted;
	uint64_t dropped; /* by ports and by the service, all reasons */
	uint64_t to_kernel;
	uint64_t new_flows;
	uint64_t closed_flows;
	uint64_t stateless;
	uint64_t stage_cycles[WEIR_STAGE_COUNT];
	uint64_t stage_packets[WEIR_STAGE_COUNT];
};

void bench_counters_read(const struct bench *b, struct bench_counters *ret_counters);
/* First reason that has drops, for messages; NULL when there is none. */
const char *bench_counters_drop(const struct bench *b);

#endif
