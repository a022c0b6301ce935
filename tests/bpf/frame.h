/* SPDX-License-Identifier: BSD-3-Clause */

/* Frames for the XDP program's tests, laid out byte by byte. */

#ifndef WEIR_TESTS_BPF_FRAME_H
#define WEIR_TESTS_BPF_FRAME_H

#include <arpa/inet.h>
#include <stdint.h>
#include <string.h>

struct frame {
	uint8_t bytes[1600];
	uint32_t length;
};

static const uint8_t frame_mac[6] = { 0x02, 0, 0, 0, 0, 0x10 };

static inline void frame_add(struct frame *f, const void *p, uint32_t n)
{
	memcpy(f->bytes + f->length, p, n);
	f->length += n;
}

static inline void frame_add8(struct frame *f, unsigned int v)
{
	f->bytes[f->length++] = (uint8_t)v;
}

static inline void frame_add16(struct frame *f, unsigned int v)
{
	frame_add8(f, v >> 8);
	frame_add8(f, v & 0xff);
}

static inline void frame_zeroes(struct frame *f, uint32_t n)
{
	memset(f->bytes + f->length, 0, n);
	f->length += n;
}

/* Destination, source, and the type of what follows; tags first when there are any. */
static inline struct frame frame_start(unsigned int tags, unsigned int type)
{
	struct frame f = { .length = 0 };

	frame_add(&f, frame_mac, 6);
	frame_add(&f, "\x02\0\0\0\0\x20", 6);
	for (unsigned int i = 0; i < tags; i++) {
		frame_add16(&f, i + 1 < tags ? 0x88a8 : 0x8100);
		frame_add16(&f, 100 + i);
	}
	frame_add16(&f, type);
	return f;
}

/* options: bytes of IPv4 options, a multiple of 4; fragment: the flags and offset field. */
static inline void frame_ipv4(struct frame *f, const char *to, uint8_t protocol,
	unsigned int options, unsigned int fragment)
{
	struct in_addr a;

	inet_pton(AF_INET, to, &a);
	frame_add8(f, 0x40 | (5 + options / 4));
	frame_add8(f, 0);
	frame_add16(f, 20 + options + 20);
	frame_add16(f, 1);
	frame_add16(f, fragment);
	frame_add8(f, 64);
	frame_add8(f, protocol);
	frame_add16(f, 0);
	frame_add(f, "\xc6\x33\x64\x01", 4);
	frame_add(f, &a, 4);
	for (unsigned int i = 0; i < options; i++)
		frame_add8(f, 1);
}

static inline void frame_ipv6(struct frame *f, const char *to, uint8_t next)
{
	struct in6_addr a;

	inet_pton(AF_INET6, to, &a);
	frame_add(f, "\x60\0\0\0", 4);
	frame_add16(f, 100);
	frame_add8(f, next);
	frame_add8(f, 64);
	frame_zeroes(f, 16);
	frame_add(f, &a, 16);
}

/* An IPv6 extension header of 8 * (units + 1) bytes. */
static inline void frame_extension(struct frame *f, uint8_t next, unsigned int units)
{
	frame_add8(f, next);
	frame_add8(f, units);
	frame_zeroes(f, 6 + 8 * units);
}

/* Ports and 16 bytes more: enough for TCP's fixed header. */
static inline void frame_ports(struct frame *f, uint16_t from, uint16_t to)
{
	frame_add16(f, from);
	frame_add16(f, to);
	frame_zeroes(f, 16);
}

#endif
