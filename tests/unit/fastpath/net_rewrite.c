/* SPDX-License-Identifier: BSD-3-Clause */

/* Checksums and rewriting against full recomputation by a plain method. */

#include "dataplane/net/checksum.h"
#include "dataplane/net/hash.h"
#include "dataplane/net/packet.h"
#include "dataplane/net/parse.h"
#include "dataplane/net/rewrite.h"
#include "tests/unit/fastpath/net_frames.h"
#include "tests/unit/tap.h"

#define ROUNDS 50000

static struct frame frame;

static struct frame_shape shape_random(struct random *r)
{
	struct frame_shape s = {
		.ipv6 = random_below(r, 2),
		.tags = (uint8_t)random_below(r, 3),
		.l4_proto = random_below(r, 2) ? 6 : 17,
		.ipv4_options = (uint8_t)(random_below(r, 4) == 0 ? 4 * random_below(r, 11) : 0),
		.tcp_options = (uint8_t)(4 * random_below(r, 11)),
		.payload_bytes = random_below(r, 64),
		.padding = random_below(r, 4),
	};

	return s;
}

/* The frame as it is, against itself with checksums made anew. */
static void check_sealed(void)
{
	struct frame again = frame;

	frame_seal(&again);
	CU_ASSERT_EQUAL(memcmp(again.data, frame.data, frame.bytes), 0);
}

static void random_bytes(struct random *r, void *to, uint32_t bytes)
{
	for (uint32_t i = 0; i < bytes; i++)
		((uint8_t *)to)[i] = (uint8_t)random_next(r);
	/* Values where one's complement sums are tricky. */
	if (random_below(r, 8) == 0)
		memset(to, random_below(r, 2) ? 0xff : 0, bytes);
}

static void translate(struct random *r, uint8_t *ret_addrs, uint32_t *ret_ports)
{
	random_bytes(r, ret_addrs, 32);
	random_bytes(r, ret_ports, 4);
	uint8_t *l3 = frame.data + frame.l3, *l4 = frame.data + frame.l4;

	if (frame.ipv6) {
		rewrite_nat6(l3, l4, frame.l4_proto, ret_addrs, *ret_ports);
	} else {
		uint64_t addrs;

		memcpy(&addrs, ret_addrs, 8);
		rewrite_nat4(l3, l4, frame.l4_proto, addrs, *ret_ports);
	}
}

static void translation_keeps_checksums_right(void)
{
	struct random r = random_start("rewrite");

	for (uint32_t i = 0; i < ROUNDS; i++) {
		struct frame_shape shape = shape_random(&r);
		uint8_t addrs[32];
		uint32_t ports;

		frame_make(&frame, &shape, &r);
		struct frame before = frame;
		uint8_t ttl = frame.data[frame.l3 + (frame.ipv6 ? 7 : 8)];

		translate(&r, addrs, &ports);
		check_sealed();
		CU_ASSERT_EQUAL(frame.data[frame.l3 + (frame.ipv6 ? 7 : 8)], ttl - 1);
		CU_ASSERT_EQUAL(memcmp(frame.data + frame.l3 + (frame.ipv6 ? 8 : 12), addrs,
					frame.ipv6 ? 32 : 8),
			0);
		CU_ASSERT_EQUAL(memcmp(frame.data + frame.l4, &ports, 4), 0);
		/* Nothing else has changed. */
		CU_ASSERT_EQUAL(memcmp(frame.data, before.data, frame.l3 + 7), 0);
		CU_ASSERT_EQUAL(memcmp(frame.data + frame.payload, before.data + frame.payload,
					frame.bytes - frame.payload),
			0);
	}
}

static void udp_without_checksum_stays_without(void)
{
	struct random r = random_start("rewrite, no checksum");

	for (uint32_t i = 0; i < 1000; i++) {
		struct frame_shape shape = { .l4_proto = 17, .payload_bytes = 9 };
		uint8_t addrs[32];
		uint32_t ports;

		frame_make(&frame, &shape, &r);
		put16(frame_l4_checksum(&frame), 0);
		translate(&r, addrs, &ports);
		CU_ASSERT_EQUAL(get16(frame_l4_checksum(&frame)), 0);
	}
}

