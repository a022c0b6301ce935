/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What the XDP program of a port and user space agree on: names, keys and values of the maps that are
 * pinned under RUN_DIR/NAME/bpf/PORT/. Compiled by clang for BPF and by the C compiler; plain types
 * only. Addresses are 16 bytes, IPv4 mapped, as everywhere at Weir's interfaces; ports host order.
 */

#ifndef WEIR_EBPF_STEERING_KEYS_H
#define WEIR_EBPF_STEERING_KEYS_H

#include <linux/types.h>

#define STEERING_MAP_SERVICES "weir_services" /* hash: steering_service_key -> u8 */
#define STEERING_MAP_PREFIXES "weir_prefixes" /* LPM trie: steering_prefix_key -> u8 */
#define STEERING_MAP_SOURCES  "weir_sources" /* hash: steering_source_key -> steering_blocks */
#define STEERING_MAP_PORT     "weir_port" /* array of one: steering_port */
#define STEERING_MAP_COUNTERS "weir_counters" /* per-CPU array: steering_counter */
#define STEERING_MAP_SOCKETS  "xsks_map" /* the name is the AF_XDP driver's */
#define STEERING_PROGRAM      "xsk_def_prog" /* so is this one */
#define STEERING_VERDICT      "weir_verdict" /* the program behind judges */
/* Policies in the kernel: judge_sync() of judges.h keeps these. */
#define STEERING_MAP_JUDGED   "weir_judged" /* hash: steering_service_key -> u32, index of a judge */
#define STEERING_MAP_RANGES   "weir_ranges" /* LPM trie: steering_prefix_key -> steering_range */
#define STEERING_MAP_PROGRAMS "weir_programs" /* program array: the judges; at 0 weir_verdict */
#define STEERING_MAP_JUDGES \
	"weir_judges" /* array in memory: steering_judge; at 0 how many there are */
#define STEERING_MAP_PACKET "weir_packet" /* per-CPU array of one: steering_packet */
/* Early drops in the kernel: the data plane's alone, so not pinned and never inherited. */
#define STEERING_MAP_HOLDS \
	"weir_holds" /* array in memory: steering_hold; at 0 until when any is in force */

#define STEERING_MAX_SERVICES 4096
#define STEERING_MAX_PREFIXES 4096
#define STEERING_MAX_SOURCES  8192

/* Which entries a packet is looked for in. */
enum steering_kind {
	STEERING_KIND_PORT = 0, /* port is the service's, 0 = any */
	STEERING_KIND_FRAGMENT = 1, /* some service has this address and protocol; port is 0 */
};

struct steering_service_key {
	__u8 address[16];
	__u16 port;
	__u8 protocol;
	__u8 kind; /* enum steering_kind */
};

/*
 * What must match exactly stands before the address, so that one trie serves all ports: bits is
 * STEERING_PREFIX_FIXED_BITS + the prefix length of the address.
 */
struct steering_prefix_key {
	__u32 bits;
	__u16 port;
	__u8 protocol;
	__u8 kind;
	__u8 address[16];
};

#define STEERING_PREFIX_FIXED_BITS 32

struct steering_source_key {
	__u8 address[16];
	__u8 protocol;
	__u8 reserved[3];
};

/* Bit b: destination ports b * 256 to b * 256 + 255 are ours. */
struct steering_blocks {
	__u8 bits[32];
};

/* Set by the data plane. Frames to another address are not for this host: the kernel's business. */
struct steering_port {
	__u8 mac[6];
	__u8 check_mac;
	__u8 reserved;
	__u64 owner; /* which instance's: links.h */
};

enum steering_counter_index {
	STEERING_REDIRECTED,
	STEERING_PASSED,
	STEERING_NO_SOCKET, /* a service's, but no data plane was there to take it */
	STEERING_COUNTER_COUNT
};

struct steering_counter {
	__u64 packets;
	__u64 bytes;
};

/* Judges of a port: each is a policy at one service. Index 0 is none. */
#define STEERING_MAX_JUDGES    1024
#define STEERING_MAX_CHAIN     8 /* policies of one service */
#define STEERING_JUDGE_REASONS 16 /* as WEIR_POLICY_REASONS: the last one is all others */

/*
 * A judge and what it dropped. Nothing that it let go on is counted here: that is counted where it goes on.
 * id is the daemon's to write, the counters are the kernel's: they only grow, whosever the index is.
 */
