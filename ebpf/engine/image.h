/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A policy's image: what is left of an object file when libbpf has read it, and all that anybody after
 * that needs. One flat piece of memory without pointers, so it can cross from the process that reads an
 * untrusted file, and from the daemon to the data plane; who receives one checks it with
 * policy_image_check() before believing a number in it.
 *
 * Instructions name maps by their index (BPF_PSEUDO_MAP_IDX, BPF_PSEUDO_MAP_IDX_VALUE), which is how
 * the kernel takes them as well; nothing else in them is changed between verifier and JIT.
 */

#ifndef WEIR_ENGINE_IMAGE_H
#define WEIR_ENGINE_IMAGE_H

#include <linux/bpf.h>

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define POLICY_IMAGE_MAGIC   0x314c4f50u /* "POL1" */
#define POLICY_NAME_SIZE     64
#define POLICY_MAX_MAPS	     32
#define POLICY_MAX_PARAMS    256
#define POLICY_MAX_INSNS     65536
#define POLICY_MAX_IMAGE     (32u << 20)
#define POLICY_MAX_KEY	     64
#define POLICY_MAX_VALUE     4096
#define POLICY_MAX_MAP_BYTES (UINT64_C(1) << 32)

enum policy_image_map_flag {
	POLICY_MAP_F_INITIAL = 1u << 0, /* .rodata, .data, .bss: has initial bytes */
	POLICY_MAP_F_CONSTANT = 1u << 1, /* .rodata: nobody writes it after the load */
};

struct policy_image_map {
	char name[POLICY_NAME_SIZE];
	uint32_t type; /* enum bpf_map_type */
	uint32_t key_size;
	uint32_t value_size;
	uint32_t max_entries;
	uint32_t map_flags; /* BPF_F_* */
	uint32_t flags; /* enum policy_image_map_flag */
	uint32_t initial_offset; /* from the start of the image's bytes; value_size bytes */
	uint32_t reserved;
};

/* A WEIR_PARAM: where it lies in a constant map. */
struct policy_image_param {
	char name[POLICY_NAME_SIZE];
	uint32_t map;
	uint32_t offset;
	uint32_t size; /* 1, 2, 4 or 8 */
	uint32_t is_signed;
};

/* Where an instruction comes from; sorted by instruction. Texts are offsets into the image's bytes. */
struct policy_image_line {
	uint32_t insn;
	uint32_t line;
	uint32_t column;
	uint32_t file;
	uint32_t text;
	uint32_t reserved;
};

struct policy_image {
	uint32_t magic;
	uint32_t abi;
	uint32_t size; /* of all of it */
	uint32_t insn_count;
	uint32_t map_count;
	uint32_t param_count;
	uint32_t line_count;
	/* Offsets from the start of the image, each a multiple of 8. */
	uint32_t insns;
	uint32_t maps;
	uint32_t params;
	uint32_t lines;
	uint32_t reserved[5];
	char name[POLICY_NAME_SIZE];
};

static_assert(sizeof(struct policy_image) == 128, "an image's head crosses between processes");
static_assert(sizeof(struct policy_image_map) == 96, "so does a map");
static_assert(sizeof(struct policy_image_param) == 80, "and a parameter");
static_assert(sizeof(struct policy_image_line) == 24, "and a line");

static inline void *image_at(const struct policy_image *image, uint32_t offset)
{
	return (char *)(uintptr_t)image + offset;
}

static inline struct bpf_insn *image_insns(const struct policy_image *image)
{
	return image_at(image, image->insns);
}

static inline struct policy_image_map *image_maps(const struct policy_image *image)
{
	return image_at(image, image->maps);
}

static inline struct policy_image_param *image_params(const struct policy_image *image)
{
	return image_at(image, image->params);
}

static inline struct policy_image_line *image_lines(const struct policy_image *image)
{
	return image_at(image, image->lines);
}

/*
 * Whether `size` bytes are a sound image: every offset inside, every text ended, every map of a kind
 * and size that policies may have. Says nothing about the instructions: policy_insns_check() does.
 *
 * bytes  8-byte aligned
 * err    reason on errors; may be NULL
 *
 * Returns 0 or -EINVAL.
 */
int policy_image_check(const void *bytes, size_t size, char *err, size_t err_size);

/*
 * Set a WEIR_PARAM: "name=value", the value decimal or 0x..., negative for signed ones.
 * Returns 0, -ENOENT (no such parameter), -ERANGE (does not fit) or -EINVAL, with the reason in err.
 */
int policy_image_set(
	struct policy_image *image, const char *assignment, char *err, size_t err_size);

/* The current value of a parameter. */
int64_t policy_image_param(
	const struct policy_image *image, const struct policy_image_param *param);

/* Where an instruction comes from, or NULL. */
const struct policy_image_line *policy_image_line(const struct policy_image *image, uint32_t insn);

const char *policy_map_type_name(uint32_t type);

#endif
