/* SPDX-License-Identifier: BSD-3-Clause */

/* Where the memory of services should be: shown to who asks the kernel where it is. Main thread. */

#include "dataplane/core/core.h"
#include "dataplane/table/flow_table.h"

#define PARTITIONS_SHOWN 8u /* of each worker's: they are made one like the other */

static void worker_show(const struct fastpath *fp, const struct service *s,
	const struct service_worker *w, fastpath_memory_fn see, void *ctx)
{
	const char *name = s->identity.name;
	int node = fp->core[w->core]->node;
	uint32_t shown = 0;

	see(ctx, name, "worker", node, w);
	if (w->ring)
		see(ctx, name, "ring", node, w->ring);
	for (uint32_t i = 0; i < FLOW_PARTITIONS && shown < PARTITIONS_SHOWN; i++) {
		if (!service_worker_has(w, i))
			continue;
		see(ctx, name, "flow table", node, s->part[i]->lines);
		see(ctx, name, "flow table", node, s->part[i]->records);
		shown++;
	}
}

void fastpath_memory_each(const struct fastpath *fp, fastpath_memory_fn see, void *ctx)
{
	for (uint32_t slot = 0; slot < WEIR_MAX_SERVICES; slot++) {
		const struct service *s = fp->service[slot];

		for (uint32_t i = 0; s && i < s->worker_count; i++)
			worker_show(fp, s, s->worker[i], see, ctx);
	}
}
