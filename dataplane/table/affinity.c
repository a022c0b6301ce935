/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/table/affinity.h"

#include <rte_common.h>

#include <assert.h>
#include <errno.h>

/* A place: used 1 bit, tag 23, slot 12, epoch 6, time 22. 0 is an empty one. */
#define TIME_BITS   22
#define EPOCH_SHIFT 22
#define SLOT_SHIFT  28
#define TAG_SHIFT   40
#define USED	    (UINT64_C(1) << 63)
#define TIME_MASK   ((UINT32_C(1) << TIME_BITS) - 1)
#define TAG_MASK    ((UINT64_C(1) << (63 - TAG_SHIFT)) - 1)

static_assert(AFFINITY_MAX_SLOTS == 1u << (TAG_SHIFT - SLOT_SHIFT), "a slot has 12 bits");
static_assert(AFFINITY_EPOCH_MASK == (1u << (SLOT_SHIFT - EPOCH_SHIFT)) - 1, "an epoch has 6");

struct affinity_set {
	uint64_t place[AFFINITY_WAYS]; /* relaxed atomic */
} __rte_cache_aligned;

struct affinity {
	struct table_memory memory;
	uint32_t set_mask;
	struct affinity_set set[];
};

int affinity_create(uint32_t places, const struct table_memory *memory, int node,
	struct affinity **ret_affinity)
{
	struct affinity *a;
	uint32_t sets;

	if (places < AFFINITY_MIN || places > AFFINITY_MAX)
		return -EINVAL;
	sets = rte_align32pow2(places) / AFFINITY_WAYS;
	a = memory->alloc(memory->ctx, sizeof(*a) + sets * sizeof(a->set[0]), node);
	if (!a)
		return -ENOMEM;
	a->memory = *memory;
	a->set_mask = sets - 1;
	*ret_affinity = a;
	return 0;
}

void affinity_destroy(struct affinity *a)
{
	if (a)
		a->memory.free(a->memory.ctx, a);
}

/* The set's number has the low 21 bits at most, Maglev bits 32 to 63. */
static inline uint64_t tag_of(uint64_t hash)
{
	return USED | (hash >> 41 & TAG_MASK) << TAG_SHIFT;
}

static inline uint32_t time_of(uint64_t now_ns)
{
	return (uint32_t)(now_ns >> AFFINITY_TIME_SHIFT) & TIME_MASK;
}

static inline uint32_t age_of(uint64_t place, uint32_t now)
{
	return (now - (uint32_t)place) & TIME_MASK;
}

static inline bool has_tag(uint64_t place, uint64_t tag)
{
	return place >> TAG_SHIFT == tag >> TAG_SHIFT;
}

uint16_t affinity_find(const struct affinity *a, uint64_t hash, uint64_t now_ns, uint32_t timeout,
	uint16_t *ret_epoch)
{
	const struct affinity_set *set = &a->set[(uint32_t)hash & a->set_mask];
	const uint64_t tag = tag_of(hash);

	for (uint32_t i = 0; i < AFFINITY_WAYS; i++) {
		uint64_t place = __atomic_load_n(&set->place[i], __ATOMIC_RELAXED);

		if (!has_tag(place, tag))
			continue;
		if (age_of(place, time_of(now_ns)) > timeout)
			return AFFINITY_NO_SLOT;
		*ret_epoch = place >> EPOCH_SHIFT & AFFINITY_EPOCH_MASK;
		return place >> SLOT_SHIFT & (AFFINITY_MAX_SLOTS - 1);
	}
	return AFFINITY_NO_SLOT;
}

void affinity_set(struct affinity *a, uint64_t hash, uint64_t now_ns, uint16_t slot, uint16_t epoch)
{
	struct affinity_set *set = &a->set[(uint32_t)hash & a->set_mask];
	const uint64_t tag = tag_of(hash);
	const uint32_t now = time_of(now_ns);
	const uint64_t fresh = tag | (uint64_t)slot << SLOT_SHIFT |
		(uint64_t)(epoch & AFFINITY_EPOCH_MASK) << EPOCH_SHIFT | now;
	uint32_t oldest = 0;
	int64_t oldest_age = -1;

	for (uint32_t i = 0; i < AFFINITY_WAYS; i++) {
		uint64_t place = __atomic_load_n(&set->place[i], __ATOMIC_RELAXED);
		int64_t age = place ? age_of(place, now) : INT64_MAX;

		if (place == fresh)
			return;
		if (has_tag(place, tag)) {
			oldest = i;
			break;
		}
		if (age > oldest_age) {
			oldest = i;
			oldest_age = age;
		}
	}
	__atomic_store_n(&set->place[oldest], fresh, __ATOMIC_RELAXED);
}
