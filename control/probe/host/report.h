/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * From two readings of the figures to the datagrams that tell their difference. Pure memory, with the
 * caller's clock.
 */

#ifndef WEIR_PROBE_REPORT_H
#define WEIR_PROBE_REPORT_H

#include "control/probe/message.h"
#include "ebpf/kernel/probe_keys.h"

/* One service in both readings. */
struct report_service {
	struct probe_service_key key;
	struct probe_figures before;
	struct probe_figures now;
};

/* Where datagrams go. */
struct report_out {
	void *ctx;
	void (*send)(void *ctx, const void *data, size_t length);
};

/*
 * Write and send one report.
 *
 * head  boot, time_ns, interval_ms and sender; its sequence is that of the first datagram
 *
 * Returns how many datagrams there were, at least one, or -EIO (they cannot be sealed).
 */
int report_write(const struct report_service *services, size_t count,
	const struct probe_message *head, const struct probe_key *key,
	const struct report_out *out);

#endif
