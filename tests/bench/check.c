/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What has to come out, built from what went in: copy the original frame, write into it what the mode
 * changes, compute the checksums from scratch, compare every byte.
 */

#include "tests/bench/bench.h"

#include <rte_mbuf.h>

#include <string.h>

#define ETH_LENGTH 14

struct layout {
	unsigned int source; /* offset of the source address */
	unsigned int destination; /* offset of the destination address */
	unsigned int address_length;
	unsigned int ttl;
	unsigned int ports;
};

static const struct layout layout4 = { ETH_LENGTH + 12, ETH_LENGTH + 16, 4, ETH_LENGTH + 8,
	ETH_LENGTH + 20 };
static const struct layout layout6 = { ETH_LENGTH + 8, ETH_LENGTH + 24, 16, ETH_LENGTH + 7,
	ETH_LENGTH + 40 };

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static void put16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

/* The part of a 16-byte address that is on the wire. */
static const uint8_t *wire(const struct layout *l, const uint8_t address[16])
{
	return address + 16 - l->address_length;
}

static void differs(const struct bench *b, uint32_t number, const uint8_t *got, const uint8_t *want,
	uint16_t length, const char *what)
{
	static const char *const kinds[] = { "syn", "syn-ack", "data", "data reply" };

	fprintf(stderr, "flow %u, packet %u of the set (%s): %s\n", b->flow_of[number], number,
		kinds[b->kind], what);
	for (int row = 0; row < 3; row++) {
		const uint8_t *p = row == 0 ? b->originals[number].bytes : row == 1 ? want : got;
		fprintf(stderr, "%s", row == 0 ? "in:  " : row == 1 ? "want:" : "got: ");
		for (unsigned int i = 0; i < length; i++)
			fprintf(stderr, " %02x", p[i]);
		fprintf(stderr, "\n");
	}
	bench_fail("a packet came out wrong");
}

/* Index of the backend or source that has this address on the wire; -1 when there is none. */
static int index_of(const struct bench *b, const struct layout *l, const uint8_t *address,
	uint32_t count, void (*nth)(int family, uint32_t index, uint8_t ret_address[16]))
{
	/* The last byte numbers them from 1, so only one can match. */
	uint32_t index = (uint32_t)address[l->address_length - 1] - 1;
	uint8_t candidate[16];

	if (index >= count)
		return -1;
	nth(b->family, index, candidate);
	return memcmp(wire(l, candidate), address, l->address_length) ? -1 : (int)index;
}

/* Where the packet was sent. A known flow must go where it went before. */
static struct bench_translation translation_of(struct bench *b, const struct layout *l,
	uint32_t number, const uint8_t *got, uint16_t length)
{
	const uint8_t *original = b->originals[number].bytes;
	struct bench_translation *known =
		b->translations ? &b->translations[b->flow_of[number]] : NULL;
	struct bench_translation t = { .source_port = 1 };

	if (b->mode == WEIR_MODE_NAT) {
		int source = index_of(b, l, got + l->source, BENCH_SOURCES, bench_address_source);
		int backend =
			index_of(b, l, got + l->destination, BENCH_BACKENDS, bench_address_backend);
		if (source < 0 || backend < 0)
			differs(b, number, got, original, length, "an address is not ours");
		t.source = (uint8_t)source;
		t.backend = (uint8_t)backend;
		t.source_port = get16(got + l->ports);
		if (t.source_port < 1024)
			differs(b, number, got, original, length, "the source port is reserved");
	} else {
		t.backend = got[5]; /* of the link address; all of it is compared later */
		if (t.backend >= BENCH_BACKENDS)
			differs(b, number, got, original, length,
				"no backend has this link address");
	}
	if (!known)
		return t;
	if (known->source_port == 0)
		*known = t;
	else if (memcmp(known, &t, sizeof(t)))
		differs(b, number, got, original, length, "the flow went elsewhere before");
	return t;
}

/* The frame as it has to be. */
static void expect(struct bench *b, const struct layout *l, uint32_t number,
	const struct bench_translation *t, uint8_t *ret_frame, uint16_t length)
{
	const uint8_t *original = b->originals[number].bytes;
	bool reply = bench_kind_is_reply(b->kind);
	uint8_t address[16];

	memcpy(ret_frame, original, length);
	ret_frame[l->ttl]--;
	memcpy(ret_frame + 6, b->port[reply ? BENCH_PORT_FRONT : BENCH_PORT_BACK].mac, 6);
	if (reply)
		bench_mac_client(b->flow_of[number], ret_frame);
	else
		bench_mac_backend(t->backend, ret_frame);
	if (b->mode == WEIR_MODE_NAT && !reply) {
		bench_address_source(b->family, t->source, address);
		memcpy(ret_frame + l->source, wire(l, address), l->address_length);
		bench_address_backend(b->family, t->backend, address);
		memcpy(ret_frame + l->destination, wire(l, address), l->address_length);
		put16(ret_frame + l->ports, t->source_port);
		put16(ret_frame + l->ports + 2, BENCH_BACKEND_PORT);
	} else if (b->mode == WEIR_MODE_NAT) {
		uint16_t port;
		bench_address_service(b->family, address);
		memcpy(ret_frame + l->source, wire(l, address), l->address_length);
		put16(ret_frame + l->ports, BENCH_SERVICE_PORT);
		bench_client(b->family, b->flow_of[number], address, &port);
		memcpy(ret_frame + l->destination, wire(l, address), l->address_length);
		put16(ret_frame + l->ports + 2, port);
	}
	bench_checksums_set(b->family, ret_frame, length);
}

static void packet_check(struct bench *b, struct rte_mbuf *m)
{
	const struct layout *l = b->family == 4 ? &layout4 : &layout6;
	const uint8_t *got = rte_pktmbuf_mtod(m, const uint8_t *);
	uint16_t length = b->originals[0].length; /* all have the same */
	uint8_t want[BENCH_FRAME_MAX];
	struct bench_translation t;
	uint32_t number;

	if (m->nb_segs != 1 || m->data_len != length || m->pkt_len != length)
		bench_fail("a packet of %u bytes came out with %u", length, m->pkt_len);
	memcpy(&number, got + length - sizeof(number), sizeof(number));
	if (number >= b->filled || b->seen[number])
		bench_fail("packet %u came out twice or never went in", number);
	b->seen[number] = 1;
	if (bench_kind_is_reply(b->kind))
		t = b->translations[b->flow_of[number]];
	else
		t = translation_of(b, l, number, got, length);
	expect(b, l, number, &t, want, length);
	if (memcmp(got, want, length))
		differs(b, number, got, want, length, "not what it has to be");
}

void bench_set_check(struct bench *b)
{
	if (b->sent_count != b->filled)
		bench_fail("%u packets went in and %u came out", b->filled, b->sent_count);
	for (uint32_t i = 0; i < b->sent_count; i++)
		packet_check(b, b->sent[i]);
	b->packets_checked += b->sent_count;
}
