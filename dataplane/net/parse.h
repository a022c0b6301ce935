/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * From a frame to offsets, ports and a verdict: Ethernet, up to two 802.1Q/802.1ad tags, IPv4 with
 * options, IPv6 with extension headers, TCP and UDP, ICMP errors about them. Pure: reads the frame, writes
 * struct packet.
 *
 * All headers up to the end of the L4 header must lie in the first segment; a packet whose headers do
 * not is malformed. Payload may be anywhere. Bytes behind the IP datagram (Ethernet padding) are
 * ignored. The verdicts:
 *
 * NOT_OURS      not IP, group-addressed frame, a protocol other than TCP and UDP (also in fragments),
 *               an IPv6 routing header with segments left, a jumbogram
 * FRAGMENT      TCP or UDP, in fragments. l3_offset, l4_proto and fragment_* are set, and of the first
 *               fragment all that OK sets. An IPv6 fragment header on a whole datagram (RFC 6946) is
 *               not a fragment. XXX: later IPv6 fragments name only the header that stands behind the
 *               fragment header; where that is another extension header, they are NOT_OURS.
 * ICMP_ERROR    unreachable, too big, time exceeded or parameter problem, whole, with at least 8 bytes
 *               of the L4 header of a quoted TCP or UDP packet (or its first fragment), whose source is
 *               the destination of this one. l4_offset is the ICMP header, payload_offset the quoted IP
 *               header; l4_proto is the quoted packet's.
 * MALFORMED_L4  l3_offset and l4_proto are set, but the IPv4 header checksum is wrong, the datagram is
 *               longer than the frame, the L4 header is cut off (also by a first fragment too small for
 *               it, RFC 1858 and RFC 7112), a later fragment claims to hold a part of it (RFC 3128), a
 *               fragment is empty, not of a multiple of 8 bytes or ends beyond 65,535, the TCP data
 *               offset or the UDP length contradicts the datagram's length
 * MALFORMED_L3  too short for an IP header, wrong version, IPv4 header length under 20 bytes or cut
 *               off, an IPv6 extension header chain that is cut off or has more than
 *               PARSE_MAX_EXTENSIONS headers: whose it is cannot be known
 */

#ifndef WEIR_NET_PARSE_H
#define WEIR_NET_PARSE_H

#include "dataplane/net/packet.h"

#include <stdint.h>

#define PARSE_MAX_EXTENSIONS 8

/*
 * Parse one frame. p was set up with packet_reset(); everything marked "parse" is written.
 *
 * data        first segment
 * data_bytes  bytes in the first segment
 * frame_bytes bytes in all segments, at least data_bytes
 *
 * Returns p->verdict.
 */
enum parse_verdict parse_one(
	const uint8_t *data, uint32_t data_bytes, uint32_t frame_bytes, struct packet *p);

/*
 * The same for a frame of which a device has found that the sum of the IPv4 header is right: it is not computed
 * again. That is believed of what every device looks at, an untagged frame with a header without options; of
 * others some drivers say so though their device has not looked.
 */
enum parse_verdict parse_one_summed(
	const uint8_t *data, uint32_t data_bytes, uint32_t frame_bytes, struct packet *p);

#endif
