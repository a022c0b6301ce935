/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What the data plane shows of itself: the layout of a sealed memfd that control maps read-only.
 *
 * One writer per datum. Counters are cumulative since the data plane started, host byte order,
 * naturally aligned, written with relaxed atomic stores and read with relaxed atomic loads; they
 * never go back while their owner (service slot + epoch, backend slot + epoch) stays the same. The
 * directory (which service and backend has which slot) is written by the data plane's main thread
 * only, under `directory_seq`: odd while it changes; readers retry.
 *
 * The region is sparse: untouched cells cost no memory. All offsets are from its start, in bytes;
 * offset 0 means "none". Readers must check every offset against `size` before following it.
 */

#ifndef WEIR_API_TELEMETRY_H
#define WEIR_API_TELEMETRY_H

#include "drop_reasons.h"
#include "found.h"
#include "histogram_shape.h"

#include <assert.h>
#include <stdint.h>

#define WEIR_TELEMETRY_MAGIC   0x52494557u /* "WEIR" */
#define WEIR_TELEMETRY_VERSION 11u

#define WEIR_MAX_CORES	       64
#define WEIR_BUCKETS	       256 /* of a service: its flows are spread over them */
#define WEIR_MAX_PORTS	       16
#define WEIR_MAX_SERVICES      1024
#define WEIR_NAME_SIZE	       64 /* with the final NUL */
#define WEIR_DEVICE_SIZE       64
#define WEIR_STEERING_WHY_SIZE 512
#define WEIR_WAKE_WHY_SIZE     96

#define WEIR_MAX_POLICIES_PER_SERVICE 8
#define WEIR_POLICY_REASONS	      16 /* counted one by one; the last one is all others */

/* A histogram of durations; its buckets are those of histogram_shape.h, the arithmetic is in histogram.h. */
struct weir_histogram {
	uint64_t count;
	uint64_t sum_ns;
	uint64_t bucket[WEIR_HIST_BUCKETS];
};

/* The stages of a packet's way, in order; cycles are counted for each. */
#define WEIR_STAGES(X)            \
	X(RECEIVE, "receive")     \
	X(PARSE, "parse")         \
	X(SERVICE, "service")     \
	X(DISPATCH, "dispatch")   \
	X(POLICY, "policy")       \
	X(LIMIT, "limit")         \
	X(FLOW, "flow")           \
	X(BALANCE, "balance")     \
	X(REWRITE, "rewrite")     \
	X(NEIGHBOUR, "neighbour") \
	X(TRANSMIT, "transmit")

enum weir_stage {
#define X(name, label) WEIR_STAGE_##name,
	WEIR_STAGES(X)
#undef X
	WEIR_STAGE_COUNT
};

/*
 * One service on one core. A core that classifies, works or transmits for a service has a cell of
 * its own and is its only writer; a service's figure is the sum over its cells.
 */
struct weir_service_cell {
	uint64_t packets_received; /* attributed to the service, both directions */
	uint64_t bytes_received; /* frame bytes, without FCS */
	uint64_t packets_transmitted;
	uint64_t bytes_transmitted;
	uint64_t packets_from_backends; /* the share of packets_received that were replies */
	uint64_t bytes_from_backends;
	uint64_t new_flows;
	uint64_t closed_flows; /* flows open = new_flows - closed_flows */
	uint64_t stateless; /* packets placed by hashing alone, with no flow entry */
	uint64_t
		pool_empty; /* flows that a policy sent to a pool where nobody can serve: main pool */
	/* Limits per source: this core's share of a sum, so that a cell alone may be below zero. */
	uint64_t sources_tracked; /* places taken in the table */
	uint64_t sources_known; /* those of sources that are known to be good */
	uint64_t sources_overflow; /* counter: packets judged without a budget of their own */
	/* New flows that were asked for, each time: refused ones come again. new_flows were forwarded. */
	uint64_t offered;
	uint64_t spilled; /* new flows that went elsewhere than the table says */
	uint64_t closed_idle; /* idle flows closed as directives said */
	/*
	 * Of a worker's core: the share of its busy_cycles that went to this service. A round in which nothing was
	 * found is nobody's, nor is what the dispatcher's core does.
	 */
	uint64_t busy_cycles;
	/* Of packets_received, whole datagrams, by the port they came by: [0] from clients, [1] from backends. */
	uint64_t arrived[WEIR_MAX_PORTS][2];
	uint64_t dropped[WEIR_DROP_COUNT];
	struct weir_histogram residence; /* receive to transmit, every packet transmitted */
};

