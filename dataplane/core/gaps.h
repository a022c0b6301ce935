/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The longest times that a packet core was away: what it notes in its telemetry when a round began later
 * than it should have. Pure memory, with the caller's clock; the core's own thread.
 */

#ifndef WEIR_CORE_GAPS_H
#define WEIR_CORE_GAPS_H

#include "dataplane/api/telemetry.h"

#include <stdint.h>

/*
 * Note a gap: among the longest since the start, when it is one of them, and as that of its five seconds
 * when none of them was longer.
 *
 * end_ns     CLOCK_MONOTONIC when it was over
 * length_ns  of it, without a sleep that was asked for
 * during     enum weir_gap_during
 * packets    of the round that it began in
 */
void gap_note(struct weir_core_gaps *g, uint64_t end_ns, uint64_t length_ns,
	enum weir_gap_during during, uint32_t packets);

#endif
