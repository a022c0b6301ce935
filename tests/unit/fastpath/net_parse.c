/* SPDX-License-Identifier: BSD-3-Clause */

/* The parser on good frames, on each kind of bad ones, and on random damage. */

#include "dataplane/net/parse.h"
#include "tests/unit/fastpath/net_frames.h"
#include "tests/unit/tap.h"

#define TCP 6
#define UDP 17

static struct frame frame;
static struct packet packet;

static bool sum_known;

static enum parse_verdict parse_cut(uint32_t data_bytes)
{
	packet_reset(&packet, 0, 0, frame.bytes);
	/* From memory of its own, so that the sanitizers see a byte too far. */
	uint8_t *copy = malloc(data_bytes + 1);

	memcpy(copy + 1, frame.data, data_bytes); /* an odd address, as a header may have */
	enum parse_verdict v = (sum_known ? parse_one_summed : parse_one)(
		copy + 1, data_bytes, frame.bytes, &packet);

	free(copy);
	CU_ASSERT_EQUAL(packet.verdict, v);
	return v;
}

static enum parse_verdict parse(void)
{
	return parse_cut(frame.bytes);
}

static void make(struct frame_shape shape)
{
	struct random r = { 1 };

	frame_make(&frame, &shape, &r);
}

static void check_good(uint32_t flags)
{
	CU_ASSERT_EQUAL(parse(), PARSE_OK);
	CU_ASSERT_EQUAL(packet.l3_offset, frame.l3);
	CU_ASSERT_EQUAL(packet.l4_offset, frame.l4);
	CU_ASSERT_EQUAL(packet.payload_offset, frame.payload);
	CU_ASSERT_EQUAL(packet.payload_length, frame.payload_bytes);
	CU_ASSERT_EQUAL(packet.l4_proto, frame.l4_proto);
	CU_ASSERT_EQUAL(packet.flags, flags);
	CU_ASSERT_EQUAL(packet.ttl, 64);
	CU_ASSERT_EQUAL(memcmp(&packet.ports, frame.data + frame.l4, 4), 0);
	CU_ASSERT_EQUAL(memcmp(&packet.sport, frame.data + frame.l4, 2), 0);
	CU_ASSERT_EQUAL(memcmp(&packet.dport, frame.data + frame.l4 + 2, 2), 0);
	CU_ASSERT_EQUAL(packet.tcp_flags, frame.l4_proto == TCP ? frame.data[frame.l4 + 13] : 0);
}

static void good_frames_are_understood(void)
{
	static const uint32_t payloads[] = { 0, 1, 100, 1400 };

	for (uint32_t i = 0; i < 2 * 3 * 2 * 4 * 3; i++) {
		struct frame_shape shape = {
			.ipv6 = i % 2 != 0,
			.tags = i / 2 % 3,
			.l4_proto = i / 6 % 2 ? TCP : UDP,
			.payload_bytes = payloads[i / 12 % 4],
			.ipv4_options = (uint8_t)(i / 48 * 20),
			.tcp_options = (uint8_t)(i / 48 * 20),
			.padding = i % 5,
		};
		uint32_t flags = (shape.ipv6 ? PACKET_F_IPV6 : 0) |
			(shape.tags ? PACKET_F_VLAN : 0) |
			(!shape.ipv6 && shape.ipv4_options ? PACKET_F_EXTENSIONS : 0);

		make(shape);
		check_good(flags);
	}
}

/* Hop-by-hop, routing (done), destination options, AH, atomic fragment, in one chain. */
static const uint8_t chain[] = {
	43, 0, 1, 4, 0, 0, 0, 0, /* hop-by-hop -> routing */
	60, 2, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8, /* -> options */
	51, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, /* -> AH */
	44, 4, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, /* -> fragment */
	TCP, 0, 0, 0, 9, 9, 9, 9, /* whole datagram -> TCP */
};

