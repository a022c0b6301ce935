/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The flows that must outlive the process: a copy of every assured flow of a table in memory of the
 * caller's, as a file that stays when the process is killed. Its successor reads the copies, believes
 * none of them, and enters again what stands up to its checks.
 *
 * A flow is written when it becomes assured (TCP established, UDP answered), when it then changes its
 * state or its backend, and cleared when it ends: two cache lines in a connection's life, none per
 * packet, and nothing for a flood of SYNs. A copy carries a check over its content, so one that was
 * being written when the process died is not taken.
 *
 * Memory: a header of one line, then a copy for each record of the table: one line (IPv4) or two (IPv6).
 */

#ifndef WEIR_TABLE_FLOW_JOURNAL_H
#define WEIR_TABLE_FLOW_JOURNAL_H

#include "dataplane/table/flow_table.h"

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A flow's copy; what it holds is as in struct flow. */
struct flow_saved {
	uint64_t check; /* over the rest; 0: none is here */
	struct flow_tuple tuple[2];
	uint16_t flags;
	uint8_t state;
	uint8_t port_in;
	uint8_t client_mac[6];
	uint16_t reserved;
	uint32_t client_first;
	uint8_t reserved1[16];
} __rte_cache_aligned;

static_assert(sizeof(struct flow_saved) == 64, "a flow's copy is one cache line");

/* Bytes for a table of this capacity (flow_table_capacity()). */
size_t flow_journal_bytes(uint32_t capacity, bool ipv6);

/*
 * Begin a journal for a table without flows.
 *
 * memory  flow_journal_bytes() of zeros, aligned to 64; borrowed until the table is destroyed
 *
 * Main thread, before any worker has the table.
 */
void flow_journal_attach(struct flow_table *t, void *memory);

/* Copy a flow as it is now; for whoever enters an assured flow and sets its fields. Worker or main. */
void flow_journal_write(const struct flow_partition *part, const struct flow *f);

/* Not for callers: the record's copy is no flow's any more. */
void flow_journal_clear(const struct flow_partition *part, const struct flow *f);

struct flow_journal_reader {
	const uint8_t *record;
	uint32_t left;
	uint32_t shift;
};

/*
 * Read a journal that another process has left.
 *
 * bytes  of it, as the file has them
 *
 * Returns 0, or -EINVAL when it is not a journal of this family and version.
 */
int flow_journal_open(
	const void *memory, size_t bytes, bool ipv6, struct flow_journal_reader *ret_reader);

/* The next copy that is whole, with its addresses in *ret_tail for IPv6; false at the end. */
bool flow_journal_next(
	struct flow_journal_reader *r, struct flow_saved *ret_saved, struct flow_tail *ret_tail);

#endif
