/* SPDX-License-Identifier: BSD-3-Clause */

/* What other threads see of a flow table while its workers go on. */

#include "dataplane/table/flow_spare.h"
#include "dataplane/table/flow_table.h"

#include <arpa/inet.h>
#include <stdatomic.h>

#define READ_TRIES 64

uint32_t flow_table_count(const struct flow_table *t)
{
	uint32_t count = 0;

	for (uint32_t b = 0; b < FLOW_PARTITIONS; b++)
		count += __atomic_load_n(&t->part[b].count, __ATOMIC_RELAXED);
	return count;
}

uint32_t flow_table_capacity(const struct flow_table *t)
{
	return FLOW_PARTITIONS * t->part[0].capacity;
}

uint32_t flow_partition_extent(const struct flow_partition *part)
{
	return __atomic_load_n(&part->fresh, __ATOMIC_ACQUIRE);
}

bool flow_copy_take(const struct flow_partition *part, uint32_t record, struct flow_copy *ret_copy)
{
	const struct flow *f = flow_at(part, record);
	const uint64_t *from = (const uint64_t *)(const void *)f;
	uint64_t *to = (uint64_t *)(void *)ret_copy;
	uint32_t words = (1u << part->record_shift) / 8;

	for (uint32_t try = 0; try < READ_TRIES; try++) {
		uint32_t seq = __atomic_load_n(&f->seq, __ATOMIC_ACQUIRE);

		if (seq & 1)
			continue;
		for (uint32_t i = 0; i < words; i++)
			to[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
		atomic_thread_fence(memory_order_acquire);
		if (__atomic_load_n(&f->seq, __ATOMIC_RELAXED) == seq)
			return true;
	}
	return false;
}

static void map_ipv4(uint8_t address[16], uint32_t addr_be)
{
	memset(address, 0, 10);
	address[10] = 0xff;
	address[11] = 0xff;
	memcpy(address + 12, &addr_be, 4);
}

static void view_fill(
	const struct flow_partition *part, const struct flow_copy *copy, struct flow_view *view)
{
	const struct flow_tuple *client = &copy->head.tuple[FLOW_SIDE_CLIENT];
	const struct flow_tuple *backend = &copy->head.tuple[FLOW_SIDE_BACKEND];

	memset(view, 0, sizeof(*view));
	if (part->record_shift == 7) {
		memcpy(view->client_address, copy->tail.addrs[FLOW_SIDE_CLIENT], 16);
		memcpy(view->service_address, copy->tail.addrs[FLOW_SIDE_CLIENT] + 16, 16);
		memcpy(view->backend_address, copy->tail.addrs[FLOW_SIDE_BACKEND], 16);
		if (part->indexes_backend)
			memcpy(view->source_address, copy->tail.addrs[FLOW_SIDE_BACKEND] + 16, 16);
	} else {
		map_ipv4(view->client_address, client->src);
		map_ipv4(view->service_address, client->dst);
		map_ipv4(view->backend_address, backend->src);
		if (part->indexes_backend)
			map_ipv4(view->source_address, backend->dst);
	}
	view->client_port = ntohs(client->sport);
	view->service_port = ntohs(client->dport);
	view->backend_port = ntohs(backend->sport);
	view->source_port = ntohs(backend->dport);
	view->backend_slot = copy->head.backend_slot;
	view->backend_epoch = copy->head.backend_epoch;
	view->state = copy->head.state;
	view->bucket = part->bucket;
	view->last_seen_ms = copy->head.last_seen_ms;
}

bool flow_read(const struct flow_partition *part, uint32_t record, struct flow_view *ret_view)
{
	struct flow_copy copy = { .head = { .state = FLOW_FREE } };

	if (!flow_copy_take(part, record, &copy) || copy.head.state == FLOW_FREE)
		return false;
	view_fill(part, &copy, ret_view);
	return true;
}

/* Word by word, as the owner may be writing; what it finds is checked on the copy. */
static bool line_peek(const struct flow_partition *part, uint32_t line_index, uint16_t tag,
	const void *addrs, uint32_t ports, struct flow_view *ret_view)
{
	const struct flow_line *line = &part->lines[line_index];
	uint16_t used = __atomic_load_n(&line->used, __ATOMIC_ACQUIRE);
	struct flow_copy copy = { .head = { .state = FLOW_FREE } };

	for (uint32_t i = 0; i < FLOW_LINE_ENTRIES; i++) {
		if (!(used >> i & 1) || __atomic_load_n(&line->tag[i], __ATOMIC_RELAXED) != tag)
			continue;
		uint32_t record = __atomic_load_n(&line->record[i], __ATOMIC_RELAXED);

		if (record >= part->capacity || !flow_copy_take(part, record, &copy) ||
			copy.head.state == FLOW_FREE)
			continue;
		if (flow_equals(
			    &copy.head, addrs, ports, FLOW_SIDE_CLIENT, part->record_shift == 7)) {
			view_fill(part, &copy, ret_view);
			return true;
		}
	}
	return false;
}

bool flow_peek(const struct flow_partition *part, uint64_t hash, const void *addrs, uint32_t ports,
	struct flow_view *ret_view)
{
	uint32_t primary = flow_line_primary(part, hash);
	uint16_t tag = flow_tag(hash, FLOW_SIDE_CLIENT);

	return line_peek(part, primary, tag, addrs, ports, ret_view) ||
		line_peek(part, flow_line_alternate(part, hash, primary), tag, addrs, ports,
			ret_view);
}
