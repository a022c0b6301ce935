/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/table/heavy.h"

#include <stdbool.h>
#include <string.h>

static void halve(struct weir_heavy_set *s, uint32_t second)
{
	uint32_t times = second - s->second;

	s->second = second;
	for (uint32_t i = 0; i < WEIR_HEAVY_WAYS; i++) {
		s->score[i] = times < 32 ? s->score[i] >> times : 0;
		s->inherited[i] = times < 32 ? s->inherited[i] >> times : 0;
	}
}

/* The source's way, or that of whoever has to make room; then *ret_known is false. */
static uint32_t way_of(
	const struct weir_heavy_set *s, uint16_t tag, const uint8_t address[16], bool *ret_known)
{
	uint32_t least = 0;

	for (uint32_t i = 0; i < WEIR_HEAVY_WAYS; i++) {
		if (s->tag[i] == tag && memcmp(s->entry[i].address, address, 16) == 0) {
			*ret_known = true;
			return i;
		}
		if (s->score[i] < s->score[least])
			least = i;
	}
	*ret_known = false;
	return least;
}

void heavy_note(struct weir_heavy *h, uint64_t hash, const uint8_t address[16], uint32_t flows,
	uint32_t packets, uint32_t second)
{
	struct weir_heavy_set *s = &h->set[hash % WEIR_HEAVY_SETS];
	const uint16_t tag = (uint16_t)(hash >> 48 | 1);
	uint32_t seq = s->seq;
	bool known;

	__atomic_store_n(&s->seq, seq + 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	if (s->second != second)
		halve(s, second);
	uint32_t way = way_of(s, tag, address, &known);
	struct weir_heavy_entry *e = &s->entry[way];
	if (!known) {
		s->tag[way] = tag;
		s->inherited[way] = s->score[way];
		memset(e, 0, sizeof(*e));
		memcpy(e->address, address, sizeof(e->address));
	}
	s->score[way] += flows * HEAVY_FLOW_SCORE + packets;
	e->flows += flows;
	e->packets += packets;
	__atomic_store_n(&s->seq, seq + 2, __ATOMIC_RELEASE);
}
