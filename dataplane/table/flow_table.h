/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The flows of one service: 256 partitions, one per bucket of the hash, each of fixed size and each
 * written by exactly one worker at a time. All flows of a table have one family and one protocol, so
 * neither is part of the key.
 *
 * Memory. A flow is a record of one cache line (IPv4) or two (IPv6: the second holds the addresses),
 * found through an index of cache lines with 15 entries each: 16-bit tags, 16-bit record numbers. An
 * entry is in one of two lines that its hash chooses; nat has two entries per record, client side and
 * backend side. Lines are planned for 8 entries, so a flow costs in all about
 *     dsr 73 bytes (IPv4), 137 bytes (IPv6);    nat 82 bytes (IPv4), 146 bytes (IPv6);
 * flow_table_bytes() says it exactly. Untouched records are never written, so they cost no page.
 *
 * Packets in a burst: pass 1 flow_prefetch() for all, pass 2 flow_prefetch_record() for all, pass 3
 * flow_find4()/flow_find6(). A hit is two cache misses (IPv6: three, two of them adjacent), a miss one.
 *
 * Ageing. Transient states (half open, closed, unassured UDP) have a queue each, always in the order
 * of their last packet, so the head expires first. The others lie on a wheel of 128 slots of 2.048 s:
 * a packet only writes the record's last-seen; a flow that was seen since is hung up again when its
 * slot comes round. Last-seen may be 0.5 s older than the last packet, and a slot fires up to 2.1 s
 * late: a flow ends that much before or after its timeout.
 * A full partition evicts its oldest transient flow: closed first, else half open or unassured.
 *
 * Threads. A partition belongs to one worker (the main thread moves partitions only while nobody
 * works on them). Other threads read through flow_read() and flow_peek(): every record has a sequence
 * number that is odd while its identity (addresses, ports, state FREE or not) changes; readers copy
 * and try again when it moved. Counters that a reader looks at are single words.
 *
 * Time: `now_ms` is any clock in milliseconds that wraps at 2^32, the same for all calls of a table,
 * not going back; made once a burst from the TSC by the caller.
 *
 * Source: two-choice hashing with bounded buckets (Azar, Broder, Karlin, Upfal, "Balanced
 * allocations", 1999); timing wheels (Varghese, Lauck, 1987).
 */

#ifndef WEIR_TABLE_FLOW_TABLE_H
#define WEIR_TABLE_FLOW_TABLE_H

#include "dataplane/net/hash.h"
#include "dataplane/table/flow_state.h"
#include "dataplane/table/memory.h"

#include <rte_branch_prediction.h>
#include <rte_prefetch.h>
#include <rte_vect.h>

#include <assert.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define FLOW_PARTITIONS	       HASH_BUCKET_COUNT
#define FLOW_PARTITION_MAX     65535u /* records of one partition */
#define FLOW_TABLE_MAX	       (FLOW_PARTITIONS * FLOW_PARTITION_MAX)
#define FLOW_NIL	       UINT16_MAX /* "no record" in links */
#define FLOW_LINE_ENTRIES      15
#define FLOW_WHEEL_SLOTS       128
#define FLOW_WHEEL_SHIFT       11 /* a slot is 2^11 ms */
#define FLOW_TOUCH_INTERVAL_MS 500

/* Which end sent the packet, hence which half of the record it is compared with. */
enum flow_side {
	FLOW_SIDE_CLIENT = 0,
	FLOW_SIDE_BACKEND = 1,
};

/*
 * As in a packet; network order. IPv6: the addresses lie in struct flow_tail, and in their place is the
 * hash of the side.
 */
struct flow_tuple {
	uint32_t src;
	uint32_t dst;
	union {
		struct {
			uint16_t sport;
			uint16_t dport;
		};
		uint32_t ports;
	};
};

/*
 * One flow. Written by the partition's worker only. What callers may write: client_first, hop, backend_slot,
 * backend_epoch, source_slot, flags, port_in, client_mac, user. The rest is the table's.
 */
struct flow {
	/* tuple[FLOW_SIDE_CLIENT]: client -> service; tuple[FLOW_SIDE_BACKEND]: backend -> source
	 * address (dsr: backend -> 0, not indexed). */
	struct flow_tuple tuple[2];
	uint32_t seq; /* odd while the identity changes */
	uint32_t last_seen_ms; /* within FLOW_TOUCH_INTERVAL_MS */
	uint32_t client_first; /* caller's: sequence number of the client's first byte */
	uint16_t next, prev; /* queue, wheel slot or free list */
	uint16_t backend_slot;
	uint16_t backend_epoch;
	uint16_t source_slot; /* nat: of the translation source address */
	uint16_t flags; /* enum flow_flag */
	uint8_t state; /* enum flow_state; change it with flow_set_state() */
	uint8_t list; /* which queue or wheel slot it hangs on */
	uint8_t port_in; /* where the client's packets come from */
	uint8_t bucket;
	uint8_t client_mac[6]; /* return path */
	uint8_t user[4]; /* caller's; zeroed at insert */
	uint16_t hop; /* mark of the next hop that it got from a group; 0: none */
} __rte_cache_aligned;

/* IPv6: the line behind struct flow. addrs[side] is source and destination as in the header. */
struct flow_tail {
	uint8_t addrs[2][32];
} __rte_cache_aligned;

static_assert(sizeof(struct flow) == 64, "a flow is one cache line");
static_assert(sizeof(struct flow_tail) == 64, "the addresses of an IPv6 flow are one cache line");

/* Index line; `used` has a bit for each entry, `spilled` counts entries that went elsewhere. */
struct flow_line {
	uint16_t tag[FLOW_LINE_ENTRIES];
	uint16_t used;
	uint16_t record[FLOW_LINE_ENTRIES];
	uint16_t spilled;
} __rte_cache_aligned;

static_assert(sizeof(struct flow_line) == 64, "an index line is a cache line");

struct flow_partition;

/*
 * Told of every record that is about to be freed (aged, evicted, removed, displaced by a duplicate),
 * while its fields are still there: release the translated port, count. Called by the thread that
 * owns the partition; must not call back into the table.
 */
typedef void (*flow_release_fn)(void *ctx, struct flow_partition *part, const struct flow *f);

struct flow_list {
	uint16_t head, tail;
};

struct flow_partition {
	/* line 0: what a lookup reads; fixed after creation */
	struct flow_line *lines;
	uint8_t *records;
	uint32_t line_count;
	uint32_t capacity;
	uint8_t record_shift; /* 6: IPv4, 7: IPv6 */
	uint8_t bucket;
	bool indexes_backend; /* nat */
	struct hash_seed seed;
	uint8_t protocol;
	alignas(RTE_CACHE_LINE_SIZE) uint32_t count; /* line 1: the worker's; flows in use */
	uint32_t fresh; /* records [fresh, capacity) were never used */
	uint16_t free; /* list of records that were */
	uint16_t wheel_at; /* next slot to fire */
	uint32_t wheel_ms; /* when it fires; set at the first insert */
	struct flow_list queue[FLOW_UDP_NEW + 1]; /* by transient state */
	uint64_t evicted; /* by inserts, since creation */
	flow_release_fn release;
	void *release_ctx;
	uint8_t *journal; /* borrowed; a copy for each record (flow_journal.h), or NULL */
	alignas(RTE_CACHE_LINE_SIZE) uint16_t wheel[FLOW_WHEEL_SLOTS]; /* heads */
	struct flow_timeouts timeouts;
} __rte_cache_aligned;

struct flow_table_params {
	uint32_t
		capacity; /* flows; split evenly over the partitions, rounded up; 1..FLOW_TABLE_MAX */
	bool ipv6;
	bool nat; /* index the backend's side too */
	uint8_t protocol; /* for the hash of the backend's side */
	struct hash_seed seed;
	int node; /* NUMA node, -1 any */
	const int *bucket_node; /* NULL, or a node for each of the 256 partitions instead */
	struct flow_timeouts timeouts;
	struct table_memory memory;
	flow_release_fn release; /* may be NULL */
	void *release_ctx;
};

struct flow_table {
	struct flow_partition part[FLOW_PARTITIONS];
	struct table_memory memory;
};

/*
 * Bytes that a table of `capacity` flows takes. The hash fills partitions unevenly: to hold N flows,
 * ask for about N + 4 * sqrt(256 * N) (10 % more at 10 k... 1 % at 1 M are typical).
 */
size_t flow_table_bytes(uint32_t capacity, bool ipv6, bool nat);

/*
 * Create an empty table. Control thread; allocates. Returns 0, -EINVAL or -ENOMEM. Free it with
 * flow_table_destroy() when no worker uses it any more; that does not call release.
 */
int flow_table_create(const struct flow_table_params *params, struct flow_table **ret_table);
void flow_table_destroy(struct flow_table *t);

/* Records in use, over all partitions; any thread, approximately. */
uint32_t flow_table_count(const struct flow_table *t);
uint32_t flow_table_capacity(const struct flow_table *t);

/* ---- the worker's: lookup ---- */

static inline struct flow *flow_at(const struct flow_partition *p, uint32_t record)
{
	return (struct flow *)(p->records + ((size_t)record << p->record_shift));
}

static inline uint16_t flow_index(const struct flow_partition *p, const struct flow *f)
{
	return (uint16_t)((size_t)((const uint8_t *)f - p->records) >> p->record_shift);
}

/* IPv6 tables only. */
static inline struct flow_tail *flow_tail(struct flow *f)
{
	return (struct flow_tail *)(void *)(f + 1);
}

/* The lowest bit is the side, so the two entries of one record can not be taken for each other. */
static inline uint16_t flow_tag(uint64_t hash, unsigned int side)
{
	return (uint16_t)((hash >> 48 & ~UINT64_C(1)) | side);
}

static inline uint32_t flow_line_primary(const struct flow_partition *p, uint64_t hash)
{
	return (uint32_t)(((uint64_t)(uint32_t)(hash >> 8) * p->line_count) >> 32);
}

/* Never the same as the primary: there are at least two lines. */
static inline uint32_t flow_line_alternate(
	const struct flow_partition *p, uint64_t hash, uint32_t primary)
{
	uint32_t mixed = (uint32_t)(hash >> 32) * 0x9e3779b1u;
	uint32_t step = 1 + (uint32_t)(((uint64_t)mixed * (p->line_count - 1)) >> 32);
	uint32_t line = primary + step;

	return line < p->line_count ? line : line - p->line_count;
}

/* Bit i: entry i of the line is in use and has the tag. */
static inline uint32_t flow_line_match(const struct flow_line *line, uint16_t tag)
{
#ifdef __SSE2__
	const __m128i *tags = (const __m128i *)(const void *)line;
	/* _mm_set1_epi16() may go through memory: two bytes stored, four loaded, which waits for the store. */
	__m128i want = _mm_shuffle_epi32(_mm_shufflelo_epi16(_mm_cvtsi32_si128(tag), 0), 0);
	__m128i low = _mm_cmpeq_epi16(_mm_load_si128(tags), want);
	__m128i high = _mm_cmpeq_epi16(_mm_load_si128(tags + 1), want);

	return (uint32_t)_mm_movemask_epi8(_mm_packs_epi16(low, high)) & line->used;
#else
	uint32_t m = 0;

	for (uint32_t i = 0; i < FLOW_LINE_ENTRIES; i++)
		m |= (uint32_t)(line->tag[i] == tag) << i;
	return m & line->used;
#endif
}

/* Pass 1. */
static inline void flow_prefetch(const struct flow_partition *p, uint64_t hash)
{
	rte_prefetch0(&p->lines[flow_line_primary(p, hash)]);
}

/* Pass 2: the record that the hash most probably means, or NULL; it is on its way when pass 3 comes. */
static inline struct flow *flow_prefetch_record(
	const struct flow_partition *p, uint64_t hash, unsigned int side)
{
	const struct flow_line *line = &p->lines[flow_line_primary(p, hash)];
	uint32_t match = flow_line_match(line, flow_tag(hash, side));

	if (likely(match != 0)) {
		struct flow *f = flow_at(p, line->record[__builtin_ctz(match)]);

		rte_prefetch0(f);
		if (p->record_shift == 7)
			rte_prefetch0(f + 1);
		return f;
	}
	if (line->spilled != 0) {
		uint32_t primary = (uint32_t)(line - p->lines);

		rte_prefetch0(&p->lines[flow_line_alternate(p, hash, primary)]);
	}
	return NULL;
}

/* Are the 32 bytes of two IPv6 addresses the same? Inline, which memcmp() is not for so many. */
static inline bool flow_addrs6_equal(const void *a, const void *b)
{
	return ((hash_load(a, 0) ^ hash_load(b, 0)) | (hash_load(a, 8) ^ hash_load(b, 8)) |
		       (hash_load(a, 16) ^ hash_load(b, 16)) |
		       (hash_load(a, 24) ^ hash_load(b, 24))) == 0;
}

static inline bool flow_equals(
	const struct flow *f, const void *addrs, uint32_t ports, unsigned int side, const bool ipv6)
{
	if (f->tuple[side].ports != ports)
		return false;
	if (ipv6) {
		const struct flow_tail *tail = (const struct flow_tail *)(const void *)(f + 1);

		return flow_addrs6_equal(tail->addrs[side], addrs);
	}
	return memcmp(&f->tuple[side].src, addrs, 8) == 0;
}

static inline struct flow *flow_find_in_line(const struct flow_partition *p,
	const struct flow_line *line, uint64_t hash, const void *addrs, uint32_t ports,
	unsigned int side, const bool ipv6)
{
	uint32_t match = flow_line_match(line, flow_tag(hash, side));

	while (match != 0) {
		struct flow *f = flow_at(p, line->record[__builtin_ctz(match)]);

		if (likely(flow_equals(f, addrs, ports, side, ipv6)))
			return f;
		match &= match - 1;
	}
	return NULL;
}

static inline struct flow *flow_find(const struct flow_partition *p, uint64_t hash,
	const void *addrs, uint32_t ports, unsigned int side, const bool ipv6)
{
	uint32_t primary = flow_line_primary(p, hash);
	const struct flow_line *line = &p->lines[primary];
	struct flow *f = flow_find_in_line(p, line, hash, addrs, ports, side, ipv6);

	if (likely(f != NULL) || likely(line->spilled == 0))
		return f;
	line = &p->lines[flow_line_alternate(p, hash, primary)];
	return flow_find_in_line(p, line, hash, addrs, ports, side, ipv6);
}

/*
 * Pass 3: the flow of a packet, or NULL. Does not touch it.
 *
 * part   of the packet's bucket: hash_bucket(hash) on the client's side, the low 8 bits of the
 *        destination port on the backend's
 * hash   hash_tuple4() of the packet as it came
 * addrs  source and destination as the 8 bytes (IPv6: 32) of the header, any alignment
 * ports  source and destination as the 4 bytes of the L4 header
 */
static inline struct flow *flow_find4(const struct flow_partition *part, uint64_t hash,
	const void *addrs, uint32_t ports, enum flow_side side)
{
	return flow_find(part, hash, addrs, ports, side, false);
}

static inline struct flow *flow_find6(const struct flow_partition *part, uint64_t hash,
	const void *addrs, uint32_t ports, enum flow_side side)
{
	return flow_find(part, hash, addrs, ports, side, true);
}

/*
 * Pass 3 with what pass 2 returned. Between the two no flow may have been inserted; flows may have been
 * removed.
 */
static inline struct flow *flow_find_guessed(const struct flow_partition *part, struct flow *guess,
	uint64_t hash, const void *addrs, uint32_t ports, unsigned int side, const bool ipv6)
{
	if (likely(guess && guess->state != FLOW_FREE &&
		    flow_equals(guess, addrs, ports, side, ipv6)))
		return guess;
	return flow_find(part, hash, addrs, ports, side, ipv6);
}

/* ---- the worker's: changes ---- */

/* Not for callers: write last-seen and keep a queue in order. */
void flow_touch_slow(struct flow_partition *part, struct flow *f, uint32_t now_ms);

/* Note a packet of the flow; writes at most twice a second. */
static inline void flow_touch(struct flow_partition *part, struct flow *f, uint32_t now_ms)
{
	if (unlikely(now_ms - f->last_seen_ms >= FLOW_TOUCH_INTERVAL_MS))
		flow_touch_slow(part, f, now_ms);
}

/* Move to another state (not FLOW_FREE), with its timeout from now on. The same state: no-op. */
void flow_set_state(
	struct flow_partition *part, struct flow *f, enum flow_state state, uint32_t now_ms);

struct flow_new {
	uint64_t hash; /* of the client's side */
	const void *client_addrs; /* client, service: 8 or 32 bytes as in the header */
	const void *backend_addrs; /* backend, translated source: 8 or 32 bytes; dsr: backend, 0 */
	uint32_t client_ports; /* client, service, as in the header */
	uint32_t backend_ports; /* backend, translated source, as in the header */
	uint8_t state; /* FLOW_SYN, FLOW_UDP_NEW, FLOW_ESTABLISHED... */
};

/*
 * Prefetch what the next insert into the partition writes, a few packets ahead, in two passes: first
 * the record; then, when that one has to be evicted first, what evicting touches.
 */
void flow_insert_prefetch(const struct flow_partition *part);
/* Returns the flow that the next insert has to end, or NULL: there is room, or none may be ended. */
const struct flow *flow_insert_prefetch_more(const struct flow_partition *part);

/* The hash that finds the backend's side of a flow (nat); addresses and ports as in struct flow_new. */
static inline uint64_t flow_backend_hash(const struct flow_partition *part,
	const void *backend_addrs, uint32_t backend_ports, const bool ipv6)
{
	if (ipv6)
		return hash_tuple6(&part->seed, backend_addrs, backend_ports, part->protocol);
	return hash_tuple4(&part->seed, hash_load(backend_addrs, 0), backend_ports, part->protocol);
}

/*
 * Add a flow. The caller has looked it up just before, after all earlier packets of the burst were
 * done: there is no check for a flow of the same client side. An old flow with the same backend side
 * is freed (it can only be one whose backend left and came back). A full partition gives up its oldest
 * transient flow.
 *
 * So an insert may free other flows. A pointer that a packet of the same burst got from a find before is
 * good only if its flow is neither transient nor has the same backend side: use what a find gives
 * before the next insert into the partition, or find again.
 *
 * Returns the flow, zeroed but for its identity; NULL when the partition is full of established ones:
 * WEIR_DROP_FLOW_TABLE_FULL, or place by hashing alone.
 */
struct flow *flow_insert(struct flow_partition *part, const struct flow_new *flow, uint32_t now_ms);
/* The same for who has flow_backend_hash() of it already; nat. */
struct flow *flow_insert_hashed(struct flow_partition *part, const struct flow_new *flow,
	uint64_t backend_hash, uint32_t now_ms);

/*
 * Give a flow another backend, in nat with another translated port: replaces its backend side. Returns
 * false, and changes nothing, when the index has no room for it. The caller releases the old port
 * before and sets backend_slot, backend_epoch and source_slot after.
 */
bool flow_rebind(struct flow_partition *part, struct flow *f, const void *backend_addrs,
	uint32_t backend_ports);

/* Free a flow; release is called. */
void flow_remove(struct flow_partition *part, struct flow *f);

/*
 * Free flows that are idle for too long: at most `budget` records are looked at.
 *
 * Returns the records looked at; less than budget means that all is done up to now_ms.
 */
uint32_t flow_partition_age(struct flow_partition *part, uint32_t now_ms, uint32_t budget);

/* ---- any thread ---- */

/* A flow as others see it; addresses are 16 bytes, IPv4 mapped, ports in host order. */
struct flow_view {
	uint8_t client_address[16];
	uint8_t service_address[16];
	uint8_t backend_address[16];
	uint8_t source_address[16]; /* nat; else zero */
	uint16_t client_port;
	uint16_t service_port;
	uint16_t backend_port;
	uint16_t source_port;
	uint16_t backend_slot;
	uint16_t backend_epoch;
	uint8_t state; /* enum flow_state */
	uint8_t bucket;
	uint32_t last_seen_ms;
};

/* Records below this number may be in use. */
uint32_t flow_partition_extent(const struct flow_partition *part);

/* Copy record `record` (below the extent) whole. False when it is free or changes all the time. */
bool flow_read(const struct flow_partition *part, uint32_t record, struct flow_view *ret_view);

/* Find by the client's side without the worker's help; may miss one that is just being moved. */
bool flow_peek(const struct flow_partition *part, uint64_t hash, const void *addrs, uint32_t ports,
	struct flow_view *ret_view);

#endif
