/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A packet core without packets that waits for interrupts: of the devices that it receives from, and of bells
 * (dataplane/core/bell.h) for what comes by rings. Between two looks of its own it waits CORE_WAIT_NS at most, for
 * what nobody rings for: ages of flows, and other generations. The core's own thread.
 */

#ifndef WEIR_CORE_WAIT_H
#define WEIR_CORE_WAIT_H

#include "dataplane/port/port.h"

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

struct core;
struct fastpath;
struct generation;

#define CORE_WAIT_NS	 4000000
#define CORE_WAIT_QUEUES 64u /* with more, it sleeps instead */
#define CORE_WAIT_EVENT	 UINT64_MAX /* in core.asked: woken by a device, nobody knows how late */

struct core_wait {
	bool possible; /* all that it receives from can wake it */
	uint32_t count;
	const struct port_queue *queue[CORE_WAIT_QUEUES]; /* of the generation; [count] */
	struct pollfd fd[CORE_WAIT_QUEUES + 1]; /* of those, and behind them the bell */
};

/* Another generation begins. */
void core_wait_prepare(const struct fastpath *fp, struct core *c, const struct generation *g);

/* Wait, unless one more look finds something to do. Returns how many packets that look found. */
uint32_t core_wait(struct fastpath *fp, struct core *c);

/* Wake the cores that this round has put something into rings of. */
void core_wake_others(const struct fastpath *fp, struct core *c);

#endif
