/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/table/nat_ports.h"

#include <errno.h>
#include <string.h>

struct nat_ports {
	struct table_memory memory;
	int node;
	uint32_t start;
	uint32_t source_count; /* slots that were ever used */
	struct nat_source source[NAT_MAX_SOURCES];
	uint32_t backend_slots; /* rows of the matrix */
	uint32_t source_slots; /* columns of the matrix */
	struct nat_chunk *
		*chunk[NAT_LANES]; /* owned; [backend slot * source_slots + source slot] */
	uint32_t lanes; /* in use; at least 1 */
	uint8_t lane[HASH_BUCKET_COUNT]; /* of each bucket */
	uint8_t left[HASH_BUCKET_COUNT]; /* bit i: somebody may still write its sets of lane i */
	struct nat_turns **turns; /* owned; [backend slot] */
};

int nat_ports_create(
	const struct table_memory *memory, int node, uint32_t start, struct nat_ports **ret_ports)
{
	struct nat_ports *np = memory->alloc(memory->ctx, sizeof(*np), node);

	if (np == NULL)
		return -ENOMEM;
	np->memory = *memory;
	np->node = node;
	np->start = start;
	np->lanes = 1;
	*ret_ports = np;
	return 0;
}

void nat_ports_destroy(struct nat_ports *np)
{
	if (np == NULL)
		return;
	for (uint32_t l = 0; l < NAT_LANES; l++) {
		for (uint32_t i = 0; np->chunk[l] && i < np->backend_slots * np->source_slots; i++)
			np->memory.free(np->memory.ctx, np->chunk[l][i]);
		np->memory.free(np->memory.ctx, np->chunk[l]);
	}
	for (uint32_t b = 0; b < np->backend_slots; b++)
		np->memory.free(np->memory.ctx, np->turns[b]);
	np->memory.free(np->memory.ctx, np->turns);
	np->memory.free(np->memory.ctx, np);
}

static bool is_usable(const struct nat_source *s)
{
	return (s->usable[0] | s->usable[1] | s->usable[2] | s->usable[3]) != 0;
}

/* By buckets that are on this lane. */
static uint32_t chunk_taken(
	const struct nat_chunk *chunk, const uint8_t lane_of[HASH_BUCKET_COUNT], uint32_t lane)
{
	uint32_t taken = 0;

	for (uint32_t b = 0; b < HASH_BUCKET_COUNT; b++)
		for (uint32_t w = 0; lane_of[b] == lane && w < 4; w++)
			taken += (uint32_t)__builtin_popcountll(
				__atomic_load_n(&chunk->bucket[b].taken[w], __ATOMIC_RELAXED));
	return taken;
}

/* No flow has a port of it, and none can get one: no configuration in force knows it. */
static bool slot_is_idle(const struct nat_ports *np, uint32_t slot)
{
	if (is_usable(&np->source[slot]))
		return false;
	for (uint32_t i = 0; slot < np->source_slots && i < np->lanes * np->backend_slots; i++) {
		const uint32_t l = i / np->backend_slots, b = i % np->backend_slots;
		const struct nat_chunk *chunk = np->chunk[l][b * np->source_slots + slot];

		if (chunk != NULL && chunk_taken(chunk, np->lane, l) != 0)
			return false;
	}
	return true;
}

/* The slot of an address in the new list, or a free one. -ENOSPC when there is none. */
static int slot_find(const struct nat_ports *np, const struct nat_source *source, uint32_t *count,
	const uint8_t address[16])
{
	for (uint32_t i = 0; i < *count; i++)
		if (memcmp(source[i].address, address, 16) == 0)
			return (int)i;
	for (uint32_t i = 0; i < np->source_count; i++)
		if (!is_usable(&source[i]) && slot_is_idle(np, i))
			return (int)i;
	if (*count == NAT_MAX_SOURCES)
		return -ENOSPC;
	return (int)(*count)++;
}

