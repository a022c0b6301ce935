/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/probe/message.h"

#include "control/probe/key.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#define MAGIC	      0x42525057u /* "WPRB" */
#define HEADER_BYTES  56
#define SERVICE_BYTES 56
#define PAIR_BYTES    4
#define LEAST_PAIRS   8 /* worth a service's own bytes */

#define AT_LENGTH	 6
#define AT_SERVICE_COUNT 36
#define AT_SENDER	 40

#define AT_CONNECT_COUNT    20 /* in a service */
#define AT_FIRST_BYTE_COUNT 22

static uint16_t get16(const uint8_t *from)
{
	uint16_t v;

	memcpy(&v, from, sizeof(v));
	return le16toh(v);
}

static uint32_t get32(const uint8_t *from)
{
	uint32_t v;

	memcpy(&v, from, sizeof(v));
	return le32toh(v);
}

static uint64_t get64(const uint8_t *from)
{
	uint64_t v;

	memcpy(&v, from, sizeof(v));
	return le64toh(v);
}

static void put16(uint8_t *to, uint16_t v)
{
	v = htole16(v);
	memcpy(to, &v, sizeof(v));
}

static void put32(uint8_t *to, uint32_t v)
{
	v = htole32(v);
	memcpy(to, &v, sizeof(v));
}

static void put64(uint8_t *to, uint64_t v)
{
	v = htole64(v);
	memcpy(to, &v, sizeof(v));
}

struct probe_pair probe_pair_at(const struct probe_service *s, unsigned int index)
{
	const uint8_t *at = s->pairs + (size_t)index * PAIR_BYTES;

	return (struct probe_pair){ .bucket = get16(at), .count = get16(at + 2) };
}

static bool pairs_are_valid(const struct probe_service *s, unsigned int from, unsigned int count)
{
	uint16_t last = 0;

	for (unsigned int i = from; i < from + count; i++) {
		struct probe_pair p = probe_pair_at(s, i);

		if (p.bucket >= WEIR_HIST_BUCKETS || p.bucket < last || !p.count)
			return false;
		last = p.bucket;
	}
	return true;
}

/* One service at the beginning of so many bytes; how many it has, 0: it is against the layout. */
static size_t service_parse(const uint8_t *from, size_t bytes, struct probe_service *s)
{
	if (bytes < SERVICE_BYTES)
		return 0;
	memcpy(s->address, from, sizeof(s->address));
	s->port = get16(from + 16);
	s->protocol = from[18];
	s->flags = from[19];
	s->connect_count = get16(from + AT_CONNECT_COUNT);
	s->first_byte_count = get16(from + AT_FIRST_BYTE_COUNT);
	s->open = get32(from + 24);
	s->waiting = get32(from + 28);
	s->requests = get32(from + 32);
	s->syns = get32(from + 36);
	s->connect_ns = get64(from + 40);
	s->first_byte_ns = get64(from + 48);
	s->pairs = from + SERVICE_BYTES;
	size_t length =
		SERVICE_BYTES + ((size_t)s->connect_count + s->first_byte_count) * PAIR_BYTES;

	if (length > bytes || (s->protocol != 6 && s->protocol != 17) ||
		(s->flags & ~PROBE_SERVICE_F_MORE))
		return 0;
	if (!pairs_are_valid(s, 0, s->connect_count) ||
		!pairs_are_valid(s, s->connect_count, s->first_byte_count))
		return 0;
	return length;
}

/* Whether it can be one at all. */
static int frame_check(const uint8_t *data, size_t length)
{
	if (length < HEADER_BYTES + PROBE_SEAL_BYTES || length > PROBE_MESSAGE_MAX ||
		get32(data) != MAGIC)
		return -EMSGSIZE;
	if (get16(data + 4) != PROBE_MESSAGE_VERSION)
		return -EPROTONOSUPPORT;
	return get16(data + AT_LENGTH) == length ? 0 : -EMSGSIZE;
}

