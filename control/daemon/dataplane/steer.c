/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/daemon/dataplane/steer.h"

#include "control/plan/steering.h"
#include "ebpf/kernel/steering.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

int steer_ports(const char *instance_dir, const struct model *m, const struct plan_ports *ports,
	unsigned int flags, char *err, size_t err_size)
{
	struct plan_steering want;
	char directory[PATH_MAX];
	char why[256] = "";
	int rc = plan_steering_build(m, ports, &want);

	if (rc) {
		snprintf(err, err_size, "%s", strerror(-rc));
		return rc;
	}
	for (size_t i = 0; !rc && i < m->port_count; i++) {
		const struct model_port *p = &m->ports[i];

		if (p->kind != MODEL_DEVICE_INTERFACE)
			continue;
		rc = steering_path(instance_dir, p->name, directory, sizeof(directory));
		if (!rc)
			rc = steering_sync(directory, want.services, want.service_count,
				want.sources, want.source_count, flags, why, sizeof(why));
		if (rc == -ENOENT || rc > 0)
			rc = 0;
		if (rc)
			snprintf(err, err_size, "port %s: steering cannot be set: %s", p->name,
				why[0] ? why : strerror(-rc));
	}
	plan_steering_fini(&want);
	return rc;
}
