/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What the probe's programs on a backend host and weir-probe agree on: keys and values of the maps.
 * Compiled by clang for BPF and by the C compiler; plain types only. Addresses are 16 bytes, IPv4 mapped,
 * as everywhere at Weir's interfaces; ports host order. Durations are counted in the buckets of struct
 * weir_histogram (dataplane/api/histogram_shape.h).
 */

#ifndef WEIR_EBPF_PROBE_KEYS_H
#define WEIR_EBPF_PROBE_KEYS_H

#include "dataplane/api/histogram_shape.h"

#include <linux/types.h>

#define PROBE_MAX_SERVICES 64

struct probe_service_key {
	__u8 address[16];
	__u16 port;
	__u8 protocol;
	__u8 reserved;
};

/* One service on one CPU. Cumulative; waiting and open may be below zero on one CPU, never as a sum. */
struct probe_figures {
	__u64 connect_ns; /* sum of what is in `connect` */
	__u64 first_byte_ns;
	__u64 requests; /* begun */
	__u64 syns; /* that a listening socket was asked, retransmitted ones not again */
	__s64 waiting; /* requests without an answer */
	__s64 open; /* TCP connections */
	__u32 connect[WEIR_HIST_BUCKETS]; /* SYN to SYN-ACK */
	__u32 first_byte
		[WEIR_HIST_BUCKETS]; /* first byte of a request to first byte of its answer */
};

_Static_assert(sizeof(struct probe_service_key) == 20, "service key");
_Static_assert(sizeof(struct probe_figures) == 48 + 8 * WEIR_HIST_BUCKETS, "probe figures");

#endif
