/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Random numbers that a seed repeats, and the clock: for weir-crowd and weir-origin. The same seed must
 * mean the same arrivals and the same work in two runs, on any machine: no rand().
 */

#ifndef WEIR_TOOLS_SEEDED_H
#define WEIR_TOOLS_SEEDED_H

#include <math.h>
#include <stdint.h>
#include <time.h>

#define SECOND_NS UINT64_C(1000000000)

static inline uint64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * SECOND_NS + (uint64_t)t.tv_nsec;
}

/* Source: splitmix64, Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014. */
static inline uint64_t seeded_next(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* In (0, 1]: its logarithm is finite. */
static inline double seeded_uniform(uint64_t *state)
{
	return ((double)(seeded_next(state) >> 11) + 1) / 9007199254740992.0;
}

static inline double seeded_exponential(uint64_t *state)
{
	return -log(seeded_uniform(state));
}

static inline double seeded_normal(uint64_t *state)
{
	double radius = sqrt(-2 * log(seeded_uniform(state)));
	return radius * cos(2 * M_PI * seeded_uniform(state));
}

/* Lognormal with mean 1. */
static inline double seeded_lognormal(uint64_t *state, double sigma)
{
	return exp(sigma * seeded_normal(state) - sigma * sigma / 2);
}

#endif
