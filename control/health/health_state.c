/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/health/health_state.h"

#define LATE_SHARE 10 /* a check is late by a tenth of its interval */

bool health_state_take(struct health_state *s, bool good, uint32_t rise, uint32_t fall)
{
	enum health_verdict now = good ? HEALTH_GOOD : HEALTH_BAD;

	if (now == s->verdict) {
		s->streak = 0;
		return false;
	}
	s->streak++;
	if (s->verdict != HEALTH_UNKNOWN && s->streak < (good ? rise : fall))
		return false;
	s->verdict = now;
	s->streak = 0;
	return true;
}

uint64_t health_random_part(uint64_t ns, uint32_t random)
{
	return (uint64_t)(((__uint128_t)ns * random) >> 32);
}

bool health_is_late(uint64_t due_ns, uint64_t started_ns, uint64_t interval_ns)
{
	return started_ns > due_ns + interval_ns / LATE_SHARE;
}

uint64_t health_next_due(uint64_t due_ns, uint64_t started_ns, uint64_t interval_ns,
	uint64_t now_ns, uint32_t random)
{
	uint64_t next;

	if (health_is_late(due_ns, started_ns, interval_ns))
		next = started_ns + interval_ns / 2 + health_random_part(interval_ns, random);
	else
		next = due_ns + interval_ns - health_random_part(interval_ns / 10, random);
	return next < now_ns ? now_ns : next;
}
