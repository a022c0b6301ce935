/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Messages of a trace: control asks the data plane to follow some packets, and reads what became of
 * them. There is one trace at a time. It ends when it is stopped, or when nobody has read it for
 * WEIR_TRACE_PATIENCE_MS, so a client that died leaves nothing behind.
 *
 * The filter is a program of classic BPF over the frame, as libpcap makes it. The data plane takes no
 * one's word for it: see dataplane/net/filter.h.
 */

#ifndef WEIR_API_TRACE_H
#define WEIR_API_TRACE_H

#include "telemetry.h"

#include <assert.h>
#include <stdint.h>

#define WEIR_TRACE_MAX_INSTRUCTIONS 1024
#define WEIR_TRACE_MAX_SNAPLEN	    9216
#define WEIR_TRACE_MAX_READ	    1024 /* records in a reply */
#define WEIR_TRACE_PATIENCE_MS	    5000

struct weir_trace_instruction {
	uint16_t code;
	uint8_t jt;
	uint8_t jf;
	uint32_t k;
};

/* TRACE_START: this, and instruction_count instructions -> weir_trace_started. */
struct weir_trace_start {
	char service[WEIR_NAME_SIZE]; /* empty: of any service, or of none */
	char port[WEIR_NAME_SIZE]; /* empty: any; else packets that came in or left by it */
	uint64_t count; /* packets to follow at most; 0: no bound */
	uint32_t sample; /* one packet in so many, chosen at random; at least 1 */
	uint32_t snaplen; /* bytes of each frame to keep, 0..WEIR_TRACE_MAX_SNAPLEN */
	uint32_t instruction_count; /* 0: all packets match */
	uint32_t reserved;
};

struct weir_trace_started {
	uint32_t session;
	uint32_t slots; /* packets that can be under way or unread at one time */
};

/* TRACE_READ -> weir_trace_batch, and its records. TRACE_STOP -> weir_trace_batch without records. */
struct weir_trace_read {
	uint32_t session;
	uint32_t limit; /* records, 1..WEIR_TRACE_MAX_READ */
};

enum weir_trace_batch_flag {
	WEIR_TRACE_F_ENDED = 1u << 0, /* all that were asked for are read, or the service is gone */
};

struct weir_trace_batch {
	uint64_t lost; /* packets that found no free slot, since the start */
	uint32_t count;
	uint32_t flags; /* enum weir_trace_batch_flag */
};

enum weir_trace_verdict {
	WEIR_TRACE_TRANSMITTED = 1,
	WEIR_TRACE_DROPPED = 2,
	WEIR_TRACE_TO_KERNEL = 3,
};

/* What the flow stage found. */
enum weir_trace_flow {
	WEIR_TRACE_FLOW_UNSEEN = 0, /* the packet did not get there */
	WEIR_TRACE_FLOW_NONE = 1,
	WEIR_TRACE_FLOW_KNOWN = 2,
	WEIR_TRACE_FLOW_HOMELESS = 3, /* known, but its backend is gone */
};

/* Why a packet has its backend. */
enum weir_trace_placement {
	WEIR_TRACE_PLACEMENT_NONE = 0,
	WEIR_TRACE_PLACEMENT_KNOWN = 1, /* its flow had it */
	WEIR_TRACE_PLACEMENT_NEW = 2, /* chosen for a new flow */
	WEIR_TRACE_PLACEMENT_JOINED = 3, /* a packet just before it opened the flow */
	WEIR_TRACE_PLACEMENT_MOVED = 4, /* chosen anew for a flow whose backend is gone */
	WEIR_TRACE_PLACEMENT_STATELESS = 5, /* chosen by hashing, with no flow */
	WEIR_TRACE_PLACEMENT_REPLY = 6, /* it comes from there */
};

enum weir_trace_limit {
	WEIR_TRACE_LIMIT_PACKETS = 1u << 0, /* the service has such a limit */
	WEIR_TRACE_LIMIT_BITS = 1u << 1,
	WEIR_TRACE_LIMIT_CONNECTIONS = 1u << 2,
};

