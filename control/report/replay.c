/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/report/report_private.h"

/* The same capture gives the same document: without what this machine's clock says. */
static json_t *policies_without_cycles(const struct model_service *s, const struct snapshot *now)
{
	json_t *list = report_policies(s, now, NULL);
	for (size_t i = 0; i < json_array_size(list); i++)
		json_object_del(json_array_get(list, i), "cycles");
	return list;
}

static json_t *services_with_backends(const struct model *m, const struct snapshot *now)
{
	json_t *list = json_array();
	for (size_t i = 0; list != NULL && i < m->service_count; i++) {
		const struct model_service *s = &m->services[i];
		json_t *entry = report_service_entry(s, now, NULL);
		int err = json_object_set_new(
			entry, "backends", report_backend_list(m, s, now, NULL));
		err |= json_object_set_new(entry, "policies", policies_without_cycles(s, now));
		err |= json_object_set_new(entry, "classes", report_classes(s, now));
		if (json_array_append_new(list, entry) != 0 || err != 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

json_t *report_replay(const struct model *m, const struct snapshot *now)
{
	struct weir_port_cell total = { 0 };
	for (size_t i = 0; i < now->port_count; i++) {
		const struct weir_port_cell *p = &now->ports[i].sum;
		total.packets_received += p->packets_received;
		total.packets_transmitted += p->packets_transmitted;
		total.packets_to_kernel += p->packets_to_kernel;
		total.originated += p->originated;
		for (int r = 0; r < WEIR_DROP_COUNT; r++)
			total.dropped[r] += p->dropped[r];
	}
	for (size_t i = 0; i < now->service_count; i++)
		for (int r = 0; r < WEIR_DROP_COUNT; r++)
			total.dropped[r] += now->services[i].sum.dropped[r];
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "received",
		report_count(total.packets_received), "transmitted",
		report_count(total.packets_transmitted - total.originated), "passed_to_kernel",
		report_count(total.packets_to_kernel), "originated", report_count(total.originated),
		"dropped", report_dropped(total.dropped), "services",
		services_with_backends(m, now));
}