/* One backend of a service on one worker core. */
struct weir_backend_cell {
	uint64_t packets; /* sent to it */
	uint64_t bytes;
	uint64_t packets_from; /* replies, nat only */
	uint64_t bytes_from;
	uint64_t new_flows;
	uint64_t closed_flows;
	/*
	 * What the backend has not answered yet. nat: SYNs and requests without a response (tcp: until the
	 * flow ends; udp: for WEIR_UDP_PATIENCE_NS at most); dsr: open flows. This core's share of a sum, so
	 * that a cell alone may be below zero.
	 */
	uint64_t in_flight;
	uint64_t in_flight_peak; /* the same; since 134 to 268 ms before the last that began */
	uint64_t requests; /* begun; those that were answered: first_byte.count */
	uint64_t syn_sent; /* tcp: flows that a SYN opened here; answered in nat: connect.count */
	uint64_t resets; /* nat + tcp: flows that the backend reset */
	struct weir_histogram connect; /* nat + tcp: SYN to SYN-ACK */
	struct weir_histogram first_byte; /* nat: first request byte to first response byte */
	/* nat: the same times, by what the request found in flight at the backend when it began (found.h) */
	struct weir_found {
		uint64_t count[WEIR_FOUND_CLASSES];
		uint64_t sum_ns[WEIR_FOUND_CLASSES];
	} found;
	/* Buckets of first_byte that have ever been used: who reads often need not read the others. */
	uint64_t first_byte_from;
	uint64_t first_byte_to; /* the one behind the last; 0: none has been */
};

#define WEIR_UDP_PATIENCE_NS UINT64_C(2000000000)

/*
 * Who asks most of a service, by one worker core; on while directives say so. Space-Saving (Metwally,
 * Agrawal, El Abbadi, 2005) in sets: a source may be in any way of the one set that its keyed hash
 * chooses, and one that is in none takes the place of that with the lowest score. `score` counts events
 * and is halved every second; `inherited` is how much of it was the predecessor's. packets and flows are
 * the source's own since it took its place: never too many, but for packets being sampled.
 *
 * Each set has a sequence number that is odd while the set changes; readers copy and try again.
 */
#define WEIR_HEAVY_SETS 32u
#define WEIR_HEAVY_WAYS 8u

struct weir_heavy_entry {
	uint8_t address[16]; /* IPv4 mapped; bits beyond the prefix are 0 */
	uint64_t packets; /* from the source; sampled */
	uint64_t flows; /* asked for */
};

struct weir_heavy_set {
	uint32_t seq;
	uint32_t second; /* when scores were halved last */
	uint16_t tag[WEIR_HEAVY_WAYS]; /* 0: nobody */
	uint32_t score[WEIR_HEAVY_WAYS];
	uint32_t inherited[WEIR_HEAVY_WAYS];
	uint32_t reserved[2];
	struct weir_heavy_entry entry[WEIR_HEAVY_WAYS];
};

struct weir_heavy {
	struct weir_heavy_set set[WEIR_HEAVY_SETS];
};

/* What a policy may say, by number: WEIR_ACTION_* of <weir/policy_abi.h>. */
enum weir_policy_action {
	WEIR_POLICY_ABORTED = 0,
	WEIR_POLICY_DROP = 1,
	WEIR_POLICY_PASS = 2,
	WEIR_POLICY_LIMIT = 3,
	WEIR_POLICY_ROUTE = 4,
	WEIR_POLICY_ACTION_COUNT
};