enum weir_trace_flag {
	WEIR_TRACE_F_IPV6 = 1u << 0,
	WEIR_TRACE_F_VLAN = 1u << 1,
	WEIR_TRACE_F_FRAGMENT = 1u << 2,
	WEIR_TRACE_F_FROM_BACKEND = 1u << 3,
	WEIR_TRACE_F_OPTIONS = 1u << 4, /* IPv4 options or IPv6 extension headers */
};

/* What parse made of the frame. */
enum weir_trace_parse {
	WEIR_TRACE_PARSE_OK = 0,
	WEIR_TRACE_PARSE_NOT_OURS = 1,
	WEIR_TRACE_PARSE_FRAGMENT = 2,
	WEIR_TRACE_PARSE_MALFORMED = 3, /* the addresses are known */
	WEIR_TRACE_PARSE_UNREADABLE = 4,
	WEIR_TRACE_PARSE_ICMP_ERROR = 5, /* protocol is that of the quoted packet */
};

/* Both ends of a packet; zeros where they are not known. */
struct weir_trace_ends {
	uint8_t source[16]; /* IPv4 mapped */
	uint8_t destination[16];
	uint16_t source_port; /* host order */
	uint16_t destination_port;
	uint8_t known;
	uint8_t reserved[3];
};

/* What one policy said of a packet. */
struct weir_trace_policy {
	uint8_t action; /* enum weir_policy_action */
	uint8_t observed; /* 1: it had no effect */
	uint16_t argument;
};

/*
 * One packet's way. received_bytes of the frame as it came in follow, then left_bytes of it as it left or
 * was when it was dropped, then zeros up to `size`.
 */
struct weir_trace_record {
	uint32_t size; /* of all of it, a multiple of 8 */
	uint32_t stages; /* bit i: it went through enum weir_stage i */
	uint64_t received_ns; /* CLOCK_REALTIME; replay: the capture's */
	uint64_t residence_ns; /* until its end */
	char service[WEIR_NAME_SIZE]; /* empty: of none */
	char port_in[WEIR_NAME_SIZE];
	char port_out[WEIR_NAME_SIZE]; /* empty: it did not get through the neighbour stage */
	uint8_t verdict; /* enum weir_trace_verdict */
	uint8_t reason; /* enum weir_drop_reason, when dropped */
	uint8_t stage; /* enum weir_stage in which it ended */
	uint8_t parse; /* enum weir_trace_parse */
	uint16_t cpu_in; /* of the core that received it */
	uint16_t cpu_work; /* of the worker; valid when it went through dispatch */
	uint8_t protocol; /* 0: not known */
	uint8_t tcp_flags;
	uint8_t ttl;
	uint8_t bucket;
	uint8_t limits; /* enum weir_trace_limit */
	uint8_t flow; /* enum weir_trace_flow */
	uint8_t flow_state; /* enum weir_flow_state, after this packet */
	uint8_t placement; /* enum weir_trace_placement */
	uint16_t flags; /* enum weir_trace_flag */
	uint16_t ether_type; /* the first one, host order */
	uint16_t payload; /* bytes behind the L4 header */
	uint16_t backend_port;
	uint8_t backend_address[16]; /* valid with a placement */
	struct weir_trace_ends received;
	struct weir_trace_ends left; /* known when it went through the rewrite stage */
	uint8_t mac_in[12]; /* destination and source as received */
	uint8_t mac_out[12]; /* the same as it left; valid with port_out */
	uint32_t received_length; /* of the whole frame */
	uint32_t left_length;
	uint32_t received_bytes;
	uint32_t left_bytes;
	uint32_t mark; /* that policies put on it */
	uint8_t policy_count; /* so many judged it, the first of those that are there */
	uint8_t pool; /* that a policy sent its flow to; 0: the main one */
	uint8_t policy_class; /* that a policy put it into; 0: none */
	uint8_t reserved;
	struct weir_trace_policy policy[WEIR_MAX_POLICIES_PER_SERVICE];
};

static_assert(sizeof(struct weir_trace_instruction) == 8, "trace instruction layout");
static_assert(sizeof(struct weir_trace_start) == 152, "trace start layout");
static_assert(sizeof(struct weir_trace_batch) == 16, "trace batch layout");
static_assert(sizeof(struct weir_trace_ends) == 40, "trace ends layout");
static_assert(sizeof(struct weir_trace_record) == 416, "trace record layout");

#endif
