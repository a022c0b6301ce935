/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Policies in the kernel: which of a model's can judge in front of the ports, and keeping the ports' programs in
 * step with that. Event loop's thread.
 */

#ifndef WEIR_DAEMON_POLICIES_KERNEL_H
#define WEIR_DAEMON_POLICIES_KERNEL_H

struct daemon;
struct model;
struct model_policy;
struct policy_kept;

/*
 * Bring the judges of all ports in step, in the same order around a CONFIG as steer_ports(). What is not in the
 * kernel is judged by the data plane alone, so nothing here can fail; policies_kernel_why() tells.
 *
 * flags  enum steering_flag
 */
void policies_kernel_sync(struct daemon *d, const struct model *m, unsigned int flags);

/*
 * The arrays that data plane and kernel share, made or found. Returns 0, -ENOENT (it shares none) or another
 * -errno.
 */
int policies_kernel_arrays(struct daemon *d, struct policy_kept *k);

/* Why the kernel does not run it; "": it does. k: NULL when it has not been admitted. */
const char *policies_kernel_why(const struct model_policy *p, const struct policy_kept *k);

#endif
