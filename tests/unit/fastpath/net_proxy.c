/* SPDX-License-Identifier: BSD-3-Clause */

/* The PROXY header in a stream: bytes, checksums, and a model of a client and a backend that lose packets. */

#include "dataplane/net/proxy.h"
#include "tests/unit/fastpath/net_frames.h"
#include "tests/unit/tap.h"

#include <netinet/in.h>

#define ROUNDS 20000

static struct frame frame;

static uint32_t get32(const uint8_t *p)
{
	return get16(p) << 16 | get16(p + 2);
}

static void put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v & 0xffff);
}

/* The frame as it is, against itself with checksums made anew. */
static void check_sealed(void)
{
	struct frame again = frame;

	frame_seal(&again);
	CU_ASSERT_EQUAL(memcmp(again.data, frame.data, frame.bytes), 0);
}

static void make(struct random *r, bool ipv6, uint32_t payload, uint8_t flags)
{
	const struct frame_shape shape = {
		.ipv6 = ipv6,
		.l4_proto = 6,
		.ipv4_options = (uint8_t)(random_below(r, 4) == 0 ? 4 * random_below(r, 11) : 0),
		.tcp_options = (uint8_t)(4 * random_below(r, 11)),
		.payload_bytes = payload,
		.padding = random_below(r, 4),
	};

	frame_make(&frame, &shape, r);
	frame.data[frame.l4 + 13] = flags;
	memset(frame.data + frame.l4 + 20, 1, shape.tcp_options); /* no-operation */
	frame_seal(&frame);
}

/* What the stage does with its buffer. */
static void insert(const uint8_t *header, uint32_t bytes)
{
	const uint32_t l4_bytes = frame.payload - frame.l4 + frame.payload_bytes;

	memmove(frame.data + frame.payload + bytes, frame.data + frame.payload,
		frame.bytes - frame.payload);
	frame.payload_bytes += bytes;
	frame.bytes += bytes;
	proxy_insert(frame.data + frame.l3, frame.data + frame.l4, l4_bytes, header, bytes);
}

static void header_bytes(void)
{
	static const uint8_t want4[28] = { 0x0d, 0x0a, 0x0d, 0x0a, 0, 0x0d, 0x0a, 'Q', 'U', 'I',
		'T', 0x0a, 0x21, 0x11, 0, 12, 198, 51, 100, 7, 203, 0, 113, 10, 0x9c, 0x40, 0, 80 };
	static const uint8_t addrs4[8] = { 198, 51, 100, 7, 203, 0, 113, 10 };
	const uint8_t ports_bytes[4] = { 0x9c, 0x40, 0, 80 };
	uint8_t addrs6[32], got[PROXY_HEADER_MAX];
	uint32_t ports;

	memcpy(&ports, ports_bytes, 4);
	CU_ASSERT_EQUAL(proxy_header_write(got, addrs4, ports, false), 28);
	CU_ASSERT_EQUAL(memcmp(got, want4, sizeof(want4)), 0);
	for (uint8_t i = 0; i < 32; i++)
		addrs6[i] = i;
	CU_ASSERT_EQUAL(proxy_header_write(got, addrs6, ports, true), 52);
	CU_ASSERT_EQUAL(memcmp(got, want4, 13), 0);
	CU_ASSERT_EQUAL(got[13], 0x21);
	CU_ASSERT_EQUAL(get16(got + 14), 36);
	CU_ASSERT_EQUAL(memcmp(got + 16, addrs6, 32), 0);
	CU_ASSERT_EQUAL(memcmp(got + 48, ports_bytes, 4), 0);
}

static void inserting(void)
{
	struct random r = random_start("insert");

	for (uint32_t i = 0; i < ROUNDS; i++) {
		const bool ipv6 = i & 1;
		const uint32_t bytes = proxy_header_bytes(ipv6);
		uint8_t header[PROXY_HEADER_MAX];
		struct frame before;

		make(&r, ipv6, random_below(&r, 3) ? random_below(&r, 200) : 0,
			random_below(&r, 4) ? 0x10 : 0x30);
		proxy_header_write(header, frame.data + 100, 7, ipv6);
		before = frame;
		insert(header, bytes);
		check_sealed();
		CU_ASSERT_EQUAL(memcmp(frame.data + frame.payload, header, bytes), 0);
		CU_ASSERT_EQUAL(memcmp(frame.data + frame.payload + bytes,
					before.data + before.payload, before.payload_bytes),
			0);
		if (frame.data[frame.l4 + 13] & 0x20)
			CU_ASSERT_EQUAL(get16(frame.data + frame.l4 + 18),
				(get16(before.data + frame.l4 + 18) + bytes) & 0xffff);
	}
}

static void cutting(void)
{
	struct random r = random_start("cut");

	for (uint32_t i = 0; i < ROUNDS; i++) {
		make(&r, i & 1, random_below(&r, 300), 0x02);
		proxy_cut(frame.data + frame.l3, frame.data + frame.l4,
			frame.payload - frame.l4 + frame.payload_bytes);
		frame.payload_bytes = 0;
		frame.bytes = frame.payload;
		check_sealed();
		CU_ASSERT_EQUAL(get16(frame.data + frame.l3 + (frame.ipv6 ? 4 : 2)),
			frame.bytes - (frame.ipv6 ? frame.l4 : frame.l3));
	}
}

