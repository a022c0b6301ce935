/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Messages between control and the data plane, over a UNIX stream socket (RUN_DIR/NAME/dataplane.sock)
 * or a socket pair inherited from a parent (replay).
 *
 * Every message is one struct weir_message followed by `length` bytes. Host byte order, fixed width,
 * no pointers; addresses are 16 bytes, IPv4 mapped (::ffff:a.b.c.d). A request is answered by one
 * message of the same type and id with WEIR_MESSAGE_F_REPLY; `status` is 0 or a negative errno, and
 * then the body is a text (no NUL) that says what is wrong. The data plane checks a message whole
 * before it applies any of it; a refused message changes nothing. EVENT comes unasked.
 *
 * New fields go at the end of a body and are gated by its length.
 */

#ifndef WEIR_API_MESSAGES_H
#define WEIR_API_MESSAGES_H

#include "policy.h"
#include "telemetry.h"
#include "trace.h"

#include <assert.h>
#include <stdint.h>

#define WEIR_MESSAGE_MAGIC	0x57726d31u
#define WEIR_PROTOCOL_VERSION	6u
#define WEIR_MESSAGE_MAX_LENGTH (64u << 20)

#define WEIR_MAX_BACKENDS_PER_SERVICE 4096
#define WEIR_MAX_BACKENDS	      65536
#define WEIR_MAX_SOURCES	      4096
#define WEIR_MAX_NEIGHBOURS	      65536
#define WEIR_MAX_HOP_GROUPS	      16384
#define WEIR_MAX_HOPS		      16 /* of a group */
#define WEIR_MAX_HOP_WEIGHT	      65535
#define WEIR_MAX_WEIGHT		      65535
#define WEIR_MAX_POLICIES	      4096
#define WEIR_MAX_CLASSES	      4096
#define WEIR_MAX_CLASSES_PER_SERVICE  64
#define WEIR_MAX_POOLS_PER_SERVICE    64 /* besides the main one */
#define WEIR_UNLIMITED		      UINT64_MAX
#define WEIR_NO_NEIGHBOUR	      UINT32_MAX
#define WEIR_HOP_GROUP		      0x80000000u /* the other bits are the index of a group */
#define WEIR_PORT_BLOCKS	      256 /* a block is 256 consecutive port numbers */
#define WEIR_AFFINITY_MIN_PLACES      1024u
#define WEIR_AFFINITY_MAX_PLACES      16777216u
#define WEIR_AFFINITY_MAX_TIMEOUT_NS  (UINT64_C(2592000) * 1000000000) /* 30 days */
#define WEIR_MAX_DIRECTIVE_SOURCES    1024
#define WEIR_SOURCE_WEIGHT_UNIT	      16u /* a source's weight is in sixteenths */
#define WEIR_SOURCE_WEIGHT_MAX	      (32u * WEIR_SOURCE_WEIGHT_UNIT)

enum weir_message_type {
	WEIR_MESSAGE_HELLO = 1, /* weir_hello -> weir_hello_reply + telemetry memfd */
	WEIR_MESSAGE_CONFIG = 2, /* weir_config + arrays -> empty; replaces everything */
	WEIR_MESSAGE_BACKENDS = 3, /* weir_backend_update[] -> empty; all or nothing */
	WEIR_MESSAGE_NEIGHBOURS = 4, /* weir_neighbour_update[] -> empty; all or nothing */
	WEIR_MESSAGE_FLOW_LIST = 5, /* weir_flow_query -> weir_flow_record[] */
	WEIR_MESSAGE_FLOW_FIND = 6, /* weir_flow_query -> one weir_flow_record */
	WEIR_MESSAGE_RUN = 7, /* replay: process the captures to their end, then reply */
	WEIR_MESSAGE_STOP = 8, /* end the process cleanly; replied to before it ends */
	WEIR_MESSAGE_EVENT = 9, /* weir_event, from the data plane */
	WEIR_MESSAGE_CORE_MOVE = 10, /* weir_core_move -> weir_core_moving */
	WEIR_MESSAGE_DIRECTIVES = 20, /* weir_directives + arrays -> empty; one service */
	/* policy.h */
	WEIR_MESSAGE_POLICY_STAGE = 16, /* weir_policy_stage + descriptors -> empty */
	WEIR_MESSAGE_POLICY_MAP =
		17, /* weir_policy_map + records -> weir_policy_map_reply + records */
	/* trace.h */
	WEIR_MESSAGE_TRACE_START = 24, /* weir_trace_start -> weir_trace_started */
	WEIR_MESSAGE_TRACE_READ = 25, /* weir_trace_read -> weir_trace_batch + records */
	WEIR_MESSAGE_TRACE_STOP = 26, /* weir_trace_read -> weir_trace_batch */
};

