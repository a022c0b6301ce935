/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/table/flow_table.h"

#include "dataplane/table/flow_journal.h"
#include "dataplane/table/flow_private.h"

#include <rte_common.h>

#include <errno.h>
#include <stdatomic.h>

/*
 * Entries of a line before the alternate is looked at, and as planned for a full partition. With 8 of 15 one line in
 * sixteen is crowded, and whoever has to look on meets a line that nobody has asked for; with 7 one in forty.
 */
#define LINE_CROWDED 13u
#define LINE_PLANNED 7u

#define RECORD_ALIGN 128u /* an IPv6 record is a pair of lines that the CPU fetches together */

/* ---- creation ---- */

static uint32_t partition_capacity(uint32_t capacity)
{
	return (capacity + FLOW_PARTITIONS - 1) / FLOW_PARTITIONS;
}

static uint32_t partition_lines(uint32_t records, bool nat)
{
	uint32_t entries = nat ? 2 * records : records;
	uint32_t lines = (entries + LINE_PLANNED - 1) / LINE_PLANNED;

	return lines < 2 ? 2 : lines;
}

size_t flow_partition_bytes(uint32_t records, bool ipv6, bool nat)
{
	return (size_t)partition_lines(records, nat) * sizeof(struct flow_line) +
		((size_t)records << (ipv6 ? 7 : 6)) + RECORD_ALIGN;
}

size_t flow_table_bytes(uint32_t capacity, bool ipv6, bool nat)
{
	return sizeof(struct flow_table) +
		FLOW_PARTITIONS * flow_partition_bytes(partition_capacity(capacity), ipv6, nat);
}

int flow_partition_init(
	struct flow_partition *p, const struct flow_table_params *params, uint32_t bucket)
{
	int node = params->bucket_node != NULL ? params->bucket_node[bucket] : params->node;

	p->capacity = partition_capacity(params->capacity);
	p->line_count = partition_lines(p->capacity, params->nat);
	p->record_shift = params->ipv6 ? 7 : 6;
	p->bucket = (uint8_t)bucket;
	p->indexes_backend = params->nat;
	p->seed = params->seed;
	p->protocol = params->protocol;
	p->free = FLOW_NIL;
	for (uint32_t i = 0; i < RTE_DIM(p->queue); i++)
		p->queue[i] = (struct flow_list){ FLOW_NIL, FLOW_NIL };
	for (uint32_t i = 0; i < FLOW_WHEEL_SLOTS; i++)
		p->wheel[i] = FLOW_NIL;
	p->timeouts = params->timeouts;
	p->release = params->release;
	p->release_ctx = params->release_ctx;
	p->lines = params->memory.alloc(params->memory.ctx,
		flow_partition_bytes(p->capacity, params->ipv6, params->nat), node);
	if (p->lines == NULL)
		return -ENOMEM;
	p->records = RTE_PTR_ALIGN_CEIL((uint8_t *)(p->lines + p->line_count), RECORD_ALIGN);
	return 0;
}

int flow_table_create(const struct flow_table_params *params, struct flow_table **ret_table)
{
	struct flow_table *t;

	if (params->capacity == 0 || params->capacity > FLOW_TABLE_MAX)
		return -EINVAL;
	for (uint32_t s = FLOW_SYN; s < FLOW_STATE_COUNT; s++)
		if (params->timeouts.ms[s] == 0 || params->timeouts.ms[s] > 1u << 30)
			return -EINVAL;
	t = params->memory.alloc(params->memory.ctx, sizeof(*t), params->node);
	if (t == NULL)
		return -ENOMEM;
	t->memory = params->memory;
	for (uint32_t b = 0; b < FLOW_PARTITIONS; b++) {
		int rc = flow_partition_init(&t->part[b], params, b);

		if (rc != 0) {
			flow_table_destroy(t);
			return rc;
		}
	}
	*ret_table = t;
	return 0;
}

void flow_table_destroy(struct flow_table *t)
{
	if (t == NULL)
		return;
	for (uint32_t b = 0; b < FLOW_PARTITIONS; b++)
		t->memory.free(t->memory.ctx, t->part[b].lines);
	t->memory.free(t->memory.ctx, t);
}

/* ---- sequence numbers ---- */

/* Readers that come now, or have begun, will try again. */
static void identity_begin(struct flow *f)
{
	__atomic_store_n(&f->seq, f->seq + 1, __ATOMIC_RELAXED);
	atomic_thread_fence(memory_order_release);
}

static void identity_end(struct flow *f)
{
	__atomic_store_n(&f->seq, f->seq + 1, __ATOMIC_RELEASE);
}

/* ---- index ---- */

/* Of one side, as a packet from there has it. */
static uint64_t side_hash(const struct flow_partition *p, const struct flow *f, unsigned int side)
{
	uint64_t word;

	memcpy(&word, &f->tuple[side].src, sizeof(word));
	if (p->record_shift == 7)
		return word; /* kept here, as the addresses are elsewhere */
	return hash_tuple4(&p->seed, word, f->tuple[side].ports, p->protocol);
}

