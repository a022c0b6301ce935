/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/service/policies.h"
#include "dataplane/service/service.h"
#include "dataplane/stage/policy/judged.h"
#include "dataplane/stage/policy/policy_stage.h"

#include <assert.h>
#include <string.h>

#define JUDGES_AT_ONCE 64u /* looked at in a millisecond */

static_assert((int)STEERING_MAX_CHAIN >= (int)WEIR_MAX_POLICIES_PER_SERVICE, "all can be there");
static_assert(STEERING_JUDGE_REASONS == WEIR_POLICY_REASONS, "the kernel counts the same reasons");

/* Whose policy it is: seldom asked, only when something was dropped. */
static const struct policy_seat *seat_find(
	struct service_settings *const settings[WEIR_MAX_SERVICES], uint64_t id, uint32_t *ret_slot)
{
	for (uint32_t i = 0; i < WEIR_MAX_SERVICES; i++) {
		const struct policy_set *set = settings[i] ? settings[i]->policies : NULL;

		for (uint32_t k = 0; set && k < set->place_count; k++)
			if (set->place[k].seat->id == id) {
				*ret_slot = i;
				return set->place[k].seat;
			}
	}
	return NULL;
}

/* How much a counter of the kernel's has grown. */
static uint64_t grown(const __u64 *now, __u64 *seen)
{
	const uint64_t value = __atomic_load_n(now, __ATOMIC_RELAXED);
	const uint64_t by = value - *seen;

	*seen = value;
	return by;
}

/* What one of the service's policies passed, and another behind it dropped, is this one's verdict all the same. */
static void passed_collect(
	const struct steering_judge *j, struct steering_judge *seen, struct weir_policy_cell *cell)
{
	const uint64_t by = grown(&j->passed, &seen->passed);

	if (!cell || !by)
		return;
	cell_add(&cell->verdicts[WEIR_ACTION_PASS], by);
	cell_add(&cell->kernel, by);
	cell_add(&cell->kernel_dropped, by);
}

/* Packets are the sum of the reasons, which the kernel counts one after another. */
static void drops_collect(struct stage_core *c, const struct port *port, uint32_t index,
	uint32_t slot, struct weir_policy_cell *cell)
{
	const struct steering_judge *j = &port->judges->judge[index];
	struct steering_judge *seen = &port->judges->seen[index];
	const uint64_t bytes = grown(&j->bytes, &seen->bytes);
	uint64_t packets = 0;

	for (uint32_t i = 0; i < STEERING_JUDGE_REASONS; i++) {
		const uint64_t by = grown(&j->reasons[i], &seen->reasons[i]);

		packets += by;
		if (cell && by)
			cell_add(&cell->reasons[i], by);
	}
	if (!cell)
		return;
	cell_add(&cell->verdicts[WEIR_ACTION_DROP], packets);
	cell_add(&cell->kernel, packets);
	cell_add(&cell->kernel_dropped, packets);
	cell_add(&c->service_cell[slot]->packets_received, packets);
	cell_add(&c->service_cell[slot]->bytes_received, bytes);
	cell_add(&c->service_cell[slot]->dropped[WEIR_DROP_POLICY], packets);
	cell_add(&c->cell->port[port->index].packets_received, packets);
	cell_add(&c->cell->port[port->index].bytes_received, bytes);
}

static void collect(struct stage_core *c, const struct port *port, uint32_t index, bool dropped,
	struct service_settings *const settings[WEIR_MAX_SERVICES])
{
	const struct steering_judge *j = &port->judges->judge[index];
	struct steering_judge *seen = &port->judges->seen[index];
	const uint64_t id = __atomic_load_n(&j->id, __ATOMIC_RELAXED);
	uint32_t slot = 0;
	/* One that is gone meanwhile had this index before. */
	const struct policy_seat *seat = seat_find(settings, id ? id : seen->id, &slot);
	struct weir_policy_cell *cell = seat ? seat->cell[c->policy->worker.index] : NULL;

	passed_collect(j, seen, cell);
	if (dropped)
		drops_collect(c, port, index, slot, cell);
}

void judged_collect(struct stage_core *c, const struct port *port,
	struct service_settings *const settings[WEIR_MAX_SERVICES])
{
	struct port_judges *all = port->judges;
	const uint32_t end = RTE_MIN(__atomic_load_n(&all->judge[0].next, __ATOMIC_RELAXED),
		(uint32_t)STEERING_MAX_JUDGES);
	const uint32_t last = RTE_MIN(all->at + JUDGES_AT_ONCE, end);

	for (uint32_t i = RTE_MAX(all->at, 1u); i < last; i++) {
		const struct steering_judge *j = &all->judge[i];
		const uint64_t id = __atomic_load_n(&j->id, __ATOMIC_RELAXED);
		/* Counted as the last, so all of them are there. */
		const bool dropped = grown(&j->packets, &all->seen[i].packets) != 0;

		if (dropped || __atomic_load_n(&j->passed, __ATOMIC_RELAXED) != all->seen[i].passed)
			collect(c, port, i, dropped, settings);
		if (id)
			all->seen[i].id = id;
	}
	all->at = last < end ? last : 1;
}

__rte_noinline bool judged_read(const struct work *w, struct rte_mbuf *m, const struct packet *p,
	uint32_t number, bool ipv6, uint32_t *ret_verdict, uint32_t *ret_mark)
{
	const struct policy_set *set = w->settings->policies;
	const struct port *port = w->port[p->port_in];
	struct steering_meta meta;
	uint64_t l4;
	uint32_t saddr;

	if (p->verdict != PARSE_OK || !port || !port->judges ||
		rte_pktmbuf_headroom(m) < sizeof(meta))
		return false;
	memcpy(&meta, rte_pktmbuf_mtod(m, const uint8_t *) - sizeof(meta), sizeof(meta));
	if (meta.magic != STEERING_META_MAGIC || meta.judged <= number ||
		meta.judged > set->place_count)
		return false;
	const struct policy_place *last = &set->place[meta.judged - 1];

	memcpy(&l4, packet_at(m, p->l4_offset), sizeof(l4));
	memcpy(&saddr, work_addrs(m, p, ipv6) + (ipv6 ? 12 : 0), sizeof(saddr));
	*ret_verdict = number + 1 == meta.judged ? meta.verdict : WEIR_PASS;
	*ret_mark = meta.mark;
	return last->offload && meta.seal == steering_seal(last->chain, l4, saddr, p->length);
}
