/* SPDX-License-Identifier: BSD-3-Clause */

#include "ebpf/engine/helper.h"

#include "ebpf/engine/program.h"

#include <linux/bpf.h>

static inline void *pointer(uint64_t r)
{
	return (void *)(uintptr_t)r;
}

static uint64_t map_lookup(uint64_t map, uint64_t key, uint64_t r3, uint64_t r4, uint64_t r5,
	struct policy_worker *worker)
{
	return (uint64_t)(uintptr_t)policy_map_lookup(pointer(map), pointer(key), worker->index);
}

static uint64_t map_update(uint64_t map, uint64_t key, uint64_t value, uint64_t flags, uint64_t r5,
	struct policy_worker *worker)
{
	return (uint64_t)(int64_t)policy_map_update(
		pointer(map), pointer(key), pointer(value), flags, worker->index);
}

static uint64_t map_delete(uint64_t map, uint64_t key, uint64_t r3, uint64_t r4, uint64_t r5,
	struct policy_worker *worker)
{
	return (uint64_t)(int64_t)policy_map_delete(pointer(map), pointer(key));
}

/* The time of the burst: no packet costs a clock read, and a replay sees its capture's time. */
static uint64_t time_ns(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5,
	struct policy_worker *worker)
{
	return worker->now_ns;
}

/* Source: G. Marsaglia, Xorshift RNGs, 2003; the multiplier is of S. Vigna's xorshift64*. */
static uint64_t random_u32(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5,
	struct policy_worker *worker)
{
	uint64_t x = worker->random;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	worker->random = x;
	return x * UINT64_C(0x2545f4914f6cdd1d) >> 32;
}

static uint64_t worker_index(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5,
	struct policy_worker *worker)
{
	return worker->index;
}

policy_helper_function policy_helper(int32_t number)
{
	switch (number) {
	case BPF_FUNC_map_lookup_elem:
		return map_lookup;
	case BPF_FUNC_map_update_elem:
		return map_update;
	case BPF_FUNC_map_delete_elem:
		return map_delete;
	case BPF_FUNC_ktime_get_ns:
		return time_ns;
	case BPF_FUNC_get_prandom_u32:
		return random_u32;
	case BPF_FUNC_get_smp_processor_id:
		return worker_index;
	default:
		return NULL;
	}
}
