/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/net/proxy.h"

#include "dataplane/net/checksum.h"
#include "dataplane/net/rewrite.h"

#include <netinet/in.h>
#include <string.h>

#define VERSION_AND_COMMAND 0x21u /* version 2, PROXY */
#define STREAM_IPV4	    0x11u
#define STREAM_IPV6	    0x21u

#define TCP_SEQUENCE	    4u
#define TCP_ACKNOWLEDGEMENT 8u
#define TCP_WINDOW	    14u
#define TCP_URGENT	    18u
#define TCP_HEADER_BYTES    20u
#define TCP_URG		    0x20u
#define TCP_ACK		    0x10u

enum tcp_option {
	OPTION_END = 0,
	OPTION_NOP = 1,
	OPTION_MSS = 2,
	OPTION_SACK = 5,
};

#define MSS_LEAST 64u /* less would be nonsense, and helps nobody */

static uint32_t load_be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void store_be32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
}

static uint32_t load_be16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

static void store_be16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static uint32_t tcp_header_bytes(const uint8_t *tcp)
{
	return (uint32_t)(tcp[12] >> 4) * 4;
}

/* Sum of all of the TCP header but its checksum. */
static uint16_t header_sum(const uint8_t *tcp)
{
	uint64_t sum = checksum_add(0, tcp, REWRITE_TCP_CHECKSUM);

	sum = checksum_add(sum, tcp + TCP_URGENT, tcp_header_bytes(tcp) - TCP_URGENT);
	return checksum_fold(sum);
}

static void checksum_follow(uint8_t *tcp, uint64_t delta)
{
	uint16_t check;

	memcpy(&check, tcp + REWRITE_TCP_CHECKSUM, sizeof(check));
	check = checksum_apply(check, delta);
	memcpy(tcp + REWRITE_TCP_CHECKSUM, &check, sizeof(check));
}

/* The header has changed since `before` was its header_sum(). */
static void header_follow(uint8_t *tcp, uint16_t before)
{
	checksum_follow(tcp, checksum_delta16(before, header_sum(tcp)));
}

uint32_t proxy_header_write(uint8_t *to, const void *addrs, uint32_t ports, const bool ipv6)
{
	static const uint8_t signature[12] = { 0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55,
		0x49, 0x54, 0x0a };
	const uint32_t addr_bytes = ipv6 ? 32 : 8;

	memcpy(to, signature, sizeof(signature));
	to[12] = VERSION_AND_COMMAND;
	to[13] = ipv6 ? STREAM_IPV6 : STREAM_IPV4;
	store_be16(to + 14, addr_bytes + 4);
	memcpy(to + 16, addrs, addr_bytes);
	memcpy(to + 16 + addr_bytes, &ports, sizeof(ports));
	return 20 + addr_bytes;
}

void proxy_shift(uint8_t *tcp, uint32_t bytes)
{
	uint32_t from, to;

	memcpy(&from, tcp + TCP_SEQUENCE, sizeof(from));
	store_be32(tcp + TCP_SEQUENCE, ntohl(from) + bytes);
	memcpy(&to, tcp + TCP_SEQUENCE, sizeof(to));
	checksum_follow(tcp, checksum_delta32(from, to));
}

/* The datagram becomes longer or shorter. Returns what that adds to the TCP checksum's sum. */
static uint64_t length_change(uint8_t *ip, uint32_t tcp_bytes, int32_t by)
{
	const bool ipv6 = ip[0] >> 4 == 6;
	uint8_t *field = ip + (ipv6 ? 4 : 2);
	uint16_t from, to, check;

	memcpy(&from, field, sizeof(from));
	store_be16(field, (uint32_t)((int32_t)ntohs(from) + by));
	memcpy(&to, field, sizeof(to));
	if (!ipv6) {
		memcpy(&check, ip + REWRITE_IPV4_CHECKSUM, sizeof(check));
		check = checksum_apply(check, checksum_delta16(from, to));
		memcpy(ip + REWRITE_IPV4_CHECKSUM, &check, sizeof(check));
	}
	return checksum_delta32(htonl(tcp_bytes), htonl((uint32_t)((int32_t)tcp_bytes + by)));
}