/*
 * One policy of a service on one core. Verdicts are counted as they were given, also by a policy that is
 * only observed. What a policy has judged is the sum of its verdicts.
 */
struct weir_policy_cell {
	uint64_t cycles; /* of whole bursts: filling frames and acting are in it */
	uint64_t verdicts
		[WEIR_POLICY_ACTION_COUNT]; /* ABORTED: also classes and pools that are not there */
	uint64_t reasons[WEIR_POLICY_REASONS]; /* of DROP, by its argument */
	uint64_t no_class; /* LIMIT of a class that is not there; in ABORTED */
	uint64_t no_pool; /* ROUTE to a pool that is not there; in ABORTED */
	uint64_t kernel; /* of all that, what the kernel judged, */
	uint64_t kernel_dropped; /* and of this what it dropped: it never came here */
};

enum weir_policy_state {
	WEIR_POLICY_RUNNING = 1,
	WEIR_POLICY_OBSERVED = 2,
	WEIR_POLICY_DETACHED = 3, /* over its budget: judges nothing until it is loaded again */
};

/* A policy at its place. Another id at a place is another policy, and its counters are its own. */
struct weir_policy_entry {
	uint64_t id; /* control's */
	char name[WEIR_NAME_SIZE];
	uint8_t state; /* enum weir_policy_state; relaxed atomic, outside of directory_seq */
	uint8_t on_error; /* enum weir_policy_on_error */
	uint8_t compiled; /* 0: the interpreter runs it */
	uint8_t reserved;
	uint32_t budget_cycles; /* a packet; 0: no bound */
	uint64_t cell_offset[WEIR_MAX_CORES]; /* struct weir_policy_cell, by index of the core */
};

/* A class that policies put packets into, on one core. */
struct weir_class_cell {
	uint64_t packets; /* put into it */
	uint64_t dropped_packets; /* over its limit of packets, */
	uint64_t dropped_bits; /* of bits, */
	uint64_t dropped_connections; /* and of new flows */
	uint64_t new_flows; /* asked for in it, also those over its limit */
};

struct weir_class_entry {
	char name[WEIR_NAME_SIZE];
	uint64_t limit_packets; /* per second; UINT64_MAX: none */
	uint64_t limit_bits;
	uint64_t limit_connections;
	uint64_t connections_in_force; /* relaxed atomic, outside of directory_seq */
	uint64_t cell_offset[WEIR_MAX_CORES]; /* struct weir_class_cell */
};

/* One port on one core. */
struct weir_port_cell {
	uint64_t packets_received;
	uint64_t bytes_received;
	uint64_t packets_transmitted; /* accepted by the device */
	uint64_t bytes_transmitted;
	uint64_t packets_to_kernel;
	uint64_t originated; /* packets that Weir made itself, inside packets_transmitted */
	uint64_t originated_dropped; /* the same, but could not be sent; in nothing else */
	/* Received by a worker's core, but not for its workers: a device steered it wrongly. Inside packets_received. */
	uint64_t astray;
	uint64_t dropped[WEIR_DROP_COUNT]; /* only those that no service could be blamed for */
};

/*
 * A gap: a packet core began a round later than it should have. From the round before, and from the end
 * of the sleep that it asked for between them, more than WEIR_GAP_LEAST_NS have passed. What the core
 * was at says whose delay it was: who sleeps or polls in vain is only kept by the machine (the scheduler,
 * an interrupt, the firmware, a page); a round with packets may have taken so long by itself.
 */
enum weir_gap_during {
	WEIR_GAP_ASLEEP = 0, /* it was woken late */
	WEIR_GAP_IDLE = 1, /* it had found no packets */
	WEIR_GAP_PACKETS = 2, /* it had found some */
};

#define WEIR_GAP_LEAST_NS UINT64_C(100000)
#define WEIR_GAP_TURN_NS  UINT64_C(5000000000)
#define WEIR_GAPS_LONGEST 8
#define WEIR_GAPS_RECENT  13 /* turns: a minute, and the one that has begun */

