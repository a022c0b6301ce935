/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Stage 5: operators' policies judge packets from clients, before any limit counts them. Replies of backends
 * are not judged: what a flow may do is decided where it begins.
 *
 * Policies run in the order of the configuration, each over the whole burst. DROP is the end. LIMIT puts
 * the packet into a class and ROUTE its flow into a pool, and the next policies go on; the first class and
 * the first pool hold. PASS goes on. ABORTED does what the policy's on-error says: a drop, or as PASS.
 */

#ifndef WEIR_STAGE_POLICY_H
#define WEIR_STAGE_POLICY_H

#include "dataplane/service/policies.h"
#include "dataplane/stage/work.h"
#include "ebpf/engine/program.h"

#include <stdalign.h>

/* What a core needs to run policies, whosever they are. */
struct policy_core {
	alignas(RTE_CACHE_LINE_SIZE) struct policy_frame frame;
	struct policy_worker worker; /* index: the core's */
	uint64_t
		clock_ns; /* atomic; from the core's time to CLOCK_MONOTONIC, as the kernel's judges have it */
};

/* What a policy takes for the time. */
static inline uint64_t policy_now_ns(const struct policy_core *c, uint64_t now_ns)
{
	return now_ns + __atomic_load_n(&c->clock_ns, __ATOMIC_RELAXED);
}

/* Of a service that has policies (settings->policies). Returns how many packets are left. */
__rte_noinline uint16_t policy_burst(const struct work *w, struct rte_mbuf **pkts, uint16_t n);

/* One packet that is no service's, where there are policies for those (c->outside). True: drop it. */
__rte_noinline bool policy_outside_drops(
	struct stage_core *c, struct rte_mbuf *m, enum weir_drop_reason *ret_reason);

/* Whether a packet's class lets it open a flow now; of a packet that is in none: true. */
__rte_noinline bool policy_class_flow(const struct work *w, const struct packet *p);

/* What policies wrote as the packet's mark. Valid where they judged it. */
static inline uint32_t policy_mark(const struct rte_mbuf *m)
{
	return m->hash.fdir.hi;
}

static inline void policy_mark_set(struct rte_mbuf *m, uint32_t mark)
{
	m->hash.fdir.hi = mark;
}

#endif
