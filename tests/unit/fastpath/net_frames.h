/* SPDX-License-Identifier: BSD-3-Clause */

/* Frames for the tests of dataplane/net, with checksums by a slow, plain method of their own. */

#ifndef WEIR_TESTS_UNIT_FASTPATH_NET_FRAMES_H
#define WEIR_TESTS_UNIT_FASTPATH_NET_FRAMES_H

#include "tests/unit/fastpath/random.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct frame {
	uint8_t data[2048];
	uint32_t bytes;
	uint32_t l3, l4, payload; /* offsets */
	uint32_t payload_bytes;
	uint8_t l4_proto;
	bool ipv6;
};

struct frame_shape {
	bool ipv6;
	uint8_t tags;
	uint8_t l4_proto;
	uint8_t ipv4_options; /* bytes, multiple of 4, up to 40 */
	uint8_t tcp_options; /* bytes, multiple of 4, up to 40 */
	const uint8_t *extensions; /* IPv6: headers to go in between, as they are */
	uint32_t extension_bytes;
	uint8_t first_header; /* IPv6: type of the first of them */
	uint32_t payload_bytes;
	uint32_t padding; /* bytes behind the datagram */
};

static inline void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline uint32_t get16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

/* One's complement sum of big-endian words, byte by byte. */
static inline uint32_t plain_sum(uint32_t sum, const uint8_t *p, uint32_t bytes)
{
	for (uint32_t i = 0; i < bytes; i++) {
		sum += i % 2 == 0 ? (uint32_t)p[i] << 8 : p[i];
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return sum;
}

static inline uint32_t plain_pseudo(const struct frame *f)
{
	uint32_t l4_bytes = f->payload - f->l4 + f->payload_bytes;
	uint32_t sum = f->ipv6 ? plain_sum(0, f->data + f->l3 + 8, 32) :
				 plain_sum(0, f->data + f->l3 + 12, 8);

	sum += f->l4_proto + l4_bytes;
	return (sum & 0xffff) + (sum >> 16);
}

static inline uint8_t *frame_l4_checksum(struct frame *f)
{
	return f->data + f->l4 + (f->l4_proto == 6 ? 16 : 6);
}

/* Set both checksums by the plain method. */
static inline void frame_seal(struct frame *f)
{
	uint8_t *field = frame_l4_checksum(f);

	if (!f->ipv6) {
		uint32_t header = (uint32_t)(f->data[f->l3] & 15) * 4;

		put16(f->data + f->l3 + 10, 0);
		put16(f->data + f->l3 + 10, ~plain_sum(0, f->data + f->l3, header) & 0xffff);
	}
	put16(field, 0);
	uint32_t sum =
		plain_sum(plain_pseudo(f), f->data + f->l4, f->payload - f->l4 + f->payload_bytes);
	uint32_t value = ~sum & 0xffff;

	put16(field, value == 0 && f->l4_proto == 17 ? 0xffff : value);
}

static inline void frame_ip_header(
	struct frame *f, const struct frame_shape *shape, uint32_t l4_bytes)
{
	uint8_t *l3 = f->data + f->l3;

	if (shape->ipv6) {
		l3[0] = 0x60;
		put16(l3 + 4, shape->extension_bytes + l4_bytes);
		l3[6] = shape->extension_bytes != 0 ? shape->first_header : shape->l4_proto;
		l3[7] = 64;
		l3[8] = 0x20;
		l3[24] = 0x20;
		if (shape->extension_bytes != 0)
			memcpy(l3 + 40, shape->extensions, shape->extension_bytes);
		return;
	}
	l3[0] = (uint8_t)(0x40 | (20 + shape->ipv4_options) / 4);
	put16(l3 + 2, 20u + shape->ipv4_options + l4_bytes);
	l3[6] = 0x40;
	l3[7] = 0;
	l3[8] = 64;
	l3[9] = shape->l4_proto;
	l3[12] = 10;
	l3[16] = 192;
	memset(l3 + 20, 1, shape->ipv4_options); /* no-operation */
}

/* A right frame of a shape, with random addresses, ports and payload. */
static inline void frame_make(struct frame *f, const struct frame_shape *shape, struct random *r)
{
	uint32_t header = shape->l4_proto == 6 ? 20u + shape->tcp_options : 8u;

	for (uint32_t i = 0; i < sizeof(f->data); i += 8) {
		uint64_t v = random_next(r);

		memcpy(f->data + i, &v, 8);
	}
	f->ipv6 = shape->ipv6;
	f->l4_proto = shape->l4_proto;
	f->l3 = 14u + 4u * shape->tags;
	f->l4 = f->l3 + (shape->ipv6 ? 40 + shape->extension_bytes : 20u + shape->ipv4_options);
	f->payload = f->l4 + header;
	f->payload_bytes = shape->payload_bytes;
	f->bytes = f->payload + f->payload_bytes + shape->padding;
	f->data[0] &= 0xfe;
	for (uint32_t t = 0; t < shape->tags; t++)
		put16(f->data + 12 + 4 * t, t == 0 && shape->tags == 2 ? 0x88a8 : 0x8100);
	put16(f->data + f->l3 - 2, shape->ipv6 ? 0x86dd : 0x0800);
	frame_ip_header(f, shape, header + shape->payload_bytes);
	if (shape->l4_proto == 6)
		f->data[f->l4 + 12] = (uint8_t)(header / 4 << 4);
	else
		put16(f->data + f->l4 + 4, header + shape->payload_bytes);
	frame_seal(f);
}

#endif