struct weir_gap {
	uint64_t end_ns; /* CLOCK_MONOTONIC, when it was over; to 10 ms or so */
	uint64_t length_ns; /* 0: none */
	uint32_t during; /* enum weir_gap_during */
	uint32_t packets; /* of the round that it began in */
};

/* `seq` is odd while the rest changes; readers copy and try again. */
struct weir_core_gaps {
	uint64_t seq;
	uint64_t count;
	uint64_t sum_ns;
	struct weir_gap longest[WEIR_GAPS_LONGEST]; /* since the start, the longest first */
	/* The longest of each turn of WEIR_GAP_TURN_NS: at end_ns / WEIR_GAP_TURN_NS % WEIR_GAPS_RECENT. */
	struct weir_gap recent[WEIR_GAPS_RECENT];
};

/* One packet core. */
struct weir_core_cell {
	uint64_t loops;
	uint64_t bursts; /* loops that found packets */
	uint64_t packets; /* packets that entered this core's stages */
	uint64_t busy_cycles;
	uint64_t idle_cycles; /* polling in vain and sleeping */
	uint64_t sleeps;
	struct weir_core_gaps gaps;
	struct weir_histogram
		wakeup; /* of sleeps: from the end of the time asked for to the next round */
	/* Sampled: some bursts are timed stage by stage. cycles / packets is the stage's price. */
	uint64_t stage_cycles[WEIR_STAGE_COUNT];
	uint64_t stage_packets[WEIR_STAGE_COUNT];
	struct weir_port_cell port[WEIR_MAX_PORTS];
};

enum weir_core_role {
	WEIR_CORE_F_RECEIVE = 1u << 0, /* polls port queues, parses and classifies */
	WEIR_CORE_F_DISPATCH = 1u << 1, /* hands packets to other cores over rings */
	WEIR_CORE_F_WORKER = 1u << 2, /* runs services' packets */
};

enum weir_core_state {
	WEIR_CORE_ANSWERS = 0,
	WEIR_CORE_STUCK = 1, /* works on one round, and gets to no end */
	WEIR_CORE_AWAY = 2, /* its thread is not run */
};

struct weir_core_entry {
	uint32_t cpu;
	int32_t node; /* NUMA node, -1 unknown */
	uint32_t roles;
	uint32_t state; /* enum weir_core_state; relaxed atomic, outside of directory_seq */
	uint64_t cell_offset; /* struct weir_core_cell */
	/* The same as state. Its buckets are others' until it answers; packets that it holds till then. */
	uint32_t taken_over;
	uint32_t held;
};

enum weir_port_kind {
	WEIR_PORT_KERNEL = 1, /* AF_XDP on a kernel interface */
	WEIR_PORT_PCI = 2,
	WEIR_PORT_CAPTURE = 3,
};

/* What a device checks or computes for us. */
enum weir_port_checksum {
	WEIR_PORT_CHECKSUM_RX_IPV4 = 1u << 0, /* of received IPv4 headers */
};

/* Cores that wait for interrupts. */
enum weir_port_wakes {
	WEIR_PORT_WAKES_NOBODY = 0, /* they do not wait */
	WEIR_PORT_WAKES = 1,
	WEIR_PORT_CANNOT_WAKE = 2, /* so its cores sleep, and look */
};

struct weir_port_entry {
	uint8_t used;
	uint8_t kind; /* enum weir_port_kind */
	uint8_t link_up;
	uint8_t steering; /* 0 dispatcher, 1 hardware */
	int32_t node;
	uint32_t ifindex; /* 0 where the kernel has no interface */
	uint16_t rx_queues;
	uint16_t tx_queues;
	uint32_t mtu;
	uint32_t speed_mbps; /* 0 unknown */
	uint8_t mac[6];
	uint8_t checksums; /* enum weir_port_checksum; 0 also of data planes that do not say */
	uint8_t wakes; /* enum weir_port_wakes */
	char name[WEIR_NAME_SIZE];
	char device[WEIR_DEVICE_SIZE];
	char driver[32];
	uint32_t buffers; /* packet buffers of the port; 0: not known */
	uint32_t
		buffers_free; /* relaxed atomic, outside of directory_seq; some always wait at the device */
	uint64_t from_kernel; /* the same; packets that the kernel sent by a PCI port's twin */
	char steering_why[WEIR_STEERING_WHY_SIZE]; /* why not by the device; "" when it steers */
	char wake_why[WEIR_WAKE_WHY_SIZE]; /* why its cores sleep instead; "" else */
};

