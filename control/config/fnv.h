/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * FNV-1a, 64 bits: for tables and marks of what nobody forges. Source: Fowler, Noll, Vo, 1991; draft-eastlake-fnv.
 */

#ifndef WEIR_CONFIG_FNV_H
#define WEIR_CONFIG_FNV_H

#include <stddef.h>
#include <stdint.h>

#define FNV_BASIS UINT64_C(0xcbf29ce484222325)

/* The hash of what `hash` is of, and these bytes behind it; begins with FNV_BASIS. Any thread. */
static inline uint64_t fnv_1a(uint64_t hash, const void *bytes, size_t size)
{
	const uint8_t *at = bytes;

	for (size_t i = 0; i < size; i++)
		hash = (hash ^ at[i]) * UINT64_C(0x100000001b3);
	return hash;
}

#endif
