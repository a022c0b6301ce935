/* SPDX-License-Identifier: BSD-3-Clause */

/* Shared by the files of dataplane*.c. */

#ifndef WEIR_DAEMON_DATAPLANE_PRIVATE_H
#define WEIR_DAEMON_DATAPLANE_PRIVATE_H

#include "control/daemon/dataplane/dataplane.h"

struct event;

/* One attempt to connect, in a thread of its own because the greeting waits for its answer. */
struct connector;

int connector_start(const char *path, int timeout_ms, struct connector **ret_connector);
int connector_fd(const struct connector *c); /* readable when it is done */
/*
 * Wait for the end and free. Returns what weir_client_connect() returned; ret_client is the caller's
 * on success.
 */
int connector_finish(
	struct connector *c, struct weir_client **ret_client, char *err, size_t err_size);

/*
 * Start weir-dataplane in a session of its own. Returns 0 or -errno with a sentence in err.
 */
int dataplane_spawn(const struct rundir *run, const char *instance,
	const struct model_dataplane *settings, pid_t *ret_pid, char *err, size_t err_size);

/* A descriptor that is readable when the process has ended; or -errno. */
int process_watch(pid_t pid);

#endif