static int sources_assign(const struct nat_ports *np, const struct nat_source_config *sources,
	uint32_t source_count, struct nat_source *ret_source, uint32_t *ret_count)
{
	uint32_t count = np->source_count;

	memcpy(ret_source, np->source, count * sizeof(*ret_source));
	for (uint32_t i = 0; i < count; i++)
		memset(ret_source[i].usable, 0, sizeof(ret_source[i].usable));
	for (uint32_t i = 0; i < source_count; i++) {
		int slot = slot_find(np, ret_source, &count, sources[i].address);

		if (slot < 0)
			return slot;
		memcpy(ret_source[slot].address, sources[i].address, 16);
		memset(ret_source[slot].usable, 0, sizeof(ret_source[slot].usable));
		for (uint32_t b = 0; b < 256; b++)
			if (sources[i].blocks[b / 8] >> (b % 8) & 1)
				ret_source[slot].usable[b / 64] |= UINT64_C(1) << (b % 64);
	}
	*ret_count = count;
	return 0;
}

static int matrix_grow(struct nat_ports *np, uint32_t backend_slots, uint32_t source_slots)
{
	if (backend_slots <= np->backend_slots && source_slots <= np->source_slots)
		return 0;
	if (backend_slots < np->backend_slots)
		backend_slots = np->backend_slots;
	if (source_slots < np->source_slots)
		source_slots = np->source_slots;
	struct nat_chunk **grown[NAT_LANES] = { NULL };
	struct nat_turns **turns = np->memory.alloc(
		np->memory.ctx, ((size_t)backend_slots + 1) * sizeof(*turns), np->node);
	bool ok = turns != NULL;

	for (uint32_t l = 0; ok && l < np->lanes; l++) {
		grown[l] = np->memory.alloc(np->memory.ctx,
			((size_t)backend_slots * source_slots + 1) * sizeof(*grown[l]), np->node);
		ok = grown[l] != NULL;
	}
	if (!ok) {
		for (uint32_t l = 0; l < np->lanes; l++)
			np->memory.free(np->memory.ctx, grown[l]);
		np->memory.free(np->memory.ctx, turns);
		return -ENOMEM;
	}
	for (uint32_t l = 0; l < np->lanes; l++) {
		for (uint32_t b = 0; b < np->backend_slots; b++)
			for (uint32_t s = 0; s < np->source_slots; s++)
				grown[l][b * source_slots + s] =
					np->chunk[l][b * np->source_slots + s];
		np->memory.free(np->memory.ctx, np->chunk[l]);
		np->chunk[l] = grown[l];
	}
	for (uint32_t b = 0; b < np->backend_slots; b++)
		turns[b] = np->turns[b];
	np->memory.free(np->memory.ctx, np->turns);
	np->turns = turns;
	np->backend_slots = backend_slots;
	np->source_slots = source_slots;
	return 0;
}

/* What stands before the port that a chunk's buckets take first. */
static uint8_t last_initial(const struct nat_ports *np, const struct nat_source *source)
{
	uint32_t usable = 0;

	for (uint32_t w = 0; w < 4; w++)
		usable += (uint32_t)__builtin_popcountll(source->usable[w]);
	uint32_t skip = np->start % usable;
	uint32_t block = 0;

	for (;; block++) {
		if (!(source->usable[block / 64] >> (block % 64) & 1))
			continue;
		if (skip-- == 0)
			return (uint8_t)(block - 1);
	}
}

static int chunks_alloc(struct nat_ports *np, const bool *backend_used, uint32_t backend_slots,
	const struct nat_source *source, uint32_t source_count)
{
	for (uint32_t i = 0; i < np->lanes * backend_slots; i++) {
		const uint32_t l = i / backend_slots, b = i % backend_slots;

		for (uint32_t s = 0; s < source_count; s++) {
			struct nat_chunk **chunk = &np->chunk[l][b * np->source_slots + s];

			if (!backend_used[b] || !is_usable(&source[s]) || *chunk != NULL)
				continue;
			*chunk = np->memory.alloc(np->memory.ctx, sizeof(**chunk), np->node);
			if (*chunk == NULL)
				return -ENOMEM;
			uint8_t last = last_initial(np, &source[s]);

			for (uint32_t k = 0; k < HASH_BUCKET_COUNT; k++)
				(*chunk)->bucket[k].last = last;
		}
	}
	return 0;
}

/* Buckets begin with different sources, so that all of these are in use from the first flows on. */
static int turns_alloc(struct nat_ports *np, const bool *backend_used, uint32_t backend_slots,
	uint32_t source_count)
{
	for (uint32_t b = 0; b < backend_slots; b++) {
		if (!backend_used[b] || np->turns[b] != NULL)
			continue;
		np->turns[b] = np->memory.alloc(np->memory.ctx, sizeof(*np->turns[b]), np->node);
		if (np->turns[b] == NULL)
			return -ENOMEM;
		for (uint32_t i = 0; source_count != 0 && i < HASH_BUCKET_COUNT; i++)
			np->turns[b]->source[i] = (uint8_t)((b + i) % source_count);
	}
	return 0;
}

