/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * For the benchmark: <weir/policy.h> of the same names, so that a policy's source compiles to native code of
 * the same logic on the same maps. Found before the real one by the include path.
 */

#ifndef WEIR_TESTS_BENCH_NATIVE_POLICY_H
#define WEIR_TESTS_BENCH_NATIVE_POLICY_H

#include "ebpf/engine/map.h"

#include <weir/policy_abi.h>

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>

#define WEIR_PARAM	     static volatile const
#define weir_inline	     static inline __attribute__((always_inline))
#define __noinline	     __attribute__((noinline))
#define bpf_htons	     htons
#define bpf_ntohs	     ntohs
#define bpf_htonl	     htonl
#define weir_add(pointer, n) ((void)__atomic_fetch_add(pointer, n, __ATOMIC_SEQ_CST))

#define weir_at(ctx, offset, n)                                                            \
	({                                                                                 \
		uint64_t weir_bytes = (ctx)->data + ((offset)&0x3fff);                     \
		(void *)(uintptr_t)(weir_bytes + (n) <= (ctx)->data_end ? weir_bytes : 0); \
	})

/* The maps are the compiled policy's own; weir_native_maps() finds them. */
struct weir_native_map {
	const char *name;
	struct policy_map *map;
	struct weir_native_map *next;
};

extern struct weir_native_map *weir_native_maps;

#define WEIR_NATIVE_MAP(map_name)                                       \
	static struct weir_native_map map_name = { .name = #map_name }; \
	__attribute__((constructor)) static void map_name##_add(void)   \
	{                                                               \
		map_name.next = weir_native_maps;                       \
		weir_native_maps = &map_name;                           \
	}                                                               \
	struct map_name##_end
#define WEIR_ARRAY(name, value_type, entries)		   WEIR_NATIVE_MAP(name)
#define WEIR_WORKER_ARRAY(name, value_type, entries)	   WEIR_NATIVE_MAP(name)
#define WEIR_HASH(name, key_type, value_type, entries)	   WEIR_NATIVE_MAP(name)
#define WEIR_LRU_HASH(name, key_type, value_type, entries) WEIR_NATIVE_MAP(name)

struct weir_address {
	__u32 word[4];
};

static inline void *bpf_map_lookup_elem(struct weir_native_map *m, const void *key)
{
	struct policy_map *map = m->map;
	uint32_t index;

	if (!map->values)
		return hash_table_lookup(&map->hash, key);
	memcpy(&index, key, 4);
	return index < map->max_entries ? map->values + (uint64_t)index * map->stride : NULL;
}

static inline long bpf_map_update_elem(
	struct weir_native_map *m, const void *key, const void *value, uint64_t flags)
{
	return policy_map_update(m->map, key, value, flags, 0);
}

#define WEIR_POLICY(name)                                  \
	uint32_t weir_native_##name(struct weir_ctx *ctx); \
	uint32_t weir_native_##name(struct weir_ctx *ctx)

#endif
