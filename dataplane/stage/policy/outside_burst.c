/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Policies for packets that are no service's, on the core that receives: they drop, or let the packet
 * go to the kernel. There is no class and no pool for them.
 */

#include "dataplane/stage/policy/policy_context.h"
#include "dataplane/stage/policy/policy_stage.h"
#include "dataplane/stage/trace/trace.h"

/* Returns the action that is counted. */
static uint32_t judge(struct stage_core *c, uint32_t number, struct rte_mbuf *m)
{
	const struct policy_place *place = &c->outside->place[number];
	struct weir_policy_cell *cell = place->seat->cell[c->policy->worker.index];
	struct trace_core *trace = stage_trace(c);
	struct policy_core *core = c->policy;
	const uint64_t start = rte_rdtsc();
	const uint64_t now_ns = policy_now_ns(core, stage_ns(c, c->now));
	const struct packet *p = packet_of(m);
	const uint32_t mark = policy_mark(m);
	uint32_t verdict, action;

	core->worker.now_ns = now_ns;
	if (p->flags & PACKET_F_IPV6)
		policy_context_fill(&core->frame.ctx, m, p, now_ns, mark, 0, true);
	else
		policy_context_fill(&core->frame.ctx, m, p, now_ns, mark, 0, false);
	verdict = policy_program_run(place->seat->program, &core->frame, &core->worker);
	action = policy_action(verdict);
	if (action == WEIR_ACTION_LIMIT || action == WEIR_ACTION_ROUTE) {
		cell_add(action == WEIR_ACTION_LIMIT ? &cell->no_class : &cell->no_pool, 1);
		action = WEIR_ACTION_ABORTED;
	}
	if (action == WEIR_ACTION_DROP)
		cell_add(&cell->reasons[RTE_MIN(
				 WEIR_VERDICT_ARGUMENT(verdict), WEIR_POLICY_REASONS - 1u)],
			1);
	if (!place->observe)
		policy_mark_set(m, core->frame.ctx.mark);
	if (unlikely(trace != NULL))
		trace_policy(trace, m, (uint8_t)number, verdict, place->observe);
	cell_add(&cell->verdicts[action], 1);
	cell_add(&cell->cycles, rte_rdtsc() - start);
	return action;
}

__rte_noinline bool policy_outside_drops(
	struct stage_core *c, struct rte_mbuf *m, enum weir_drop_reason *ret_reason)
{
	const struct policy_set *set = c->outside;

	policy_mark_set(m, 0);
	for (uint32_t i = 0; i < set->place_count; i++) {
		const struct policy_place *place = &set->place[i];
		uint32_t action = WEIR_ACTION_ABORTED;

		if (likely(!__atomic_load_n(&place->seat->detached, __ATOMIC_RELAXED)))
			action = judge(c, i, m);
		if (place->observe)
			continue;
		if (action == WEIR_ACTION_DROP) {
			*ret_reason = WEIR_DROP_POLICY;
			return true;
		}
		if (action == WEIR_ACTION_ABORTED && place->drop_on_error) {
			*ret_reason = WEIR_DROP_POLICY_ERROR;
			return true;
		}
	}
	return false;
}