/* Ports that make the sum come out as 0: UDP must send 0xffff. */
static void udp_sums_of_zero_are_sent_as_ones(void)
{
	struct random r = random_start("rewrite, zero");
	uint32_t zeros = 0;

	for (uint32_t i = 0; i < 300; i++) {
		struct frame_shape shape = { .ipv6 = i % 2, .l4_proto = 17, .payload_bytes = 9 };
		uint8_t addrs[32];
		uint32_t ports;

		frame_make(&frame, &shape, &r);
		memcpy(addrs, frame.data + frame.l3 + (frame.ipv6 ? 8 : 12), 32);
		/* With destination port 0 the checksum is that of the rest; that port makes it 0. */
		put16(frame.data + frame.l4 + 2, 0);
		frame_seal(&frame);
		uint8_t port[4];

		memcpy(port, frame.data + frame.l4, 2);
		memcpy(port + 2, frame_l4_checksum(&frame), 2);
		memcpy(&ports, port, 4);
		if (frame.ipv6) {
			rewrite_nat6(
				frame.data + frame.l3, frame.data + frame.l4, 17, addrs, ports);
		} else {
			uint64_t a;

			memcpy(&a, addrs, 8);
			rewrite_nat4(frame.data + frame.l3, frame.data + frame.l4, 17, a, ports);
		}
		CU_ASSERT_EQUAL(get16(frame_l4_checksum(&frame)), 0xffff);
		zeros++;
		check_sealed();
	}
	CU_ASSERT_EQUAL(zeros, 300);
}

static void every_ttl_is_decremented(void)
{
	struct random r = { 7 };
	struct frame_shape shape = { .l4_proto = 6, .payload_bytes = 4 };

	for (uint32_t ttl = 2; ttl < 256; ttl++) {
		for (uint32_t i = 0; i < 200; i++) {
			frame_make(&frame, &shape, &r);
			frame.data[frame.l3 + 8] = (uint8_t)ttl;
			frame_seal(&frame);
			rewrite_ttl4(frame.data + frame.l3);
			CU_ASSERT_EQUAL(frame.data[frame.l3 + 8], ttl - 1);
			check_sealed();
		}
	}
	shape.ipv6 = true;
	frame_make(&frame, &shape, &r);
	rewrite_ttl6(frame.data + frame.l3);
	CU_ASSERT_EQUAL(frame.data[frame.l3 + 7], 63);
}

static void full_checksums_are_right(void)
{
	struct random r = random_start("checksum");

	for (uint32_t i = 0; i < ROUNDS; i++) {
		struct frame_shape shape = shape_random(&r);

		frame_make(&frame, &shape, &r);
		const uint8_t *l3 = frame.data + frame.l3;
		uint32_t l4_bytes = frame.payload - frame.l4 + frame.payload_bytes;
		uint16_t l4 = checksum_l4(l3, frame.data + frame.l4, frame.l4_proto, l4_bytes);
		uint16_t bare = checksum_pseudo(l3, frame.l4_proto, l4_bytes);

		CU_ASSERT_EQUAL(memcmp(&l4, frame_l4_checksum(&frame), 2), 0);
		CU_ASSERT_EQUAL(get16((const uint8_t *)&bare), plain_pseudo(&frame));
		if (!frame.ipv6) {
			uint32_t header = frame.l4 - frame.l3;
			uint16_t ip = checksum_ipv4(l3, header);

			CU_ASSERT(checksum_ipv4_ok(l3, header));
			CU_ASSERT_EQUAL(memcmp(&ip, l3 + 10, 2), 0);
			uint32_t damaged = random_below(&r, header);

			frame.data[frame.l3 + damaged] ^= (uint8_t)(1u << random_below(&r, 8));
			CU_ASSERT_FALSE(checksum_ipv4_ok(l3, header));
		}
	}
}

/* An mbuf chain made by hand: no pool, no EAL. */
struct segment {
	struct rte_mbuf mbuf;
	struct packet packet;
	uint8_t data[1024];
};

static struct segment segments[3];

/* Cut the frame into segments, the first of which has the headers. */
static void chain_make(struct random *r)
{
	uint32_t at = 0;

	memset(segments, 0, sizeof(segments));
	for (uint32_t i = 0; i < 3; i++) {
		struct segment *s = &segments[i];
		uint32_t left = frame.bytes - at;
		uint32_t n = i == 2 ? left :
			i == 0	    ? frame.payload + random_below(r, left - frame.payload + 1) :
				      random_below(r, left + 1);

		s->mbuf.buf_addr = s->data;
		s->mbuf.priv_size = sizeof(struct packet);
		s->mbuf.data_len = (uint16_t)n;
		s->mbuf.next = i < 2 ? &segments[i + 1].mbuf : NULL;
		memcpy(s->data, frame.data + at, n);
		at += n;
	}
	segments[0].mbuf.pkt_len = frame.bytes;
	segments[0].mbuf.nb_segs = 3;
}