static void shifting(void)
{
	struct random r = random_start("shift");

	for (uint32_t i = 0; i < ROUNDS; i++) {
		uint32_t sequence;

		make(&r, i & 1, 10, 0x10);
		if (random_below(&r, 4) == 0) {
			put32(frame.data + frame.l4 + 4, UINT32_MAX - random_below(&r, 60));
			frame_seal(&frame);
		}
		sequence = get32(frame.data + frame.l4 + 4);
		CU_ASSERT_EQUAL(proxy_sequence(frame.data + frame.l4), sequence);
		proxy_shift(frame.data + frame.l4, 52);
		CU_ASSERT_EQUAL(get32(frame.data + frame.l4 + 4), sequence + 52);
		check_sealed();
	}
}

static void making_room(void)
{
	static const struct {
		uint16_t mss, window, mss_then, window_then;
	} cases[] = { { 1460, 65535, 1432, 65507 }, { 92, 28, 64, 0 }, { 91, 10, 91, 0 } };
	struct random r = random_start("room");

	for (uint32_t i = 0; i < 3 * 60; i++) {
		uint32_t at = i / 3 % 5; /* also at odd places */
		uint8_t *tcp;

		make(&r, false, 0, 0x12);
		frame.data[frame.l4 + 12] = 0x80; /* three words of options */
		frame.payload = frame.l4 + 32;
		frame.bytes = frame.payload;
		put16(frame.data + frame.l3 + 2, frame.bytes - frame.l3);
		tcp = frame.data + frame.l4;
		memset(tcp + 20, 1, 12);
		memcpy(tcp + 20 + at, (uint8_t[]){ 2, 4 }, 2);
		put16(tcp + 22 + at, cases[i % 3].mss);
		put16(tcp + 14, cases[i % 3].window);
		frame_seal(&frame);
		proxy_make_room(tcp, 28);
		CU_ASSERT_EQUAL(get16(tcp + 22 + at), cases[i % 3].mss_then);
		CU_ASSERT_EQUAL(get16(tcp + 14), cases[i % 3].window_then);
		check_sealed();
	}
}

/* Options as an attacker may write them: nothing outside of the header is read or written. */
static void damaged_options(void)
{
	struct random r = random_start("options");

	for (uint32_t i = 0; i < ROUNDS; i++) {
		struct frame before;

		make(&r, i & 1, 20, 0x10);
		for (uint32_t k = frame.l4 + 20; k < frame.payload; k++)
			frame.data[k] = (uint8_t)random_below(&r, random_below(&r, 2) ? 8 : 256);
		frame_seal(&frame);
		before = frame;
		if (random_below(&r, 2))
			proxy_make_room(frame.data + frame.l4, 28);
		else
			proxy_acknowledge(frame.data + frame.l4, (uint32_t)random_next(&r), 28);
		check_sealed();
		CU_ASSERT_EQUAL(memcmp(frame.data + frame.payload, before.data + frame.payload,
					frame.bytes - frame.payload),
			0);
		CU_ASSERT_EQUAL(memcmp(frame.data, before.data, frame.l4), 0);
	}
}

static void acknowledging(void)
{
	static const struct {
		int32_t backend, client; /* from the first byte on */
		bool acked;
	} cases[] = { { -1, -1, false }, { 0, 0, false }, { 1, 0, false }, { 27, 0, false },
		{ 28, 0, true }, { 29, 1, true }, { 100000, 99972, true } };
	struct random r = random_start("acknowledge");

	for (uint32_t i = 0; i < 7 * 100; i++) {
		const uint32_t first = random_below(&r, 2) ? (uint32_t)random_next(&r) : 0xfffffff0;
		const uint32_t k = i % 7;
		const uint32_t at = i / 7 % 3; /* no-operations before the SACK option */
		uint8_t *tcp;

		make(&r, i & 1, 3, 0x10);
		tcp = frame.data + frame.l4;
		if (frame.payload - frame.l4 < 44)
			continue;
		put32(tcp + 8, first + (uint32_t)cases[k].backend);
		memcpy(tcp + 20 + at, (uint8_t[]){ 5, 18 }, 2);
		put32(tcp + 22 + at, first + 1000);
		put32(tcp + 26 + at, first + 2000);
		put32(tcp + 30 + at, first); /* a duplicate of the header: nothing to the client */
		put32(tcp + 34 + at, first + 28);
		frame_seal(&frame);
		CU_ASSERT_EQUAL(proxy_acknowledge(tcp, first, 28), cases[k].acked);
		CU_ASSERT_EQUAL(get32(tcp + 8), first + (uint32_t)cases[k].client);
		CU_ASSERT_EQUAL(get32(tcp + 22 + at), first + 972);
		CU_ASSERT_EQUAL(get32(tcp + 26 + at), first + 1972);
		CU_ASSERT_EQUAL(get32(tcp + 30 + at), first);
		CU_ASSERT_EQUAL(get32(tcp + 34 + at), first);
		check_sealed();
	}
	make(&r, false, 0, 0x04); /* a reset without acknowledgement */
	CU_ASSERT_FALSE(proxy_acknowledge(frame.data + frame.l4, 0, 28));
	check_sealed();
}

