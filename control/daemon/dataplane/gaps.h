/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Packet cores that were away for long (struct weir_core_gaps): an operator hears of the longest such gap,
 * once a minute at most. Event loop's thread.
 */

#ifndef WEIR_DAEMON_GAPS_H
#define WEIR_DAEMON_GAPS_H

#include "control/telemetry/snapshot.h"

#include <stdint.h>

#define GAP_WORTH_NS UINT64_C(10000000) /* of a gap that is told of */
#define GAP_EVERY_NS UINT64_C(60000000000)

struct gap_watch {
	uint64_t told_ns; /* CLOCK_MONOTONIC of the last event; 0: none yet */
};

/*
 * The gap to tell of now, or NULL; it is in s. A returned one counts as told.
 *
 * ret_core   whose it is: index in s->cores
 * ret_count  how many cores had one as long as GAP_WORTH_NS in the time since the last event
 */
const struct weir_gap *gap_watch_find(
	struct gap_watch *w, const struct snapshot *s, size_t *ret_core, size_t *ret_count);

/* Emit an event when there is one to tell of. s may be NULL. */
void gap_watch_tell(struct gap_watch *w, const struct snapshot *s);

#endif