static struct frame_shape chain_shape(void)
{
	return (struct frame_shape){ .ipv6 = true,
		.l4_proto = TCP,
		.extensions = chain,
		.extension_bytes = sizeof(chain),
		.first_header = 0,
		.payload_bytes = 33 };
}

static void extension_headers_are_walked(void)
{
	make(chain_shape());
	check_good(PACKET_F_IPV6 | PACKET_F_EXTENSIONS);
	/* Cut anywhere in the chain it is nobody's; in the TCP header it is the service's. */
	for (uint32_t cut = frame.l3 + 41; cut < frame.payload; cut++) {
		enum parse_verdict v = parse_cut(cut);

		CU_ASSERT_EQUAL(v, cut < frame.l4 ? PARSE_MALFORMED_L3 : PARSE_MALFORMED_L4);
	}
	/* Segments left: the destination is not the last. */
	make(chain_shape());
	frame.data[frame.l3 + 40 + 8 + 3] = 1;
	CU_ASSERT_EQUAL(parse(), PARSE_NOT_OURS);
	/* A header that says it is longer than the datagram. */
	make(chain_shape());
	frame.data[frame.l3 + 40 + 1] = 200;
	CU_ASSERT_EQUAL(parse(), PARSE_MALFORMED_L3);
}

static void long_chains_are_refused(void)
{
	uint8_t options[9 * 8] = { 0 };
	struct frame_shape shape = {
		.ipv6 = true, .l4_proto = UDP, .extensions = options, .first_header = 60
	};

	for (uint32_t n = 8; n <= 9; n++) {
		for (uint32_t i = 0; i < n; i++)
			options[i * 8] = i + 1 == n ? UDP : 60;
		shape.extension_bytes = n * 8;
		make(shape);
		CU_ASSERT_EQUAL(parse(), n <= PARSE_MAX_EXTENSIONS ? PARSE_OK : PARSE_MALFORMED_L3);
	}
}

static void fragments_are_told_apart(void)
{
	static const struct {
		uint16_t field; /* of the IPv4 header */
		enum parse_verdict verdict;
		uint32_t flags;
	} v4[] = {
		{ 0x4000, PARSE_OK, 0 },
		{ 0x2000, PARSE_FRAGMENT,
			PACKET_F_FRAGMENT | PACKET_F_MORE_FRAGMENTS | PACKET_F_FIRST_FRAGMENT },
		{ 0x2001, PARSE_FRAGMENT, PACKET_F_FRAGMENT | PACKET_F_MORE_FRAGMENTS },
		{ 0x0001, PARSE_FRAGMENT, PACKET_F_FRAGMENT },
	};

	for (uint32_t i = 0; i < 4; i++) {
		make((struct frame_shape){ .l4_proto = UDP, .payload_bytes = 64 });
		put16(frame.data + frame.l3 + 6, v4[i].field);
		frame_seal(&frame);
		CU_ASSERT_EQUAL(parse(), v4[i].verdict);
		CU_ASSERT_EQUAL(packet.flags, v4[i].flags);
		CU_ASSERT_EQUAL(packet.l4_proto, UDP);
		CU_ASSERT_EQUAL(packet.l3_offset, frame.l3);
		if (i == 0)
			continue;
		CU_ASSERT_EQUAL(packet.fragment_bytes, 72);
		CU_ASSERT_EQUAL(packet.fragment_offset, (v4[i].field & 1) * 8);
		CU_ASSERT_EQUAL(memcmp(&packet.fragment_id, frame.data + frame.l3 + 4, 2), 0);
		if (packet.flags & PACKET_F_FIRST_FRAGMENT)
			CU_ASSERT_EQUAL(memcmp(&packet.ports, frame.data + frame.l4, 4), 0);
	}
	/* Fragments of other protocols are the kernel's. */
	frame.data[frame.l3 + 9] = 1;
	CU_ASSERT_EQUAL(parse(), PARSE_NOT_OURS);

	for (uint32_t field = 0; field < 16; field++) {
		uint8_t header[8] = { UDP, 0, 0, (uint8_t)(field << 3 | (field & 1)), 1, 2, 3, 4 };
		uint32_t flags = PACKET_F_IPV6 | PACKET_F_EXTENSIONS;

		make((struct frame_shape){ .ipv6 = true,
			.l4_proto = UDP,
			.extensions = header,
			.extension_bytes = 8,
			.first_header = 44,
			.payload_bytes = 64 });
		CU_ASSERT_EQUAL(parse(), field == 0 ? PARSE_OK : PARSE_FRAGMENT);
		if (field != 0)
			flags |= PACKET_F_FRAGMENT;
		if (field & 1)
			flags |= PACKET_F_MORE_FRAGMENTS;
		CU_ASSERT_EQUAL(packet.flags, flags);
		CU_ASSERT_EQUAL(packet.l4_proto, UDP);
	}
	uint8_t first[8] = { TCP, 0, 0, 1, 1, 2, 3, 4 };

	make((struct frame_shape){ .ipv6 = true,
		.l4_proto = TCP,
		.extensions = first,
		.extension_bytes = 8,
		.first_header = 44,
		.payload_bytes = 4 });
	CU_ASSERT_EQUAL(parse(), PARSE_FRAGMENT);
	CU_ASSERT_EQUAL(packet.fragment_bytes, 24);
	CU_ASSERT_EQUAL(memcmp(&packet.fragment_id, first + 4, 4), 0);
	CU_ASSERT_EQUAL(memcmp(&packet.ports, frame.data + frame.l4, 4), 0);
	CU_ASSERT(packet.flags & PACKET_F_FIRST_FRAGMENT);
	/* Behind a later fragment's header is data, whatever it looks like. */
	first[0] = 60;
	first[2] = 1;
	make((struct frame_shape){ .ipv6 = true,
		.l4_proto = TCP,
		.extensions = first,
		.extension_bytes = 8,
		.first_header = 44 });
	CU_ASSERT_EQUAL(parse(), PARSE_NOT_OURS);
}