enum weir_backend_state {
	WEIR_BACKEND_UNUSED = 0,
	WEIR_BACKEND_UP = 1,
	WEIR_BACKEND_DRAINING = 2, /* known flows stay, no new ones */
	WEIR_BACKEND_DOWN = 3, /* its flows are placed anew */
};

/* A backend's slot in its service. Slots are reused with a new epoch. */
struct weir_backend_entry {
	uint8_t state; /* enum weir_backend_state */
	uint8_t fallback; /* 1: gets new flows only while no other of the service can */
	uint16_t port; /* host order */
	uint16_t weight;
	uint16_t epoch;
	uint8_t address[16]; /* IPv4 mapped */
	/* What is in force by directives; relaxed atomics, outside of directory_seq. */
	uint32_t weight_in_force; /* in 1/WEIR_WEIGHT_UNIT; 0: ejected */
	uint32_t cap; /* on in_flight; WEIR_NO_CAP: none */
	uint8_t pool; /* 0: the main one; else the service's n-th that policies route to */
	uint8_t reserved[7];
};

#define WEIR_WEIGHT_UNIT 1000u
#define WEIR_NO_CAP	 UINT32_MAX

enum weir_directed {
	WEIR_DIRECTED_NO = 0, /* as configured */
	WEIR_DIRECTED_YES = 1,
	WEIR_DIRECTED_STALE = 2, /* no directives for too long: the guard is on */
};

struct weir_service_entry {
	uint8_t used;
	uint8_t mode; /* enum weir_mode, messages.h */
	uint8_t protocol; /* 6 or 17 */
	uint8_t prefix_length; /* of the mapped 128-bit address */
	uint16_t port; /* host order; 0 = any */
	uint16_t epoch; /* counts up when the slot gets another service */
	uint8_t address[16];
	char name[WEIR_NAME_SIZE];
	uint64_t cell_offset[WEIR_MAX_CORES]; /* struct weir_service_cell, by index of the core */
	uint64_t backend_offset; /* struct weir_backend_entry[backend_count] */
	/* struct weir_backend_cell[backend_count], by index of the core */
	uint64_t backend_cell_offset[WEIR_MAX_CORES];
	uint32_t backend_count; /* slots, also unused ones */
	uint32_t flow_capacity; /* entries of the flow table, over all its buckets */
	uint64_t
		worker_mask; /* bit i: core i works for this service: it has buckets, or gets some */
	uint32_t source_entries; /* places for sources; 0: they are not limited one by one */
	uint32_t directed; /* enum weir_directed; relaxed atomic, as are the following */
	uint32_t directive_flags; /* enum weir_directive_flag, messages.h; in force */
	uint32_t reserved;
	uint64_t limit_packets; /* in force: as configured, or lower by a directive */
	uint64_t limit_bits;
	uint64_t limit_connections;
	uint64_t heavy_offset[WEIR_MAX_CORES]; /* struct weir_heavy, by index of the core */
	uint64_t policy_offset; /* struct weir_policy_entry[policy_count] */
	uint64_t class_offset; /* struct weir_class_entry[class_count] */
	uint16_t policy_count;
	uint16_t class_count;
	uint16_t pool_count;
	uint16_t reserved1;
	/* Bytes of the budget that the service has; relaxed atomics, outside of directory_seq. */
	uint64_t memory_flows; /* its flow table */
	uint64_t memory_sources; /* limits per source */
	uint64_t memory_police; /* sources as directives have them */
	uint64_t memory_ports; /* translated ports */
	uint64_t memory_pools; /* backends, who gets new flows, settings */
	uint64_t memory_workers; /* rings, and what else its workers have */
	uint16_t bucket_count
		[WEIR_MAX_CORES]; /* by index of the core; less than all while some move */
	/* Cores: as configured; then, relaxed atomics outside of directory_seq, how many it is to have now, */
	uint16_t cores_min;
	uint16_t cores_max;
	uint16_t cores_wanted;
	uint16_t cores_short; /* and how many of those it does not get, as no core is free */
};

