/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The main thread's loop: clients at the instance's socket (or the one that was inherited), signals,
 * and a timer for what is due every 10 ms.
 */

#ifndef WEIR_PROCESS_SERVER_H
#define WEIR_PROCESS_SERVER_H

#include "dataplane/api/messages.h"

#include <stddef.h>

struct process;
struct server;

/*
 * socket_path  where to listen; NULL: serve the client at api_fd, which is owned from here on, and
 *              end with it
 *
 * SIGTERM, SIGINT and SIGHUP are blocked from here on and end the loop. Call it before threads start.
 * Returns 0 or -errno with the reason in err.
 */
int server_create(struct process *p, const char *socket_path, int api_fd,
	struct server **ret_server, char *err, size_t err_size);
void server_destroy(struct server *s);

/* Open the socket's gate: clients are served from here on. */
int server_listen(struct server *s, char *err, size_t err_size);

/* Serve until p->stopping. Returns 0 or -errno. */
int server_run(struct server *s);

void server_event(
	struct server *s, enum weir_event_kind kind, const char *object, const char *text);

#endif
