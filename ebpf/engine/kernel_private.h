/* SPDX-License-Identifier: BSD-3-Clause */

/* What those who load policies into the kernel share: verify.c to have them judged, offload.c to run them there. */

#ifndef WEIR_ENGINE_KERNEL_PRIVATE_H
#define WEIR_ENGINE_KERNEL_PRIVATE_H

#include "ebpf/engine/image.h"

#include <linux/bpf.h>

#include <assert.h>

/* A kernel map's name says which of the policy's it is, so that it is found again by its program. */
#define KERNEL_MAP_NAME "weir_policy_%u" /* its index */
static_assert(POLICY_MAX_MAPS <= 100, "which has two digits");

static inline struct bpf_insn kernel_insn(
	uint8_t code, unsigned int dst, unsigned int src, int off, int32_t imm)
{
	return (struct bpf_insn){ .code = code,
		.dst_reg = dst & 15,
		.src_reg = src & 15,
		.off = (int16_t)off,
		.imm = imm };
}

/*
 * Make the kernel's maps of an image, with their first content.
 *
 * copies   those that would be copies of the fast path's (policy_offload_copies()) can only be read by the policy
 * ret_fds  image->map_count of them; the caller's to close
 *
 * Returns 0 or -errno with the reason in err.
 */
int kernel_maps_create(const struct policy_image *image, bool copies, int ret_fds[POLICY_MAX_MAPS],
	char *err, size_t err_size);
/* One of them: a descriptor, the caller's, or -errno. */
int kernel_map_create(const struct policy_image *image, uint32_t index, bool copies);

static inline bool kernel_map_is_copy(const struct policy_image_map *m)
{
	return m->type == BPF_MAP_TYPE_HASH || m->type == BPF_MAP_TYPE_LPM_TRIE;
}

/*
 * Have the kernel run a judge on made-up packets, with maps that are only for that; the cycles a packet, as a median,
 * or 0 when that cannot be had.
 */
uint32_t offload_cycles(int program_fd, int packet_fd);

#endif
