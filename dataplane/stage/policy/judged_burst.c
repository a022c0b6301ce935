/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/service/policies.h"
#include "dataplane/service/service.h"
#include "dataplane/stage/policy/judged.h"
#include "dataplane/stage/policy/policy_stage.h"

#include <assert.h>
#include <string.h>

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

/* Packets are the sum of the reasons, which the kernel counts one after another. */
static void collect(struct stage_core *c, const struct port *port, uint32_t index,
	struct service_settings *const settings[WEIR_MAX_SERVICES])
{
	const struct steering_judge *j = &port->judges->judge[index];
	struct steering_judge *seen = &port->judges->seen[index];
	const uint64_t id = __atomic_load_n(&j->id, __ATOMIC_RELAXED);
	uint32_t slot = 0;
	/* One that is gone meanwhile had this index before. */
	const struct policy_seat *seat = seat_find(settings, id ? id : seen->id, &slot);
	struct weir_policy_cell *cell = seat ? seat->cell[c->policy->worker.index] : NULL;
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
	cell_add(&c->service_cell[slot]->packets_received, packets);
	cell_add(&c->service_cell[slot]->bytes_received, bytes);
	cell_add(&c->service_cell[slot]->dropped[WEIR_DROP_POLICY], packets);
	cell_add(&c->cell->port[port->index].packets_received, packets);
	cell_add(&c->cell->port[port->index].bytes_received, bytes);
}

void judged_collect(struct stage_core *c, const struct port *port,
	struct service_settings *const settings[WEIR_MAX_SERVICES])
{
	struct steering_judge *seen = port->judges->seen;

	for (uint32_t i = 1; i < STEERING_MAX_JUDGES; i++) {
		const struct steering_judge *j = &port->judges->judge[i];
		const uint64_t id = __atomic_load_n(&j->id, __ATOMIC_RELAXED);

		/* Counted as the last, so all of them are there. */
		if (grown(&j->packets, &seen[i].packets))
			collect(c, port, i, settings);
		if (id)
			seen[i].id = id;
	}
}

__rte_noinline bool judged_read(const struct work *w, struct rte_mbuf *m, const struct packet *p,
	uint64_t id, bool ipv6, struct steering_meta *ret_meta)
{
	const struct port *port = w->port[p->port_in];
	uint64_t l4;
	uint32_t saddr;

	if (p->verdict != PARSE_OK || !port || !port->judges ||
		rte_pktmbuf_headroom(m) < sizeof(*ret_meta))
		return false;
	memcpy(ret_meta, rte_pktmbuf_mtod(m, const uint8_t *) - sizeof(*ret_meta),
		sizeof(*ret_meta));
	memcpy(&l4, packet_at(m, p->l4_offset), sizeof(l4));
	memcpy(&saddr, work_addrs(m, p, ipv6) + (ipv6 ? 12 : 0), sizeof(saddr));
	return ret_meta->magic == STEERING_META_MAGIC &&
		ret_meta->seal == steering_seal(id, l4, saddr, p->length);
}
