/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Which backend each source address was sent to last, so that it goes there again when weights, or
 * others of the pool, have changed since. Bounded: places of 8 bytes in sets of eight, a cache line
 * each; a full set gives up the source that was seen longest ago, and then hashing alone places it.
 *
 * A place is one word that workers of a service read and write without locks (relaxed): a part of the
 * source's hash, the backend's slot, some bits of the slot's epoch, and when it was used last. Two
 * workers that meet the same new source at once write the same, as both follow the same hash. Two
 * sources with the same part of the hash (36 bits and more, with the number of the set) share a place, and so a
 * backend; that does no harm.
 *
 * Time is in units of 2^30 ns, 22 bits: a place that nobody used for 52 days looks fresh again.
 */

#ifndef WEIR_TABLE_AFFINITY_H
#define WEIR_TABLE_AFFINITY_H

#include "dataplane/net/hash.h"
#include "dataplane/table/memory.h"

#include <stdbool.h>
#include <stdint.h>

#define AFFINITY_WAYS	    8u
#define AFFINITY_MIN	    1024u
#define AFFINITY_MAX	    (1u << 24)
#define AFFINITY_MAX_SLOTS  4096u
#define AFFINITY_TIME_SHIFT 30
#define AFFINITY_NO_SLOT    UINT16_MAX

struct affinity;

/*
 * Make an empty table.
 *
 * places  sources it remembers, rounded up to a power of two; AFFINITY_MIN..AFFINITY_MAX
 *
 * Control thread. Returns 0, -EINVAL or -ENOMEM.
 */
int affinity_create(uint32_t places, const struct table_memory *memory, int node,
	struct affinity **ret_affinity);
void affinity_destroy(struct affinity *a);

/* The hash of a source: of its first prefix_bits. address: 4 or 16 bytes. */
static inline uint64_t affinity_hash(
	const struct hash_seed *seed, const uint8_t *address, uint8_t prefix_bits, const bool ipv6)
{
	const uint32_t bytes = ipv6 ? 16 : 4;
	uint8_t masked[32] = { 0 };
	uint64_t word;

	memcpy(masked, address, bytes);
	for (uint32_t i = prefix_bits; i < bytes * 8; i = (i | 7) + 1)
		masked[i / 8] &= (uint8_t) ~(0xffu >> (i % 8));
	if (ipv6)
		return hash_tuple6(seed, masked, 0, 0);
	memcpy(&word, masked, sizeof(word));
	return hash_tuple4(seed, word, 0, 0);
}

/*
 * The slot that a source has, or AFFINITY_NO_SLOT: none, or not used for longer than the timeout. Whether
 * the slot still has the same backend is told by its epoch, of which only the low bits come back.
 *
 * timeout  in units of 2^30 ns
 */
uint16_t affinity_find(const struct affinity *a, uint64_t hash, uint64_t now_ns, uint32_t timeout,
	uint16_t *ret_epoch);

/* Remember a source's backend, in the place that it has or in the one that is missed least. Worker. */
void affinity_set(
	struct affinity *a, uint64_t hash, uint64_t now_ns, uint16_t slot, uint16_t epoch);

/* Whether an epoch is the one that affinity_find() gave. */
#define AFFINITY_EPOCH_MASK 0x3fu
static inline bool affinity_same_epoch(uint16_t found, uint16_t epoch)
{
	return ((found ^ epoch) & AFFINITY_EPOCH_MASK) == 0;
}

#endif
