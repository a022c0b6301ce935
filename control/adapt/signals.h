/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * From two readings of the telemetry to the signals of the tick between them. Pure memory; counters that
 * went back (a slot that another has got, a data plane that began anew) count as nothing.
 */

#ifndef WEIR_ADAPT_SIGNALS_H
#define WEIR_ADAPT_SIGNALS_H

#include "control/adapt/adapt.h"
#include "control/telemetry/reading.h"

/* What is read seldom, kept from the last time: of one service. */
struct signals_past {
	struct reading_tail *tails; /* owned; NULL: never read */
	struct past_backend {
		uint32_t slot;
		uint16_t epoch;
	} * whose; /* of tails; owned */
	size_t tail_count;
	struct weir_heavy *heavy; /* owned; NULL: never read */
	size_t heavy_count;
	uint64_t heavy_ns;
};

void signals_past_clear(struct signals_past *p);

/*
 * The signals of one service. probes and the rest of what telemetry does not know are left 0.
 *
 * before       the reading before; NULL, or one that does not know the service as it is now: none can be made
 * of           in now; its tails and tables of heavy sources are taken over
 * past         kept for the next time
 * ret_signals  free with signals_free()
 *
 * Returns 0, -EAGAIN (there is nothing to compare with yet) or -ENOMEM.
 */
int signals_between(const struct reading *before, const struct reading *now,
	struct reading_service *of, struct signals_past *past, struct adapt_signals *ret_signals);
void signals_free(struct adapt_signals *s);

#endif
