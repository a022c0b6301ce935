/* SPDX-License-Identifier: BSD-3-Clause */

/* Between flow_table.c (records and index) and flow_age.c (queues and wheel). */

#ifndef WEIR_TABLE_FLOW_PRIVATE_H
#define WEIR_TABLE_FLOW_PRIVATE_H

#include "dataplane/table/flow_table.h"

#include <rte_branch_prediction.h>

/* struct flow's `list`: a wheel slot, or a queue by its state. */
#define LIST_QUEUE 128u

static_assert(FLOW_WHEEL_SLOTS <= LIST_QUEUE, "wheel slots and queues share a number space");

/* Bytes of a partition's index and records. */
size_t flow_partition_bytes(uint32_t records, bool ipv6, bool nat);
/* Make a zeroed partition empty, with a 256th of the capacity. Returns 0 or -ENOMEM. */
int flow_partition_init(
	struct flow_partition *p, const struct flow_table_params *params, uint32_t bucket);

/* Hang a flow that is not transient on the wheel slot of its deadline. record: flow_index() of it. */
void flow_wheel_hang(struct flow_partition *p, struct flow *f, uint16_t record);

/* Hang a transient flow on the queue of its state. */
static inline void flow_queue_append(struct flow_partition *p, struct flow *f, uint16_t record)
{
	struct flow_list *q = &p->queue[f->state];

	f->list = (uint8_t)(LIST_QUEUE + f->state);
	f->next = FLOW_NIL;
	f->prev = q->tail;
	if (q->tail != FLOW_NIL)
		flow_at(p, q->tail)->next = record;
	else
		q->head = record;
	q->tail = record;
}

static inline void flow_list_add(struct flow_partition *p, struct flow *f, uint16_t record)
{
	if (likely(flow_state_transient(f->state)))
		flow_queue_append(p, f, record);
	else
		flow_wheel_hang(p, f, record);
}

static inline void flow_list_unlink(struct flow_partition *p, struct flow *f)
{
	if (f->prev != FLOW_NIL)
		flow_at(p, f->prev)->next = f->next;
	else if (f->list < LIST_QUEUE)
		p->wheel[f->list] = f->next;
	else
		p->queue[f->list - LIST_QUEUE].head = f->next;
	if (f->next != FLOW_NIL)
		flow_at(p, f->next)->prev = f->prev;
	else if (f->list >= LIST_QUEUE)
		p->queue[f->list - LIST_QUEUE].tail = f->prev;
}

#endif
