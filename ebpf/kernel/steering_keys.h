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

_Static_assert(sizeof(struct steering_service_key) == 20, "service key layout");
_Static_assert(sizeof(struct steering_prefix_key) == 24, "prefix key layout");
_Static_assert(sizeof(struct steering_source_key) == 20, "source key layout");
_Static_assert(sizeof(struct steering_blocks) == 32, "blocks layout");
_Static_assert(sizeof(struct steering_port) == 16, "port layout");
_Static_assert(sizeof(struct steering_counter) == 16, "counter layout");

#endif