void proxy_insert(
	uint8_t *ip, uint8_t *tcp, uint32_t tcp_bytes, const uint8_t *header, uint32_t bytes)
{
	uint16_t before = header_sum(tcp);
	uint64_t delta = length_change(ip, tcp_bytes, (int32_t)bytes);

	memcpy(tcp + tcp_header_bytes(tcp), header, bytes);
	if (tcp[13] & TCP_URG)
		store_be16(tcp + TCP_URGENT, load_be16(tcp + TCP_URGENT) + bytes);
	delta += checksum_delta16(before, header_sum(tcp));
	checksum_follow(tcp, delta + checksum_fold(checksum_add(0, header, bytes)));
}

void proxy_cut(uint8_t *ip, uint8_t *tcp, uint32_t tcp_bytes)
{
	uint32_t header = tcp_header_bytes(tcp);
	uint32_t payload = tcp_bytes - header;
	uint16_t sum = checksum_fold(checksum_add(0, tcp + header, payload));
	uint64_t delta = length_change(ip, tcp_bytes, -(int32_t)payload);

	checksum_follow(tcp, delta + checksum_delta16(sum, 0));
}

/*
 * The next option of a kind from *at on; it lies whole in the header, with at least `least` bytes. NULL: there
 * is none.
 */
static uint8_t *option_find(uint8_t *tcp, enum tcp_option kind, uint32_t least)
{
	uint32_t end = tcp_header_bytes(tcp);
	uint32_t at = TCP_HEADER_BYTES;

	while (at < end && tcp[at] != OPTION_END) {
		if (tcp[at] == OPTION_NOP) {
			at++;
			continue;
		}
		if (at + 2 > end || tcp[at + 1] < 2 || at + tcp[at + 1] > end)
			return NULL;
		if (tcp[at] == kind)
			return tcp[at + 1] >= least ? tcp + at : NULL;
		at += tcp[at + 1];
	}
	return NULL;
}

void proxy_make_room(uint8_t *tcp, uint32_t bytes)
{
	uint16_t before = header_sum(tcp);
	uint8_t *option = option_find(tcp, OPTION_MSS, 4);
	uint32_t mss = option ? load_be16(option + 2) : 0;
	uint32_t window = load_be16(tcp + TCP_WINDOW);

	if (mss >= MSS_LEAST + bytes)
		store_be16(option + 2, mss - bytes);
	store_be16(tcp + TCP_WINDOW, window > bytes ? window - bytes : 0);
	header_follow(tcp, before);
}

/* A number of the backend's as the client knows it; within the header, that of the first byte. */
static uint32_t number_back(uint32_t number, uint32_t first, uint32_t bytes)
{
	int32_t ahead = (int32_t)(number - first);

	if (ahead <= 0)
		return number;
	return (uint32_t)ahead < bytes ? first : number - bytes;
}

static void sack_back(uint8_t *option, uint32_t first, uint32_t bytes)
{
	for (uint32_t at = 2; at + 8 <= option[1]; at += 4) {
		store_be32(option + at, number_back(load_be32(option + at), first, bytes));
		at += 4;
		store_be32(option + at, number_back(load_be32(option + at), first, bytes));
	}
}

bool proxy_acknowledge(uint8_t *tcp, uint32_t first, uint32_t bytes)
{
	uint32_t number = load_be32(tcp + TCP_ACKNOWLEDGEMENT);
	uint16_t before;
	uint8_t *sack;

	if (!(tcp[13] & TCP_ACK))
		return false;
	before = header_sum(tcp);
	store_be32(tcp + TCP_ACKNOWLEDGEMENT, number_back(number, first, bytes));
	sack = option_find(tcp, OPTION_SACK, 10);
	if (sack)
		sack_back(sack, first, bytes);
	header_follow(tcp, before);
	return (int32_t)(number - first) >= (int32_t)bytes;
}
