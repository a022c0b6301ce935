/* SPDX-License-Identifier: BSD-3-Clause */

/* Steering by devices, seen from the services: what would help, and how their packets do arrive. Main thread. */

#include "dataplane/core/core.h"
#include "dataplane/core/steering/steering_plan.h"

#include <stdlib.h>
#include <string.h>

uint32_t fastpath_steering_plan(const struct fastpath *fp, const struct weir_config_view *view,
	struct steering_rule *ret_rules, struct steering_left *ret_left, char *ret_why,
	size_t why_size)
{
	const uint32_t count = view->header->service_count;
	struct steering_workers *workers = calloc(count + 1, sizeof(*workers));
	uint32_t rules = 0;

	ret_why[0] = '\0';
	*ret_left = (struct steering_left){ 0 };
	for (uint32_t i = 0; workers && i < count; i++) {
		const struct service *s = fastpath_service(fp, view->services[i].name);

		workers[i].moved = s && s->moved;
		for (uint32_t k = 0; s && k < s->worker_count; k++)
			workers[i].core[workers[i].count++] = s->worker[k]->core;
	}
	if (workers)
		rules = steering_plan(view, workers, ret_rules, ret_left, ret_why, why_size);
	free(workers);
	return rules;
}

void fastpath_arrivals(
	const struct fastpath *fp, const char *service, struct arrivals *ret_arrivals)
{
	const struct service *s = fastpath_service(fp, service);

	memset(ret_arrivals, 0, WEIR_MAX_PORTS * sizeof(*ret_arrivals));
	for (uint32_t i = 0; s && i < fp->core_count; i++) {
		const struct weir_service_cell *cell = s->cells.cell[i];

		for (uint32_t port = 0; cell && port < WEIR_MAX_PORTS; port++) {
			ret_arrivals[port].clients[i != 0] += cell_read(&cell->arrived[port][0]);
			ret_arrivals[port].replies[i != 0] += cell_read(&cell->arrived[port][1]);
		}
	}
}
