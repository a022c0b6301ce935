/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Stage 4: each packet goes to the worker that owns its bucket. On another core that is a bounded ring
 * per worker, so a flooded service loses its own packets there and nobody else's. On this core the
 * packets stay staged, and the pipeline works on them next.
 */

#ifndef WEIR_STAGE_DISPATCH_H
#define WEIR_STAGE_DISPATCH_H

#include "dataplane/service/service.h"
#include "dataplane/stage/stage.h"

/* Workers that packets of this burst were staged for. */
struct dispatch {
	uint32_t count;
	struct service_worker *worker[STAGE_BURST];
};

/*
 * Sort a burst by worker, and hand over what belongs to other cores.
 *
 * service      by slot: the services of the generation
 * ret_touched  workers of this core that have packets staged; worker->staged is reset by who takes them
 */
void dispatch_burst(struct stage_core *c, struct service *const *service, struct rte_mbuf **pkts,
	uint16_t n, struct dispatch *ret_touched);

#endif
