/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Policies in the kernel: the instructions that the fast path runs, behind a harness of ours, as an XDP program
 * that the port's program calls by a tail call (ebpf/kernel/port_judge.h). Harness and port agree on struct
 * steering_packet. Both sides work on the same arrays.
 *
 * Of hashes and prefix lists that the policy itself does not change the kernel has copies, which only the caller
 * writes. Not every policy can be there: all other maps are the fast path's own, and so is what it knows of flows.
 */

#ifndef WEIR_ENGINE_OFFLOAD_H
#define WEIR_ENGINE_OFFLOAD_H

#include "ebpf/engine/image.h"

#define POLICY_OFFLOAD_WHY 192

/*
 * Could the kernel run it? Tries, with maps that are gone afterwards.
 *
 * ret_cycles  what it takes there, a packet, as a median of made-up ones: with the way to it; 0: not known
 * why         what stands in the way, as the end of a sentence; "" when nothing does
 *
 * Needs what policy_verify() needs. Returns 0, -EINVAL (it cannot) or another -errno.
 */
int policy_offload_try(
	const struct policy_image *image, uint32_t *ret_cycles, char *why, size_t why_size);

/* Whether it has arrays that both sides write. */
bool policy_offload_shares(const struct policy_image *image);
/* Whether the kernel has a copy of the map, and no share in it; index: below image->map_count. */
bool policy_offload_copies(const struct policy_image *image, uint32_t index);
/* An empty copy: a descriptor, the caller's, or -errno. */
int policy_offload_copy(const struct policy_image *image, uint32_t index);

/*
 * Make the arrays that both sides share, and empty copies; image->map_count descriptors, the caller's. Returns 0 or
 * -errno.
 */
int policy_offload_maps(
	const struct policy_image *image, int ret_fds[POLICY_MAX_MAPS], char *why, size_t why_size);

/* The same of a program that runs in the kernel; -ENOENT when they are not this image's. */
int policy_offload_maps_of(
	const struct policy_image *image, int program_fd, int ret_fds[POLICY_MAX_MAPS]);

/*
 * Load it for one port.
 *
 * map_fds      policy_offload_maps()
 * packet_fd    the port's STEERING_MAP_PACKET
 * programs_fd  the port's STEERING_MAP_PROGRAMS: at index 0 is where it goes with its verdict
 *
 * Returns the program's descriptor, the caller's, or -errno with the reason in why.
 */
int policy_offload_load(const struct policy_image *image, const int *map_fds, int packet_fd,
	int programs_fd, char *why, size_t why_size);

#endif