/* One that carries less than a header, or claims a part of one; wrong lengths. */
static void odd_fragments_are_malformed(void)
{
	static const struct {
		uint8_t protocol;
		uint16_t field;
		uint32_t payload_bytes;
		enum parse_verdict verdict;
	} odd[] = {
		{ UDP, 0x2000, 7, PARSE_MALFORMED_L4 }, /* 15 bytes, and more to come */
		{ UDP, 0x2000, 8, PARSE_FRAGMENT },
		{ UDP, 0x0010, 7, PARSE_FRAGMENT },
		{ UDP, 0x1fff, 8, PARSE_MALFORMED_L4 }, /* beyond 65,535 */
		{ TCP, 0x0001, 4, PARSE_MALFORMED_L4 }, /* the TCP header from byte 8 on */
		{ TCP, 0x2002, 4, PARSE_MALFORMED_L4 },
		{ TCP, 0x2003, 4, PARSE_FRAGMENT },
		{ TCP, 0x2000, 4, PARSE_FRAGMENT },
	};

	for (uint32_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		make((struct frame_shape){
			.l4_proto = odd[i].protocol, .payload_bytes = odd[i].payload_bytes });
		put16(frame.data + frame.l3 + 6, odd[i].field);
		frame_seal(&frame);
		CU_ASSERT_EQUAL(parse(), odd[i].verdict);
	}
	/* The data offset of TCP leads beyond the first fragment. */
	make((struct frame_shape){ .l4_proto = TCP, .payload_bytes = 4 });
	put16(frame.data + frame.l3 + 6, 0x2000);
	frame.data[frame.l4 + 12] = 0x70;
	frame_seal(&frame);
	CU_ASSERT_EQUAL(parse(), PARSE_MALFORMED_L4);
	/* Nothing in it at all. */
	make((struct frame_shape){ .l4_proto = UDP });
	put16(frame.data + frame.l3 + 2, 20);
	put16(frame.data + frame.l3 + 6, 0x2010);
	frame_seal(&frame);
	CU_ASSERT_EQUAL(parse(), PARSE_MALFORMED_L4);
}