enum weir_message_flag {
	WEIR_MESSAGE_F_REPLY = 1u << 0,
};

struct weir_message {
	uint32_t magic;
	uint16_t type;
	uint16_t flags;
	uint32_t length; /* of the body, bytes; at most WEIR_MESSAGE_MAX_LENGTH */
	uint32_t id; /* chosen by the asker */
	int32_t status; /* replies: 0 or -errno */
	uint32_t reserved;
};

struct weir_hello {
	uint32_t version_min;
	uint32_t version_max;
};

struct weir_hello_reply {
	uint32_t version; /* chosen */
	uint32_t pid;
	char instance[WEIR_NAME_SIZE];
	uint64_t telemetry_size;
	uint64_t generation;
	uint64_t config_digest;
	uint8_t idle; /* enum weir_idle */
	uint8_t hugepages; /* 1: in use */
	uint8_t early_drops_only_here; /* 1: not in the XDP programs of ports */
	uint8_t reserved[5];
	uint64_t memory_bytes;
	char cores[256]; /* as given with --cores, normalised: "1,2-3" */
};

enum weir_idle {
	WEIR_IDLE_SLEEP = 0,
	WEIR_IDLE_SPIN = 1,
	WEIR_IDLE_INTERRUPT = 2, /* sleeps where a device has none */
};

enum weir_mode {
	WEIR_MODE_NAT = 1,
	WEIR_MODE_DSR = 2,
	WEIR_MODE_IPIP = 3, /* as dsr, inside IP to the backend */
	WEIR_MODE_GUE = 4, /* the same behind UDP: net/encap.h */
};

/*
 * CONFIG: the header, then port_count weir_config_port, service_count weir_config_service,
 * backend_count weir_config_backend, source_count weir_config_source, neighbour_count
 * weir_config_neighbour, hop_group_count weir_config_hop_group, policy_count weir_config_policy, class_count
 * weir_config_class, with nothing between and nothing behind.
 *
 * Unique are: ports' and services' names, devices, services' address + prefix + protocol + port, a
 * service's backends' address + port, neighbours' address + port. A nat service has at least one
 * source with at least one block, a dsr service has none; of ipip and gue they are the outer ones, and have no
 * blocks. Block 0 (it holds port 0) is nobody's. A service's
 * classes have different names, and no policy stands at it twice. The first outside_policy_count policies
 * are no service's: they judge packets that were steered to Weir and belong to none.
 * Names are 1 to 63 printable ASCII characters without space and '/', and not "." or "..".
 *
 * What stays: a port with the same name, device and kind; a service with the same name, address,
 * prefix, port, protocol and mode keeps its flows, counters and limiters; in it a backend with the
 * same address and port keeps its slot.
 */
struct weir_config {
	uint64_t digest; /* control's own mark of this configuration; shown in telemetry */
	uint32_t port_count;
	uint32_t service_count;
	uint32_t backend_count;
	uint32_t source_count;
	uint32_t neighbour_count;
	uint32_t hop_group_count;
	uint32_t policy_count;
	uint32_t class_count;
	uint32_t outside_policy_count; /* 0..WEIR_MAX_POLICIES_PER_SERVICE */
	uint32_t reserved;
};

struct weir_config_port {
	char name[WEIR_NAME_SIZE];
	char device[WEIR_DEVICE_SIZE]; /* interface name, PCI address, or empty for a capture */
	uint8_t kind; /* enum weir_port_kind */
	uint8_t reserved[7];
};

