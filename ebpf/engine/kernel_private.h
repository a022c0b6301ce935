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
 * ret_fds  image->map_count of them; the caller's to close
 *
 * Returns 0 or -errno with the reason in err.
 */
int kernel_maps_create(
	const struct policy_image *image, int ret_fds[POLICY_MAX_MAPS], char *err, size_t err_size);

#endif
