/* SPDX-License-Identifier: BSD-3-Clause */

/* How flows wait for their end: queues of transient states, the wheel of the others, and ageing. */

#include "dataplane/table/flow_journal.h"
#include "dataplane/table/flow_private.h"
#include "dataplane/table/flow_table.h"

const struct flow_timeouts flow_timeouts_default = {
	.ms = {
		[FLOW_SYN] = 10000,
		[FLOW_CLOSED] = 10000,
		[FLOW_UDP_NEW] = 30000,
		[FLOW_ESTABLISHED] = 900000,
		[FLOW_FIN] = 120000,
		[FLOW_UDP_STREAM] = 180000,
	},
};

/* ---- the wheel ---- */

/* Into the slot that fires at the flow's deadline or next after it, or in the last one there is. */
void flow_wheel_hang(struct flow_partition *p, struct flow *f, uint16_t record)
{
	uint32_t deadline = f->last_seen_ms + p->timeouts.ms[f->state];
	int32_t ahead = (int32_t)(deadline - p->wheel_ms);
	uint32_t slots = 0;

	if (ahead > 0) {
		slots = ((uint32_t)ahead + (1u << FLOW_WHEEL_SHIFT) - 1) >> FLOW_WHEEL_SHIFT;
		if (slots > FLOW_WHEEL_SLOTS - 1)
			slots = FLOW_WHEEL_SLOTS - 1;
	}
	uint16_t *head = &p->wheel[(p->wheel_at + slots) % FLOW_WHEEL_SLOTS];

	f->list = (uint8_t)(head - p->wheel);
	f->prev = FLOW_NIL;
	f->next = *head;
	if (*head != FLOW_NIL)
		flow_at(p, *head)->prev = record;
	*head = record;
}

void flow_touch_slow(struct flow_partition *part, struct flow *f, uint32_t now_ms)
{
	f->last_seen_ms = now_ms;
	if (flow_state_transient(f->state)) {
		flow_list_unlink(part, f);
		flow_queue_append(part, f, flow_index(part, f));
	}
}

void flow_set_state(
	struct flow_partition *part, struct flow *f, enum flow_state state, uint32_t now_ms)
{
	const bool was_assured = !flow_state_transient(f->state);

	if (f->state == state)
		return;
	flow_list_unlink(part, f);
	f->last_seen_ms = now_ms;
	__atomic_store_n(&f->state, (uint8_t)state, __ATOMIC_RELAXED);
	flow_list_add(part, f, flow_index(part, f));
	if (!flow_state_transient((uint8_t)state))
		flow_journal_write(part, f);
	else if (was_assured && part->journal)
		flow_journal_clear(part, f);
}

/* ---- ageing ---- */

static bool is_due(const struct flow_partition *p, const struct flow *f, uint32_t now_ms)
{
	return (int32_t)(now_ms - f->last_seen_ms - p->timeouts.ms[f->state]) >= 0;
}

static uint32_t age_queue(
	struct flow_partition *p, unsigned int state, uint32_t now_ms, uint32_t budget)
{
	uint32_t seen = 0;

	while (seen < budget && p->queue[state].head != FLOW_NIL) {
		struct flow *f = flow_at(p, p->queue[state].head);

		if (!is_due(p, f, now_ms))
			break;
		if (f->next != FLOW_NIL)
			rte_prefetch0(flow_at(p, f->next));
		flow_remove(p, f);
		seen++;
	}
	return seen;
}

static uint32_t age_wheel(struct flow_partition *p, uint32_t now_ms, uint32_t budget)
{
	uint32_t seen = 0;

	for (; seen < budget && (int32_t)(now_ms - p->wheel_ms) >= 0; seen++) {
		uint16_t record = p->wheel[p->wheel_at];

		if (record == FLOW_NIL) {
			p->wheel_at = (uint16_t)((p->wheel_at + 1) % FLOW_WHEEL_SLOTS);
			p->wheel_ms += 1u << FLOW_WHEEL_SHIFT;
			continue;
		}
		struct flow *f = flow_at(p, record);

		if (f->next != FLOW_NIL)
			rte_prefetch0(flow_at(p, f->next));
		if (is_due(p, f, now_ms)) {
			flow_remove(p, f);
		} else {
			/* Due after now, so in a later slot than this. */
			flow_list_unlink(p, f);
			flow_wheel_hang(p, f, record);
		}
	}
	return seen;
}

uint32_t flow_partition_age(struct flow_partition *part, uint32_t now_ms, uint32_t budget)
{
	uint32_t seen = 0;

	if (part->count == 0)
		return 0;
	for (unsigned int state = FLOW_SYN; state <= FLOW_UDP_NEW && seen < budget; state++)
		seen += age_queue(part, state, now_ms, budget - seen);
	if (seen < budget && part->count != 0)
		seen += age_wheel(part, now_ms, budget - seen);
	return seen;
}
