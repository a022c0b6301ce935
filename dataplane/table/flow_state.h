/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The states of a flow, and how packets move it between them: enough to age rightly, no more.
 *
 * Source: RFC 9293 section 3.3.2 for what FIN and RST mean; RFC 5382 and RFC 4787 for which states
 * need which timeouts.
 */

#ifndef WEIR_TABLE_FLOW_STATE_H
#define WEIR_TABLE_FLOW_STATE_H

#include <stdbool.h>
#include <stdint.h>

/* The transient ones come first: flow_state_transient(). */
enum flow_state {
	FLOW_FREE = 0,
	FLOW_SYN, /* TCP, half open: no ACK of the client yet */
	FLOW_CLOSED, /* TCP, both FINs or a RST seen */
	FLOW_UDP_NEW, /* UDP, only one direction or one packet seen */
	FLOW_ESTABLISHED, /* TCP */
	FLOW_FIN, /* TCP, one direction is closed */
	FLOW_UDP_STREAM, /* UDP, assured */
	FLOW_STATE_COUNT
};

/* A transient state has a queue of its own, in the order of expiry, and may be evicted. */
static inline bool flow_state_transient(uint8_t state)
{
	return state <= FLOW_UDP_NEW;
}

/*
 * How long a flow may be idle in each state, in milliseconds, by enum flow_state; 1..2^30.
 *
 * The defaults: half open 10 s, closed 10 s (both: the peers' retransmissions of the last segment,
 * and short because a flood lives here), one side closed 120 s, UDP 30 s until it is assured and 180 s
 * after that (RFC 4787 REQ-5 asks for 120 s at least), established TCP 900 s. RFC 5382 REQ-5 would have
 * 2 h 4 min for established connections that pass through a NAT nobody can configure; servers behind
 * a balancer close idle connections much sooner (minutes), and TCP keepalives of applications are
 * far below 900 s, while clients that vanished would hold their records eight times as long.
 */
struct flow_timeouts {
	uint32_t ms[FLOW_STATE_COUNT];
};

extern const struct flow_timeouts flow_timeouts_default;

enum flow_flag {
	FLOW_F_FIN_CLIENT = 1u << 0, /* the client has closed its direction */
	FLOW_F_FIN_BACKEND = 1u << 1,
	FLOW_F_REPLIED = 1u << 2, /* the backend has answered (nat) */
	FLOW_F_REQUEST = 1u << 3, /* the client has sent payload; free for first-byte timing */
	FLOW_F_RESPONSE = 1u << 4, /* the backend has sent payload; free for first-byte timing */
	FLOW_F_PROXY = 1u << 5, /* a PROXY header goes before the client's first byte */
	FLOW_F_PROXY_ACKED = 1u << 6, /* and the backend has it */
	FLOW_F_IN_FLIGHT = 1u << 7, /* counts as in flight at its backend: service/load.h */
	FLOW_F_PROBED = 1u << 8, /* its backend was asked where it stands: stage/flow/idle.h */
	FLOW_F_FOUND = 31u << 11, /* nat: what its request found in flight, weir_found_class() */
};

#define FLOW_FOUND_SHIFT 11

enum flow_tcp_flag {
	FLOW_TCP_FIN = 0x01,
	FLOW_TCP_SYN = 0x02,
	FLOW_TCP_RST = 0x04,
	FLOW_TCP_ACK = 0x10,
};

/*
 * The state after a TCP packet of a known flow.
 *
 * flags         enum flow_flag of the flow; updated
 * from_backend  direction of the packet; always false in dsr
 * sees_replies  nat: the client's ACK counts only after the backend has answered. dsr sees only
 *               the client: its first ACK counts, and its FIN closes the flow
 *
 * A SYN without ACK from the client on a FLOW_CLOSED flow is a new connection: the caller asks for it
 * with flow_tcp_reopens() before it calls this, and removes or places the flow anew.
 */
static inline uint8_t flow_tcp_next(
	uint8_t state, uint16_t *flags, uint8_t tcp, bool from_backend, bool sees_replies)
{
	if (tcp & FLOW_TCP_RST)
		return FLOW_CLOSED;
	if (from_backend)
		*flags |= FLOW_F_REPLIED;
	if (tcp & FLOW_TCP_FIN)
		*flags |= from_backend ? FLOW_F_FIN_BACKEND : FLOW_F_FIN_CLIENT;
	if (state == FLOW_CLOSED)
		return FLOW_CLOSED;
	if (*flags & (FLOW_F_FIN_CLIENT | FLOW_F_FIN_BACKEND)) {
		bool client = *flags & FLOW_F_FIN_CLIENT;
		bool backend = (*flags & FLOW_F_FIN_BACKEND) || !sees_replies;

		return client && backend ? FLOW_CLOSED : FLOW_FIN;
	}
	if (state == FLOW_SYN && !from_backend &&
		(tcp & (FLOW_TCP_SYN | FLOW_TCP_ACK)) == FLOW_TCP_ACK &&
		(!sees_replies || (*flags & FLOW_F_REPLIED)))
		return FLOW_ESTABLISHED;
	return state;
}

/* True when a packet of the client opens a new connection on a flow that has ended. */
static inline bool flow_tcp_reopens(uint8_t state, uint8_t tcp)
{
	return state == FLOW_CLOSED &&
		(tcp & (FLOW_TCP_SYN | FLOW_TCP_ACK | FLOW_TCP_RST)) == FLOW_TCP_SYN;
}

/*
 * The state after a UDP packet of a known flow: assured by an answer in nat, by another packet of the
 * client in dsr.
 */
static inline uint8_t flow_udp_next(
	uint8_t state, uint16_t *flags, bool from_backend, bool sees_replies)
{
	if (from_backend)
		*flags |= FLOW_F_REPLIED;
	if (state == FLOW_UDP_NEW && (from_backend || !sees_replies))
		return FLOW_UDP_STREAM;
	return state;
}

#endif
