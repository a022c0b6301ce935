/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * TCP resets, made of the segment that they refuse. Worker, cold.
 *
 * Source: RFC 9293 section 3.5.2, group 1 (the connection does not exist): to a segment with ACK a reset
 * with its acknowledgement as sequence number; to others sequence number 0, and an acknowledgement of all that
 * the segment takes up; to a reset nothing.
 */

#ifndef WEIR_NET_RESET_H
#define WEIR_NET_RESET_H

#include "dataplane/net/packet.h"

#include <stdbool.h>
#include <stdint.h>

/* May the packet be answered with a reset? A whole TCP segment from a single host, and no reset itself. */
bool reset_allowed(struct rte_mbuf *m);

/*
 * Turn a segment into the reset that refuses it, on its way back to where it came from. The packet's state is
 * that of one which Weir made itself, to leave by the port that it came in by.
 *
 * m    as it was received; reset_allowed()
 * mac  link address of the port that it came in by
 */
void reset_make(struct rte_mbuf *m, const uint8_t mac[6]);

/*
 * Make a segment that its receiver cannot accept, as its numbers are none of the connection's; so it tells where it
 * stands (RFC 9293, 3.10.7.4). Link addresses are left to the caller.
 *
 * m      empty
 * addrs  8 or 32 bytes as in a packet of the receiver's: its own address first; ports likewise
 */
void reset_probe_make(struct rte_mbuf *m, const uint8_t *addrs, uint32_t ports, bool ipv6);

#define RESET_PROBE_BYTES 60u /* of it from its IP header on, at most */

/* The same from its IP header on. Returns its bytes. Any thread. */
uint32_t reset_probe_write(uint8_t *l3, const uint8_t *addrs, uint32_t ports, bool ipv6);

#endif
