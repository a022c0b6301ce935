/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Service and source addresses on the host, so that its kernel answers ARP, neighbour discovery and
 * ping for them: on `lo`, where no interface has them already, and IPv6 ones on the ports' interfaces
 * too. Only what was added here is ever removed, also by a daemon that comes after one that was killed:
 * a state file says what is ours before it is.
 */

#ifndef WEIR_DAEMON_HOST_ADDRESSES_H
#define WEIR_DAEMON_HOST_ADDRESSES_H

#include "control/config/model.h"

#include <net/if.h>

struct kernel_watch;
struct rundir;

struct host_address {
	char interface[IFNAMSIZ];
	struct address address;
};

struct host_addresses {
	const struct rundir *run; /* borrowed */
	struct kernel_watch *kernel; /* borrowed */
	struct host_address *ours; /* owned; added by us, or just about to be */
	size_t count;
};

/* Read what an earlier daemon left. */
void host_addresses_init(
	struct host_addresses *h, const struct rundir *run, struct kernel_watch *kernel);
void host_addresses_fini(struct host_addresses *h); /* leaves the host as it is */

/*
 * Add what the model needs and the host lacks. On failure what was added by this call is removed
 * again. Returns 0 or -errno with a sentence in err.
 */
int host_addresses_add(struct host_addresses *h, const struct model *m, char *err, size_t err_size);

/* Remove what is ours and the model does not need; m NULL: all that is ours, and the state file. */
void host_addresses_prune(struct host_addresses *h, const struct model *m);

/* True when the host has the address of its own accord. */
bool host_addresses_is_native(const struct host_addresses *h, const struct address *a);

#endif
