/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A PROXY protocol header as the first bytes of a TCP stream that others write and read: it is put in
 * front of the client's first byte, and from there on the client's sequence numbers, the backend's
 * acknowledgements and its SACK blocks differ by the header's length. Pure: on one packet's headers, with what
 * is remembered of the flow as parameters; checksums follow by RFC 1624, so wrong ones stay wrong.
 *
 * The first byte of the client has the sequence number `first`. All numbers are in host order.
 *
 * Source: "The PROXY protocol, versions 1 & 2", section 2.2, haproxy.org; RFC 9293; RFC 2018 (SACK).
 */

#ifndef WEIR_NET_PROXY_H
#define WEIR_NET_PROXY_H

#include <stdbool.h>
#include <stdint.h>

#define PROXY_HEADER_MAX 52u

static inline uint32_t proxy_header_bytes(const bool ipv6)
{
	return ipv6 ? 52 : 28;
}

/*
 * Write the header of a connection; returns its length.
 *
 * addrs, ports  of the client's packets: source and destination as in their headers
 */
uint32_t proxy_header_write(uint8_t *to, const void *addrs, uint32_t ports, const bool ipv6);

static inline uint32_t proxy_sequence(const uint8_t *tcp)
{
	return (uint32_t)tcp[4] << 24 | (uint32_t)tcp[5] << 16 | (uint32_t)tcp[6] << 8 | tcp[7];
}

/* What a segment of the client (no SYN) needs. */
enum proxy_need {
	PROXY_NOTHING, /* it lies before the first byte, or ends the connection there */
	PROXY_SHIFT, /* its sequence number */
	PROXY_INSERT, /* the header, as it begins the stream */
};

/* acked: the backend has acknowledged the header */
static inline enum proxy_need proxy_need(const uint8_t *tcp, uint32_t first, bool acked)
{
	int32_t ahead = (int32_t)(proxy_sequence(tcp) - first);

	if (acked || ahead > 0)
		return PROXY_SHIFT;
	/*
	 * A reset at the first byte goes as it is: one who has not got the header takes it; one who has
	 * answers with an acknowledgement (RFC 5961), and the reset that follows is shifted.
	 */
	return ahead == 0 && !(tcp[13] & 0x04) ? PROXY_INSERT : PROXY_NOTHING;
}

void proxy_shift(uint8_t *tcp, uint32_t bytes);

/*
 * Put the header between a segment's TCP header and its payload, where there is room already.
 *
 * ip, tcp    the packet's headers, moved forward by `bytes`
 * tcp_bytes  TCP header and payload without the PROXY header
 * header     `bytes` bytes, an even number
 */
void proxy_insert(
	uint8_t *ip, uint8_t *tcp, uint32_t tcp_bytes, const uint8_t *header, uint32_t bytes);

/*
 * Take the payload off a SYN, so that nothing comes before the header; the client sends it again.
 *
 * tcp_bytes  TCP header and payload, all in one piece
 */
void proxy_cut(uint8_t *ip, uint8_t *tcp, uint32_t tcp_bytes);

/*
 * Let the client's segments leave room for the header: MSS and window of the backend's SYN-ACK. Without the
 * option the client takes the least of all, and there is room.
 */
void proxy_make_room(uint8_t *tcp, uint32_t bytes);

/*
 * Acknowledgement and SACK blocks of a segment of the backend (no SYN), as the client has to see them.
 * Returns true when it acknowledges the header.
 */
bool proxy_acknowledge(uint8_t *tcp, uint32_t first, uint32_t bytes);

#endif