struct weir_config_service {
	char name[WEIR_NAME_SIZE]; /* unique */
	uint8_t address[16];
	uint8_t prefix_length; /* 1..128 of the mapped address: IPv4 /32 is 128 */
	uint8_t protocol; /* 6 or 17 */
	uint8_t mode; /* enum weir_mode */
	uint8_t reserved0;
	uint16_t port; /* host order; 0 = any */
	uint16_t cores; /* workers wanted, 1..WEIR_MAX_CORES */
	/* Ceilings; WEIR_UNLIMITED where none is set, and 0 lets nothing pass. */
	uint64_t limit_packets; /* per second, from clients */
	uint64_t limit_bits; /* per second, frame bits without FCS, from clients */
	uint64_t limit_connections; /* new flows per second */
	uint64_t burst_ns; /* depth of the buckets as time at full rate; at least two units */
	uint32_t flow_capacity; /* entries wanted; 0 = a share of the memory budget */
	uint32_t first_backend; /* into the backend array; ranges do not overlap */
	uint32_t backend_count;
	uint32_t first_source; /* into the source array */
	uint32_t source_count;
	uint32_t reserved1;
	uint64_t affinity_timeout_ns; /* since a source's last new flow */
	uint32_t affinity_places; /* sources remembered; 0: flows are placed by themselves */
	uint8_t affinity_prefix; /* bits of the client's address that make a source */
	uint8_t proxy_protocol; /* 0, or 2: backends get a header of that version; nat and tcp only */
	uint8_t silent; /* 1: who cannot be served, as no backend can, is not told */
	uint8_t reserved2;
	/* Per source prefix; as above. Sources are tracked when one of the two is set. */
	uint64_t per_source_packets; /* per second */
	uint64_t per_source_connections; /* new flows per second */
	uint64_t per_source_burst_ns;
	uint32_t per_source_entries; /* places for sources; 0 = by the memory budget */
	uint8_t per_source_prefix; /* bits of a client's address that make a source, 1..32 or 128 */
	uint8_t reserved3[3];
	uint32_t first_policy; /* into the policy array: they run in this order */
	uint32_t first_class; /* into the class array */
	uint16_t policy_count; /* 0..WEIR_MAX_POLICIES_PER_SERVICE */
	uint16_t class_count; /* 0..WEIR_MAX_CLASSES_PER_SERVICE */
	uint16_t pool_count; /* 0..WEIR_MAX_POOLS_PER_SERVICE */
	uint16_t cores_max; /* directives may ask for so many; 0: `cores` is all there is */
};

struct weir_config_backend {
	uint8_t address[16];
	uint16_t port; /* host order; 0 with port any but in nat: the packet's own */
	uint16_t weight; /* 0 = no new flows */
	uint8_t state; /* enum weir_backend_state but UNUSED */
	uint8_t fallback; /* 1: gets new flows only while no other of the service can */
	uint8_t pool; /* 0: the main one, which all flows go to; else a policy's ROUTE(n) sends them */
	uint8_t reserved;
	/* Next hop: index into the neighbour array, WEIR_HOP_GROUP | group, or WEIR_NO_NEIGHBOUR. */
	uint32_t neighbour;
};

/*
 * A source address of one service: translated, or a tunnel's. Blocks say which port numbers the service may use:
 * bit (p >> 8) of the 256 stands for ports p & 0xff00 to p | 0xff. No two services share a block of
 * the same address and protocol. The low 8 bits of a translated port are the flow's bucket.
 */
struct weir_config_source {
	uint8_t address[16];
	uint8_t blocks[WEIR_PORT_BLOCKS / 8];
};

struct weir_config_neighbour {
	uint8_t address[16]; /* of the next hop */
	uint8_t mac[6];
	uint8_t port; /* index into the port array */
	uint8_t resolved; /* 0: mac is not known */
};

/*
 * Next hops that are equally good. A new flow gets one of those whose link address is known, in
 * proportion to the weights, and keeps it for as long as it is known and in the backend's group.
 */
struct weir_config_hop_group {
	uint32_t hop_count; /* 2..WEIR_MAX_HOPS */
	uint32_t neighbour[WEIR_MAX_HOPS]; /* indices, each once; 0 behind the last */
	uint16_t weight[WEIR_MAX_HOPS]; /* 1..WEIR_MAX_HOP_WEIGHT; 0 behind the last */
};

/* BACKENDS: found by service name + address + port; refused whole when one is not there. */
struct weir_backend_update {
	char service[WEIR_NAME_SIZE];
	uint8_t address[16];
	uint16_t port;
	uint16_t weight;
	uint8_t state;
	uint8_t reserved[3];
};

