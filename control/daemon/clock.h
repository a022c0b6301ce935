/* SPDX-License-Identifier: BSD-3-Clause */

/* The daemon's clocks, and nanoseconds for libevent. */

#ifndef WEIR_DAEMON_CLOCK_H
#define WEIR_DAEMON_CLOCK_H

#include <stdint.h>
#include <sys/time.h>
#include <time.h>

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S  UINT64_C(1000000000)

/* How long at a time the event loop does what can be parted: nobody is to wait for it. */
#define LOOP_TURN_NS (5 * NS_PER_MS)

/* CLOCK_MONOTONIC, which the data plane's telemetry is stamped with. */
static inline uint64_t clock_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static inline struct timeval clock_timeval_ms(uint64_t ms)
{
	return (struct timeval){ .tv_sec = (time_t)(ms / 1000),
		.tv_usec = (suseconds_t)(ms % 1000 * 1000) };
}

#endif