static void line_put(struct flow_line *line, uint16_t tag, uint16_t record)
{
	uint32_t i = (uint32_t)__builtin_ctz(~(uint32_t)line->used);

	line->tag[i] = tag;
	line->record[i] = record;
	line->used = (uint16_t)(line->used | 1u << i);
}

static __rte_always_inline bool index_add(
	struct flow_partition *p, uint64_t hash, unsigned int side, uint16_t record)
{
	uint32_t primary = flow_line_primary(p, hash);
	struct flow_line *line = &p->lines[primary];
	uint32_t filled = (uint32_t)__builtin_popcount(line->used);

	if (unlikely(filled >= LINE_CROWDED)) {
		struct flow_line *other = &p->lines[flow_line_alternate(p, hash, primary)];

		if ((uint32_t)__builtin_popcount(other->used) < filled) {
			line->spilled++;
			line = other;
		} else if (filled == FLOW_LINE_ENTRIES) {
			return false;
		}
	}
	line_put(line, flow_tag(hash, side), record);
	return true;
}

static __rte_always_inline bool line_take(struct flow_line *line, uint16_t tag, uint16_t record)
{
	uint32_t match = flow_line_match(line, tag);

	for (; match != 0; match &= match - 1) {
		uint32_t i = (uint32_t)__builtin_ctz(match);

		if (line->record[i] == record) {
			line->used = (uint16_t)(line->used & ~(1u << i));
			return true;
		}
	}
	return false;
}

static __rte_always_inline void index_remove(
	struct flow_partition *p, uint64_t hash, unsigned int side, uint16_t record)
{
	uint32_t primary = flow_line_primary(p, hash);
	struct flow_line *line = &p->lines[primary];
	uint16_t tag = flow_tag(hash, side);

	if (likely(line_take(line, tag, record)))
		return;
	line->spilled--;
	bool found = line_take(&p->lines[flow_line_alternate(p, hash, primary)], tag, record);

	assert(found);
	RTE_SET_USED(found);
}

/* ---- records ---- */

static void count_set(struct flow_partition *p, uint32_t count)
{
	__atomic_store_n(&p->count, count, __ATOMIC_RELAXED);
}

/* All but the record itself, which still says what the flow was. */
static __rte_always_inline void flow_end(struct flow_partition *part, struct flow *f)
{
	uint16_t record = flow_index(part, f);

	if (part->release != NULL)
		part->release(part->release_ctx, part, f);
	index_remove(part, side_hash(part, f, FLOW_SIDE_CLIENT), FLOW_SIDE_CLIENT, record);
	if (part->indexes_backend)
		index_remove(
			part, side_hash(part, f, FLOW_SIDE_BACKEND), FLOW_SIDE_BACKEND, record);
	flow_list_unlink(part, f);
	if (part->journal && !flow_state_transient(f->state))
		flow_journal_clear(part, f);
	count_set(part, part->count - 1);
}

/* Of a flow that has ended, or never began. */
static void record_free(struct flow_partition *p, struct flow *f)
{
	identity_begin(f);
	f->state = FLOW_FREE;
	identity_end(f);
	f->next = p->free;
	p->free = flow_index(p, f);
}

void flow_remove(struct flow_partition *part, struct flow *f)
{
	flow_end(part, f);
	record_free(part, f);
}

/* Whose oldest flow is missed least comes first. */
static const uint8_t evict_order[] = { FLOW_CLOSED, FLOW_SYN, FLOW_UDP_NEW };

/* The oldest flow of those that may be evicted, or FLOW_NIL: there is none. */
static __rte_always_inline uint16_t evict_next(const struct flow_partition *p)
{
	for (uint32_t i = 0; i < RTE_DIM(evict_order); i++)
		if (p->queue[evict_order[i]].head != FLOW_NIL)
			return p->queue[evict_order[i]].head;
	return FLOW_NIL;
}

static __rte_always_inline struct flow *record_take(struct flow_partition *p)
{
	struct flow *f;

	if (p->free != FLOW_NIL) {
		f = flow_at(p, p->free);
		p->free = f->next;
		return f;
	}
	if (p->fresh != p->capacity) {
		f = flow_at(p, p->fresh);
		__atomic_store_n(&p->fresh, p->fresh + 1, __ATOMIC_RELEASE);
		return f;
	}
	uint16_t victim = evict_next(p);

	if (victim == FLOW_NIL)
		return NULL;
	f = flow_at(p, victim);
	p->evicted++;
	flow_end(p, f);
	return f;
}

/* The record that the next insert will take, or FLOW_NIL: none. */
static uint16_t record_next(const struct flow_partition *p, bool *ret_evicts)
{
	*ret_evicts = false;
	if (p->free != FLOW_NIL)
		return p->free;
	if (p->fresh != p->capacity)
		return (uint16_t)p->fresh;
	*ret_evicts = true;
	return evict_next(p);
}

static void record_prefetch(const struct flow_partition *p, uint16_t record)
{
	const struct flow *f = flow_at(p, record);

	__builtin_prefetch(f, 1);
	if (p->record_shift == 7)
		__builtin_prefetch(f + 1, 1);
}

