/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What a killed data plane left on the host's interfaces, and the daemon has kept: programs that drop
 * services' packets until somebody takes their place. Looked for once, at start, while the process has
 * the privileges for it. Main thread.
 */

#ifndef WEIR_PORT_ORPHANS_H
#define WEIR_PORT_ORPHANS_H

#include <stdbool.h>
#include <stdint.h>

struct port_link;
struct port_orphans;

/* Those of the instance in this folder. NULL when there are none. */
struct port_orphans *port_orphans_collect(const char *instance_dir);

/* The link on an interface, or NULL; o may be NULL. */
struct port_link *port_orphans_find(struct port_orphans *o, uint32_t ifindex);

/* Let go of those that nobody took over, and take their programs off if so wanted. NULL is fine. */
void port_orphans_end(struct port_orphans *o, bool detach);

#endif
