/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Where flows outlive the process: one file per service in RUN_DIR/NAME/flows, mapped while the service
 * runs. A process that is killed leaves its files to the next one of the instance; one that ends in
 * order takes them away. RUN_DIR is a tmpfs, so after a boot there are none.
 *
 * Beside them lies the seed of all hashes: with another one the flows that hashing alone places (dsr)
 * would go elsewhere after a restart, and no saved flow would be found in its bucket.
 */

#ifndef WEIR_PROCESS_FLOW_STORE_H
#define WEIR_PROCESS_FLOW_STORE_H

#include "dataplane/core/fastpath.h"

#include <stddef.h>
#include <stdint.h>

struct flow_store;

/*
 * Main thread. dir: the instance's folder.
 *
 * Returns 0 or -errno: then no flow outlives the process, which the log says.
 */
int flow_store_create(const char *dir, struct flow_store **ret_store);

/* Remove all files: nothing is left of a process that ends in order. */
void flow_store_destroy(struct flow_store *store); /* NULL is fine */

/* The seed that the predecessor used; a new one, random, where there is none. */
uint64_t flow_store_seed(struct flow_store *store);

/* For fastpath_create(); store may be NULL. */
struct fastpath_journal flow_store_journal(struct flow_store *store);

/* A configuration is in force: what was left of services that it does not have is of no use any more. */
void flow_store_sweep(struct flow_store *store); /* NULL is fine */

#endif
