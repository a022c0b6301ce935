/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Consistent hashing: a table of 65,537 backend slots, in which each backend has a share by its weight.
 * It depends only on the backends' addresses, ports and weights and on the seed, not on slots or
 * order, so every Weir with the same seed and pool places alike; a change of the pool moves little
 * more than it must.
 *
 * Source: Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer", NSDI 2016,
 * section 3.4. Ours: shares are fixed beforehand by largest remainder (a backend of weight > 0 has one
 * entry at least), and backends take turns in 128 rounds in proportion to them, so that small weights
 * get what they should.
 */

#ifndef WEIR_TABLE_MAGLEV_H
#define WEIR_TABLE_MAGLEV_H

#include "dataplane/net/hash.h"

#include <rte_prefetch.h>

#include <stdint.h>

#define MAGLEV_SIZE	    65537u
#define MAGLEV_MAX_BACKENDS 8192

struct maglev_backend {
	uint8_t address[16];
	uint16_t port;
	uint16_t slot; /* what the table's entries say */
	uint32_t weight; /* in any unit, the same for all; 0: gets nothing */
};

/*
 * Fill a table.
 *
 * table     MAGLEV_SIZE entries, caller's; written only on success
 * backends  each address and port at most once
 *
 * Control thread: 1 to 3 ms, allocates. Returns 0, -ENOENT (no backend of weight > 0: empty), -EINVAL
 * (count over MAGLEV_MAX_BACKENDS) or -ENOMEM.
 */
int maglev_build(uint16_t *table, const struct maglev_backend *backends, uint32_t count,
	const struct hash_seed *seed);

/* The slot for a flow's hash (client's side). */
static inline uint32_t maglev_entry(uint64_t hash)
{
	return (uint32_t)(((hash >> 32) * MAGLEV_SIZE) >> 32);
}

/* Ask for it ahead of maglev_slot(): the table is larger than a first level cache. */
static inline void maglev_prefetch(const uint16_t *table, uint64_t hash)
{
	rte_prefetch0(&table[maglev_entry(hash)]);
}

static inline uint16_t maglev_slot(const uint16_t *table, uint64_t hash)
{
	return table[maglev_entry(hash)];
}

#endif
