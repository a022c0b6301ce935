/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/stage/dispatch/dispatch.h"
#include "dataplane/stage/early/early.h"

#include <rte_ring.h>

static_assert(SERVICE_BURST == STAGE_BURST, "a worker's stage holds a whole burst");

static void hand_over(struct stage_core *c, struct service_worker *w)
{
	unsigned int left;
	uint32_t took =
		rte_ring_sp_enqueue_burst(w->ring, (void *const *)w->stage, w->staged, &left);

	/* Where packets of buckets that move wait nobody works. */
	if (likely(w->core != SERVICE_NOBODY))
		c->handed |= UINT64_C(1) << w->core;
	early_saw(c->early, w->service);
	if (unlikely(left < EARLY_PRESS))
		early_press(c->early, w);
	for (uint32_t i = took; i < w->staged; i++)
		stage_drop(c, w->stage[i], WEIR_DROP_WORKER_RING_FULL);
	w->staged = 0;
}

void dispatch_burst(struct stage_core *c, struct service *const *service, struct rte_mbuf **pkts,
	uint16_t n, struct dispatch *ret_touched)
{
	uint32_t touched = 0;
	uint32_t own = 0;

	for (uint16_t i = 0; i < n; i++) {
		const struct packet *p = packet_of(pkts[i]);
		const struct service *s = service[p->service];
		struct service_worker *w = s->worker[s->bucket_worker[p->bucket]];

		if (w->staged == 0)
			ret_touched->worker[touched++] = w;
		/* On a core that works itself the lookup is near; another one fetches it itself. */
		if (!w->ring)
			flow_prefetch(w->part[p->bucket], p->hash);
		w->stage[w->staged++] = pkts[i];
	}
	for (uint32_t i = 0; i < touched; i++) {
		struct service_worker *w = ret_touched->worker[i];

		if (w->ring)
			hand_over(c, w);
		else
			ret_touched->worker[own++] = w;
	}
	ret_touched->count = own;
}
