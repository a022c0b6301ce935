/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * How many requests of a backend one finds in flight when it begins, in classes: 0 to 7, then four for each
 * doubling. Shared by the data plane, which counts by class, and those who read that.
 */

#ifndef WEIR_API_FOUND_H
#define WEIR_API_FOUND_H

#include <stdint.h>

#define WEIR_FOUND_CLASSES 32u /* the last: 448 and more, or not known */

/* The class of n; no division. */
static inline uint32_t weir_found_class(uint32_t n)
{
	if (n < 8)
		return n;
	uint32_t octave = 31u - (uint32_t)__builtin_clz(n);
	uint32_t found = 4 * (octave - 1) + (n >> (octave - 2) & 3);
	return found < WEIR_FOUND_CLASSES ? found : WEIR_FOUND_CLASSES - 1;
}

/* The middle of a class, but for the last, which has none. */
static inline double weir_found_middle(uint32_t found)
{
	if (found < 8)
		return found;
	uint32_t width = UINT32_C(1) << (found / 4 - 1);
	return (double)((4 + found % 4) * width) + (width - 1) / 2.0;
}

#endif
