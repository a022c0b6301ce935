/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A test bed for the whole fast path: ports that live in memory, a configuration built by hand, a
 * clock that stands still until the test moves it, and packets made and checked by code of its own
 * (nothing of dataplane/net), so that a mistake there does not hide itself.
 */

#ifndef WEIR_TESTS_PIPELINE_BED_H
#define WEIR_TESTS_PIPELINE_BED_H

#include "dataplane/api/messages.h"
#include "dataplane/core/fastpath.h"
#include "dataplane/port/port.h"

#include <stdbool.h>
#include <stdint.h>

struct rte_ring;

#define BED_PORTS    2
#define BED_QUEUES   4
#define BED_SERVICES 8
#define BED_BACKENDS 128
#define BED_GROUPS   2
#define BED_POLICIES 8
#define BED_HZ	     UINT64_C(1000000000) /* the made-up clock counts nanoseconds */
#define BED_MS	     UINT64_C(1000000)
#define BED_SECOND   UINT64_C(1000000000)

enum bed_tcp_flag {
	BED_FIN = 0x01,
	BED_SYN = 0x02,
	BED_RST = 0x04,
	BED_PSH = 0x08,
	BED_ACK = 0x10,
};

struct bed_queue {
	struct rte_mbuf **pkts; /* malloc'ed ring of BED_QUEUE_SIZE */
	uint32_t head;
	uint32_t tail;
	uint32_t room; /* transmit: how many more it accepts; UINT32_MAX: all */
};

struct bed_port {
	struct port port;
	struct port_queue rx_queue[BED_QUEUES];
	struct port_queue tx_queue[BED_QUEUES];
	struct bed_queue in[BED_QUEUES];
	struct bed_queue out[BED_QUEUES];
	uint64_t ol_flags; /* what the device says of each packet that is put in from now on */
};

struct bed {
	struct arena *arena;
	struct weir_telemetry *telemetry;
	struct fastpath *fp;
	struct bed_port port[BED_PORTS];
	uint32_t core_count;
	uint64_t now;
	/* the configuration that bed_apply() sends; tests change it freely */
	uint32_t port_count;
	uint32_t service_count;
	uint32_t neighbour_count;
	uint32_t absent; /* bit i: port i cannot be opened */
	struct weir_config_service service[BED_SERVICES];
	struct weir_config_source source[BED_SERVICES]; /* of the service with the same index */
	uint32_t backend_count[BED_SERVICES];
	struct weir_config_backend backend[BED_SERVICES][BED_BACKENDS];
	struct weir_config_neighbour neighbour[BED_BACKENDS];
	uint32_t group_count;
	struct weir_config_hop_group group[BED_GROUPS];
	/* the first outside_count of no service's, then those of service 0; classes are service 0's */
	uint32_t outside_count;
	uint32_t policy_count;
	struct weir_config_policy policy[BED_POLICIES];
	uint32_t class_count;
	struct weir_config_class class[BED_POLICIES];
	char err[256];
};

/* What a packet is made from, and what is found in one that came out. */
struct bed_packet {
	uint8_t src[16]; /* IPv4 mapped */
	uint8_t dst[16];
	uint16_t sport;
	uint16_t dport;
	uint8_t protocol; /* 6 or 17; 0 stands for 6 */
	uint8_t tcp_flags;
	uint8_t ttl; /* 0 stands for 64 */
	bool no_udp_checksum;
	bool broken; /* cut off in the middle of the L4 header */
	bool partial_checksum; /* the bare sum of the pseudo header, as a veth's sender leaves it */
	uint16_t payload;
	uint32_t tag; /* carried by the first four bytes of the payload, if there are */
	uint8_t smac[6];
	uint8_t dmac[6];
	uint16_t frame_length; /* found */
	uint8_t port; /* found: which port it left by */
};

void bed_address(const char *text, uint8_t ret_address[16]);
/* To or from the kernel, for a port's to_kernel or from_kernel; free() it. */
struct rte_ring *bed_kernel_ring(uint32_t slots);
/* A TCP SYN. */
struct bed_packet bed_client(const char *from, uint16_t sport, const char *to, uint16_t dport);

