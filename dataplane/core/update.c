/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What changes within a configuration: settings, backends, neighbours. Main thread.
 */

#include "dataplane/core/apply.h"
#include "dataplane/core/core.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A generation like the one in force, but for what is exchanged in it. */
static int generation_vary(struct fastpath *fp, struct service_settings *const *changed,
	struct generation **ret_generation)
{
	struct generation *now = fp->generation;
	struct port *ports[WEIR_MAX_PORTS];
	struct service_settings **settings = calloc(WEIR_MAX_SERVICES, sizeof(*settings));
	struct generation_input in = {
		.ports = ports,
		.port_count = WEIR_MAX_PORTS,
		.neighbours = now->neighbours,
		.shared = now->shared,
		.outside = now->outside,
		.service = now->service,
		.settings = settings,
	};
	int ret;

	if (!settings)
		return -ENOMEM;
	memcpy(ports, now->port, sizeof(ports));
	for (uint32_t i = 0; i < WEIR_MAX_SERVICES; i++)
		settings[i] = changed[i] ? changed[i] : now->settings[i];
	ret = generation_create(fp, &in, ret_generation);
	if (ret == 0) {
		for (uint32_t i = 0; i < WEIR_MAX_SERVICES; i++)
			if (settings[i] && !changed[i])
				service_settings_hold(settings[i]);
		neighbours_hold(now->neighbours);
		now->shared->references++;
		policy_set_hold(now->outside);
	}
	free(settings);
	return ret;
}

int apply_settings(
	struct fastpath *fp, struct service_settings **changed, char *err, size_t err_size)
{
	struct generation *g;
	int ret = generation_vary(fp, changed, &g);

	if (ret) {
		snprintf(err, err_size, "no memory for a generation");
		return ret;
	}
	memset(changed, 0, WEIR_MAX_SERVICES * sizeof(changed[0]));
	generation_let_go(fp, generation_publish(fp, g));
	directory_write(fp, g);
	directory_memory(fp);
	return 0;
}

int apply_again(struct fastpath *fp, char *err, size_t err_size)
{
	struct service_settings **none = calloc(WEIR_MAX_SERVICES, sizeof(*none));
	int ret = none ? apply_settings(fp, none, err, err_size) : -ENOMEM;

	free(none);
	return ret;
}

static int updates_apply(struct fastpath *fp, const struct weir_backend_update *updates,
	uint32_t count, struct service_settings **changed, char *err, size_t err_size)
{
	int ret;

	for (uint32_t i = 0; i < WEIR_MAX_SERVICES; i++) {
		if (!fp->service[i])
			continue;
		ret = service_settings_update(fp->generation->settings[i], updates, count,
			&fp->seed, &changed[i], err, err_size);
		if (ret)
			return ret;
	}
	return apply_settings(fp, changed, err, err_size);
}

int fastpath_update_backends(struct fastpath *fp, const struct weir_backend_update *updates,
	uint32_t count, char *err, size_t err_size)
{
	struct service_settings **changed;
	int ret;

	for (uint32_t i = 0; i < count; i++) {
		if (fastpath_service(fp, updates[i].service))
			continue;
		snprintf(err, err_size, "there is no service %s", updates[i].service);
		return -ENOENT;
	}
	if (count == 0)
		return 0;
	changed = calloc(WEIR_MAX_SERVICES, sizeof(*changed));
	if (!changed)
		return -ENOMEM;
	retired_reap(fp);
	ret = updates_apply(fp, updates, count, changed, err, err_size);
	for (uint32_t i = 0; i < WEIR_MAX_SERVICES; i++)
		service_settings_release(changed[i]);
	free(changed);
	return ret;
}

int fastpath_update_neighbours(struct fastpath *fp, const struct weir_neighbour_update *updates,
	uint32_t count, char *err, size_t err_size)
{
	if (fp->generation)
		neighbours_update(fp->generation->neighbours, updates, count,
			fp->generation->shared->port_index);
	return 0;
}
