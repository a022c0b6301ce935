/* SPDX-License-Identifier: BSD-3-Clause */

/* What the live view (`weirctl top`) asks for: everything of one moment in one answer, and histograms. */

#include "control/daemon/daemon.h"
#include "control/report/report.h"

#include <string.h>

/* Backends can be many thousands, so they come only to who looks at them. */
static json_t *live_backends(
	struct daemon *d, const struct snapshot *now, const json_t *params, bool *ret_unknown)
{
	const char *of = json_string_value(json_object_get(params, "service"));

	*ret_unknown = false;
	if (!json_is_true(json_object_get(params, "backends")))
		return json_array();
	if (!of)
		return backends_document(d, now, NULL);
	for (size_t i = 0; i < d->model->service_count; i++)
		if (!strcmp(d->model->services[i].name, of))
			return backends_document(d, now, &d->model->services[i]);
	*ret_unknown = true;
	return json_array();
}

void live_show(struct daemon *d, struct rpc_call *call)
{
	const struct snapshot *now = daemon_snapshot(d, 50);
	const struct snapshot *base = history_base(&d->history);
	json_t *warnings = status_warnings(d, now);
	bool unknown = false;
	/* Not a live view's fault when there is no data plane: it shows that, too. */
	json_t *services = now ? report_service_list(d->model, now, base) : json_array();
	adaptation_annotate(d->adaptation, services);
	json_t *backends =
		now ? live_backends(d, now, rpc_call_params(call), &unknown) : json_array();

	rpc_call_result(call,
		json_pack("{s:s, s:s, s:o, s:o, s:b, s:i, s:b, s:o, s:o, s:o}", "instance",
			d->options.instance, "version", WEIR_VERSION, "taken",
			now ? json_real((double)now->taken_ns / 1e9) : json_null(), "dataplane",
			status_dataplane(d, now), "in_step", (int)d->in_step, "warnings",
			(int)json_array_size(warnings), "service_unknown", (int)unknown, "services",
			services, "backends", backends, "cores",
			now ? report_core_list(d->model, now, base) : json_array()));
	json_decref(warnings);
}

void histogram_show(struct daemon *d, struct rpc_call *call, const struct model_service *s,
	const struct model_backend *b)
{
	const struct snapshot *now = daemon_snapshot(d, 100);

	if (!now)
		rpc_call_error(call, RPC_DATAPLANE, NULL,
			"the data plane is %s; see `weirctl status`",
			dataplane_state_name(dataplane_state(d->dataplane)));
	else
		rpc_call_result(call, report_histograms(s, b, now, history_base(&d->history)));
}
