/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Which translated source ports are free. A port is (block << 8 | bucket), so within one bucket there
 * are as many ports as a source address has blocks, 256 at most: a bitmap of 32 bytes says exactly
 * which are taken towards one backend. A port may serve several backends at a time, as a reply is
 * told apart by where it comes from. Taking is find-first-set over four words, from just behind the
 * port taken last; when a source address has none further on, the next address has its turn. So a port
 * that was given back is used again after all others of all addresses, and yet the ports that a bucket
 * takes towards a backend lie in one set for hundreds of flows.
 *
 * struct nat_ports belongs to a service and lives as long as it does; the control thread fits it to a
 * configuration and gets a struct nat_view, which is immutable and part of the generation. A set
 * (service, backend slot, source slot, bucket) is one cache line and written only by the worker
 * that has the bucket. Memory: 16 KiB for each pair of backend and source slot, 256 bytes for each backend.
 *
 * Source slots are stable: an address keeps its slot as long as flows may use it.
 *
 * A worker that has stopped answering may write to its buckets' sets at any moment. Who takes the buckets over
 * counts in other sets, those of another lane: nat_ports_shift(). The lane that a bucket has is part of
 * the view, so that who woke up with an older one writes where nobody reads. Which source has its turn is
 * one byte that both may write, and any value of it will do.
 */

#ifndef WEIR_TABLE_NAT_PORTS_H
#define WEIR_TABLE_NAT_PORTS_H

#include "dataplane/net/hash.h"
#include "dataplane/table/memory.h"

#include <rte_branch_prediction.h>
#include <rte_common.h>

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NAT_MAX_SOURCES 256 /* slots of one service */
#define NAT_LANES	4 /* so many workers, less one, may have stopped answering at a time */

struct nat_ports;

/* One bucket's ports of one source towards one backend. */
struct nat_set {
	uint64_t taken[4]; /* bit b: port b << 8 | bucket */
	uint8_t last; /* taken last */
} __rte_cache_aligned;

static_assert(sizeof(struct nat_set) == 64, "a set is one cache line");

struct nat_chunk {
	struct nat_set bucket[HASH_BUCKET_COUNT];
};

/* By bucket: the source slot that has its turn towards one backend. */
struct nat_turns {
	uint8_t source[HASH_BUCKET_COUNT];
};

static_assert(NAT_MAX_SOURCES <= UINT8_MAX + 1, "a source slot is a byte");

struct nat_source {
	uint8_t address[16]; /* IPv4 mapped */
	uint64_t usable[4]; /* blocks that the service may use; none: the address is leaving */
};

/* Immutable, but for what chunks and turns hold. */
struct nat_view {
	uint32_t source_count; /* slots */
	uint32_t backend_slots;
	uint32_t lanes;
	struct nat_source *source;
	/* [(lane * backend_slots + backend slot) * source_count + source slot]; NULL: not in use */
	struct nat_chunk **chunk;
	struct nat_turns **turns; /* [backend slot]; NULL: not in use */
	uint8_t lane[HASH_BUCKET_COUNT];
};

/*
 * start  where the rotation begins towards a backend without flows so far: that many usable ports are
 *        passed over. It should differ after each start of the process: what was translated before may
 *        be in TIME_WAIT at the backends (RFC 9293, section 3.6.1), which answer a SYN badly then
 *
 * Control thread. Returns 0 or -ENOMEM.
 */
int nat_ports_create(
	const struct table_memory *memory, int node, uint32_t start, struct nat_ports **ret_ports);
/* No view of it may be in use. */
void nat_ports_destroy(struct nat_ports *np);

/* A source address as configured; blocks as in struct weir_config_source. */
struct nat_source_config {
	uint8_t address[16];
	uint8_t blocks[32];
};

/*
 * Fit to a configuration. The view is freed with nat_view_destroy() after its generation.
 *
 * backend_used  for each backend slot: a configured backend has it. Slots that were once in use keep
 *               their chunks, as flows may still hold ports
 *
 * Control thread; allocates. Returns 0, -ENOMEM, or -ENOSPC (over NAT_MAX_SOURCES).
 */
int nat_ports_configure(struct nat_ports *np, const bool *backend_used, uint32_t backend_slots,
	const struct nat_source_config *sources, uint32_t source_count, struct nat_view **ret_view);
void nat_view_destroy(struct nat_ports *np, struct nat_view *view);

