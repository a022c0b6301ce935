/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Judges: the policies that a port's XDP program has in the kernel (port_judge.h). The daemon keeps them in step
 * with the configuration through this, beside steering.h and in the same order around a change:
 *
 *   judges_keep()     what the new configuration does not have goes
 *   (the data plane is told)
 *   judges_settle()   and then, for each that is wanted, judges_has() or judges_add()
 *
 * So the kernel judges with nothing but what the data plane has in force. Needs libbpf only, and CAP_BPF. Any one
 * thread.
 */

#ifndef WEIR_EBPF_JUDGES_H
#define WEIR_EBPF_JUDGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct judges;

/* A policy that is to judge the packets to a service; or a service that has none, which ends others' ranges. */
struct judge_want {
	uint8_t address[16]; /* IPv4 mapped; bits beyond prefix_length are zero */
	uint8_t prefix_length; /* 1..128 */
	uint8_t protocol; /* 6 or 17 */
	uint16_t port; /* host order; 0: any */
	uint64_t id; /* of the policy at this service, at no other; 0: none judges */
	uint64_t chain; /* steering_chain() of the service's up to this one */
	uint64_t before; /* id of the one in front of it; 0: it is the first */
};

/* directory: of steering_path(). Returns 0, -ENOENT (no such port is open, or its program knows no judges) or -ENOMEM. */
int judges_open(const char *directory, struct judges **ret_judges);
void judges_close(struct judges *j); /* NULL is fine */

/*
 * Remove all judges but those that are wanted and there. Where services with ranges have judges, all services
 * must be in wants: those that have none then stand there as such. Returns 0 or -errno.
 */
int judges_keep(struct judges *j, const struct judge_want *wants, size_t count);

/* Services that are gone stand for nothing any more. Returns 0 or -errno. */
int judges_settle(struct judges *j, const struct judge_want *wants, size_t count);

/* True when it judges already. */
bool judges_has(struct judges *j, const struct judge_want *w);

/*
 * Have it judge. The one in front of it must.
 *
 * program  made for this port (policy_offload_load()), of a policy with the wanted id; borrowed
 *
 * Returns 0, -ENOSPC (there are too many), -ENOENT (the one in front is not there) or another -errno.
 */
int judges_add(struct judges *j, const struct judge_want *w, int program);

/* For policy_offload_load(); borrowed. */
int judges_packet_fd(const struct judges *j);
int judges_programs_fd(const struct judges *j);

/* The program of the policy that runs on the port: a descriptor, the caller's, or -ENOENT. */
int judges_program(struct judges *j, uint64_t id);

#endif
