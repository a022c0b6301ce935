/* SPDX-License-Identifier: BSD-3-Clause */

/* Images of policies made by hand, and instructions by name. */

#ifndef WEIR_TESTS_UNIT_ENGINE_IMAGE_BUILD_H
#define WEIR_TESTS_UNIT_ENGINE_IMAGE_BUILD_H

#include "ebpf/engine/image.h"

#include <weir/policy_abi.h>

#include <linux/bpf.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define INSN(c, d, s, o, i)                       \
	((struct bpf_insn){ .code = (uint8_t)(c), \
		.dst_reg = (uint8_t)((d)&15),     \
		.src_reg = (uint8_t)((s)&15),     \
		.off = (int16_t)(o),              \
		.imm = (int32_t)(i) })
#define MOV_K(d, i)	     INSN(BPF_ALU64 | BPF_MOV | BPF_K, d, 0, 0, i)
#define MOV_X(d, s)	     INSN(BPF_ALU64 | BPF_MOV | BPF_X, d, s, 0, 0)
#define ALU_K(op, d, i)	     INSN(BPF_ALU64 | (op) | BPF_K, d, 0, 0, i)
#define ALU_X(op, d, s)	     INSN(BPF_ALU64 | (op) | BPF_X, d, s, 0, 0)
#define LOAD(sz, d, s, o)    INSN(BPF_LDX | BPF_MEM | (sz), d, s, o, 0)
#define STORE(sz, d, s, o)   INSN(BPF_STX | BPF_MEM | (sz), d, s, o, 0)
#define STORE_K(sz, d, o, i) INSN(BPF_ST | BPF_MEM | (sz), d, 0, o, i)
#define JUMP_K(op, d, i, o)  INSN(BPF_JMP | (op) | BPF_K, d, 0, o, i)
#define CALL_HELPER(n)	     INSN(BPF_JMP | BPF_CALL, 0, 0, 0, n)
#define CALL(o)		     INSN(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, o)
#define EXIT		     INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)
/* Two instructions each. */
#define MAP(d, n)	     INSN(BPF_LD | BPF_DW | BPF_IMM, d, BPF_PSEUDO_MAP_IDX, 0, n), INSN(0, 0, 0, 0, 0)
#define VALUE(d, n, at) \
	INSN(BPF_LD | BPF_DW | BPF_IMM, d, BPF_PSEUDO_MAP_IDX_VALUE, 0, n), INSN(0, 0, 0, 0, at)

struct map_shape {
	uint32_t type;
	uint32_t key_size;
	uint32_t value_size;
	uint32_t max_entries;
	bool initial; /* value_size zero bytes of first content */
};

/* Returns a malloc'ed image; its maps are called m0, m1, ... */
static inline struct policy_image *image_build(const struct bpf_insn *insns, uint32_t count,
	const struct map_shape *maps, uint32_t map_count)
{
	uint32_t initial = 0;

	for (uint32_t i = 0; i < map_count; i++)
		initial += maps[i].initial ? (maps[i].value_size + 7) & ~7u : 0;
	uint32_t insns_at = sizeof(struct policy_image);
	uint32_t maps_at = insns_at + count * (uint32_t)sizeof(*insns);
	uint32_t initial_at = maps_at + map_count * (uint32_t)sizeof(struct policy_image_map);
	struct policy_image *image = calloc(1, initial_at + initial);

	if (!image)
		abort();
	*image = (struct policy_image){
		.magic = POLICY_IMAGE_MAGIC,
		.abi = WEIR_POLICY_ABI,
		.size = initial_at + initial,
		.insn_count = count,
		.map_count = map_count,
		.insns = insns_at,
		.maps = maps_at,
		.params = maps_at,
		.lines = maps_at,
		.name = "test",
	};
	memcpy(image_insns(image), insns, count * sizeof(*insns));
	for (uint32_t i = 0; i < map_count; i++) {
		struct policy_image_map *m = &image_maps(image)[i];

		*m = (struct policy_image_map){
			.name = { 'm', (char)('0' + i) },
			.type = maps[i].type,
			.key_size = maps[i].key_size,
			.value_size = maps[i].value_size,
			.max_entries = maps[i].max_entries,
			.map_flags = maps[i].type == BPF_MAP_TYPE_LPM_TRIE ? BPF_F_NO_PREALLOC :
				maps[i].type == BPF_MAP_TYPE_ARRAY	   ? BPF_F_MMAPABLE :
									     0,
			.flags = maps[i].initial ? POLICY_MAP_F_INITIAL : 0,
			.initial_offset = maps[i].initial ? initial_at : 0,
		};
		if (maps[i].initial)
			initial_at += (maps[i].value_size + 7) & ~7u;
	}
	return image;
}

#endif