/* NEIGHBOURS: found by address + port among those of the last CONFIG; unknown ones are ignored. */
struct weir_neighbour_update {
	uint8_t address[16];
	uint8_t mac[6];
	uint8_t port;
	uint8_t resolved;
};

/*
 * DIRECTIVES: what adaptation wants in force for one service until the next ones: the header, then
 * backend_count weir_directive_backend, then source_count weir_directive_source, then class_count
 * weir_directive_class.
 *
 * They move only inside the configuration: a limit is the lower of the two, a weight at most twice the
 * configured one, and who takes no flows by state or weight takes none. Backends that are not named are as
 * configured, and so are classes; names that are not there any more are passed over. A weight, or the rate of
 * a class, is followed when it differs from that in force by more than 1/32, or is the configured one.
 *
 * Nothing newer for stale_ns: weights stay, and the guard shrinks caps while latency is over guard_ns.
 * For expires_ns: all is as configured.
 */
enum weir_directive_flag {
	WEIR_DIRECTIVE_F_SPILL = 1u
		<< 0, /* who is far above the fair share of what is in flight: spill */
	WEIR_DIRECTIVE_F_WATCH = 1u << 1, /* count heavy sources: struct weir_heavy */
	WEIR_DIRECTIVE_F_POLICE = 1u << 2, /* source_* and the array of sources hold */
};

struct weir_directives {
	char service[WEIR_NAME_SIZE];
	uint64_t issued_ns; /* CLOCK_MONOTONIC; not older than the service's last */
	uint64_t stale_ns; /* 0: 1 s */
	uint64_t expires_ns; /* 0: 30 s; not below stale_ns */
	uint64_t
		guard_ns; /* latency (first byte, or what in flight means) to stay below; 0: no guard */
	uint64_t limit_packets; /* as in weir_config_service */
	uint64_t limit_bits;
	uint64_t limit_connections;
	/*
	 * Of one source, per second: green below, yellow (new flows: only where in flight is below cap_yellow)
	 * to source_yellow times that, then red: dropped. WEIR_UNLIMITED: not policed by that.
	 */
	uint64_t source_flows;
	uint64_t source_packets;
	uint64_t
		source_burst_ns; /* depth of each bucket as time at full rate; at least two units */
	uint32_t flags; /* enum weir_directive_flag */
	uint32_t backend_count;
	uint32_t source_count;
	uint8_t source_prefix; /* bits of an address that make a source; with WATCH or POLICE */
	uint8_t source_yellow; /* 2..64; with POLICE */
	/*
	 * How many cores it is to have, 1..WEIR_MAX_CORES; inside what is configured. 0: as many as it has. What was
	 * said last holds until something else is: neither silence nor expiry moves a bucket.
	 */
	uint16_t cores;
	uint32_t class_count;
	uint32_t reserved;
};

struct weir_directive_backend {
	uint8_t address[16];
	uint16_t port; /* host order */
	/*
	 * 1: no new flows, unless nobody else takes any. In nat, tcp, nor what begins of known ones: a SYN that comes
	 * again, and a request, goes to another.
	 */
	uint8_t ejected;
	uint8_t reserved;
	uint32_t weight; /* in 1/WEIR_WEIGHT_UNIT of a configured unit */
	uint32_t
		cap; /* new flows only while fewer are in flight; WEIR_NO_CAP: none, 0: no new flow */
	uint32_t cap_yellow; /* the same for yellow flows; not above cap */
	uint32_t close_idle; /* so many thousandths of its idle flows are closed, once; nat + tcp */
};

struct weir_directive_source {
	uint8_t address[16]; /* IPv4 mapped; bits beyond the prefix do not count */
	uint32_t
		weight; /* its rates are this many sixteenths of the others': 1..WEIR_SOURCE_WEIGHT_MAX */
	uint32_t boxed_ms; /* so long from now nothing of it passes; 0: not in the penalty box */
};

/* A class of the service's policies, by its name; each at most once. */
struct weir_directive_class {
	char name[WEIR_NAME_SIZE];
	uint64_t connections; /* as in weir_config_class, but at least 1 */
} WEIR_BEHIND_FOUR_BYTES;

