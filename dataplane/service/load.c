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
			int32_t *begun = &w->load[i].begun[w->load_slice % LOAD_SLICES];

			if (*begun == 0)
				continue;
			load_take(w, i, *begun);
			*begun = 0;
		}
	}
}

void load_moved(struct service_worker *w)
{
	for (uint32_t i = 0; i < w->service->cells.slots; i++) {
		w->load[i].before = w->load[i].peak = w->load[i].now;
		load_peak_show(w, i);
	}
}
