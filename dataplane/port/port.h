/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A port as the fast path sees it: queues that give and take bursts of mbufs, whatever drives them.
 * The main thread opens and closes ports; a queue is polled by exactly one core at a time.
 */

#ifndef WEIR_PORT_PORT_H
#define WEIR_PORT_PORT_H

#include "dataplane/api/telemetry.h"
#include "ebpf/kernel/steering_keys.h"

#include <stdbool.h>
#include <stdint.h>

struct rte_mbuf;
struct rte_mempool;
struct rte_ring;

/*
 * Receive: up to n mbufs (n <= 64), owned by the caller afterwards. Every mbuf has a private area of
 * at least sizeof(struct packet) (net/packet.h). Transmit: takes the first k of n and returns k; the
 * rest stays the caller's. Both may be indirect calls: they are made once a burst.
 */
typedef uint16_t (*port_rx_fn)(void *queue, struct rte_mbuf **pkts, uint16_t n);
typedef uint16_t (*port_tx_fn)(void *queue, struct rte_mbuf **pkts, uint16_t n);
/*
 * A core is about to wait for wait_fd, or has done so: from `on` until then packets that come make it readable. The
 * core looks once more in between.
 */
typedef void (*port_arm_fn)(void *queue, bool on);

struct port_queue {
	port_rx_fn rx; /* NULL: this queue only sends */
	port_tx_fn tx; /* NULL: this queue only receives */
	void *handle; /* owned by the port */
	port_arm_fn arm; /* NULL: it cannot wake anybody */
	int wait_fd; /* when it can */
	/*
	 * Index of the packet core that receives from it: 0, or a worker's, when the device steers services to it.
	 * What arrives there and is not for that core's workers goes on to core 0.
	 */
	uint8_t core;
};

struct port {
	uint8_t index; /* of the telemetry entry, and what packets carry; < WEIR_MAX_PORTS */
	uint8_t kind; /* enum weir_port_kind */
	uint32_t serial; /* no other port of this process has or had it; from 1 */
	/*
	 * The peer may be a veth end that left its TCP or UDP checksum to hardware which is not
	 * there: a checksum field that equals the bare sum of the pseudo header is completed.
	 */
	bool completes_checksums;
	/* The device was asked to check the sums of IPv4 headers that it receives, and says what it found. */
	bool checks_sums;
	_Atomic bool up; /* written by the main thread; false: transmit drops with PORT_DOWN */
	uint8_t mac[6];
	uint16_t mtu; /* IP packet bytes */
	int node;
	uint16_t rx_queue_count;
	uint16_t tx_queue_count;
	struct port_queue *rx_queue; /* owned by the port */
	struct port_queue *tx_queue;
	/*
	 * Between core 0 and the kernel, for packets that are no service's; NULL: the kernel has its own
	 * way to the port. Bounded; owned by the port. Those from the kernel are ready to be sent.
	 */
	struct rte_ring *to_kernel;
	struct rte_ring *from_kernel;
	struct port_judges *judges; /* owned by the port; NULL: nobody judges in front of it */
	/* [STEERING_HOLDS], core 0's: early drops in front of the port (stage/early/holds.h); NULL: there are none */
	struct steering_hold *holds;
};

/* Policies that judge in the kernel: dataplane/stage/policy/judged.h. */
struct port_judges {
	const struct steering_judge *judge; /* [STEERING_MAX_JUDGES]; written by the kernel */
	struct steering_judge seen[STEERING_MAX_JUDGES]; /* core 0: what of it is counted, */
	uint32_t at; /* and where it looks next */
};

#endif