struct weir_flow_query {
	char service[WEIR_NAME_SIZE]; /* FIND: may be empty */
	uint32_t limit; /* LIST: 1..65536 records at most */
	uint8_t protocol; /* FIND */
	uint8_t reserved;
	uint16_t client_port; /* FIND */
	uint16_t service_port; /* FIND */
	uint16_t reserved1;
	uint8_t client_address[16]; /* FIND */
	uint8_t service_address[16]; /* FIND */
};

enum weir_flow_state {
	WEIR_FLOW_NONE = 0, /* FIND: no such flow; the backend is the one it would get */
	WEIR_FLOW_NEW = 1, /* SYN seen, or one UDP packet */
	WEIR_FLOW_ESTABLISHED = 2,
	WEIR_FLOW_CLOSING = 3,
};

struct weir_flow_record {
	char service[WEIR_NAME_SIZE];
	uint8_t client_address[16];
	uint8_t service_address[16];
	uint8_t source_address[16]; /* nat: the translated source; else zero */
	uint8_t backend_address[16];
	uint16_t client_port;
	uint16_t service_port;
	uint16_t source_port;
	uint16_t backend_port;
	uint8_t protocol;
	uint8_t state; /* enum weir_flow_state */
	uint8_t bucket; /* 0..255 */
	uint8_t has_backend;
	uint32_t idle_ms; /* since the last packet, as exact as ageing is */
};

/*
 * CORE_MOVE: buckets of a service from the worker on one CPU to that on another, which it gets when it has
 * none there. An EVENT of kind CORES tells the end.
 */
enum weir_core_move_flag {
	WEIR_CORE_MOVE_F_ALL = 1u << 0, /* all that are on from_cpu; buckets is 0 */
};

struct weir_core_move {
	char service[WEIR_NAME_SIZE];
	uint32_t from_cpu;
	uint32_t to_cpu; /* another one */
	uint32_t flags; /* enum weir_core_move_flag */
	uint32_t reserved;
	uint8_t buckets[WEIR_BUCKETS / 8]; /* bit b % 8 of byte b / 8; all of them on from_cpu */
};

struct weir_core_moving {
	uint32_t buckets; /* how many move */
	uint32_t done; /* 0: it goes on */
};

enum weir_event_kind {
	WEIR_EVENT_PORT_UP = 1,
	WEIR_EVENT_PORT_DOWN = 2,
	WEIR_EVENT_WARNING = 3,
	WEIR_EVENT_POLICY_DETACHED = 4, /* object: the service, or "outside" */
	WEIR_EVENT_CORES = 5, /* buckets moved between cores; object: the service */
};

struct weir_event {
	uint64_t sequence; /* counts up by one; a gap means that events were lost */
	uint64_t time_ns; /* CLOCK_REALTIME */
	uint32_t kind;
	uint32_t reserved;
	char object[WEIR_NAME_SIZE];
	char text[256];
};

static_assert(sizeof(struct weir_message) == 24, "message header layout");
static_assert(sizeof(struct weir_core_move) == 112, "core move layout");
static_assert(sizeof(struct weir_hello_reply) == 368, "hello reply layout");
static_assert(sizeof(struct weir_config) == 48, "config layout");
static_assert(sizeof(struct weir_config_port) == 136, "config port layout");
static_assert(sizeof(struct weir_config_service) == 208, "config service layout");
static_assert(sizeof(struct weir_config_backend) == 28, "config backend layout");
static_assert(sizeof(struct weir_config_source) == 48, "config source layout");
static_assert(sizeof(struct weir_config_neighbour) == 24, "config neighbour layout");
static_assert(sizeof(struct weir_config_hop_group) == 100, "config hop group layout");
static_assert(sizeof(struct weir_backend_update) == 88, "backend update layout");
static_assert(sizeof(struct weir_neighbour_update) == 24, "neighbour update layout");
static_assert(sizeof(struct weir_directives) == 168, "directives layout");
static_assert(sizeof(struct weir_directive_backend) == 36, "directive backend layout");
static_assert(sizeof(struct weir_directive_source) == 24, "directive source layout");
static_assert(sizeof(struct weir_directive_class) == 72, "directive class layout");
static_assert(sizeof(struct weir_flow_query) == 108, "flow query layout");
static_assert(sizeof(struct weir_flow_record) == 144, "flow record layout");
static_assert(sizeof(struct weir_event) == 344, "event layout");

#endif
