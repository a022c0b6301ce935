/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The return path of a service, tried before traffic has to. A TCP segment of no connection goes from one of the
 * service's source addresses to a backend, by the kernel's way; the backend refuses it with a reset (RFC 9293,
 * 3.10.7.1), which leaves nothing behind there and comes back as any reply would. Where it arrives is in the cells;
 * then it is dropped, as no flow's (`no_flow`). If there is a flow of the same ports, its backend takes the segment
 * for a stray one and the flow goes on. Main thread.
 */

#ifndef WEIR_PROCESS_STEERING_PROBE_H
#define WEIR_PROCESS_STEERING_PROBE_H

#include "dataplane/api/validate.h"

#include <stdbool.h>
#include <stdint.h>

struct steering_probe;

/* Returns 0 or -errno; needs CAP_NET_RAW. */
int steering_probe_open(struct steering_probe **ret_probe);
void steering_probe_close(struct steering_probe *p); /* NULL is fine */

/*
 * Send the n-th one of a service: over its backends that are up, and over the buckets of its ports. Never blocks.
 *
 * Returns false when it did not leave: not TCP, no such backend, no way to it yet.
 */
bool steering_probe_send(const struct steering_probe *p, const struct weir_config_view *view,
	const struct weir_config_service *service, uint32_t n);

#endif
