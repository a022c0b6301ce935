/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/health/health_state.h"

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

uint64_t health_next_delay(
	uint64_t started_ns, uint64_t interval_ns, uint64_t now_ns, uint32_t random)
{
	uint64_t passed = now_ns > started_ns ? now_ns - started_ns : 0;
	uint64_t wait = interval_ns - health_random_part(interval_ns / 10, random);

	return passed < wait ? wait - passed : 0;
}
