/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Who sends to one service, by source prefix, each with its own budget: limits that one source cannot
 * overrun at the expense of the others. The table is bounded, and its places are the thing that a
 * flood of made-up addresses goes for, so what matters is who gets a place and who loses it:
 *
 *   known  has proved itself, and keeps its place until it was silent for ten minutes. Where replies
 *          are seen (TCP in nat), the proof is that a backend sent it data: nobody gets that far with
 *          an address that is not his. Elsewhere it is that the source was there, inside its limits,
 *          in nine different half-seconds
 *   new    has a place and a budget of its own, kept until it was silent for half a minute
 *   trial  came when there was no free place, and took that of a source which was seen in one
 *          half-second only and then for half a second no more. It is judged with the overflow until
 *          it is seen in a later half-second; so a flood of addresses that send once goes round among
 *          its own, and never gets a budget for each of them
 *   none   had not even that: is judged with the overflow
 *
 * The overflow is 16 groups of sources, each with the budget of a single source; which group a
 * source is in, nobody outside can know, and it changes every four seconds. A proof finds its place
 * also in a full table: it takes that of a new one.
 *
 * Memory. 40 bytes a place: half a set of a line that has all that is needed to find and to replace
 * (tag, last seen, state) for eight places, and 32 bytes with key and budgets. A source is in one of
 * two sets that its keyed hash chooses. Lookup: a line or two; then one of the entry.
 *
 * Threads. All workers of the service at once, without locks: budgets are claimed atomically (limiter.h),
 * a place is taken by exchanging its tag. Two workers may enter one source twice at one moment; then both
 * go on with the first, and the other entry is forgotten in time. A claim may meet an entry that is
 * being replaced; it then costs the successor one packet. `shared` false saves the atomic operations where
 * there is one worker.
 *
 * Time is made once a burst by the caller: `tsc` for budgets, `ms` (wraps at 2^32) for all else. Last-seen
 * goes round every 9.3 hours: for the ten minutes after that a place that nobody needs looks as if it
 * were in use.
 *
 * Source: two-choice hashing (Azar, Broder, Karlin, Upfal, 1999); the groups of the overflow are those of
 * stochastic fairness queueing (McKenney, 1990).
 */

#ifndef WEIR_TABLE_SOURCE_TABLE_H
#define WEIR_TABLE_SOURCE_TABLE_H

#include "dataplane/net/hash.h"
#include "dataplane/table/limiter.h"
#include "dataplane/table/memory.h"

#include <rte_prefetch.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SOURCE_WAYS	   8u
#define SOURCE_GROUPS	   16u /* of the overflow */
#define SOURCE_ENTRIES_MIN 1024u
#define SOURCE_ENTRIES_MAX (1u << 24)
#define SOURCE_UNIT_SHIFT  9 /* last-seen counts units of 512 ms, in 16 bits */
#define SOURCE_GROUP_SHIFT 12 /* sources change their group every 4096 ms */
#define SOURCE_TRIAL_UNITS 2u /* seen once, and so long ago: gives way to a newcomer */
#define SOURCE_NEW_UNITS   59u /* 30 s */
#define SOURCE_KNOWN_UNITS 1172u /* 10 min */
#define SOURCE_KNOWN_AFTER 8u /* returns; proof by time */

enum source_state {
	SOURCE_TRIAL = 0,
	SOURCE_NEW = 1,
	SOURCE_KNOWN = 2,
};
#define SOURCE_STATE_MASK 3u

/* What finds a place and says who may have it: one line for eight places. All are atomic. */
struct source_set {
	uint32_t tag
		[SOURCE_WAYS]; /* of the source's hash; 0: nobody, UINT32_MAX: just being taken */
	uint16_t seen[SOURCE_WAYS]; /* unit of the last packet */
	uint8_t state[SOURCE_WAYS]; /* enum source_state */
	uint8_t returns[SOURCE_WAYS]; /* units it was seen in, but the first; saturates */
};

struct source_entry {
	uint64_t key;
	struct limiter packets;
	struct limiter connections;
	struct limiter yellow; /* new flows over the fair rate; where sources are policed */
};

struct source_group {
	struct limiter packets;
	struct limiter connections;
	struct limiter yellow;
	uint64_t unused[5]; /* groups lie on lines of their own */
};

struct source_table {
	struct source_set *set; /* owned; [set_mask + 1] */
	struct source_entry *entry; /* owned; [8 * (set_mask + 1)] */
	struct source_group *group; /* owned; [SOURCE_GROUPS] */
	struct hash_seed seed;
	uint64_t mask[2]; /* of the prefix, as it lies in the address */
	uint32_t set_mask;
	bool ipv6;
	bool hashed; /* the prefix is longer than a key: IPv6 beyond /64 */
	bool by_time; /* sources become known by being there */
	struct table_memory memory;
};