void flow_insert_prefetch(const struct flow_partition *part)
{
	bool evicts;
	uint16_t record = record_next(part, &evicts);

	if (record != FLOW_NIL)
		record_prefetch(part, record);
}

const struct flow *flow_insert_prefetch_more(const struct flow_partition *part)
{
	bool evicts;
	uint16_t record = record_next(part, &evicts);

	if (likely(!evicts) || record == FLOW_NIL)
		return NULL;
	const struct flow *f = flow_at(part, record);

	flow_prefetch(part, side_hash(part, f, FLOW_SIDE_CLIENT));
	if (part->indexes_backend)
		flow_prefetch(part, side_hash(part, f, FLOW_SIDE_BACKEND));
	if (f->next != FLOW_NIL)
		record_prefetch(part, f->next);
	return f;
}

static void side_set(struct flow_partition *p, struct flow *f, unsigned int side, const void *addrs,
	uint32_t ports, uint64_t hash)
{
	if (p->record_shift == 7) {
		memcpy(flow_tail(f)->addrs[side], addrs, 32);
		memcpy(&f->tuple[side].src, &hash, 8);
	} else {
		memcpy(&f->tuple[side].src, addrs, 8);
	}
	f->tuple[side].ports = ports;
}

static uint64_t backend_hash(const struct flow_partition *p, const void *addrs, uint32_t ports)
{
	return flow_backend_hash(p, addrs, ports, p->record_shift == 7);
}

/*
 * A flow that has the backend side which another is about to get: the backend has seen the newer
 * connection on it last, so the older is dead.
 */
static __rte_always_inline void backend_side_clear(struct flow_partition *p, uint64_t hash,
	const void *addrs, uint32_t ports, const struct flow *keep)
{
	struct flow *old =
		flow_find(p, hash, addrs, ports, FLOW_SIDE_BACKEND, p->record_shift == 7);

	if (unlikely(old != NULL && old != keep))
		flow_remove(p, old);
}

static __rte_always_inline struct flow *insert(struct flow_partition *part,
	const struct flow_new *flow, uint64_t other, uint32_t now_ms, const bool nat)
{
	if (nat)
		backend_side_clear(part, other, flow->backend_addrs, flow->backend_ports, NULL);
	struct flow *f = record_take(part);

	if (unlikely(f == NULL))
		return NULL;
	uint16_t record = flow_index(part, f);

	if (unlikely(!index_add(part, flow->hash, FLOW_SIDE_CLIENT, record))) {
		record_free(part, f);
		return NULL;
	}
	if (nat && unlikely(!index_add(part, other, FLOW_SIDE_BACKEND, record))) {
		index_remove(part, flow->hash, FLOW_SIDE_CLIENT, record);
		record_free(part, f);
		return NULL;
	}
	if (part->count == 0)
		part->wheel_ms = now_ms; /* nothing hangs on it */
	identity_begin(f);
	side_set(part, f, FLOW_SIDE_CLIENT, flow->client_addrs, flow->client_ports, flow->hash);
	side_set(part, f, FLOW_SIDE_BACKEND, flow->backend_addrs, flow->backend_ports, other);
	f->last_seen_ms = now_ms;
	f->hop = 0;
	f->client_first = 0;
	f->backend_slot = 0;
	f->backend_epoch = 0;
	f->source_slot = 0;
	f->flags = 0;
	f->state = flow->state;
	f->port_in = 0;
	f->bucket = part->bucket;
	memset(f->client_mac, 0, sizeof(f->client_mac) + sizeof(f->user));
	identity_end(f);
	flow_list_add(part, f, record);
	count_set(part, part->count + 1);
	return f;
}

struct flow *flow_insert_hashed(struct flow_partition *part, const struct flow_new *flow,
	uint64_t backend_hash, uint32_t now_ms)
{
	return insert(part, flow, backend_hash, now_ms, true);
}

struct flow *flow_insert(struct flow_partition *part, const struct flow_new *flow, uint32_t now_ms)
{
	if (!part->indexes_backend)
		return insert(part, flow, 0, now_ms, false);
	return flow_insert_hashed(
		part, flow, backend_hash(part, flow->backend_addrs, flow->backend_ports), now_ms);
}

bool flow_rebind(struct flow_partition *part, struct flow *f, const void *backend_addrs,
	uint32_t backend_ports)
{
	uint64_t to = 0;

	if (part->indexes_backend) {
		uint16_t record = flow_index(part, f);
		uint64_t from = side_hash(part, f, FLOW_SIDE_BACKEND);

		to = backend_hash(part, backend_addrs, backend_ports);
		backend_side_clear(part, to, backend_addrs, backend_ports, f);

		/* The new entry first: should it find no room, nothing has changed. */
		if (unlikely(!index_add(part, to, FLOW_SIDE_BACKEND, record)))
			return false;
		index_remove(part, from, FLOW_SIDE_BACKEND, record);
	}
	identity_begin(f);
	side_set(part, f, FLOW_SIDE_BACKEND, backend_addrs, backend_ports, to);
	identity_end(f);
	if (!flow_state_transient(f->state))
		flow_journal_write(part, f);
	return true;
}