/* An ICMP error made of a frame: the quote is the frame's datagram, to its source. */
static void make_error(bool ipv6, uint8_t protocol, uint8_t type, uint32_t l4_bytes)
{
	struct frame_shape shape = { .ipv6 = ipv6, .l4_proto = protocol, .payload_bytes = 64 };
	uint32_t header = ipv6 ? 40 : 20;
	uint8_t quote[128];

	make(shape);
	memcpy(quote, frame.data + frame.l3, header + l4_bytes);
	memmove(frame.data + frame.l3 + header + 8, quote, header + l4_bytes);
	frame.bytes = frame.l3 + header + 8 + header + l4_bytes;
	uint8_t *l3 = frame.data + frame.l3;

	if (ipv6) {
		l3[6] = 58;
		put16(l3 + 4, 8 + header + l4_bytes);
		memcpy(l3 + 24, quote + 8, 16);
	} else {
		l3[9] = 1;
		put16(l3 + 2, header + 8 + header + l4_bytes);
		memcpy(l3 + 16, quote + 12, 4);
		put16(l3 + 10, 0);
		put16(l3 + 10, ~plain_sum(0, l3, 20) & 0xffff);
	}
	memset(l3 + header, 0, 8);
	l3[header] = type;
}

static void icmp_errors_are_understood(void)
{
	for (uint32_t i = 0; i < 4; i++) {
		bool ipv6 = i & 1;
		uint8_t protocol = i & 2 ? TCP : UDP;
		uint32_t header = ipv6 ? 40 : 20;

		for (uint32_t type = 0; type < 20; type++) {
			bool error = ipv6 ? type >= 1 && type <= 4 :
					    type == 3 || type == 11 || type == 12;

			make_error(ipv6, protocol, (uint8_t)type, 8);
			CU_ASSERT_EQUAL(parse(), error ? PARSE_ICMP_ERROR : PARSE_NOT_OURS);
		}
		make_error(ipv6, protocol, 3, 8);
		CU_ASSERT_EQUAL(parse(), PARSE_ICMP_ERROR);
		CU_ASSERT_EQUAL(packet.l4_proto, protocol);
		CU_ASSERT_EQUAL(packet.l4_offset, frame.l3 + header);
		CU_ASSERT_EQUAL(packet.payload_offset, frame.l3 + header + 8);
		CU_ASSERT_EQUAL(packet.quoted_l4_offset, frame.l3 + header + 8 + header);
		/* As an answer to the quoted packet has them. */
		CU_ASSERT_EQUAL(memcmp(&packet.dport, frame.data + packet.quoted_l4_offset, 2), 0);
		CU_ASSERT_EQUAL(
			memcmp(&packet.sport, frame.data + packet.quoted_l4_offset + 2, 2), 0);
		for (uint32_t n = 0; n < frame.bytes; n++)
			CU_ASSERT_NOT_EQUAL(parse_cut(n), PARSE_ICMP_ERROR);
		make_error(ipv6, protocol, 3, 7);
		CU_ASSERT_EQUAL(parse(), PARSE_NOT_OURS);
		/* Sent to somebody else than the one who sent the quoted packet. */
		make_error(ipv6, protocol, 3, 8);
		frame.data[frame.l3 + header + 8 + (ipv6 ? 8 : 12)] ^= 1;
		CU_ASSERT_EQUAL(parse(), PARSE_NOT_OURS);
	}
}