/* Who a packet is from. */
struct source_id {
	uint64_t key; /* the prefix itself, or a hash of it where it is too long */
	uint32_t tag;
	uint32_t set[2];
	uint32_t guess; /* its entry, as pass 2 found it; SOURCE_NO_GUESS */
};
#define SOURCE_NO_GUESS UINT32_MAX

/* Made from the configuration. */
struct source_limits {
	struct limiter_rate packets; /* unlimited where not set */
	struct limiter_rate connections;
};

/* Where sources are policed. */
struct source_rates {
	struct limiter_rate flows; /* green */
	struct limiter_rate flows_yellow; /* what more of them is yellow */
	struct limiter_rate packets; /* of any kind */
};

enum source_colour {
	SOURCE_GREEN,
	SOURCE_YELLOW,
	SOURCE_RED
};

struct source_clock {
	uint64_t tsc;
	uint32_t ms;
	bool shared; /* several workers */
};

/* What has changed, for the caller's counters; added up over calls. */
struct source_use {
	uint64_t tracked; /* places taken that had never been taken before */
	uint64_t
		known; /* sources that became known, less those that lost their place; may be < 0 */
	uint64_t overflow; /* packets judged with the overflow */
};

enum source_verdict {
	SOURCE_REFUSED,
	SOURCE_PASSED,
	SOURCE_PASSED_KNOWN, /* from a source that is known */
};

struct source_table_params {
	uint32_t entries; /* rounded up to a power of two within the limits above */
	bool ipv6;
	uint8_t prefix; /* bits of an address that make a source: 1..32, 1..128 */
	bool by_time; /* see above */
	struct hash_seed seed;
	int node;
	struct table_memory memory;
};

size_t source_table_bytes(uint32_t entries);
uint32_t source_table_entries(const struct source_table *t);

/* Control thread; allocates. Returns 0, -EINVAL (prefix) or -ENOMEM. */
int source_table_create(const struct source_table_params *params, struct source_table **ret_table);
void source_table_destroy(struct source_table *t); /* NULL is fine */

/* ---- workers ---- */

/* address: the source's 4 or 16 bytes as they lie in the packet, any alignment */
static inline struct source_id source_identify(const struct source_table *t, const void *address)
{
	struct source_id id;
	uint64_t hash;

	if (t->ipv6) {
		uint64_t half[2];

		memcpy(half, address, sizeof(half));
		id.key = half[0] & t->mask[0];
		if (t->hashed)
			id.key = hash_mix(
				id.key ^ t->seed.k[1], (half[1] & t->mask[1]) ^ t->seed.k[0]);
	} else {
		uint32_t word;

		memcpy(&word, address, sizeof(word));
		id.key = word & (uint32_t)t->mask[0];
	}
	hash = hash_mix(id.key ^ t->seed.k[0], t->seed.k[1]);
	hash = hash_mix(hash ^ t->seed.k[1], id.key ^ UINT64_C(0x9e3779b97f4a7c15));
	id.tag = (uint32_t)(hash >> 32);
	id.tag += (id.tag == 0) - (id.tag == UINT32_MAX);
	id.guess = SOURCE_NO_GUESS;
	id.set[0] = (uint32_t)hash & t->set_mask;
	/* Differs in the lowest bit at least. */
	id.set[1] = id.set[0] ^ (((id.tag * 0x9e3779b1u) >> 7 | 1) & t->set_mask);
	return id;
}

/* For a burst: pass 1 prefetches the sets, pass 2 the entry, pass 3 decides. */
static inline void source_prefetch(const struct source_table *t, const struct source_id *id)
{
	rte_prefetch0(&t->set[id->set[0]]);
	rte_prefetch0(&t->set[id->set[1]]);
}

void source_prefetch_entry(const struct source_table *t, struct source_id *id);

/* Judge a packet by what its source may send; notes that it was seen, and enters it. */
enum source_verdict source_packet(struct source_table *t, const struct source_limits *limits,
	const struct source_id *id, const struct source_clock *clock, struct source_use *use);

/* Judge a new flow; its packet has been judged before. */
bool source_flow(struct source_table *t, const struct source_limits *limits,
	const struct source_id *id, const struct source_clock *clock);

/*
 * The colour of a packet; notes that its source was seen, and enters it. A table has its budgets for this, or
 * for the limits above.
 *
 * opens  it asks for a new flow
 */
enum source_colour source_colour(struct source_table *t, const struct source_rates *rates,
	const struct source_id *id, const struct source_clock *clock, bool opens,
	struct source_use *use);

/* A backend has sent data to this source. Does nothing where sources become known by time. */
void source_prove(struct source_table *t, const struct source_id *id,
	const struct source_clock *clock, struct source_use *use);

#endif
