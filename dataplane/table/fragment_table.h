/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Datagrams that come in fragments: what the first one said of their ports, for the later ones, which have
 * none; and later ones that came before it, held until it comes or their time is over.
 *
 * One for each core that receives, its only reader and writer, as all fragments of a datagram come by the
 * same way. All is bounded: FRAGMENT_ENTRIES datagrams of FRAGMENT_LIFE_MS, FRAGMENT_HELD fragments of
 * FRAGMENT_HOLD_MS, FRAGMENT_HELD_EACH of a datagram; about 260 KiB. Where a set of entries is full the one
 * whose end is next has to go: under a flood of made-up datagrams those in order, whose fragments
 * come right after each other, still find theirs.
 *
 * Nothing is put together here. Overlaps are refused where they could change what was decided by: a later
 * fragment must begin behind the first one's end. A second first fragment decides anew, as
 * identifications are used again.
 *
 * Time: `now_ms` as in flow_table.h.
 *
 * Source: RFC 791 (what identifies a datagram), RFC 4963 (why entries must not live long), RFC 5722.
 */

#ifndef WEIR_TABLE_FRAGMENT_TABLE_H
#define WEIR_TABLE_FRAGMENT_TABLE_H

#include "dataplane/net/hash.h"
#include "dataplane/table/memory.h"

#include <stdbool.h>
#include <stdint.h>

#define FRAGMENT_SETS	   512u
#define FRAGMENT_WAYS	   8u
#define FRAGMENT_ENTRIES   (FRAGMENT_SETS * FRAGMENT_WAYS)
#define FRAGMENT_HELD	   128u
#define FRAGMENT_HELD_EACH 32u
#define FRAGMENT_LIFE_MS   2000u
#define FRAGMENT_HOLD_MS   500u

/* As in the header; IPv4 addresses are the first 8 bytes, the rest is zero. */
struct fragment_key {
	uint8_t addrs[32];
	uint32_t id;
	uint8_t protocol;
	uint8_t ipv6;
	uint8_t reserved[2]; /* zero */
};

/* What a first fragment says of its datagram. */
struct fragment_first {
	uint32_t ports; /* as in the L4 header */
	uint16_t bytes; /* of the datagram in it; later ones begin there or behind */
};

struct fragment_table;

/* Control thread. Returns 0 or -ENOMEM. */
int fragment_table_create(const struct hash_seed *seed, const struct table_memory *memory, int node,
	struct fragment_table **ret_table);
void fragment_table_destroy(struct fragment_table *t); /* holds nothing; NULL is fine */

/* Note a first fragment. What was held for it is ready now. */
void fragment_table_note(struct fragment_table *t, const struct fragment_key *key,
	const struct fragment_first *first, uint32_t now_ms);

/* What a later fragment's first one said; false: it has not come, or too long ago. */
bool fragment_table_find(struct fragment_table *t, const struct fragment_key *key, uint32_t now_ms,
	struct fragment_first *ret_first);

/*
 * Hold a later fragment whose first one has not come. The table owns item until it gives it back by one of
 * the two functions below. False: there is no room.
 */
bool fragment_table_hold(
	struct fragment_table *t, const struct fragment_key *key, void *item, uint32_t now_ms);

/* The next held fragment whose first one has come, in order of arrival; NULL: none. */
void *fragment_table_ready(struct fragment_table *t);
/* The next held fragment whose time is over; NULL: none. */
void *fragment_table_expired(struct fragment_table *t, uint32_t now_ms);
/* Any held fragment, ready or not; NULL: none is left. */
void *fragment_table_drop(struct fragment_table *t);

/* How many are held, ready ones too. Cheap: asked in every round. */
uint32_t fragment_table_held(const struct fragment_table *t);

#endif
