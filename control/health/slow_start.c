/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/health/slow_start.h"

static uint16_t share(uint16_t weight, uint64_t tenths)
{
	return (uint16_t)((weight * tenths + SLOW_START_STEPS - 1) / SLOW_START_STEPS);
}

uint16_t slow_start_weight(uint16_t weight, uint64_t back_ns, uint64_t ramp_ns, uint64_t now_ns)
{
	uint64_t passed = now_ns > back_ns ? now_ns - back_ns : 0;

	if (!back_ns || passed >= ramp_ns)
		return weight;
	return share(weight, 1 + (uint64_t)((__uint128_t)passed * SLOW_START_STEPS / ramp_ns));
}

uint16_t slow_start_lifted(uint16_t weight, double least)
{
	uint64_t tenths = least >= 1 ? SLOW_START_STEPS :
		least > 0	     ? (uint64_t)(least * SLOW_START_STEPS) :
				       0;
	return share(weight, tenths);
}

uint64_t slow_start_back(uint16_t weight, uint16_t in_force, uint64_t ramp_ns, uint64_t now_ns)
{
	uint64_t step = 1;

	if (in_force >= weight || !ramp_ns)
		return 0;
	while (step < SLOW_START_STEPS && share(weight, step) < in_force)
		step++;
	/* Rounded up, into the step. */
	__uint128_t tenths = (__uint128_t)ramp_ns * (step - 1) + SLOW_START_STEPS - 1;
	uint64_t passed = (uint64_t)(tenths / SLOW_START_STEPS);

	return now_ns > passed ? now_ns - passed : 1;
}
