/* SPDX-License-Identifier: BSD-3-Clause */

/* Reading the region; shared by the files of this folder. */

#ifndef WEIR_TELEMETRY_SNAPSHOT_PRIVATE_H
#define WEIR_TELEMETRY_SNAPSHOT_PRIVATE_H

#include "control/telemetry/snapshot.h"

#include <stddef.h>
#include <string.h>

/* Where the reading comes from; size is what may be touched. */
struct region {
	const struct weir_telemetry *t;
	uint64_t size;
};

static inline uint64_t load64(const uint64_t *from)
{
	return __atomic_load_n(from, __ATOMIC_RELAXED);
}

static inline uint32_t load32(const uint32_t *from)
{
	return __atomic_load_n(from, __ATOMIC_RELAXED);
}

static inline void copy_words(void *to, const void *from, size_t size)
{
	const uint64_t *in = from;
	for (size_t i = 0; i < size / 8; i++) {
		uint64_t word = load64(&in[i]);
		memcpy((char *)to + i * 8, &word, 8);
	}
}

static inline void add_words(void *to, const void *from, size_t size)
{
	uint64_t *out = to;
	const uint64_t *in = from;
	for (size_t i = 0; i < size / 8; i++)
		out[i] += load64(&in[i]);
}

/* count things of item_size bytes at offset, or NULL when they do not lie inside the region. */
static inline const void *region_at(
	const struct region *r, uint64_t offset, uint64_t count, uint64_t item_size)
{
	if (offset % 8 != 0 || offset < sizeof(struct weir_telemetry) || offset > r->size ||
		count > (r->size - offset) / item_size)
		return NULL;
	return (const char *)r->t + offset;
}

/*
 * Take what is wanted of a region, again and again until its directory did not change meanwhile.
 *
 * take  makes the result from the region; may be given what is half old and half new
 * drop  frees it, to begin anew; also called when take has failed and made nothing
 *
 * Returns 0, what take returned, -EPROTO (not a region of today's layout) or -EAGAIN (it never settles).
 */
int region_read(const struct weir_telemetry *t, size_t size,
	int (*take)(const struct region *r, void *ctx), void (*drop)(void *ctx), void *ctx);

/* What policies have done at a service, and its classes. Returns 0, -EPROTO or -ENOMEM. */
int snapshot_take_policies(const struct region *r, size_t core_count, uint64_t offset, size_t count,
	struct snapshot_policy **ret_policies);
int snapshot_take_classes(const struct region *r, size_t core_count, struct snapshot_service *s);

#endif
