/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * One health check of one backend from the host's own stack, without waiting: connect, and for http
 * ask for a path and read the status line.
 *
 * Source of what counts as a good answer: RFC 9110 section 15 (2xx and 3xx).
 */

#ifndef WEIR_HEALTH_PROBE_H
#define WEIR_HEALTH_PROBE_H

#include "control/config/model.h"

struct event_base;
struct probe;

enum probe_result {
	PROBE_GOOD,
	PROBE_BAD,
	PROBE_NOT_MADE, /* this host ran out of something; says nothing about the backend */
};

/* reason: "connection refused", "timed out after 200 ms", "HTTP 503"; the probe has ended. */
typedef void (*probe_done_cb)(void *ctx, enum probe_result result, const char *reason);

/*
 * Start a check; cb is called from the event loop, exactly once, unless probe_cancel() comes first.
 *
 * health   type tcp or http; borrowed during the call only
 * Returns 0 or -ENOMEM; everything else is told to cb.
 */
int probe_start(struct event_base *base, const struct model_health *health,
	const struct address *address, uint16_t port, probe_done_cb cb, void *ctx,
	struct probe **ret_probe);
void probe_cancel(struct probe *p); /* NULL is fine */

#endif