/* A view of all slots there are, with room for its arrays behind it. */
static int view_create(const struct nat_ports *np, const struct nat_source *source,
	uint32_t source_count, const uint8_t lane[HASH_BUCKET_COUNT], struct nat_view **ret_view)
{
	size_t cells = (size_t)np->lanes * np->backend_slots * source_count;
	size_t bytes = sizeof(struct nat_view) + source_count * sizeof(*source) +
		cells * sizeof(struct nat_chunk *) + np->backend_slots * sizeof(struct nat_turns *);
	struct nat_view *v = np->memory.alloc(np->memory.ctx, bytes, np->node);

	if (v == NULL)
		return -ENOMEM;
	v->source_count = source_count;
	v->backend_slots = np->backend_slots;
	v->lanes = np->lanes;
	v->source = (struct nat_source *)(v + 1);
	v->chunk = (struct nat_chunk **)(v->source + source_count);
	v->turns = (struct nat_turns **)(v->chunk + cells);
	memcpy(v->source, source, source_count * sizeof(*source));
	memcpy(v->lane, lane, sizeof(v->lane));
	for (uint32_t b = 0; b < np->backend_slots; b++)
		v->turns[b] = np->turns[b];
	for (uint32_t i = 0; i < np->lanes * np->backend_slots; i++) {
		const uint32_t l = i / np->backend_slots, b = i % np->backend_slots;

		for (uint32_t s = 0; s < source_count; s++)
			v->chunk[i * source_count + s] = np->chunk[l][b * np->source_slots + s];
	}
	*ret_view = v;
	return 0;
}

int nat_ports_configure(struct nat_ports *np, const bool *backend_used, uint32_t backend_slots,
	const struct nat_source_config *sources, uint32_t source_count, struct nat_view **ret_view)
{
	struct nat_source source[NAT_MAX_SOURCES];
	uint32_t count;
	int rc = sources_assign(np, sources, source_count, source, &count);

	/* Room in the matrix and fresh chunks change nothing for anybody, should a later step fail. */
	if (rc == 0)
		rc = matrix_grow(np, backend_slots, count);
	if (rc == 0)
		rc = chunks_alloc(np, backend_used, backend_slots, source, count);
	if (rc == 0)
		rc = turns_alloc(np, backend_used, backend_slots, count);
	if (rc == 0)
		rc = view_create(np, source, count, np->lane, ret_view);
	if (rc != 0)
		return rc;
	memcpy(np->source, source, count * sizeof(*source));
	np->source_count = count;
	return 0;
}

void nat_view_destroy(struct nat_ports *np, struct nat_view *view)
{
	np->memory.free(np->memory.ctx, view);
}

/* ---- buckets that are taken over ---- */

static int lane_add(struct nat_ports *np)
{
	const size_t cells = (size_t)np->backend_slots * np->source_slots + 1;
	struct nat_chunk **chunk =
		np->memory.alloc(np->memory.ctx, cells * sizeof(chunk[0]), np->node);

	if (chunk == NULL)
		return -ENOMEM;
	np->chunk[np->lanes++] = chunk;
	return 0;
}

/* A lane that nobody uses for a bucket; NAT_LANES: none. */
static uint32_t lane_choose(const struct nat_ports *np, uint32_t bucket)
{
	uint32_t l = 0;

	while (l < NAT_LANES && (l == np->lane[bucket] || (np->left[bucket] >> l & 1)))
		l++;
	return l;
}

/* All ports free; taken in the order in which they would have been. */
static int sets_clear(struct nat_ports *np, uint32_t bucket, uint32_t lane)
{
	for (uint32_t i = 0; i < np->backend_slots * np->source_slots; i++) {
		const struct nat_chunk *old = np->chunk[np->lane[bucket]][i];
		struct nat_chunk **chunk = &np->chunk[lane][i];

		if (old == NULL)
			continue;
		if (*chunk == NULL)
			*chunk = np->memory.alloc(np->memory.ctx, sizeof(**chunk), np->node);
		if (*chunk == NULL)
			return -ENOMEM;
		(*chunk)->bucket[bucket] = (struct nat_set){ .last = old->bucket[bucket].last };
	}
	return 0;
}

