/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Policies in the kernel: which of a model's can judge in front of the ports, and keeping the ports' programs in
 * step with that. What goes is gone at once; what comes is loaded beside the loop, one after another, while the
 * data plane judges by itself. Event loop's thread.
 */

#ifndef WEIR_DAEMON_POLICIES_KERNEL_H
#define WEIR_DAEMON_POLICIES_KERNEL_H

#include <jansson.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct beside;
struct daemon;
struct judges;
struct model;
struct model_policy;
struct policy_kept;

/* Once the loop is there, and before it ends. Returns 0 or -errno. */
int policies_kernel_start(struct daemon *d);
void policies_kernel_stop(struct daemon *d);

/*
 * Bring the judges of all ports in step, in the same order around a CONFIG as steer_ports(). What is not in the
 * kernel is judged by the data plane alone, so nothing here can fail; policies_kernel_why() tells.
 *
 * flags  enum steering_flag: REMOVE at once, ADD from the loop's next turn on
 */
void policies_kernel_sync(struct daemon *d, const struct model *m, unsigned int flags);

/* For what else of policies takes long; NULL before the start. */
struct beside *policies_kernel_beside(struct daemon *d);

/* The ports' judges, opened when they are first asked for. For one turn of the loop; begins as zeros. */
struct port_judges {
	struct judges **port; /* owned; by index in the model; NULL: it has none */
	size_t count;
};
void port_judges_close(struct port_judges *ports);

/*
 * The arrays that data plane and kernel share, and copies of other maps (policies_copies.h), made or found. Returns
 * 0, -ENOENT (it shares none) or another -errno.
 */
int policies_kernel_arrays(struct daemon *d, struct policy_kept *k, struct port_judges *ports);

/* Does the kernel run it in front of some port? k: NULL when it has not been admitted. */
bool policies_kernel_runs(const struct model_policy *p, const struct policy_kept *k);
/* Why the kernel does not run it, or not everywhere; "": it does. */
const char *policies_kernel_why(const struct model_policy *p, const struct policy_kept *k);
/* The same by its id, of one port; ctx: the daemon. For metrics_text.h. */
bool policies_kernel_on(void *ctx, uint64_t policy, const char *port);
/* The names of the ports that it runs on: a new reference. */
json_t *policies_kernel_ports(
	const struct daemon *d, const struct model_policy *p, const struct policy_kept *k);

#endif
