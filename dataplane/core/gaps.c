/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/core/gaps.h"

#include "dataplane/service/cell.h"

static void put(struct weir_gap *to, const struct weir_gap *from)
{
	__atomic_store_n(&to->end_ns, from->end_ns, __ATOMIC_RELAXED);
	__atomic_store_n(&to->length_ns, from->length_ns, __ATOMIC_RELAXED);
	__atomic_store_n(&to->during, from->during, __ATOMIC_RELAXED);
	__atomic_store_n(&to->packets, from->packets, __ATOMIC_RELAXED);
}

/* The longest first; the shortest of them makes room. */
static void longest_put(struct weir_core_gaps *g, const struct weir_gap *gap)
{
	uint32_t at = WEIR_GAPS_LONGEST;

	while (at > 0 && g->longest[at - 1].length_ns < gap->length_ns)
		at--;
	if (at == WEIR_GAPS_LONGEST)
		return;
	for (uint32_t i = WEIR_GAPS_LONGEST - 1; i > at; i--)
		put(&g->longest[i], &g->longest[i - 1]);
	put(&g->longest[at], gap);
}

static void recent_put(struct weir_core_gaps *g, const struct weir_gap *gap)
{
	const uint64_t turn = gap->end_ns / WEIR_GAP_TURN_NS;
	struct weir_gap *mine = &g->recent[turn % WEIR_GAPS_RECENT];

	if (mine->end_ns / WEIR_GAP_TURN_NS != turn || mine->length_ns < gap->length_ns)
		put(mine, gap);
}

void gap_note(struct weir_core_gaps *g, uint64_t end_ns, uint64_t length_ns,
	enum weir_gap_during during, uint32_t packets)
{
	const struct weir_gap gap = {
		.end_ns = end_ns, .length_ns = length_ns, .during = during, .packets = packets
	};
	const uint64_t seq = g->seq;

	__atomic_store_n(&g->seq, seq + 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	cell_add(&g->count, 1);
	cell_add(&g->sum_ns, length_ns);
	longest_put(g, &gap);
	recent_put(g, &gap);
	__atomic_store_n(&g->seq, seq + 2, __ATOMIC_RELEASE);
}
