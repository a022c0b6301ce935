/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/service/load.h"

void load_forget(struct service_worker *w, uint64_t now_ns)
{
	uint64_t slice = now_ns >> LOAD_SLICE_SHIFT;

	if (slice <= w->load_slice)
		return;
	/* What is beyond as many steps as there are slices is done with in these. */
	if (slice - w->load_slice > LOAD_SLICES)
		w->load_slice = slice - LOAD_SLICES;
	while (w->load_slice != slice) {
		w->load_slice++;
		for (uint32_t i = 0; i < w->service->cells.slots; i++) {
			uint32_t *begun = &w->load[i].begun[w->load_slice % LOAD_SLICES];

			for (; *begun; --*begun)
				load_drop(w, i);
		}
	}
}
