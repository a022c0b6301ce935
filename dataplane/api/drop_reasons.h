/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Why a packet was dropped: the one list. It makes the enum, the counters, the metric labels, the
 * keys of `dropped` in weirctl's JSON and the table in the operator's documentation.
 *
 * New reasons go at the end; the list is part of the telemetry layout (WEIR_TELEMETRY_VERSION).
 */

#ifndef WEIR_API_DROP_REASONS_H
#define WEIR_API_DROP_REASONS_H

/* X(NAME, label, one line of help for an operator) */
#define WEIR_DROP_REASONS(X)                                                                       \
	X(MALFORMED, "malformed", "headers of a service's packet are truncated or contradict")     \
	X(FRAGMENT, "fragment", "a later fragment of a datagram whose first one did not come")     \
	X(NO_SERVICE, "no_service", "steered to Weir, but no service has this address and port")   \
	X(TTL_EXPIRED, "ttl_expired", "time to live (hop limit) would reach zero here")            \
	X(LIMIT_PACKETS, "limit_packets", "over the service's limit of packets per second")        \
	X(LIMIT_BITS, "limit_bits", "over the service's limit of bits per second")                 \
	X(LIMIT_CONNECTIONS, "limit_connections", "a new flow over the service's limit of them")   \
	X(NO_BACKEND, "no_backend", "no backend of the service can take the flow")                 \
	X(NO_FLOW, "no_flow", "belongs to no known flow, and cannot open one")                     \
	X(FLOW_TABLE_FULL, "flow_table_full", "new flow while the service's flow table is full")   \
	X(NO_TRANSLATION_PORT, "no_translation_port", "nat has no free source port for the flow")  \
	X(NEIGHBOUR_UNRESOLVED, "neighbour_unresolved", "link address of the next hop is unknown") \
	X(WORKER_RING_FULL, "worker_ring_full",                                                    \
		"the service's worker is behind; its ring is full")                                \
	X(TRANSMIT_FULL, "transmit_full", "the outgoing port's queue is full")                     \
	X(PORT_DOWN, "port_down", "the outgoing port is gone or its link is down")                 \
	X(TOO_BIG, "too_big", "larger than the outgoing port's MTU")                               \
	X(SHUTDOWN, "shutdown", "still queued when the data plane, a service or a port ended")     \
	X(FRAGMENT_OVERLAP, "fragment_overlap",                                                    \
		"a fragment that overlaps its datagram's first one")                               \
	X(SOURCE_PACKETS, "source_packets", "over the limit of packets per second of its source")  \
	X(SOURCE_CONNECTIONS, "source_connections", "a new flow over the limit of its source")     \
	X(PROXY_HEADER, "proxy_header", "in fragments, or no room, for the PROXY protocol header") \
	X(SHED, "shed", "a new flow while no backend has room under its cap in force")             \
	X(SOURCE_POLICED, "source_policed", "over its source's fair share: far, or without room")  \
	X(SOURCE_BOXED, "source_boxed", "of a source in the penalty box")                          \
	X(POLICY, "policy", "a policy of the service says so")                                     \
	X(LIMIT_CLASS, "limit_class", "over a limit of the class that a policy put it into")       \
	X(POLICY_ERROR, "policy_error", "a policy failed on it, or is detached; on-error: drop")   \
	X(KERNEL_FULL, "kernel_full", "the host's own, but its kernel is behind in taking them")   \
	X(WORKER_BEHIND, "worker_behind",                                                          \
		"the service's worker is behind; dropped before it was parsed")                    \
	X(OVER_SHARE, "over_share",                                                                \
		"the receiving core is behind, and this is over its service's share of it")        \
	X(NO_HEADROOM, "no_headroom", "no room in front of it for the headers of a tunnel")        \
	X(CORE_TAKEN_OVER, "core_taken_over",                                                      \
		"held by a core that was stuck, while others took its work over")                  \
	X(EARLY_IN_KERNEL, "early_in_kernel",                                                      \
		"as worker_behind and over_share, by the XDP program of the port")

enum weir_drop_reason {
#define X(name, label, help) WEIR_DROP_##name,
	WEIR_DROP_REASONS(X)
#undef X
	WEIR_DROP_COUNT
};

#endif