struct steering_judge {
	__u64 id; /* of the policy at its service; 0: none. Index 0: whether there are any */
	__u64 chain; /* steering_chain() of the service's policies up to this one */
	__u32 next; /* judge of what this one passes; 0: none. Index 0: behind the last ever used */
	__u32 ranges; /* index 0: some services have more than one address and port */
	__u64 packets;
	__u64 bytes;
	__u64 passed; /* went on here, and was dropped by a judge behind this one */
	__u64 reasons[STEERING_JUDGE_REASONS];
};

/* Of a service that has several addresses, by its prefix. */
struct steering_range {
	__u32 judge; /* 0: none */
	__u32 bits; /* of the address */
};

/* What several policies that have judged one after another are known by; before: 0 for the first. */
static inline __u64 steering_chain(__u64 before, __u64 id)
{
	return (before << 13 | before >> 51) ^ id;
}

/* The packet at hand of a CPU: what a judge is told of it, and what it said. */
struct steering_packet {
	__u64 context[12]; /* struct weir_ctx but for the pointers */
	__u32 verdict;
	__u32 judge; /* who has it now */
	__u64 seal; /* of steering_meta, but for the chain */
	__u32 judged; /* how many have judged it, */
	__u32 reserved;
	__u32 judges[STEERING_MAX_CHAIN]; /* and who they are */
};

#define STEERING_PACKET_VERDICT 96

/*
 * What lies in front of a packet that was judged. Metadata is copied along only where there is any, so what an
 * earlier packet left in the same buffer can lie there, too: the seal tells, which is made of the packet's
 * own figures and the policies' ids.
 */
#define STEERING_META_MAGIC 0x31524957u /* "WIR1" */

struct steering_meta {
	__u32 magic;
	__u32 verdict; /* of the last that has judged it; those before it said PASS */
	__u64 seal;
	__u32 mark;
	__u32 judged; /* how many of the service's policies have, from the first on */
};

/*
 * chain: of the last that has judged it; l4: the first 8 bytes of the L4 header; saddr: the last 4 of the source
 * address; length: of the frame.
 */
static inline __u64 steering_seal(__u64 chain, __u64 l4, __u32 saddr, __u32 length)
{
	return chain ^ l4 ^ ((__u64)saddr << 32 | length);
}

/*
 * A service of whose packets only some may come through: while the data plane would drop the others anyhow, they go
 * before they cost a copy. Where it lies follows from its key; of two services with one place, one is held. key, pass
 * and until are the data plane's to write, the counters are the kernel's: they only grow, whosever the place is.
 * Nobody takes a hold away when the data plane dies: it ends by itself.
 */
#define STEERING_HOLDS 256 /* places; 0 belongs to no service */

struct steering_hold {
	struct steering_service_key key;
	__u32 pass; /* so many of 2^32 packets stay, by chance */
	__u64 until; /* CLOCK_MONOTONIC, ns; in force while that is to come. 0: not in force */
	__u64 packets; /* dropped */
	__u64 bytes;
};

static inline __u32 steering_hold_place(const struct steering_service_key *key)
{
	const __u32 *word = (const __u32 *)key->address;
	__u32 hash =
		word[0] ^ word[1] ^ word[2] ^ word[3] ^ ((__u32)key->port << 16 | key->protocol);

	hash = (hash ^ hash >> 15) * 0x9e3779b1u;
	return (hash >> 16) % (STEERING_HOLDS - 1) + 1;
}

_Static_assert(sizeof(struct steering_hold) == 48, "hold layout");
_Static_assert(sizeof(struct steering_judge) == 48 + 8 * STEERING_JUDGE_REASONS, "judge layout");
_Static_assert(sizeof(struct steering_packet) == 152, "packet layout");
_Static_assert(sizeof(struct steering_range) == 8, "range layout");
_Static_assert(__builtin_offsetof(struct steering_packet, verdict) == STEERING_PACKET_VERDICT,
	"the harness stores it there");
_Static_assert(sizeof(struct steering_meta) == 24, "metadata layout");
_Static_assert(sizeof(struct steering_service_key) == 20, "service key layout");
_Static_assert(sizeof(struct steering_prefix_key) == 24, "prefix key layout");
_Static_assert(sizeof(struct steering_source_key) == 20, "source key layout");
_Static_assert(sizeof(struct steering_blocks) == 32, "blocks layout");
_Static_assert(sizeof(struct steering_port) == 16, "port layout");
_Static_assert(sizeof(struct steering_counter) == 16, "counter layout");

#endif
