/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Copies of policies' objects as they were when a configuration came into force, beside the history, so
 * that going back brings back what ran then. A copy's name is what it contains: objects/SHA256.o.
 * Event loop's thread.
 */

#ifndef WEIR_DAEMON_OBJECT_STORE_H
#define WEIR_DAEMON_OBJECT_STORE_H

#include "control/daemon/revision/revision_store.h"

#include <jansson.h>

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

/* All copies together. What the newest configurations need has precedence. */
#define OBJECTS_MAX_BYTES (UINT64_C(256) << 20)

/* Keep a copy of what a file has. Returns 0, also when there is one, or -errno, which has been logged. */
int object_store_put(const struct revision_store *s, const char *sha256, int fd);

/* Where a copy lies; false: there is none, or it is damaged. */
bool object_store_find(const struct revision_store *s, const char *sha256, char ret_path[PATH_MAX]);

/* Remove what no entry of the history names, and what is too much. */
void object_store_prune(const struct revision_store *s);

#endif