static void others_are_the_kernels(void)
{
	static const uint16_t types[] = { 0x0806, 0x88cc, 0x0000, 0x05dc, 0x8863 };
	static const uint8_t protocols[] = { 1, 2, 4, 41, 47, 50, 58, 132 };

	for (uint32_t i = 0; i < 5; i++) {
		make((struct frame_shape){ .l4_proto = TCP });
		put16(frame.data + 12, types[i]);
		CU_ASSERT_EQUAL(parse(), PARSE_NOT_OURS);
	}
	for (uint32_t i = 0; i < 16; i++) {
		make((struct frame_shape){ .ipv6 = i % 2 != 0, .l4_proto = TCP });
		frame.data[frame.l3 + (i % 2 ? 6 : 9)] = protocols[i / 2];
		CU_ASSERT_EQUAL(parse(), PARSE_NOT_OURS);
	}
	make((struct frame_shape){ .l4_proto = TCP });
	frame.data[0] |= 1;
	CU_ASSERT_EQUAL(parse(), PARSE_NOT_OURS);
	/* Three tags. */
	make((struct frame_shape){ .l4_proto = TCP, .tags = 2 });
	put16(frame.data + frame.l3 - 2, 0x8100);
	CU_ASSERT_EQUAL(parse(), PARSE_NOT_OURS);
}

static void cut_frames_are_malformed(void)
{
	for (uint32_t i = 0; i < 8; i++) {
		struct frame_shape shape = { .ipv6 = i % 2 != 0,
			.l4_proto = i / 2 % 2 ? TCP : UDP,
			.tags = (uint8_t)(i / 4),
			.tcp_options = 8 };

		make(shape);
		uint32_t ip_end = frame.l3 + (shape.ipv6 ? 40 : 20);

		for (uint32_t cut = 0; cut < frame.payload; cut++) {
			enum parse_verdict v = parse_cut(cut);

			CU_ASSERT_EQUAL(v, cut < ip_end ? PARSE_MALFORMED_L3 : PARSE_MALFORMED_L4);
			if (v == PARSE_MALFORMED_L4) {
				CU_ASSERT_EQUAL(packet.l4_proto, shape.l4_proto);
				CU_ASSERT_EQUAL(packet.l3_offset, frame.l3);
			}
		}
	}
}

/* Change 16 bits of the IP or L4 header; the IPv4 header checksum stays right. */
static enum parse_verdict with_word(
	struct frame_shape shape, bool in_l4, uint32_t offset, uint32_t value)
{
	make(shape);
	put16(frame.data + (in_l4 ? frame.l4 : frame.l3) + offset, value);
	if (!shape.ipv6) {
		uint8_t *l3 = frame.data + frame.l3;
		uint32_t header = (uint32_t)(l3[0] & 15) * 4;

		put16(l3 + 10, 0);
		put16(l3 + 10, ~plain_sum(0, l3, header) & 0xffff);
	}
	return parse();
}

