/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/table/maglev.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS 128u /* turns by which shares are interleaved */

struct candidate {
	uint64_t hash; /* of address and port; order, offset and skip come from it */
	const struct maglev_backend *backend;
	uint32_t share; /* entries it gets in the end */
	uint64_t remainder; /* of the division that made the share */
	uint32_t at; /* next entry of its permutation */
	uint32_t skip;
	uint32_t credit; /* in 1/ROUNDS of an entry */
};

static int compare_hash(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	if (x->hash != y->hash)
		return x->hash < y->hash ? -1 : 1;
	int rc = memcmp(x->backend->address, y->backend->address, 16);

	return rc != 0 ? rc : (int)x->backend->port - (int)y->backend->port;
}

/* Largest remainder first; equal ones in the order of their hashes. */
static int compare_remainder(const void *a, const void *b)
{
	const struct candidate *x = *(const struct candidate *const *)a;
	const struct candidate *y = *(const struct candidate *const *)b;

	if (x->remainder != y->remainder)
		return x->remainder > y->remainder ? -1 : 1;
	return x < y ? -1 : 1;
}

static uint32_t scale(uint64_t random32, uint32_t range)
{
	return (uint32_t)(((random32 & 0xffffffffu) * range) >> 32);
}

static uint32_t collect(struct candidate *c, const struct maglev_backend *backends, uint32_t count,
	const struct hash_seed *seed)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < count; i++) {
		if (backends[i].weight == 0)
			continue;
		uint8_t key[32] = { 0 };

		memcpy(key, backends[i].address, 16);
		uint64_t hash = hash_tuple6(seed, key, backends[i].port, 0);
		uint64_t more = hash_mix(hash ^ seed->k[1], UINT64_C(0x8ebc6af09c88c6e3));

		c[n++] = (struct candidate){
			.hash = hash,
			.backend = &backends[i],
			.at = scale(hash >> 32, MAGLEV_SIZE),
			.skip = 1 + scale(more, MAGLEV_SIZE - 1),
			/* Who has one entry takes it in a round of his own. */
			.credit = scale(more >> 32, ROUNDS),
		};
	}
	qsort(c, n, sizeof(*c), compare_hash);
	return n;
}

/* Shares by largest remainder, one at least, MAGLEV_SIZE in all. */
static int divide(struct candidate *c, uint32_t n)
{
	struct candidate **order = malloc(n * sizeof(*order));
	uint64_t weights = 0;
	uint32_t given = 0;

	if (order == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++) {
		weights += c[i].backend->weight;
		order[i] = &c[i];
	}
	for (uint32_t i = 0; i < n; i++) {
		uint64_t exact = (uint64_t)MAGLEV_SIZE * c[i].backend->weight;

		c[i].share = (uint32_t)(exact / weights);
		c[i].remainder = exact % weights;
		if (c[i].share == 0) {
			c[i].share = 1;
			c[i].remainder = 0;
		}
		given += c[i].share;
	}
	qsort(order, n, sizeof(struct candidate *), compare_remainder);
	for (uint32_t i = 0; given < MAGLEV_SIZE; i = (i + 1) % n, given++)
		order[i]->share++;
	/* The entries that the smallest got as a present come from those who have the most. */
	while (given > MAGLEV_SIZE) {
		struct candidate *most = &c[0];

		for (uint32_t i = 1; i < n; i++)
			if (c[i].share > most->share)
				most = &c[i];
		uint32_t less = given - MAGLEV_SIZE;
		uint32_t spare = most->share / 64 + 1;

		most->share -= less < spare ? less : spare;
		given -= less < spare ? less : spare;
	}
	free(order);
	return 0;
}

static inline bool bit_test(const uint64_t *bits, uint32_t i)
{
	return bits[i / 64] >> (i % 64) & 1;
}

static void fill(uint16_t *table, struct candidate *c, uint32_t n)
{
	/* Which entries are given: 8 KiB that stay in the first-level cache, unlike the table. */
	uint64_t given[MAGLEV_SIZE / 64 + 1] = { 0 };

	for (uint32_t round = 0; round < ROUNDS; round++) {
		for (uint32_t i = 0; i < n; i++) {
			struct candidate *b = &c[i];

			for (b->credit += b->share; b->credit >= ROUNDS; b->credit -= ROUNDS) {
				while (bit_test(given, b->at)) {
					b->at += b->skip;
					if (b->at >= MAGLEV_SIZE)
						b->at -= MAGLEV_SIZE;
				}
				given[b->at / 64] |= UINT64_C(1) << (b->at % 64);
				table[b->at] = b->backend->slot;
			}
		}
	}
}

int maglev_build(uint16_t *table, const struct maglev_backend *backends, uint32_t count,
	const struct hash_seed *seed)
{
	if (count > MAGLEV_MAX_BACKENDS)
		return -EINVAL;
	struct candidate *c = malloc((count + 1) * sizeof(*c));

	if (c == NULL)
		return -ENOMEM;
	uint32_t n = collect(c, backends, count, seed);
	int rc = n == 0 ? -ENOENT : divide(c, n);

	if (rc == 0)
		fill(table, c, n);
	free(c);
	return rc;
}