/*
 * Prepare a view in which some buckets have other sets, with all ports free; those that they have now are left
 * to who may still write them. Nothing else has changed before nat_ports_shifted() is called.
 *
 * shifted   [HASH_BUCKET_COUNT]: which buckets
 * ret_lane  [HASH_BUCKET_COUNT]: by bucket
 *
 * Control thread; allocates. Returns 0, -ENOMEM, or -EBUSY: all lanes of a bucket are left to somebody.
 */
int nat_ports_shift(
	struct nat_ports *np, const bool *shifted, uint8_t *ret_lane, struct nat_view **ret_view);
/* Views from now on are like that one. ret_left: [HASH_BUCKET_COUNT], the lanes that they had. */
void nat_ports_shifted(struct nat_ports *np, const uint8_t *lane, uint8_t *ret_left);
/* Nobody writes a bucket's sets of a lane any more that it once had. */
void nat_ports_left(struct nat_ports *np, uint8_t bucket, uint8_t lane);

/* Worker: the set of a bucket's ports of one source towards one backend; NULL: none. */
static inline struct nat_set *nat_ports_set(
	const struct nat_view *view, uint8_t bucket, uint16_t backend_slot, uint16_t source_slot)
{
	struct nat_chunk *chunk;

	if (unlikely(backend_slot >= view->backend_slots || source_slot >= view->source_count))
		return NULL;
	chunk = view->chunk[(view->lane[bucket] * view->backend_slots + backend_slot) *
			view->source_count +
		source_slot];
	return likely(chunk != NULL) ? &chunk->bucket[bucket] : NULL;
}

/* Worker: the set that the next port is most probably taken from; NULL: none. */
static inline struct nat_set *nat_ports_next_set(
	const struct nat_view *view, uint8_t bucket, uint16_t backend_slot)
{
	const struct nat_turns *turns;

	if (unlikely(backend_slot >= view->backend_slots))
		return NULL;
	turns = view->turns[backend_slot];
	return likely(turns != NULL) ?
		nat_ports_set(view, bucket, backend_slot, turns->source[bucket]) :
		NULL;
}

/* nat_ports_take() when the first word that it looks at has none. */
bool nat_ports_take_any(const struct nat_view *view, uint8_t bucket, uint16_t backend_slot,
	uint16_t *ret_source_slot, uint16_t *ret_port);

static inline void nat_set_take(struct nat_set *set, uint32_t block)
{
	set->taken[block / 64] |= UINT64_C(1) << (block % 64);
	set->last = (uint8_t)block;
}

/*
 * Take a port for a new flow. Finds one whenever one is free; a source that is full costs one cache
 * line to step over.
 *
 * Worker that has the bucket. Returns true with the slot of the source and the port (host order), or
 * false: all are taken, WEIR_DROP_NO_TRANSLATION_PORT.
 */
static inline bool nat_ports_take(const struct nat_view *view, uint8_t bucket,
	uint16_t backend_slot, uint16_t *ret_source_slot, uint16_t *ret_port)
{
	struct nat_set *set = nat_ports_next_set(view, bucket, backend_slot);

	if (likely(set != NULL)) {
		uint8_t source = view->turns[backend_slot]->source[bucket];
		uint32_t from = (uint8_t)(set->last + 1);
		uint64_t free = view->source[source].usable[from / 64] & ~set->taken[from / 64] &
			(UINT64_MAX << (from % 64));

		if (likely(free != 0)) {
			uint32_t block = (from & ~63u) + (uint32_t)__builtin_ctzll(free);

			nat_set_take(set, block);
			*ret_source_slot = source;
			*ret_port = (uint16_t)(block << 8 | bucket);
			return true;
		}
	}
	return nat_ports_take_any(view, bucket, backend_slot, ret_source_slot, ret_port);
}

/*
 * Take this very port, for a flow that had it before a restart. Worker that has the bucket, or the main
 * thread before any has. False: it is not the service's, or is taken.
 */
bool nat_ports_claim(
	const struct nat_view *view, uint16_t backend_slot, uint16_t source_slot, uint16_t port);

/* Give back what nat_ports_take() gave, from the flow table's release function. */
static inline void nat_ports_give(const struct nat_view *view, uint8_t bucket,
	uint16_t backend_slot, uint16_t source_slot, uint16_t port)
{
	struct nat_set *set = nat_ports_set(view, bucket, backend_slot, source_slot);

	if (likely(set != NULL))
		set->taken[port >> 14] &= ~(UINT64_C(1) << ((port >> 8) % 64));
}

/* Ports taken, all buckets; any thread, approximately. For tests and diagnosis. */
uint32_t nat_ports_taken(const struct nat_view *view);

#endif