/* ---- a stream ---- */

#define STREAM 2000u

struct stream {
	uint32_t first;
	uint8_t data[STREAM]; /* what the client says */
	uint32_t client_acked; /* as the client believes */
	uint8_t got[STREAM + PROXY_HEADER_MAX]; /* what the backend has */
	bool have[STREAM + PROXY_HEADER_MAX];
	uint32_t backend_next;
	bool acked;
	uint8_t header[PROXY_HEADER_MAX];
	uint32_t bytes;
};

/* A segment of the client on its way; lost ones get as far as Weir, or not. */
static void client_sends(
	struct stream *s, struct random *r, uint32_t at, uint32_t length, bool lost)
{
	uint8_t *tcp;
	uint32_t place;

	make(r, s->bytes == 52, length, 0x10);
	tcp = frame.data + frame.l4;
	put32(tcp + 4, s->first + at);
	memcpy(frame.data + frame.payload, s->data + at, length);
	frame_seal(&frame);
	switch (proxy_need(tcp, s->first, s->acked)) {
	case PROXY_INSERT:
		insert(s->header, s->bytes);
		break;
	case PROXY_SHIFT:
		proxy_shift(tcp, s->bytes);
		break;
	case PROXY_NOTHING:
		break;
	}
	check_sealed();
	if (lost)
		return;
	place = get32(tcp + 4) - s->first;
	for (uint32_t i = 0; i < frame.payload_bytes; i++) {
		uint8_t byte = frame.data[frame.payload + i];

		CU_ASSERT_FATAL(place + i < sizeof(s->got));
		CU_ASSERT_TRUE(!s->have[place + i] || s->got[place + i] == byte);
		s->have[place + i] = true;
		s->got[place + i] = byte;
	}
	while (s->backend_next < STREAM + s->bytes && s->have[s->backend_next])
		s->backend_next++;
}

static void backend_acknowledges(struct stream *s, struct random *r, bool lost)
{
	uint8_t *tcp;
	uint32_t number;

	make(r, s->bytes == 52, 0, 0x10);
	tcp = frame.data + frame.l4;
	put32(tcp + 8, s->first + s->backend_next);
	frame_seal(&frame);
	if (proxy_acknowledge(tcp, s->first, s->bytes))
		s->acked = true;
	check_sealed();
	number = get32(tcp + 8) - s->first;
	CU_ASSERT_EQUAL(number, s->backend_next > s->bytes ? s->backend_next - s->bytes : 0);
	if (!lost && number > s->client_acked)
		s->client_acked = number;
}

/* Segments of any cut, in any order, doubled, lost on either side of Weir: the backend gets header + data. */
static void streams(void)
{
	struct random r = random_start("streams");

	for (uint32_t round = 0; round < 300; round++) {
		struct stream s = { .first = round & 2 ? (uint32_t)random_next(&r) : 0xfffffc00 };
		uint32_t turns = 0;

		s.bytes = proxy_header_bytes(round & 1);
		for (uint32_t i = 0; i < STREAM; i++)
			s.data[i] = (uint8_t)random_next(&r);
		proxy_header_write(s.header, s.data + 5, 99, round & 1);
		while (s.client_acked < STREAM) {
			/* Go back at most to what is acknowledged, as TCP does; or a bit before it. */
			uint32_t ahead = random_below(&r, 600);
			uint32_t at = s.client_acked + (random_below(&r, 2) ? 0 : ahead);
			uint32_t length = random_below(&r, 8) ? random_below(&r, 400) : 0;

			CU_ASSERT_FATAL(++turns < 100000);
			at = at < STREAM ? at : STREAM;
			length = at + length < STREAM ? length : STREAM - at;
			client_sends(&s, &r, at, length, random_below(&r, 3) == 0);
			if (random_below(&r, 2))
				backend_acknowledges(&s, &r, random_below(&r, 3) == 0);
		}
		CU_ASSERT_EQUAL(s.backend_next, STREAM + s.bytes);
		CU_ASSERT_EQUAL(memcmp(s.got, s.header, s.bytes), 0);
		CU_ASSERT_EQUAL(memcmp(s.got + s.bytes, s.data, STREAM), 0);
	}
}

static const struct tap_case cases[] = {
	{ "a header is as the specification says", header_bytes },
	{ "an inserted header leaves a right packet", inserting },
	{ "a SYN without its data is a right packet", cutting },
	{ "sequence numbers move on, also over the wrap", shifting },
	{ "MSS and window leave room for the header", making_room },
	{ "damaged options harm nothing", damaged_options },
	{ "acknowledgements and SACK blocks come back as the client's", acknowledging },
	{ "streams with loss, repeats and any cut arrive behind one header", streams },
};

TAP_MAIN("proxy", cases)
