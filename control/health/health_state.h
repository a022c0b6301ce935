/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * When do single good or bad checks make a backend up or down: pure bookkeeping, with the caller's
 * clock.
 */

#ifndef WEIR_HEALTH_HEALTH_STATE_H
#define WEIR_HEALTH_HEALTH_STATE_H

#include <stdbool.h>
#include <stdint.h>

enum health_verdict {
	HEALTH_UNKNOWN = 0, /* no check has come to an end yet */
	HEALTH_GOOD,
	HEALTH_BAD,
};

struct health_state {
	enum health_verdict verdict;
	uint32_t streak; /* checks in a row that contradict the verdict */
};

/*
 * Take the outcome of one check. The first one decides at once; afterwards `rise` good ones in a row
 * make a bad backend good, and `fall` bad ones a good one bad.
 *
 * rise, fall  at least 1
 * Returns true when the verdict has changed.
 */
bool health_state_take(struct health_state *s, bool good, uint32_t rise, uint32_t fall);

/*
 * When the next check should start: at most `interval_ns` after this one should have, up to a tenth of it less. It is
 * counted from when this one was due, so that checks which were late together, because the process was held
 * up, do not stay together. After one that was late by more than a tenth of the interval (health_is_late()) too many
 * have the same place: its next is somewhere from half an interval to one and a half after it, so they part without
 * being more. One that took longer than all that is followed at once. All in nanoseconds of one clock.
 *
 * random  any 32 bits
 */
uint64_t health_next_due(uint64_t due_ns, uint64_t started_ns, uint64_t interval_ns,
	uint64_t now_ns, uint32_t random);

bool health_is_late(uint64_t due_ns, uint64_t started_ns, uint64_t interval_ns);

/* A random part of a time, for the first checks of many. */
uint64_t health_random_part(uint64_t ns, uint32_t random);

#endif
