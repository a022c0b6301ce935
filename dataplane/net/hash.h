/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Keyed hash of a 5-tuple: multiply-mix of 64 x 64 -> 128 bits. Not a CRC, whose collisions can be
 * solved for; who does not know the 128-bit seed cannot aim at a bucket or a worker.
 *
 * The tuple is hashed as it lies in the packet: client to service on the client's side, backend to
 * source address on the backend's side. How the 64 bits are used:
 *   bits 0..7    bucket of a client-side packet (a reply's bucket is in its destination port)
 *   bits 8..39   index line of the flow table
 *   bits 32..63  Maglev entry
 *   bits 48..63  tag in the index line
 *
 * Source: the mix is that of wyhash (Wang Yi, public domain), with an own schedule for tuples.
 */

#ifndef WEIR_NET_HASH_H
#define WEIR_NET_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct hash_seed {
	uint64_t k[2]; /* secret; from a random source, or hash_seed_make() for repeatable runs */
};

#define HASH_BUCKET_COUNT 256

/* One word, any alignment: words loaded one by one stay in registers, an array of them may not. */
static inline uint64_t hash_load(const void *from, size_t offset)
{
	uint64_t word;

	memcpy(&word, (const uint8_t *)from + offset, sizeof(word));
	return word;
}

static inline uint64_t hash_mix(uint64_t a, uint64_t b)
{
	unsigned __int128 m = (unsigned __int128)a * b;

	return (uint64_t)m ^ (uint64_t)(m >> 64);
}

/*
 * addrs  source and destination address as the 8 bytes of the IPv4 header
 * ports  source and destination port as the 4 bytes of the L4 header
 */
static inline uint64_t hash_tuple4(
	const struct hash_seed *seed, uint64_t addrs, uint32_t ports, uint8_t protocol)
{
	uint64_t tail = ((uint64_t)protocol << 32) | ports;
	uint64_t h = hash_mix(addrs ^ seed->k[0], tail ^ seed->k[1]);

	return hash_mix(h ^ seed->k[1], addrs ^ (tail << 24) ^ UINT64_C(0x9e3779b97f4a7c15));
}

/* addrs: source and destination address as the 32 bytes of the IPv6 header, any alignment. */
static inline uint64_t hash_tuple6(
	const struct hash_seed *seed, const void *addrs, uint32_t ports, uint8_t protocol)
{
	uint64_t tail = ((uint64_t)protocol << 32) | ports;
	uint64_t s = hash_mix(hash_load(addrs, 0) ^ seed->k[0], hash_load(addrs, 8) ^ seed->k[1]);
	uint64_t d = hash_mix(hash_load(addrs, 16) ^ seed->k[1] ^ UINT64_C(0xe7037ed1a0b428db),
		hash_load(addrs, 24) ^ seed->k[0] ^ UINT64_C(0x8ebc6af09c88c6e3));
	uint64_t h = hash_mix(s ^ tail ^ seed->k[0], d ^ seed->k[1]);

	return hash_mix(h ^ seed->k[1], s ^ d ^ (tail << 24) ^ UINT64_C(0x9e3779b97f4a7c15));
}

static inline uint8_t hash_bucket(uint64_t hash)
{
	return (uint8_t)hash;
}

/* Spread one number to a seed (splitmix64): for replay, tests, the benchmark. */
static inline struct hash_seed hash_seed_make(uint64_t n)
{
	struct hash_seed s;

	for (unsigned int i = 0; i < 2; i++) {
		uint64_t z = (n += UINT64_C(0x9e3779b97f4a7c15));

		z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
		z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
		s.k[i] = z ^ (z >> 31);
	}
	return s;
}

#endif
