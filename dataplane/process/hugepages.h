/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Hugepages asked for at run time and given back: how many this instance added on each node stands in
 * a state file, so that they are returned at a clean end, and taken over by the next start after a
 * kill. Main thread.
 */

#ifndef WEIR_PROCESS_HUGEPAGES_H
#define WEIR_PROCESS_HUGEPAGES_H

#include "dataplane/api/telemetry.h"

#include <stddef.h>
#include <stdint.h>

#define HUGEPAGE_BYTES (UINT64_C(2) << 20)

/* Pages by node. */
struct hugepage_counts {
	uint32_t node[WEIR_MAX_NODES];
};

/* What the state file says. */
struct hugepage_state {
	struct hugepage_counts added;
	/*
	 * An addition that was begun, and perhaps not ended: plan_count pages (0: none) on plan_node,
	 * where plan_before were. How many came of it is what the node has more than that.
	 */
	uint32_t plan_node;
	uint32_t plan_count;
	uint32_t plan_before;
};

/* "0 256\n1 128\nplan 1 64 192\n"; nodes without pages are left out. */
void hugepage_state_print(const struct hugepage_state *s, char *buf, size_t size);

/* Returns 0 or -EINVAL; text need not be ours. */
int hugepage_state_parse(const char *text, struct hugepage_state *ret_state);

/* Turn a plan that was interrupted into what came of it; node_has is plan_node's count now. Pure. */
void hugepage_state_settle(struct hugepage_state *s, uint32_t node_has);

/* Pages to add on a node so that `wanted` are free, given how many are now. Pure. */
uint32_t hugepages_missing(uint32_t wanted, uint32_t free_now);

/*
 * Make `wanted` pages free on each node, adding what is missing.
 *
 * sys_dir     "/sys/devices/system/node"
 * state_file  where additions are remembered; what it says already counts as added by us
 * ret_free    pages free on each node afterwards: may be fewer than wanted
 *
 * Returns 0, or -errno when nothing can be known or added (-ENOENT: no 2 MiB pages on this machine,
 * -EACCES, -EROFS: not ours to change; ret_free is filled then too, as far as it is known).
 */
int hugepages_take(const char *sys_dir, const char *state_file,
	const struct hugepage_counts *wanted, struct hugepage_counts *ret_free);

/* Return what the state file says that we added, and remove it. */
void hugepages_give_back(const char *sys_dir, const char *state_file);

#endif
