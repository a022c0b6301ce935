/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Judges: the policies that a port's XDP program has in the kernel (port_judge.h). The daemon keeps them in step
 * with the configuration through this, beside steering.h and in the same order around a change: REMOVE, tell the
 * data plane, ADD | REMOVE. So the kernel judges with nothing but what the data plane has in force. Needs libbpf
 * only, and CAP_BPF. Any one thread.
 */

#ifndef WEIR_EBPF_JUDGES_H
#define WEIR_EBPF_JUDGES_H

#include "ebpf/kernel/steering.h"

#include <stddef.h>
#include <stdint.h>

/* A policy that is to judge the packets to one address and port. */
struct judge_want {
	uint8_t address[16]; /* IPv4 mapped */
	uint8_t protocol; /* 6 or 17 */
	uint16_t port; /* host order, not 0 */
	uint64_t id; /* of the policy at this service */
	void *policy; /* the caller's, for load */
	char *why; /* of why_size bytes; why it does not run on a port, untouched where it does */
	size_t why_size;
};

struct judge_list {
	struct judge_want *want;
	size_t count;
	/* Make a program for a port. Returns its descriptor, or -errno with want->why filled. */
	int (*load)(struct judge_want *want, int packet_fd, int programs_fd);
};

/*
 * Bring a port's judges in step: all removals first, then all additions, each only when its flag is given.
 *
 * directory  of steering_path()
 * flags      enum steering_flag
 *
 * Returns 0, -ENOENT (no such port is open, or its program knows no judges) or another -errno. One that does
 * not come about is no error: the data plane judges by itself, and want->why says why.
 */
int judges_sync(const char *directory, const struct judge_list *list, unsigned int flags);

/* A program of the policy that runs on the port: a descriptor, the caller's, or -ENOENT. */
int judge_program(const char *directory, uint64_t id);

#endif