/* Where flows of the beds that start from now on outlive them; open NULL (as at first): nowhere. */
extern struct fastpath_journal bed_journal;
/* Called with the CPU when it is hopeless; NULL (as at first): nobody. */
extern void (*bed_give_up)(void *ctx, uint32_t cpu);

/* Start with core_count cores and ports of tx_queues queues each; aborts the test program on failure. */
void bed_start(struct bed *b, uint32_t core_count, uint16_t tx_queues);
void bed_start_with(struct bed *b, uint32_t core_count, uint16_t tx_queues, uint64_t memory_bytes,
	bool threads);
/* Asserts that the sums balance, then frees everything. */
void bed_stop(struct bed *b);

/*
 * Add a service at index service_count: but in dsr with one source address (10.9.0.1 / fd09::1), in nat
 * with the blocks 4 + 16 * index and the fifteen after it.
 */
struct weir_config_service *bed_add_service(struct bed *b, const char *name, uint8_t mode,
	uint8_t protocol, const char *address, uint16_t port);
/* Add a backend on port 1 of the bed with the link address 02:bb:00:00:00:<its neighbour's index>. */
struct weir_config_backend *bed_add_backend(
	struct bed *b, uint32_t service, const char *address, uint16_t port);
int bed_try_apply(struct bed *b);
void bed_apply(struct bed *b); /* asserts success */
int bed_backend_state(
	struct bed *b, uint32_t service, uint32_t backend, uint8_t state, uint16_t weight);

void bed_send_on(struct bed *b, uint8_t port, uint16_t queue, const struct bed_packet *p);
void bed_send(struct bed *b, uint8_t port, const struct bed_packet *p);
/* The same as bytes: what bed_send() would send, sending them, taking what was sent (0: nothing). */
uint32_t bed_frame(
	const struct bed *b, uint8_t port, const struct bed_packet *p, uint8_t *ret_frame);
void bed_send_bytes(struct bed *b, uint8_t port, const uint8_t *frame, uint32_t length);
void bed_send_bytes_on(
	struct bed *b, uint8_t port, uint16_t queue, const uint8_t *frame, uint32_t length);
uint32_t bed_receive_bytes(struct bed *b, uint8_t port, uint8_t ret_frame[2048]);
/* Step every core until none finds work. */
void bed_run(struct bed *b);
/* Take the next transmitted packet; asserts its checksums. False when there is none. */
bool bed_receive(struct bed *b, uint8_t port, struct bed_packet *ret_p);
uint32_t bed_discard(struct bed *b, uint8_t port); /* free all that was sent; how many */
uint32_t bed_waiting(const struct bed *b, uint8_t port); /* not received yet */
/* Send one packet, run, and take what came of it; false when nothing did. */
bool bed_exchange(
	struct bed *b, uint8_t port, const struct bed_packet *p, struct bed_packet *ret_p);
/* The reply that a backend would give to p. */
struct bed_packet bed_reply(const struct bed_packet *p, uint8_t tcp_flags, uint16_t payload);

const struct weir_core_cell *bed_core(const struct bed *b, uint32_t core);
/* Sums over the cores' cells. */
uint64_t bed_dropped(const struct bed *b, uint32_t service, enum weir_drop_reason reason);
uint64_t bed_dropped_all(const struct bed *b, uint32_t service);
#define bed_sum(b, service, field) \
	bed_sum_at(b, service, offsetof(struct weir_service_cell, field) / sizeof(uint64_t))
uint64_t bed_sum_at(const struct bed *b, uint32_t service, size_t word);
const struct weir_backend_entry *bed_backend_entry(
	const struct bed *b, uint32_t service, uint32_t backend);
const struct weir_backend_cell *bed_backend_cell(
	const struct bed *b, uint32_t core, uint32_t service, uint32_t backend);

/* ---- cores that run by themselves, each in a thread ---- */

struct bed_runner {
	struct bed *bed;
	uint32_t core;
};

/* For pthread_create(), with a struct bed_runner: until fastpath_stop(). */
void *bed_run_core(void *runner);
void bed_nap(void); /* 20 us, for others to get on */
uint64_t bed_clock_ns(void); /* CLOCK_MONOTONIC */

#endif