int nat_ports_shift(
	struct nat_ports *np, const bool *shifted, uint8_t *ret_lane, struct nat_view **ret_view)
{
	/* Lanes and chunks that are there without being in use change nothing for anybody. */
	for (uint32_t b = 0; b < HASH_BUCKET_COUNT; b++) {
		uint32_t lane = shifted[b] ? lane_choose(np, b) : np->lane[b];
		int rc = 0;

		ret_lane[b] = (uint8_t)lane;
		if (!shifted[b])
			continue;
		if (lane == NAT_LANES)
			return -EBUSY;
		while (rc == 0 && lane >= np->lanes)
			rc = lane_add(np);
		if (rc == 0)
			rc = sets_clear(np, b, lane);
		if (rc != 0)
			return rc;
	}
	return view_create(np, np->source, np->source_count, ret_lane, ret_view);
}

void nat_ports_shifted(struct nat_ports *np, const uint8_t *lane, uint8_t *ret_left)
{
	for (uint32_t b = 0; b < HASH_BUCKET_COUNT; b++) {
		ret_left[b] = np->lane[b];
		if (lane[b] == np->lane[b])
			continue;
		np->left[b] |= (uint8_t)(1u << np->lane[b]);
		np->lane[b] = lane[b];
	}
}

void nat_ports_left(struct nat_ports *np, uint8_t bucket, uint8_t lane)
{
	np->left[bucket] &= (uint8_t) ~(1u << lane);
}

/* The next free port behind the one taken last; -1: there is none further on. */
static inline int block_ahead(const struct nat_set *set, const uint64_t usable[4])
{
	uint32_t from = (uint8_t)(set->last + 1);
	uint32_t w = from / 64;
	uint64_t bits = usable[w] & ~set->taken[w] & (UINT64_MAX << (from % 64));

	while (bits == 0 && ++w < 4)
		bits = usable[w] & ~set->taken[w];
	return bits != 0 ? (int)(w * 64 + (uint32_t)__builtin_ctzll(bits)) : -1;
}

/* A source is done when it has nothing further on, and begins anew when its turn comes again: so twice round. */
bool nat_ports_take_any(const struct nat_view *view, uint8_t bucket, uint16_t backend_slot,
	uint16_t *ret_source_slot, uint16_t *ret_port)
{
	struct nat_turns *turns =
		backend_slot < view->backend_slots ? view->turns[backend_slot] : NULL;
	uint32_t s = turns != NULL ? turns->source[bucket] : 0;

	for (uint32_t tried = 0; turns != NULL && tried < 2 * view->source_count; tried++, s++) {
		if (s >= view->source_count)
			s = 0;
		struct nat_set *set = nat_ports_set(view, bucket, backend_slot, (uint16_t)s);

		if (unlikely(set == NULL))
			continue;
		int block = block_ahead(set, view->source[s].usable);

		if (likely(block >= 0)) {
			nat_set_take(set, (uint32_t)block);
			turns->source[bucket] = (uint8_t)s;
			*ret_source_slot = (uint16_t)s;
			*ret_port = (uint16_t)(block << 8 | bucket);
			return true;
		}
		set->last = UINT8_MAX;
	}
	return false;
}

bool nat_ports_claim(
	const struct nat_view *view, uint16_t backend_slot, uint16_t source_slot, uint16_t port)
{
	struct nat_set *set = nat_ports_set(view, port & 0xff, backend_slot, source_slot);
	const uint64_t bit = UINT64_C(1) << ((port >> 8) % 64);
	const uint32_t word = port >> 14;

	if (set == NULL || !(view->source[source_slot].usable[word] & bit) ||
		(set->taken[word] & bit))
		return false;
	set->taken[word] |= bit;
	return true;
}

uint32_t nat_ports_taken(const struct nat_view *view)
{
	const uint32_t cells = view->backend_slots * view->source_count;
	uint32_t taken = 0;

	for (uint32_t i = 0; i < view->lanes * cells; i++)
		if (view->chunk[i] != NULL)
			taken += chunk_taken(view->chunk[i], view->lane, i / cells);
	return taken;
}
