/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/table/flow_spare.h"

#include "dataplane/table/flow_journal.h"
#include "dataplane/table/flow_private.h"

size_t flow_spare_bytes(const struct flow_partition *like, uint32_t capacity)
{
	return sizeof(struct flow_partition) +
		flow_partition_bytes(capacity, like->record_shift == 7, like->indexes_backend);
}

struct flow_partition *flow_spare_create(const struct flow_partition *like, uint32_t capacity,
	const struct table_memory *memory, int node, void *release_ctx)
{
	const struct flow_table_params params = {
		.capacity = FLOW_PARTITIONS * capacity,
		.ipv6 = like->record_shift == 7,
		.nat = like->indexes_backend,
		.protocol = like->protocol,
		.seed = like->seed,
		.node = node,
		.timeouts = like->timeouts,
		.memory = *memory,
		.release = like->release,
		.release_ctx = release_ctx,
	};
	struct flow_partition *part = memory->alloc(memory->ctx, sizeof(*part), node);

	if (!part)
		return NULL;
	if (flow_partition_init(part, &params, like->bucket)) {
		memory->free(memory->ctx, part);
		return NULL;
	}
	part->journal = like->journal;
	return part;
}

void flow_spare_destroy(const struct table_memory *memory, struct flow_partition *part)
{
	memory->free(memory->ctx, part->lines);
	memory->free(memory->ctx, part);
}

struct flow *flow_enter(
	struct flow_partition *part, const struct flow_copy *copy, uint64_t hash, uint32_t now_ms)
{
	const struct flow *from = &copy->head;
	const bool ipv6 = part->record_shift == 7;
	const struct flow_new flow = {
		.hash = hash,
		.client_addrs = ipv6 ? (const void *)copy->tail.addrs[FLOW_SIDE_CLIENT] :
				       &from->tuple[FLOW_SIDE_CLIENT].src,
		.backend_addrs = ipv6 ? (const void *)copy->tail.addrs[FLOW_SIDE_BACKEND] :
					&from->tuple[FLOW_SIDE_BACKEND].src,
		.client_ports = from->tuple[FLOW_SIDE_CLIENT].ports,
		.backend_ports = from->tuple[FLOW_SIDE_BACKEND].ports,
		.state = from->state,
	};
	struct flow *f = flow_insert(part, &flow, now_ms);

	if (!f)
		return NULL;
	f->client_first = from->client_first;
	f->hop = from->hop;
	f->backend_slot = from->backend_slot;
	f->backend_epoch = from->backend_epoch;
	f->source_slot = from->source_slot;
	f->flags = from->flags;
	f->port_in = from->port_in;
	memcpy(f->client_mac, from->client_mac, sizeof(f->client_mac));
	memcpy(f->user, from->user, sizeof(f->user));
	if (flow_state_transient(f->state))
		return f;
	flow_list_unlink(part, f);
	/* A clock of another core may be a little ahead. */
	if ((int32_t)(now_ms - from->last_seen_ms) > 0)
		f->last_seen_ms = from->last_seen_ms;
	flow_list_add(part, f, flow_index(part, f));
	flow_journal_write(part, f);
	return f;
}

void flow_spare_journal(const struct flow_partition *part, uint32_t old_capacity)
{
	for (uint32_t i = 0; part->journal && i < old_capacity; i++) {
		const struct flow *f = flow_at(part, i);

		if (i >= part->fresh || flow_state_transient(f->state))
			flow_journal_clear(part, f);
	}
}