static void lengths_that_contradict_are_malformed(void)
{
	const struct frame_shape udp4 = { .l4_proto = UDP, .payload_bytes = 10 };
	const struct frame_shape tcp4 = { .l4_proto = TCP, .payload_bytes = 10 };
	const struct frame_shape udp6 = { .ipv6 = true, .l4_proto = UDP, .payload_bytes = 10 };
	const struct frame_shape tcp6 = { .ipv6 = true, .l4_proto = TCP, .payload_bytes = 10 };

	/* The datagram's length: too long, shorter than its headers, in between. */
	CU_ASSERT_EQUAL(with_word(udp4, false, 2, 39), PARSE_MALFORMED_L4);
	CU_ASSERT_EQUAL(with_word(udp4, false, 2, 19), PARSE_MALFORMED_L4);
	CU_ASSERT_EQUAL(with_word(udp4, false, 2, 27), PARSE_MALFORMED_L4);
	CU_ASSERT_EQUAL(with_word(udp4, false, 2, 0), PARSE_MALFORMED_L4);
	CU_ASSERT_EQUAL(with_word(tcp4, false, 2, 39), PARSE_MALFORMED_L4);
	CU_ASSERT_EQUAL(with_word(tcp4, false, 2, 40), PARSE_OK);
	CU_ASSERT_EQUAL(packet.payload_length, 0);
	CU_ASSERT_EQUAL(with_word(tcp4, false, 2, 45), PARSE_OK);
	CU_ASSERT_EQUAL(packet.payload_length, 5);
	CU_ASSERT_EQUAL(with_word(udp6, false, 4, 19), PARSE_MALFORMED_L4);
	CU_ASSERT_EQUAL(with_word(udp6, false, 4, 7), PARSE_MALFORMED_L4);
	CU_ASSERT_EQUAL(with_word(udp6, false, 4, 0), PARSE_MALFORMED_L4);
	CU_ASSERT_EQUAL(with_word(tcp6, false, 4, 19), PARSE_MALFORMED_L4);
	CU_ASSERT_EQUAL(with_word(tcp6, false, 4, 20), PARSE_OK);
	/* UDP's own length. */
	CU_ASSERT_EQUAL(with_word(udp4, true, 4, 7), PARSE_MALFORMED_L4);
	CU_ASSERT_EQUAL(with_word(udp4, true, 4, 0), PARSE_MALFORMED_L4);
	CU_ASSERT_EQUAL(with_word(udp4, true, 4, 19), PARSE_MALFORMED_L4);
	CU_ASSERT_EQUAL(with_word(udp4, true, 4, 8), PARSE_OK);
	CU_ASSERT_EQUAL(packet.payload_length, 0);
	CU_ASSERT_EQUAL(with_word(udp6, true, 4, 19), PARSE_MALFORMED_L4);
	/* TCP's data offset: under 20 bytes, behind the end. */
	CU_ASSERT_EQUAL(with_word(tcp4, true, 12, 0x4010), PARSE_MALFORMED_L4);
	CU_ASSERT_EQUAL(with_word(tcp4, true, 12, 0x7010), PARSE_OK);
	CU_ASSERT_EQUAL(with_word(tcp4, true, 12, 0x8010), PARSE_MALFORMED_L4);
	CU_ASSERT_EQUAL(with_word(tcp6, true, 12, 0xf010), PARSE_MALFORMED_L4);
}

static void bad_ip_headers_are_told_apart(void)
{
	make((struct frame_shape){ .l4_proto = TCP });
	frame.data[frame.l3 + 10] ^= 1;
	CU_ASSERT_EQUAL(parse(), PARSE_MALFORMED_L4);
	make((struct frame_shape){ .l4_proto = TCP });
	frame.data[frame.l3] = 0x44;
	CU_ASSERT_EQUAL(parse(), PARSE_MALFORMED_L3);
	frame.data[frame.l3] = 0x4f;
	CU_ASSERT_EQUAL(parse(), PARSE_MALFORMED_L3);
	frame.data[frame.l3] = 0x65;
	CU_ASSERT_EQUAL(parse(), PARSE_MALFORMED_L3);
	make((struct frame_shape){ .ipv6 = true, .l4_proto = TCP });
	frame.data[frame.l3] = 0x40;
	CU_ASSERT_EQUAL(parse(), PARSE_MALFORMED_L3);
}

/* Headers in the first segment, payload anywhere. */
static void segments_may_hold_payload_only(void)
{
	make((struct frame_shape){ .l4_proto = TCP, .payload_bytes = 1000 });
	CU_ASSERT_EQUAL(parse_cut(frame.payload), PARSE_OK);
	CU_ASSERT_EQUAL(packet.payload_length, 1000);
	CU_ASSERT_EQUAL(parse_cut(frame.payload + 1), PARSE_OK);
	CU_ASSERT_EQUAL(parse_cut(frame.payload - 1), PARSE_MALFORMED_L4);
}