int probe_message_parse(const void *data, size_t length, struct probe_message *ret_message)
{
	const uint8_t *from = data;
	struct probe_message m;
	int err = frame_check(from, length);

	if (err)
		return err;
	m.boot = get64(from + 8);
	m.sequence = get64(from + 16);
	m.time_ns = get64(from + 24);
	m.interval_ms = get32(from + 32);
	m.service_count = get16(from + AT_SERVICE_COUNT);
	memcpy(m.sender, from + AT_SENDER, sizeof(m.sender));
	if (m.service_count > PROBE_SERVICES_MAX || get16(from + 38) || !m.sequence ||
		!m.interval_ms)
		return -EBADMSG;
	size_t at = HEADER_BYTES, end = length - PROBE_SEAL_BYTES;

	for (unsigned int i = 0; i < m.service_count; i++) {
		size_t bytes = service_parse(from + at, end - at, &m.services[i]);

		if (!bytes)
			return -EBADMSG;
		at += bytes;
	}
	if (at != end)
		return -EBADMSG;
	/* Without what was not written. */
	memcpy(ret_message, &m,
		offsetof(struct probe_message, services) + m.service_count * sizeof(m.services[0]));
	return 0;
}

int probe_message_open(const void *data, size_t length, const struct probe_key *key,
	struct probe_message *ret_message)
{
	const uint8_t *from = data;
	int err = frame_check(from, length);

	if (err)
		return err;
	if (!probe_seal_matches(
		    key, from, length - PROBE_SEAL_BYTES, from + length - PROBE_SEAL_BYTES))
		return -EACCES;
	return probe_message_parse(data, length, ret_message);
}

void probe_writer_begin(struct probe_writer *w, const struct probe_message *m)
{
	uint8_t *to = w->data;

	memset(to, 0, HEADER_BYTES);
	put32(to, MAGIC);
	put16(to + 4, PROBE_MESSAGE_VERSION);
	put64(to + 8, m->boot);
	put64(to + 16, m->sequence);
	put64(to + 24, m->time_ns);
	put32(to + 32, m->interval_ms);
	memcpy(to + AT_SENDER, m->sender, sizeof(m->sender));
	w->length = HEADER_BYTES;
	w->service_count = 0;
}

static bool has_room(const struct probe_writer *w, size_t bytes)
{
	return w->length + bytes + PROBE_SEAL_BYTES <= PROBE_MESSAGE_MAX;
}

bool probe_writer_service(struct probe_writer *w, const struct probe_service *s)
{
	uint8_t *to = w->data + w->length;

	if (w->service_count == PROBE_SERVICES_MAX ||
		!has_room(w, SERVICE_BYTES + LEAST_PAIRS * PAIR_BYTES))
		return false;
	memcpy(to, s->address, sizeof(s->address));
	put16(to + 16, s->port);
	to[18] = s->protocol;
	to[19] = s->flags;
	put16(to + AT_CONNECT_COUNT, 0);
	put16(to + AT_FIRST_BYTE_COUNT, 0);
	put32(to + 24, s->open);
	put32(to + 28, s->waiting);
	put32(to + 32, s->requests);
	put32(to + 36, s->syns);
	put64(to + 40, s->connect_ns);
	put64(to + 48, s->first_byte_ns);
	w->service = w->length;
	w->length += SERVICE_BYTES;
	w->service_count++;
	return true;
}

bool probe_writer_pair(struct probe_writer *w, bool is_connect, struct probe_pair pair)
{
	uint8_t *count =
		w->data + w->service + (is_connect ? AT_CONNECT_COUNT : AT_FIRST_BYTE_COUNT);

	if (!has_room(w, PAIR_BYTES))
		return false;
	put16(w->data + w->length, pair.bucket);
	put16(w->data + w->length + 2, pair.count);
	put16(count, (uint16_t)(get16(count) + 1));
	w->length += PAIR_BYTES;
	return true;
}

int probe_writer_end(struct probe_writer *w, const struct probe_key *key)
{
	put16(w->data + AT_SERVICE_COUNT, w->service_count);
	put16(w->data + AT_LENGTH, (uint16_t)(w->length + PROBE_SEAL_BYTES));
	int err = probe_seal_make(key, w->data, w->length, w->data + w->length);

	w->length += PROBE_SEAL_BYTES;
	return err;
}
