/* SPDX-License-Identifier: BSD-3-Clause */

/* JSON documents in the run directory. */

#ifndef WEIR_DAEMON_STATE_FILE_H
#define WEIR_DAEMON_STATE_FILE_H

#include "control/daemon/rundir.h"

#include <jansson.h>

/* A new reference, or NULL when the file is not there or is not JSON, which has been logged. */
json_t *state_read(const struct rundir *r, const char *name);

/* Takes the document (NULL: out of memory). Returns 0 or -errno, which has been logged. */
int state_write(const struct rundir *r, const char *name, json_t *document);

#endif