/* Whatever comes, what is said OK lies inside. */
/* Of what a device has summed up nothing else is believed: all other checks are made. */
static void only_the_sum_is_known(void)
{
	for (uint32_t tags = 0; tags < 2; tags++) {
		make((struct frame_shape){ .l4_proto = TCP, .payload_bytes = 64, .tags = tags });
		frame.data[frame.l3 + 10] ^= 0x40;
		CU_ASSERT_EQUAL(parse(), PARSE_MALFORMED_L4);
		sum_known = true;
		CU_ASSERT_EQUAL(parse(), tags ? PARSE_MALFORMED_L4 : PARSE_OK);
		put16(frame.data + frame.l3 + 2, 19);
		CU_ASSERT_EQUAL(parse(), PARSE_MALFORMED_L4);
		put16(frame.data + frame.l3 + 2, frame.bytes);
		CU_ASSERT_EQUAL(parse(), PARSE_MALFORMED_L4);
		sum_known = false;
	}
}

static void damage_stays_inside(void)
{
	struct random r = random_start("parse");
	uint32_t verdicts[PARSE_VERDICT_COUNT] = { 0 };

	for (uint32_t i = 0; i < 200000; i++) {
		struct frame_shape shape = { .ipv6 = random_below(&r, 2),
			.tags = (uint8_t)random_below(&r, 3),
			.l4_proto = random_below(&r, 2) ? TCP : UDP,
			.payload_bytes = random_below(&r, 20) };

		if (shape.ipv6 && random_below(&r, 2)) {
			shape.extensions = chain;
			shape.extension_bytes = sizeof(chain);
		}
		frame_make(&frame, &shape, &r);
		if (random_below(&r, 8) == 0)
			make_error(shape.ipv6, shape.l4_proto, 3, 8 + random_below(&r, 20));
		for (uint32_t n = random_below(&r, 4); n != 0; n--)
			frame.data[12 + random_below(&r, frame.bytes - 12)] =
				(uint8_t)random_next(&r);
		enum parse_verdict v = parse_cut(
			random_below(&r, 4) ? frame.bytes : random_below(&r, frame.bytes + 1));

		CU_ASSERT_FATAL(v < PARSE_VERDICT_COUNT);
		verdicts[v]++;
		if (v == PARSE_OK) {
			CU_ASSERT_FATAL(
				packet.payload_offset + packet.payload_length <= frame.bytes);
			CU_ASSERT_FATAL(packet.l3_offset < packet.l4_offset);
			CU_ASSERT_FATAL(packet.l4_offset + 8 <= packet.payload_offset);
		} else if (v == PARSE_ICMP_ERROR) {
			CU_ASSERT_FATAL(packet.quoted_l4_offset + 8u <= frame.bytes);
			CU_ASSERT_FATAL(packet.payload_offset + 20 <= packet.quoted_l4_offset);
		}
	}
	for (uint32_t v = 0; v < PARSE_VERDICT_COUNT; v++)
		CU_ASSERT(verdicts[v] > 100);
}

static const struct tap_case cases[] = {
	{ "good frames are understood: both families, tags, options, padding",
		good_frames_are_understood },
	{ "IPv6 extension headers are walked, and cut chains are nobody's",
		extension_headers_are_walked },
	{ "chains of more than 8 extension headers are refused", long_chains_are_refused },
	{ "fragments are told from whole datagrams and from other protocols'",
		fragments_are_told_apart },
	{ "fragments too small for a header, over one, and of odd lengths are malformed",
		odd_fragments_are_malformed },
	{ "ICMP errors about TCP and UDP are understood, others are the kernel's",
		icmp_errors_are_understood },
	{ "what is not TCP or UDP over IP is the kernel's", others_are_the_kernels },
	{ "a frame cut anywhere in its headers is malformed", cut_frames_are_malformed },
	{ "lengths that contradict each other are malformed",
		lengths_that_contradict_are_malformed },
	{ "bad IP headers are malformed", bad_ip_headers_are_told_apart },
	{ "headers must lie in the first segment, payload need not",
		segments_may_hold_payload_only },
	{ "a sum that is known spares that check and no other", only_the_sum_is_known },
	{ "random damage never leads outside the frame", damage_stays_inside },
};

TAP_MAIN("parse", cases)