enum weir_telemetry_flag {
	WEIR_TELEMETRY_F_HUGEPAGES = 1u << 0,
	WEIR_TELEMETRY_F_SHARED_CORE = 1u << 1, /* receive and work on the same core */
	WEIR_TELEMETRY_F_REPLAY = 1u << 2,
	WEIR_TELEMETRY_F_STOPPING = 1u << 3,
};

struct weir_node_memory {
	uint64_t total_bytes; /* of the DPDK heap on this node */
	uint64_t free_bytes;
};

#define WEIR_MAX_NODES 8

struct weir_telemetry {
	uint32_t magic;
	uint32_t version;
	uint64_t size; /* of the whole region, bytes */
	uint32_t pid;
	uint32_t flags; /* enum weir_telemetry_flag */
	uint64_t start_ns; /* CLOCK_MONOTONIC when the data plane started */
	uint64_t start_time_ns; /* CLOCK_REALTIME at the same moment; replay: 0 */
	uint64_t heartbeat_ns; /* CLOCK_MONOTONIC, main thread, every 10 ms or so */
	uint64_t tsc_hz;
	uint64_t directory_seq;
	uint64_t generation; /* counts applied configurations */
	uint64_t config_digest; /* as control gave it with the last applied configuration */
	uint32_t core_count;
	uint32_t port_count; /* entries used at most; each has its own `used` */
	uint32_t service_count;
	uint32_t node_count;
	struct weir_node_memory node[WEIR_MAX_NODES];
	uint8_t node_distance[WEIR_MAX_NODES][WEIR_MAX_NODES]; /* 10 is near; 0: not known */
	uint64_t memory_budget; /* bytes for the services' tables, pools and rings */
	uint64_t memory_used; /* relaxed atomic; the sum over the services */
	/* Relaxed; as the kernel says after each configuration. 0 areas where there is one node. */
	uint32_t placement_areas; /* memory areas that were looked at */
	uint32_t placement_elsewhere; /* those not on the node that uses them */
	struct weir_core_entry core[WEIR_MAX_CORES];
	struct weir_port_entry port[WEIR_MAX_PORTS];
	struct weir_service_entry service[WEIR_MAX_SERVICES];
	/* Policies for packets that are no service's: struct weir_policy_entry[outside_policy_count] */
	uint64_t outside_policy_offset;
	uint32_t outside_policy_count;
	uint32_t reserved;
};

static_assert(sizeof(struct weir_histogram) == 16 + 8 * WEIR_HIST_BUCKETS, "histogram layout");
static_assert(WEIR_HIST_BUCKETS == 834, "histogram buckets");
static_assert(sizeof(struct weir_core_gaps) == 24 + 24 * (WEIR_GAPS_LONGEST + WEIR_GAPS_RECENT),
	"core gaps layout");
static_assert(sizeof(struct weir_core_entry) == 32, "core entry layout");
static_assert(sizeof(struct weir_port_entry) == 816, "port entry layout");
static_assert(sizeof(struct weir_backend_entry) == 40, "backend entry layout");
static_assert(sizeof(struct weir_heavy_set) == 352, "heavy set layout");
static_assert(sizeof(struct weir_policy_entry) == 592, "policy entry layout");
static_assert(sizeof(struct weir_class_entry) == 608, "class entry layout");
static_assert(sizeof(struct weir_service_entry) % 8 == 0, "service entry layout");

#endif
