/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Which policies run where: from a configuration to a policy_set, and the set's part of telemetry. Main
 * thread.
 */

#ifndef WEIR_CORE_POLICIES_H
#define WEIR_CORE_POLICIES_H

#include "dataplane/api/validate.h"
#include "dataplane/core/fastpath.h"
#include "dataplane/service/policies.h"

struct service;
struct service_cells;
struct service_settings;

/*
 * Give settings the policies and classes that the i-th service of a configuration wants. Programs whose ids
 * stand in old go on, with maps and counters; classes by their names.
 *
 * old  of the generation before, or NULL
 *
 * Returns 0, -ENOENT (an image that was not handed over), -EINVAL (one that cannot run) or -ENOMEM, with the
 * reason in err.
 */
int policies_attach(struct fastpath *fp, const struct weir_config_view *view, uint32_t i,
	struct service *s, const struct service_settings *old, struct service_settings *settings,
	char *err, size_t err_size);
/* The same for packets that are no service's; NULL when there are none. */
int policies_outside(struct fastpath *fp, const struct weir_config_view *view,
	struct policy_set **ret_set, char *err, size_t err_size);

/* The services' part of the directory; there is none of a service that never had any. */
void policies_directory_free(struct fastpath *fp, struct service_cells *cells);
void policies_service_write(struct fastpath *fp, const struct policy_set *set,
	const struct service_cells *cells, struct weir_service_entry *entry);
void policies_outside_write(struct fastpath *fp, const struct policy_set *set);

#endif
