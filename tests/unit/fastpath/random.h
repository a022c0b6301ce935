/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Repeatable random numbers for model tests. The seed is fixed, or WEIR_TEST_SEED from the environment,
 * and printed as a TAP comment so that a failure can be run again.
 */

#ifndef WEIR_TESTS_UNIT_FASTPATH_RANDOM_H
#define WEIR_TESTS_UNIT_FASTPATH_RANDOM_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

struct random {
	uint64_t state;
};

static inline struct random random_start(const char *what)
{
	const char *text = getenv("WEIR_TEST_SEED");
	uint64_t seed = text != NULL ? strtoull(text, NULL, 0) : 20260101;

	printf("# %s: seed %llu\n", what, (unsigned long long)seed);
	return (struct random){ seed };
}

static inline uint64_t random_next(struct random *r)
{
	uint64_t z = (r->state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static inline uint32_t random_below(struct random *r, uint32_t n)
{
	return (uint32_t)(((random_next(r) >> 32) * n) >> 32);
}

#endif
