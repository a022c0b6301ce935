/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What a policy includes, and all it needs:
 *
 *	#include <weir/policy.h>
 *
 *	WEIR_POLICY(guard)
 *	{
 *		struct tcphdr *t = weir_at(ctx, ctx->l4_off, sizeof(*t));
 *
 *		return t && t->syn && !t->ack ? WEIR_LIMIT(1) : WEIR_PASS;
 *	}
 *
 * Build it with clang 14 or later and the headers of libbpf:
 *
 *	clang -O2 -g -target bpf -mcpu=v3 -I /usr/include/$(uname -m)-linux-gnu -c guard.c -o guard.o
 *
 * A policy may call bpf_map_lookup_elem, bpf_map_update_elem, bpf_map_delete_elem, bpf_ktime_get_ns (the
 * time of the burst), bpf_get_prandom_u32 and bpf_get_smp_processor_id (the number of the worker).
 */

#ifndef WEIR_POLICY_H
#define WEIR_POLICY_H

#include <weir/policy_abi.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <linux/bpf.h>

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <stddef.h>

#define WEIR_POLICY(name)                                                              \
	const __u32 weir_abi __attribute__((section(WEIR_POLICY_ABI_SECTION), used)) = \
		WEIR_POLICY_ABI;                                                       \
	__attribute__((section(WEIR_POLICY_SECTION), used)) int name(                  \
		__attribute__((unused)) struct weir_ctx *ctx)

/* A number that the operator sets when the policy is loaded: weirctl policy load web f.o --set rate=500 */
#define WEIR_PARAM volatile const

#define weir_inline static inline __attribute__((always_inline))

/*
 * Pointer to n bytes at an offset of the packet, or NULL when it is shorter. The mask is assembler, so
 * that the compiler cannot reason it away: the verifier forgets a bounds check where the offset and n
 * could pass 0xffff together.
 */
#define weir_at(ctx, offset, n)                                          \
	({                                                               \
		__u64 weir_offset = (offset);                            \
		asm volatile("%0 &= 0x3fff" : "+r"(weir_offset));        \
		void *weir_bytes = (ctx)->data + weir_offset;            \
		weir_bytes + (n) <= (ctx)->data_end ? weir_bytes : NULL; \
	})

/* Maps. Arrays are shared with the kernel's pre-filter; the others belong to the fast path. */
#define WEIR_MAP(name, map_type, key_type, value_type, entries) \
	struct {                                                \
		__uint(type, map_type);                         \
		__uint(max_entries, entries);                   \
		__type(key, key_type);                          \
		__type(value, value_type);                      \
	} name SEC(".maps")
#define WEIR_ARRAY(name, value_type, entries) \
	WEIR_MAP(name, BPF_MAP_TYPE_ARRAY, __u32, value_type, entries)
#define WEIR_WORKER_ARRAY(name, value_type, entries) \
	WEIR_MAP(name, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, value_type, entries)
#define WEIR_HASH(name, key_type, value_type, entries) \
	WEIR_MAP(name, BPF_MAP_TYPE_HASH, key_type, value_type, entries)
#define WEIR_LRU_HASH(name, key_type, value_type, entries) \
	WEIR_MAP(name, BPF_MAP_TYPE_LRU_HASH, key_type, value_type, entries)
#define WEIR_LPM(name, key_type, value_type, entries) \
	struct {                                      \
		__uint(type, BPF_MAP_TYPE_LPM_TRIE);  \
		__uint(map_flags, BPF_F_NO_PREALLOC); \
		__uint(max_entries, entries);         \
		__type(key, key_type);                \
		__type(value, value_type);            \
	} name SEC(".maps")

/* Key of a WEIR_LPM by address: IPv4 is ::ffff:0:0/96 and what follows, so 96 + 24 for a /24. */
struct weir_prefix {
	__u32 bits;
	__u32 address[4];
};

struct weir_address {
	__u32 word[4];
};

/* Add to a number that workers share. */
#define weir_add(pointer, n) ((void)__sync_fetch_and_add(pointer, n))

#endif