static void partial_checksums_are_completed(void)
{
	struct random r = random_start("checksum, partial");

	for (uint32_t i = 0; i < 20000; i++) {
		struct frame_shape shape = shape_random(&r);
		struct rte_mbuf *m = &segments[0].mbuf;
		bool partial = random_below(&r, 2);

		frame_make(&frame, &shape, &r);
		struct frame right = frame;

		if (partial)
			put16(frame_l4_checksum(&frame), plain_pseudo(&frame));
		chain_make(&r);
		packet_reset(packet_of(m), 0, 0, frame.bytes);
		parse_one(rte_pktmbuf_mtod(m, const uint8_t *), rte_pktmbuf_data_len(m),
			rte_pktmbuf_pkt_len(m), packet_of(m));
		CU_ASSERT_EQUAL_FATAL(packet_of(m)->verdict, PARSE_OK);
		bool completed = checksum_complete_partial(m);

		/* By chance the right checksum may be the bare sum: then both are the same. */
		CU_ASSERT(completed == partial ||
			get16(frame_l4_checksum(&right)) == plain_pseudo(&frame));
		CU_ASSERT_EQUAL(memcmp(segments[0].data, right.data, segments[0].mbuf.data_len), 0);
	}
}

static void addresses_of_links_are_set(void)
{
	static const uint8_t dst[6] = { 2, 1, 2, 3, 4, 5 }, src[6] = { 2, 9, 8, 7, 6, 5 };
	struct random r = { 7 };
	struct frame_shape shape = { .l4_proto = 6, .tags = 1 };

	frame_make(&frame, &shape, &r);
	struct frame before = frame;

	rewrite_macs(frame.data, dst, src);
	CU_ASSERT_EQUAL(memcmp(frame.data, dst, 6), 0);
	CU_ASSERT_EQUAL(memcmp(frame.data + 6, src, 6), 0);
	CU_ASSERT_EQUAL(memcmp(frame.data + 12, before.data + 12, frame.bytes - 12), 0);
}

/* A one-bit change of any input turns about half of the output's bits, each of them at times. */
static void avalanche(bool ipv6)
{
	struct random r = random_start("hash");
	uint32_t turned[64] = { 0 }, rounds = 0;

	for (uint32_t i = 0; i < 200; i++) {
		struct hash_seed seed = hash_seed_make(random_next(&r));
		uint64_t addrs[4] = { random_next(&r), i, 0, random_next(&r) };
		uint32_t ports = (uint32_t)random_next(&r);
		uint64_t base = ipv6 ? hash_tuple6(&seed, addrs, ports, 6) :
				       hash_tuple4(&seed, addrs[0], ports, 6);

		for (uint32_t bit = 0; bit < (ipv6 ? 256 + 32 : 64 + 32); bit++) {
			uint32_t addr_bits = ipv6 ? 256 : 64;
			uint64_t a[4];
			uint32_t p = ports;

			memcpy(a, addrs, sizeof(a));
			if (bit < addr_bits)
				a[bit / 64] ^= UINT64_C(1) << (bit % 64);
			else
				p ^= 1u << (bit - addr_bits);
			uint64_t h = base ^
				(ipv6 ? hash_tuple6(&seed, a, p, 6) :
					hash_tuple4(&seed, a[0], p, 6));

			for (uint32_t o = 0; o < 64; o++)
				turned[o] += h >> o & 1;
			rounds++;
		}
	}
	for (uint32_t o = 0; o < 64; o++)
		CU_ASSERT_DOUBLE_EQUAL((double)turned[o] / rounds, 0.5, 0.02);
}

static void hashes_avalanche(void)
{
	avalanche(false);
	avalanche(true);
}

/* Clients that count up their ports and addresses: buckets fill like at random. */
static void buckets_fill_evenly(void)
{
	struct hash_seed seed = hash_seed_make(9);
	uint32_t buckets[HASH_BUCKET_COUNT] = { 0 };

	for (uint32_t i = 0; i < 256 * 1000; i++) {
		uint64_t addrs = UINT64_C(0x010200c00000000a) | (uint64_t)(i / 60000) << 24;

		buckets[hash_bucket(hash_tuple4(&seed, addrs, (i % 60000) | 0x50000000, 6))]++;
	}
	double chi = 0;

	for (uint32_t b = 0; b < HASH_BUCKET_COUNT; b++)
		chi += (buckets[b] - 1000.0) * (buckets[b] - 1000.0) / 1000;
	/* 255 degrees of freedom: five standard deviations around the mean. */
	CU_ASSERT(chi > 255 - 5 * 22.6 && chi < 255 + 5 * 22.6);
}

static const struct tap_case cases[] = {
	{ "a translated packet has the checksums of one made anew",
		translation_keeps_checksums_right },
	{ "UDP without a checksum stays without", udp_without_checksum_stays_without },
	{ "a UDP checksum that comes out as 0 is sent as 0xffff",
		udp_sums_of_zero_are_sent_as_ones },
	{ "every TTL is decremented with a right checksum", every_ttl_is_decremented },
	{ "full checksums are those of the plain method", full_checksums_are_right },
	{ "partial checksums are completed over segments, others are left",
		partial_checksums_are_completed },
	{ "link addresses are set and tags stay", addresses_of_links_are_set },
	{ "a bit of the tuple turns half of the hash", hashes_avalanche },
	{ "buckets fill evenly from clients that count up", buckets_fill_evenly },
};

TAP_MAIN("rewrite", cases)
