/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Bring the XDP programs of all ports in step with a configuration: what belongs to a service comes to
 * the data plane, everything else goes to the kernel.
 */

#ifndef WEIR_DAEMON_STEER_H
#define WEIR_DAEMON_STEER_H

#include <stddef.h>

struct model;
struct plan_ports;

/*
 * instance_dir  RUN/NAME
 * ports         of the plan that the data plane has, or is about to get
 * flags         enum steering_flag
 *
 * Ports that are not open are left out: the data plane counts what is sent to them, and the next call
 * finds them when they are there. Returns 0 or -errno with a sentence in err.
 */
int steer_ports(const char *instance_dir, const struct model *m, const struct plan_ports *ports,
	unsigned int flags, char *err, size_t err_size);

#endif
