/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What the kernel has judged in front of an AF_XDP port (ebpf/kernel/port_judge.h): verdicts that came with
 * packets, and packets that did not come as a policy dropped them.
 */

#ifndef WEIR_STAGE_JUDGED_H
#define WEIR_STAGE_JUDGED_H

#include "dataplane/port/port.h"
#include "dataplane/stage/work.h"
#include "ebpf/kernel/steering_keys.h"

struct service_settings;

/*
 * Count what judges of a port dropped since the last time, as if it had been received and dropped here. Each call
 * looks at some of them, one after another.
 *
 * settings  by slot: the services of the generation
 *
 * Core 0's thread.
 */
void judged_collect(struct stage_core *c, const struct port *port,
	struct service_settings *const settings[WEIR_MAX_SERVICES]);

/*
 * The verdict that came with a packet, of the policy with this number in its service's list; false: there is none.
 * What an earlier packet left in the buffer has another seal. Not inline: the loop over packets of policies that
 * only judge here is not to grow by it.
 */
bool judged_read(const struct work *w, struct rte_mbuf *m, const struct packet *p, uint32_t number,
	bool ipv6, uint32_t *ret_verdict, uint32_t *ret_mark);

#endif
