/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * How a core counts in telemetry. It is the only writer of its cells, so a relaxed load and store
 * suffice, without a locked instruction; readers see whole words.
 */

#ifndef WEIR_SERVICE_CELL_H
#define WEIR_SERVICE_CELL_H

#include <stdint.h>

static inline uint64_t cell_read(const uint64_t *word)
{
	return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static inline void cell_add(uint64_t *word, uint64_t value)
{
	__atomic_store_n(word, cell_read(word) + value, __ATOMIC_RELAXED);
}

#endif
