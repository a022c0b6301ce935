/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Another partition in place of one whose writer has stopped answering and may go on writing at any moment:
 * flows are read from the old one as they stand, and entered into the spare one when they stand up to the
 * caller's checks. The old one is its writer's, until that is known to be done with it.
 *
 * Main thread.
 */

#ifndef WEIR_TABLE_FLOW_SPARE_H
#define WEIR_TABLE_FLOW_SPARE_H

#include "dataplane/table/flow_table.h"

/* Bytes that a spare partition of so many records takes. */
size_t flow_spare_bytes(const struct flow_partition *like, uint32_t capacity);

/*
 * Make an empty partition of the same bucket, family, protocol, timeouts and journal as another.
 *
 * capacity     1..like->capacity
 * release_ctx  for the release function, which is the other's
 *
 * Returns NULL when there is no memory; free it with flow_spare_destroy(), which does not call release.
 */
struct flow_partition *flow_spare_create(const struct flow_partition *like, uint32_t capacity,
	const struct table_memory *memory, int node, void *release_ctx);
void flow_spare_destroy(const struct table_memory *memory, struct flow_partition *part);

/* A private copy of a record. */
struct flow_copy {
	struct flow head;
	struct flow_tail tail; /* IPv6 only */
};

/*
 * Copy record `record` (below flow_partition_extent()) whole, whoever writes it. False when it changes all the
 * time. Any thread.
 */
bool flow_copy_take(const struct flow_partition *part, uint32_t record, struct flow_copy *ret_copy);

/*
 * Enter a flow into a spare partition, with the caller's fields and the age that it had; transient ones
 * begin anew to be idle. The caller has checked that it belongs there and that it is not there yet.
 *
 * hash  of the client's side
 *
 * Returns the flow, or NULL: there is no room.
 */
struct flow *flow_enter(
	struct flow_partition *part, const struct flow_copy *copy, uint64_t hash, uint32_t now_ms);

/* All flows are entered: the journal's copies of others in this partition are no flows'. */
void flow_spare_journal(const struct flow_partition *part, uint32_t old_capacity);

#endif
