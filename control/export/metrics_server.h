/* SPDX-License-Identifier: BSD-3-Clause */

/* GET /metrics over HTTP. Event loop's thread. */

#ifndef WEIR_EXPORT_METRICS_SERVER_H
#define WEIR_EXPORT_METRICS_SERVER_H

#include "control/config/model.h"

struct evbuffer;
struct event_base;
struct metrics_server;

/* Write the metrics as they are now. */
typedef void (*metrics_render_cb)(void *ctx, struct evbuffer *out);

/* Returns 0, -EADDRINUSE, -EADDRNOTAVAIL, -EACCES, ... End with metrics_server_stop(). */
int metrics_server_start(struct event_base *base, const struct address *address, uint16_t port,
	metrics_render_cb render, void *ctx, struct metrics_server **ret_server);
void metrics_server_stop(struct metrics_server *s); /* NULL is fine */

#endif
