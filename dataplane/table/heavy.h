/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Counts who asks most, in fixed memory that others read: struct weir_heavy (api/telemetry.h says what it
 * shows, and from where the algorithm is). One writer. A note costs two cache lines, and looks at the
 * eight places of one set.
 */

#ifndef WEIR_TABLE_HEAVY_H
#define WEIR_TABLE_HEAVY_H

#include "dataplane/api/telemetry.h"

#include <stdint.h>

/* What a new flow weighs against a packet when it comes to who keeps a place. */
#define HEAVY_FLOW_SCORE 8u

/*
 * hash     of the address, keyed
 * address  16 bytes, the bits beyond the prefix 0
 * second   a clock in seconds, for halving what is past
 */
void heavy_note(struct weir_heavy *h, uint64_t hash, const uint8_t address[16], uint32_t flows,
	uint32_t packets, uint32_t second);

#endif
