/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What weir-probe on a backend host tells the daemon: one datagram for each interval, more only when
 * one cannot hold it. All integers are little-endian:
 *
 *   header    56 bytes, struct probe_message in this order: magic 4, version 2, length 2 (of all, the seal
 *             too), boot 8, sequence 8, time 8, interval 4, number of services 2, reserved 2 (0), sender 16
 *   services  each 56 bytes: address 16, port 2, protocol 1, flags 1, number of connect buckets 2, of
 *             first-byte buckets 2, then open, waiting, requests, syns 4 each, connect sum 8, first-byte
 *             sum 8; and the buckets, connect first: bucket 2, count 2, in order, and again where a count
 *             exceeds 65535
 *   seal      32 bytes, HMAC-SHA256 (RFC 2104) over all before it
 *
 * Buckets are those of dataplane/api/histogram_shape.h. All but open and waiting are differences to the
 * message before, so a lost datagram costs what it counted and nothing else.
 *
 * Replays: boot is the time when the agent began and sequence counts its datagrams, so the pair only ever
 * grows; the receiver also compares the time with its own. The sender's address is part of what is sealed:
 * one host's datagram cannot be passed off as another's.
 *
 * Pure memory; any thread.
 */

#ifndef WEIR_PROBE_MESSAGE_H
#define WEIR_PROBE_MESSAGE_H

#include "dataplane/api/histogram_shape.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROBE_MESSAGE_VERSION 1u
#define PROBE_MESSAGE_MAX     1400 /* bytes: one packet on any usual network */
#define PROBE_SERVICES_MAX    24 /* in one message: more have no room */

enum probe_service_flag {
	/* The rest of the service's buckets: its other figures were in a datagram before. */
	PROBE_SERVICE_F_MORE = 1u << 0,
};

struct probe_pair {
	uint16_t bucket;
	uint16_t count;
};

struct probe_service {
	uint8_t address[16]; /* IPv4 mapped */
	uint16_t port; /* 0: any */
	uint8_t protocol; /* 6 or 17 */
	uint8_t flags;
	uint16_t connect_count; /* of pairs */
	uint16_t first_byte_count;
	uint32_t open; /* connections now */
	uint32_t waiting; /* requests without an answer now */
	uint32_t requests;
	uint32_t syns;
	uint64_t connect_ns; /* sums */
	uint64_t first_byte_ns;
	const uint8_t *pairs; /* borrowed from the datagram; probe_pair_at() */
};

struct probe_message {
	uint64_t boot; /* nanoseconds since 1970 */
	uint64_t sequence; /* from 1 */
	uint64_t time_ns; /* since 1970 */
	uint32_t interval_ms;
	uint16_t service_count;
	uint8_t sender[16]; /* IPv4 mapped */
	struct probe_service services[PROBE_SERVICES_MAX];
};

struct probe_key;

/*
 * Check and read a datagram. What comes out lies in the datagram and is valid as long as that.
 *
 * Returns 0, -EMSGSIZE (its length is not what it says or can be), -EPROTONOSUPPORT (not this version),
 * -EACCES (not sealed with this key) or -EBADMSG (sealed, but against the layout).
 */
int probe_message_open(const void *data, size_t length, const struct probe_key *key,
	struct probe_message *ret_message);

/* The same without the seal, for those who have checked it, and for fuzzing. */
int probe_message_parse(const void *data, size_t length, struct probe_message *ret_message);

/* index < connect_count + first_byte_count; the connects come first. */
struct probe_pair probe_pair_at(const struct probe_service *s, unsigned int index);

/* A message being written. */
struct probe_writer {
	uint8_t data[PROBE_MESSAGE_MAX];
	size_t length;
	size_t service; /* where the last one begins */
	uint16_t service_count;
};

/* Begin: of m the services are not looked at. */
void probe_writer_begin(struct probe_writer *w, const struct probe_message *m);
/* Add a service without buckets; false: no room, for it and a few buckets. */
bool probe_writer_service(struct probe_writer *w, const struct probe_service *s);
/* Add to the last service; connects first. False: no room. */
bool probe_writer_pair(struct probe_writer *w, bool is_connect, struct probe_pair pair);
/* Seal it: data and length are then what is to be sent. Returns 0 or -EIO. */
int probe_writer_end(struct probe_writer *w, const struct probe_key *key);

#endif
